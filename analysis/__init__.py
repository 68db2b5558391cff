"""Analysis: what a network does to its inputs, measured and bounded.

lipschitz.py   how far its output can move when its input moves: a lower and an upper bound
regions.py     the polytopes of inputs in each of which a network of ReLUs is affine, along lines and in planes
folding.py     the network that folds its input space, and the numbers of regions that there can be
splines.py     how near one hidden layer can come to a function of one number
deconvolution.py, saliency.py, stacks.py    what in its input a unit or an output depends on
constants.py   the constants of PyTorch's layers; encoders.py, those of this project's encoders
spectral.py    the largest singular value of a layer, from the layer itself
cells.py       a network that reads codes of cells as a function of their one-hot form
"""
