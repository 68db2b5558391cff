"""Models that remember what they logged, and how far two of them are from each other."""

from __future__ import annotations

import torch


def learn_logging(model, steps):
    """Let a model learn; `model.rows` then has what it logged at the end of each episode."""
    model.rows = []
    dump = model.dump_logs
    model.dump_logs = lambda: (model.rows.append(dict(model.logger.name_to_value)), dump())[1]
    return model.learn(steps, log_interval=1)


def same(one, other):
    first, second = one.policy.state_dict(), other.policy.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def distance(one, other):
    """The mean over all parameters. (Adam turns rounding of a gradient that vanishes into a whole step.)"""
    first, second = one.policy.state_dict(), other.policy.state_dict()
    return float(torch.cat([(first[key] - second[key]).abs().flatten() for key in first]).mean())
