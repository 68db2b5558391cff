"""How an agent uses a symmetry.

method.py         hard, average, augment, loss or none; what each changes in an agent's options
augment.py        minibatches joined by their transformed twins
loss.py           a penalty on breaking the symmetry
normalization.py  running statistics that break no symmetry
"""
