"""Arrays of categorical codes under a group: the group moves cells and renames the codes in them.

A code is a name, not a quantity, so a group element acts on codes by a gather and a table look-up, not by a matrix. It
acts on their one-hot form linearly: one_hot(g·x) = (σ(g) ⊗ τ(g)) one_hot(x), where σ permutes cells and τ values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from symmetry.group import Group
from symmetry.representation import Representation

Rename = tuple[int, Representation, tuple[int, int] | None]

SMALLEST_TABLE = 256  # entries: no uint8 code lies outside the table


class Codes:
    """How one observation of categorical codes transforms: (g·x)[σ(g)c, k] = τ_k(g) x[c, k] for cell c, channel k.

    Args:
        group: the group.
        shape: the shape of one observation: its cells in C order, then an axis of channels if a cell has several codes.
        cells: σ, a permutation of the cells; `Representation.trivial(group, n)` if they stay.
        renames: τ, as triples (channel, permutation of the values 0..V-1, where). If `where` is None, the entry renames
            the channel in every cell. If it is (other channel, value), the entry renames the channel only in cells
            whose other channel has that value. A channel has either one entry without `where`, or entries whose
            `where` name the same other channel and different values. Codes of V or more are never renamed.

    Attributes:
        size: the number of codes in an observation.
        channels: the number of codes in a cell.
        values: how the one-hot form of one cell transforms. It is the direct sum of the `renames`, in order. A channel
            whose entries all have a `where` adds a trivial part, for its values in all other cells.

    Raises:
        ValueError: sizes do not match, a permutation has signs or is of another group, a channel has no entry, entries
            contradict each other, or a `where` names a value that is itself renamed.
    """

    def __init__(self, group: Group, shape: Sequence[int], cells: Representation, renames: Sequence[Rename]):
        self.group, self.shape, self.cells = group, tuple(int(n) for n in shape), cells
        if not self.shape:
            raise ValueError("codes have at least one axis; a single code has shape (1,)")
        self.size = prod(self.shape)
        self.channels = self.size // cells.size
        if cells.size * self.channels != self.size or self.channels not in (1, self.shape[-1]):
            raise ValueError(f"codes of shape {self.shape} do not have {cells.size} cells, which `cells` permutes")
        self.renames: tuple[Rename, ...] = tuple(
            (int(channel), values, None if where is None else (int(where[0]), int(where[1])))
            for channel, values, where in renames
        )
        for part in [cells, *(values for _, values, _ in self.renames)]:
            if part.group != group or not part.is_permutation:
                raise ValueError(f"codes under {group} need permutations (no signs) of that group, got {part}")
        self._check_renames()

        blocks = [(channel, values, where) for channel, values, where in self.renames]
        blocks += [
            (channel, Representation.trivial(group, self._largest(channel)), None)
            for channel in range(self.channels)
            if all(where for of, _, where in self.renames if of == channel)
        ]
        self.values = blocks[0][1]
        for _, values, _ in blocks[1:]:
            self.values = self.values + values
        self._column_channel = torch.tensor([channel for channel, values, _ in blocks for _ in range(values.size)])
        self._column_value = torch.tensor([value for _, values, _ in blocks for value in range(values.size)])
        self._conditions = self._conditions_of(blocks)

        numbers = torch.arange(self.size).reshape(cells.size, self.channels)
        self._source = numbers[cells.source].reshape(
            group.order, self.size
        )  # number i of g·x is number source[g, i] of x
        self._stays = (self._source == numbers.flatten()).all(1).tolist()
        self._tables = [self._tables_of(g) for g in range(group.order)]

    def _largest(self, channel: int) -> int:
        return max(values.size for of, values, _ in self.renames if of == channel)

    def _check_renames(self) -> None:
        renamed = {
            (channel, value)
            for channel, values, _ in self.renames
            for value in range(values.size)
            if (values.source[:, value] != value).any()
        }
        for channel in range(self.channels):
            conditions = [where for of, _, where in self.renames if of == channel]
            if not conditions:
                raise ValueError(
                    f"channel {channel} has no entry in `renames`; if its values stay, give it "
                    f"({channel}, Representation.trivial(group, number_of_values), None)"
                )
            several = [where for where in conditions if where is not None]
            if len(conditions) > 1 and (
                len(several) < len(conditions)
                or len({other for other, _ in several}) > 1
                or len({value for _, value in several}) < len(several)
            ):
                raise ValueError(
                    f"channel {channel} is renamed twice: its entries need `where` with different values of one channel"
                )
        for channel, _, where in self.renames:
            if not 0 <= channel < self.channels or (where and not 0 <= where[0] < self.channels):
                raise ValueError(f"a cell has channels 0..{self.channels - 1}, `renames` names {channel}, {where}")
            if where and (where[0] == channel or where in renamed):
                raise ValueError(
                    f"channel {channel} is renamed where channel {where[0]} is {where[1]}, which is itself renamed"
                )

    def _conditions_of(self, blocks: list[Rename]) -> list[tuple[slice, int, list[int], bool]]:
        """Conditions on columns of the one-hot form: (columns, channel, values, whether the channel must have one)."""
        conditions, start = [], 0
        for channel, values, where in blocks:
            columns = slice(start, start := start + values.size)
            named = [other for of, _, other in self.renames if of == channel and other is not None]
            if where is not None:
                conditions.append((columns, where[0], [where[1]], True))
            elif named:
                conditions.append((columns, named[0][0], [value for _, value in named], False))
        return conditions

    def _tables_of(self, g: int) -> list[tuple[int, Tensor, tuple[int, int] | None]]:
        """The look-up tables of the channels that g renames: new value = table[old value]."""
        tables = []
        for channel, values, where in self.renames:
            if (values.source[g] != torch.arange(values.size)).any():
                table = torch.arange(max(SMALLEST_TABLE, values.size))
                table[: values.size] = values.source[self.group.inverse(g)]
                tables.append((channel, table, where))
        return tables

    def __call__(self, g: int, x: Tensor) -> Tensor:
        """g·x for a batch x (..., *shape) of any integer or floating-point type."""
        if self._stays[g] and not self._tables[g]:
            return x
        flat = x.flatten(-len(self.shape))
        flat = flat.clone() if self._stays[g] else flat[..., self._source[g].to(x.device)]
        moved = flat.unflatten(-1, (self.cells.size, self.channels))
        for channel, table, where in self._tables[g]:
            old = moved[..., channel]
            new = table.to(x.device)[old.long()].to(x.dtype)
            moved[..., channel] = new if where is None else torch.where(moved[..., where[0]] == where[1], new, old)
        return flat.reshape(x.shape)

    def one_hot(self, x: Tensor) -> Tensor:
        """The one-hot form (batch, cells, values.size) of codes (batch, *shape).

        The result has the type of x if that is a floating-point type, and PyTorch's default type otherwise.

        one_hot(codes(g, x))[:, σ(g)c] = values(g, one_hot(x)[:, c]).
        """
        cells = x.reshape(-1, self.cells.size, self.channels)
        hot = cells[..., self._column_channel.to(x.device)] == self._column_value.to(x.device)
        for columns, channel, accepted, holds in self._conditions:
            there = torch.zeros_like(cells[..., channel], dtype=torch.bool)
            for value in accepted:
                there |= cells[..., channel] == value
            hot[..., columns] &= (there if holds else ~there)[..., None]
        return hot.to(x.dtype if x.is_floating_point() else torch.get_default_dtype())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Codes) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[Any, ...]:
        return self.group, self.shape, self.cells, self.renames

    def __repr__(self) -> str:
        return f"Codes({self.group.name}, shape {self.shape}, {self.values.size} values a cell)"

    def to_data(self) -> dict[str, Any]:
        """Lists and numbers from which `from_data` rebuilds the codes."""

        def permutations(representation: Representation) -> list[list[int]]:
            return [list(permutation) for permutation, _ in representation.generators]

        return {
            "shape": list(self.shape),
            "cells": permutations(self.cells),
            "renames": [
                {"channel": channel, "values": permutations(values), "where": None if where is None else list(where)}
                for channel, values, where in self.renames
            ],
        }

    @classmethod
    def from_data(cls, group: Group, data: Mapping[str, Any]) -> Codes:
        """The inverse of `to_data`.

        Raises:
            ValueError: an entry is missing or has the wrong type, or `Codes` refuses the arguments.
        """

        def representation(permutations: list[list[int]]) -> Representation:
            return Representation(group, [(permutation, [1] * len(permutation)) for permutation in permutations])

        try:
            renames: list[Rename] = [
                (
                    entry["channel"],
                    representation(entry["values"]),
                    None if entry["where"] is None else tuple(entry["where"]),
                )
                for entry in data["renames"]
            ]
            return cls(group, data["shape"], representation(data["cells"]), renames)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"not codes: {error!r}") from error
