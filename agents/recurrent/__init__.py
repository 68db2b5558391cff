"""sb3-contrib's RecurrentPPO with faster collection and updates.

    algorithm.py  FastRecurrentPPO: options, and the LSTM's state while collecting
    rollout.py    the rollout, its minibatches of whole sequences
    sequences.py  sequences of different lengths, read by an LSTM with few steps of padding
    network.py    encoder -> LSTM -> heads, for a step and for a minibatch

The rest is PPO's: agents/ppo/learning.py, collect.py, update.py, loss.py and flat_adam.py.
"""
