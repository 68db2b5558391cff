"""A run that does not fit into memory says so before it takes any, with both numbers and what to make smaller."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from agents.saved.budget import FREE, Rehearsal
from learning import memory
from train import train

LARGE = {"total_timesteps": 256, "progress": False, "encoder.width": 4200, "encoder.layers": 2}
LARGE |= {"evaluation": {"every": 1000, "episodes": 1, "final_episodes": 1}, "agent.n_steps": 32, "agent.n_epochs": 1}


def test_a_network_that_does_not_fit_is_refused_before_anything_is_written(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 10**9)
    message = r"10,000,900,003 parameters takes at least 280.0 GB .*, and 1.0 GB are free; .*: encoder.width="
    with pytest.raises(ValueError, match=message):
        train({**LARGE, "encoder.width": 100_000})
    assert not Path("runs").exists()


def test_what_a_large_network_takes_is_its_weights_their_gradients_averages_and_a_snapshot(monkeypatch):
    told = []
    monkeypatch.setattr(memory, "shown", lambda size: told.append(size) or str(size))
    monkeypatch.setattr(memory, "available_memory", lambda: 10**8)
    with pytest.raises(ValueError, match="of 17,677,803 parameters"):
        train(LARGE)
    assert told[-2:] == [7 * 4 * 17_677_803, 10**8]


def test_a_replay_buffer_without_addresses_says_what_the_run_fills(monkeypatch):
    def refuse(*_, **__):
        raise MemoryError("Unable to allocate 15 GiB")

    monkeypatch.setattr("learning.build.make_agent", refuse)
    message = (
        r"1,000,000,000 steps asks for 112.0 GB, and .* are free; this run fills 5,001 steps: agent.buffer_size=5001"
    )
    with pytest.raises(ValueError, match=message):
        train(agent="dqn", total_timesteps=5000, **{"agent.buffer_size": 10**9})


def test_in_a_rehearsal_what_is_small_has_its_numbers_and_what_is_large_has_none():
    with Rehearsal() as rehearsal:
        small = torch.nn.Linear(10, 10)
    assert not rehearsal.taken and not small.weight.is_meta and small(torch.ones(10)).isfinite().all()
    with rehearsal:
        large = torch.nn.Linear(10**6, 10**6)
        seen = large(torch.ones(3, 10**6))
        small = torch.ones(3) * 2
    assert large.weight.is_meta and seen.is_meta and seen.shape == (3, 10**6) and rehearsal.taken > 4 * 10**12
    assert np.array_equal(small, [2, 2, 2]) and FREE < 10**8


def test_a_large_network_that_fits_is_what_it_would_be_without_a_rehearsal(monkeypatch):
    models = []

    def kept(make, env, config):
        models.append(make())
        models.append(memory.fitting(make, env, config))
        raise ValueError("enough")

    monkeypatch.setattr("learning.build.fitting", kept)
    with pytest.raises(ValueError, match="enough"):
        train(LARGE)
    plain, fitted = (model.policy.state_dict() for model in models)
    assert all(torch.equal(plain[name], fitted[name]) for name in plain)
