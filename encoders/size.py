"""An encoder with about a given number of parameters, so that encoders are compared at equal counts.

The options that a class names in `scaled` grow or shrink together. They keep their proportions, rounded to whole
numbers, so that it is the same network in another size. What the rounding leaves, the first option alone makes good.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from encoders.base import Encoder, sizes_among
from encoders.ranges import require_whole

WITHIN = 0.1  # of the number of parameters that is asked for
COARSEST = 64  # the largest number, as of heads or groups, of which a size may have to be a multiple

Sizes = dict[str, int]


def sizes_of(encoder: type[BaseFeaturesExtractor], space: spaces.Space, options: Mapping[str, Any]) -> Sizes:
    """The options of any features extractor that are scaled, and their values (`Encoder.sizes`).

    Raises:
        ValueError: it does not have them.
    """
    if issubclass(encoder, Encoder):
        return encoder.sizes(space, options)
    return sizes_among(encoder, getattr(encoder, "scaled", Encoder.scaled), options)


def resized(options: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """Options with these sizes; a dotted name is that of an option in a mapping."""
    changed = dict(options)
    for name, value in sizes.items():
        outer, dot, inner = name.partition(".")
        changed[outer] = resized(changed.get(outer) or {}, {inner: value}) if dot else value
    return changed


def fitted(build: Callable[[Sizes], torch.nn.Module], sizes: Sizes, wanted: int) -> tuple[Sizes, int]:
    """The sizes with which an encoder has about `wanted` parameters, and how many it has with them.

    No random numbers are drawn.

    Args:
        build: makes the encoder with given sizes.
        sizes: the usual ones, whose proportions are kept. Those that change nothing here are not in the result.
        wanted: parameters, of which the result is within 10 %.

    Raises:
        ValueError: no sizes come as near, or none of them changes the number.
        Exception: what `build` raises for the usual sizes.
    """
    require_whole(1, **sizes)
    known: dict[tuple[int, ...], float] = {}

    def count(changed: Sizes) -> float:
        """The parameters with some sizes changed; infinite for sizes that cannot be."""
        all_sizes = {**sizes, **changed}
        key = (*all_sizes.values(),)
        if key not in known:
            try:
                with torch.random.fork_rng(devices=[]):
                    known[key] = float(sum(parameter.numel() for parameter in build(all_sizes).parameters()))
            except Exception:  # heads that do not divide a width, for example
                if not changed:
                    raise
                known[key] = math.inf
        return known[key]

    usual, steps = count({}), {}
    for name, value in sizes.items():
        step = next((step for step in range(1, COARSEST) if count({name: step}) < math.inf), value)
        if {count({name: step}), count({name: 2 * value})} != {usual}:
            steps[name] = step
    if not steps:
        raise ValueError(f"encoder.parameters={wanted:,}: {shown(sizes)} changes no number of parameters here")
    first = next(iter(steps))

    def in_proportion(number: int) -> Sizes:
        scale = number * steps[first] / sizes[first]
        return {name: max(1, round(scale * sizes[name] / step)) * step for name, step in steps.items()}

    start = max(1, sizes[first] // steps[first])
    start = max(1, _largest(lambda number: count(in_proportion(number)), wanted, start))
    rough = in_proportion(start)

    def fine(number: int) -> Sizes:
        return {**rough, first: number * steps[first]}

    below = _largest(lambda number: count(fine(number)), wanted, start)
    near = [fine(number) for number in (below, below + 1) if number and count(fine(number)) < math.inf]
    best = min(near, key=lambda changed: abs(count(changed) - wanted), default=rough)
    if not abs(count(best) - wanted) <= WITHIN * wanted:
        possible = " and ".join(f"{count(each):,.0f} ({shown(each)})" for each in near)
        raise ValueError(f"encoder.parameters={wanted:,} is not possible within {WITHIN:.0%}; the nearest: {possible}")
    return best, int(count(best))


def shown(sizes: Mapping[str, int]) -> str:
    """Sizes as options of the command line."""
    return ", ".join(f"encoder.{name}={value}" for name, value in sizes.items())


def _largest(count: Callable[[int], float], most: int, start: int) -> int:
    """The largest whole number n with count(n) ≤ most, 0 if there is none; `count` does not fall.

    The search brackets n, then takes turns between halving the bracket and a power law through its ends.
    """
    low, high = 0, start
    while count(high) <= most:
        low, high = high, high + (high + 1) // 2
    turn = 0
    while high - low > 1:
        middle = (low + high) // 2
        if turn % 2 == 0 and low and count(high) < math.inf and count(low) < count(high):
            power = math.log(most / count(low)) / math.log(count(high) / count(low))
            middle = min(max(round(low * (high / low) ** power), low + 1), high - 1)
        low, high = (middle, high) if count(middle) <= most else (low, middle)
        turn += 1
    return low
