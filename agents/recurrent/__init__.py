"""sb3-contrib's RecurrentPPO with faster collection and updates.

    algorithm.py  FastRecurrentPPO: options, and the LSTM state during collection
    rollout.py    the rollout, its minibatches of whole sequences
    sequences.py  sequences of different lengths, run through an LSTM with little padding
    network.py    encoder -> LSTM -> heads, for one step and for a minibatch

The rest is shared with PPO: learning.py, collect.py, update.py, loss.py and flat_adam.py in agents/ppo/.
"""
