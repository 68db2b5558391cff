"""SB3's A2C with faster collection and updates.

    algorithm.py  FastA2C: one update for each rollout, logs
    loss.py       A2C's loss

The rest is PPO's: agents/ppo/learning.py, collect.py, rollout.py, update.py, flat_rmsprop.py and compiled.py.
"""
