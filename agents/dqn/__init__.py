"""SB3's DQN and sb3-contrib's QR-DQN, the agents that learn the values of discrete actions, with faster updates.

    algorithm.py   FastDQN, FastQRDQN: options, `auto` rules, acting, minibatches
    laws.py        targets and losses of both
    replay.py      a replay buffer that stores each distinct observation once; outputs known for those
    update.py      one minibatch, operation by operation
    compiled.py    the same as compiled graphs

learn (SB3's) -> collect_rollouts (SB3's) -> act (algorithm.py), store (replay.py); then train (agents/off_policy/) ->
draw a minibatch (replay.py) -> its targets, by the target network -> an update (update.py or compiled.py).
"""
