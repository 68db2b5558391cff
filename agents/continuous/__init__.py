"""SB3's SAC and TD3, the agents whose critics read continuous actions, with faster updates.

    algorithm.py   FastSAC, FastTD3: options, `auto` rule, acting, logs
    laws.py        what SAC and TD3 do to their networks with one minibatch
    networks.py    these networks, and the update that hands them to the law
    compiled.py    the same update as compiled graphs

learn (SB3's) -> collect_rollouts (SB3's) -> act (algorithm.py); then train (agents/off_policy/) -> an update.
"""
