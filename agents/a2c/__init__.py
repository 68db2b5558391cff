"""SB3's A2C with faster collection and updates.

    algorithm.py     FastA2C: one update for each rollout, logs
    loss.py          A2C's loss
    flat_rmsprop.py  RMSprop on one flat vector

The rest is PPO's: agents/ppo/learning.py, collect.py, rollout.py, update.py and compiled.py.
"""
