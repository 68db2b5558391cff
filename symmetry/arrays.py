"""Arrays of numbers under a group: their flattened form transforms by a representation, or they stay as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from torch import Tensor

from symmetry.group import Group
from symmetry.representation import Representation


class Arrays:
    """How one observation that is an array of numbers transforms: flatten(g·x) = ρ(g) flatten(x), in C order.

    Args:
        group: the group.
        shape: the shape of one observation.
        flat: ρ; None: the trivial one, so that an array of any type stays as it is.

    Raises:
        ValueError: ρ belongs to another group or has another size.
    """

    def __init__(self, group: Group, shape: Sequence[int], flat: Representation | None = None):
        self.group, self.shape, self.size = group, tuple(int(n) for n in shape), prod(shape)
        self._flat = flat
        if flat is not None and (flat.group, flat.size) != (group, self.size):
            raise ValueError(f"arrays of shape {self.shape} under {group} need its representation, got {flat}")

    @property
    def flat(self) -> Representation:
        """ρ."""
        return Representation.trivial(self.group, self.size) if self._flat is None else self._flat

    def __call__(self, g: int, x: Tensor) -> Tensor:
        """g·x for a batch x (..., *shape)."""
        return x if self._flat is None else self._flat(g, x.flatten(-len(self.shape))).reshape(x.shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Arrays) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[Any, ...]:
        return self.group, self.shape, self._flat

    def __repr__(self) -> str:
        return f"Arrays({self.group.name}, shape {self.shape})"

    def to_data(self) -> dict[str, Any]:
        """Lists and numbers from which `from_data` rebuilds the arrays."""
        pairs = None if self._flat is None else self._flat.generators
        images = None if pairs is None else [{"permutation": list(p), "signs": list(s)} for p, s in pairs]
        return {"shape": list(self.shape), "images": images}

    @classmethod
    def from_data(cls, group: Group, data: Mapping[str, Any]) -> Arrays:
        """The inverse of `to_data`.

        Raises:
            ValueError: an entry is missing or has the wrong type, or `Arrays` refuses the arguments.
        """
        try:
            images = data["images"]
            pairs = None if images is None else [(image["permutation"], image["signs"]) for image in images]
            return cls(group, data["shape"], None if pairs is None else Representation(group, pairs))
        except (KeyError, TypeError) as error:
            raise ValueError(f"not arrays: {error!r}") from error
