"""Stable-Baselines3's own files, read as data: nothing in them is executed.

policy.py      import_sb3: an SB3 zip -> a Policy
archive.py     zip files, checked before anything in them is read; the two parts of an SB3 zip
weights.py     the tensors of a torch file
statistics.py  the running statistics of a VecNormalize file
pickles.py     pickles as trees of names and numbers, which both of these read
network.py     tensors -> layers, activation and the other arguments of SB3's policy
policies.py    SB3's policies, which name their encoders and heads as ours do
spaces.py      spaces from the text that SB3 puts beside its pickles, and whether they fit an environment's
"""
