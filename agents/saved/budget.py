"""The memory that tensors take while a network is built: a limit on it, and a rehearsal without it."""

from __future__ import annotations

import math
from typing import Any

import torch

from encoders.torch_internals import DispatchMode, tree_flatten, tree_map

FREE = 1 << 26  # bytes, for what a network has besides its parameters


class OverBudget(ValueError):
    """A description asks for more memory than its parameters take."""


class Budget(DispatchMode):
    """Within it, an operation whose result would be too large is refused.

    What could be large is first done on tensors without memory, which tells the size.

    Args:
        parameters: bytes that the parameters take. Four times as many are allowed, and 64 MB.

    Raises:
        OverBudget: one result, or all that was allocated for new tensors, is larger.
    """

    def __init__(self, parameters: int):
        super().__init__()
        self.most, self.allocated = 4 * parameters + FREE, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = tree_flatten((args, kwargs))[0]
        tensors = [each for each in given if isinstance(each, torch.Tensor)]
        if not func.is_view and (not tensors or 8 * most_numbers(given) > self.most):
            self.check(func, args, kwargs, tensors)
        return func(*args, **kwargs)

    def check(self, func: Any, args: Any, kwargs: Any, given: list[torch.Tensor]) -> None:
        """Raise OverBudget if the result would be too large."""
        try:
            sizes = sizes_of(rehearsed(func, args, kwargs))
        except Exception:  # not every operation can be done without memory; those that cannot make nothing large
            return
        if not given:
            self.allocated += sum(sizes)
        if max([self.allocated, *sizes]) > self.most:
            raise OverBudget(f"the network that it describes takes more than {self.most / 1e6:,.0f} MB of memory")


class Rehearsal(DispatchMode):
    """Within it, a result of more than `FREE` bytes, and whatever is computed from one, holds no numbers.

    Attributes:
        taken: the bytes that all these would take; 0 if there were none, and everything has its numbers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = tree_flatten((args, kwargs))[0]
        if any(isinstance(each, torch.Tensor) and each.is_meta for each in given):
            result = rehearsed(func, args, kwargs)
            self.taken += 0 if func.is_view else sum(sizes_of(result))
            return result
        if not func.is_view and 8 * most_numbers(given) > FREE:
            try:
                result = rehearsed(func, args, kwargs)
            except Exception:  # as in Budget
                return func(*args, **kwargs)
            if sum(sizes_of(result)) > FREE:
                self.taken += sum(sizes_of(result))
                return result
        return func(*args, **kwargs)


def rehearsed(func: Any, args: Any, kwargs: Any) -> Any:
    """The result of an operation, without its numbers."""
    given = tree_flatten((args, kwargs))[0]
    if "device" in kwargs or not any(isinstance(each, torch.Tensor) for each in given):
        kwargs = {**kwargs, "device": "meta"}
    return func(*tree_map(without_memory, args), **tree_map(without_memory, kwargs))


def sizes_of(result: Any) -> list[int]:
    """The bytes of each tensor in a result."""
    return [each.numel() * each.itemsize for each in tree_flatten(result)[0] if isinstance(each, torch.Tensor)]


def most_numbers(given: list[Any]) -> float:
    """No result of an operation with these arguments has more numbers; most operations are small by this alone."""
    return math.prod(map(factor, given))


def factor(argument: Any) -> float:
    """How many times an argument of an operation may multiply the size of its result."""
    value = argument.numel() if isinstance(argument, torch.Tensor) else argument
    return 1 + abs(value) if isinstance(value, (int, float)) and math.isfinite(value) else 1


def without_memory(value: Any) -> Any:
    """A tensor of the same shape and dtype that holds no numbers."""
    if not isinstance(value, torch.Tensor) or value.is_meta:
        return value
    return torch.empty_strided(value.size(), value.stride(), dtype=value.dtype, device="meta")
