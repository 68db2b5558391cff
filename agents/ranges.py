"""What the hyperparameters of SB3's algorithms may be. SB3 checks few of them, and trains happily with γ = 7.

`make_agent` checks the values it hands on; None and what is not listed here are left to the algorithm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

WHOLE = {  # and the least each may be
    "n_steps": 1,
    "batch_size": 1,
    "n_epochs": 1,
    "buffer_size": 1,
    "learning_starts": 0,
    "gradient_steps": -1,  # as many as environment steps
    "target_update_interval": 1,
    "policy_delay": 1,
    "sde_sample_freq": -1,  # at the start of a rollout only
    "stats_window_size": 1,
}
FRACTIONS = ("gamma", "gae_lambda", "tau", "exploration_fraction", "exploration_initial_eps", "exploration_final_eps")
POSITIVE = ("learning_rate", "clip_range", "clip_range_vf", "max_grad_norm", "target_kl", "rms_prop_eps", "tau")
AT_LEAST_0 = ("ent_coef", "vf_coef", "weight_decay", "action_noise", "target_policy_noise", "target_noise_clip")
SCHEDULES = ("learning_rate", "clip_range", "clip_range_vf")  # "lin_3e-4", checked where it is read
WORDS = {"ent_coef": "auto", "target_entropy": "auto"}  # SAC's: auto, or auto_0.1 to start from there
TRUTHS = ("use_sde", "use_rms_prop", "optimize_memory_usage")


def check_ranges(options: Mapping[str, Any]) -> None:
    """Check the hyperparameters of an algorithm.

    Raises:
        ValueError: the first one outside its range; the message says what it may be.
    """
    for name, value in options.items():
        if value is None or (name in SCHEDULES and isinstance(value, str)):
            continue
        if name in WORDS and isinstance(value, str) and value.split("_")[0] == WORDS[name]:
            continue
        allowed = _allowed(name, value)
        if allowed:
            raise ValueError(f"agent.{name} is {allowed}; got {value!r}")


def _allowed(name: str, value: Any) -> str | None:
    """What an option may be, in words, if the value is something else."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    number = whole or (isinstance(value, float) and math.isfinite(value))
    if name in WHOLE and not (whole and value >= WHOLE[name]):
        return f"a whole number, at least {WHOLE[name]}"
    if name in POSITIVE and not callable(value) and not (number and value > 0):
        return "a positive number"
    if name in FRACTIONS and not (number and 0 <= value <= 1):
        return "a number from 0 to 1"
    if name in AT_LEAST_0 and not callable(value) and not (number and value >= 0):
        return "a number, at least 0"
    if name in TRUTHS and not isinstance(value, bool):
        return "true or false"
    if name == "normalize_advantage" and not isinstance(value, bool) and value != "peak":
        return "true, false or peak"
    if name == "train_freq" and not _is_frequency(value):
        return "a whole number of steps, at least 1, or [n, episode]"
    if name == "target_entropy" and not number:
        return "auto or a number"
    return None


def _is_frequency(value: Any) -> bool:
    count, unit = value if isinstance(value, (list, tuple)) and len(value) == 2 else (value, "step")
    return isinstance(count, int) and not isinstance(count, bool) and count >= 1 and unit in ("step", "episode")
