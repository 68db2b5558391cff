"""Where the time of training goes: the parts of a step, and PyTorch's operations (`training.py --profile`)."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch


def timed(function: Callable[..., Any], spent: dict[str, float], part: str) -> Callable[..., Any]:
    """The function, which adds the CPU seconds of its calls to `spent[part]`."""

    def call(*args: Any, **kwargs: Any) -> Any:
        begin = time.process_time()
        result = function(*args, **kwargs)
        spent[part] += time.process_time() - begin
        return result

    return call


def profile(title: str, contestant: Any) -> dict[str, float]:
    """Where the time of a model in one of our forms goes: µs of CPU time per environment step."""
    model, spent = contestant.model, defaultdict[str, float](float)
    methods = [(type(model.ready()), "__call__", "minibatch step"), (model.env, "step", "environment step")]
    if hasattr(model, "replay_buffer"):
        methods += [(model, "_sample_action", "acting"), (model, "_store_transition", "storage")]
    else:
        rollout = model.rollout_buffer
        methods += [(model, "act", "acting"), (model, "values_of", "acting")]
        methods += [(rollout, method, "storage") for method in ("reset", "add", "finish", "freeze", "_observed")]
    with contextlib.ExitStack() as patches:
        for owner, method, part in methods:
            patches.enter_context(patch.object(owner, method, timed(getattr(owner, method), spent, part)))
        whole = 1e6 / contestant.per_cpu_second(1)
    each = {part: 1e6 * seconds / (contestant.rollouts * contestant.rollout) for part, seconds in spent.items()}
    each["rest"] = whole - sum(each.values())
    print(f"\n{title}: where the time goes, per environment step\n")
    for part, us in [*sorted(each.items(), key=lambda item: -item[1]), ("all", whole)]:
        print(f"{part:<18}{us:>10.1f} µs{100 * us / whole:>8.1f} %")
    contestant.rollouts = 1
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        contestant.per_cpu_second(2)
    print("\nthe operations of one rollout and of learning from it\n")
    print(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=40))
    return each
