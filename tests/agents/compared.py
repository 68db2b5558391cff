"""How far two models are from each other."""

from __future__ import annotations

import torch


def same(one, other):
    first, second = one.policy.state_dict(), other.policy.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def distance(one, other):
    """The mean over all parameters. (Adam turns rounding of a gradient that vanishes into a whole step.)"""
    first, second = one.policy.state_dict(), other.policy.state_dict()
    return float(torch.cat([(first[key] - second[key]).abs().flatten() for key in first]).mean())
