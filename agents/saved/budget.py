"""A limit on the memory that tensors take while a network is built from a description."""

from __future__ import annotations

import math
from typing import Any

import torch

from encoders.torch_internals import TorchDispatchMode, tree_flatten, tree_map

FREE = 1 << 26  # bytes, for what a network has besides its parameters


class OverBudget(ValueError):
    """A description asks for more memory than its parameters take."""


class Budget(TorchDispatchMode):
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
        most = math.prod(map(factor, given))  # no result has more numbers, and most operations are small by this alone
        if not func.is_view and (not tensors or 8 * most > self.most):
            self.check(func, args, kwargs, tensors)
        return func(*args, **kwargs)

    def check(self, func: Any, args: Any, kwargs: Any, given: list[torch.Tensor]) -> None:
        """Raise OverBudget if the result would be too large."""
        rehearsed = dict(kwargs)
        if "device" in rehearsed or not given:
            rehearsed["device"] = "meta"
        try:
            result = func(*tree_map(without_memory, args), **tree_map(without_memory, rehearsed))
        except Exception:  # not every operation can be done without memory; those that cannot make nothing large
            return
        sizes = [each.numel() * each.itemsize for each in tree_flatten(result)[0] if isinstance(each, torch.Tensor)]
        if not given:
            self.allocated += sum(sizes)
        if max([self.allocated, *sizes]) > self.most:
            raise OverBudget(f"the network that it describes takes more than {self.most / 1e6:,.0f} MB of memory")


def factor(argument: Any) -> float:
    """How many times an argument of an operation may multiply the size of its result."""
    value = argument.numel() if isinstance(argument, torch.Tensor) else argument
    return 1 + abs(value) if isinstance(value, (int, float)) and math.isfinite(value) else 1


def without_memory(value: Any) -> Any:
    """A tensor of the same shape and dtype that holds no numbers."""
    if not isinstance(value, torch.Tensor) or value.is_meta:
        return value
    return torch.empty_strided(value.size(), value.stride(), dtype=value.dtype, device="meta")
