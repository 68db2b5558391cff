"""SB3's SAC and TD3, the agents whose critics read continuous actions, with faster updates.

    algorithm.py   FastSAC, FastTD3: options, `auto` rule, acting, logs
    laws.py        what SAC and TD3 do to their networks with one minibatch
    networks.py    these networks, each on one flat vector: learning by Adam, targets that follow
    compiled.py    the same laws as compiled graphs

learn (SB3's) -> collect_rollouts (SB3's) -> act (algorithm.py); then train -> an update (networks.py or compiled.py),
which hands its networks to the law. Adam and the compiler are shared with agents/ppo/ (flat_adam.py, compiled.py).
"""
