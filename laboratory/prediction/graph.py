"""The computation graph of a module, recorded while it computes (Knyazev et al. 2021, section 2.1).

A node is an operation: one that has parameters is a chain of nodes with a parameter each, say `linear.weight` and then
`linear.bias`; every observation is a node, too. An edge leads from each operation to those that read its output. Views
(a transposed or flattened tensor) are no operations: who reads one, reads what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Extents = tuple[int, int, int, int]  # outputs, inputs, and the cells that are read, along x and y


@dataclass(frozen=True)
class Node:
    """Attributes:
    kind: of the operation, `relu`, or with the last part of its parameter's name, `conv2d.weight`.
    parameter: the parameter's name in the module; None without one.
    shape: the parameter's; () without one.
    extents: of the same numbers as a kernel, see `shaped`.
    channels_last: whether the cells precede the channels in the parameter's inputs.
    """

    kind: str
    parameter: str | None = None
    shape: tuple[int, ...] = ()
    extents: Extents = (0, 0, 0, 0)
    channels_last: bool = False


@dataclass(frozen=True)
class Graph:
    """Attributes:
    nodes: in any order.
    edges: pairs of numbers of nodes, (from, to).
    """

    nodes: tuple[Node, ...]
    edges: frozenset[tuple[int, int]]

    @cached_property
    def distances(self) -> np.ndarray:
        """(n, n): how many edges the shortest path from i to j has; inf where there is none."""
        n = len(self.nodes)
        found = np.full((n, n), np.inf)
        np.fill_diagonal(found, 0)
        for before, after in self.edges:
            found[before, after] = 1
        for k in range(n):  # Floyd and Warshall
            found = np.minimum(found, found[:, k, None] + found[k])
        return found

    @cached_property
    def depths(self) -> np.ndarray:
        """(n,): how many edges the longest path to each node has."""
        found = np.zeros(len(self.nodes), int)
        for _ in self.nodes:
            for before, after in self.edges:
                found[after] = max(found[after], found[before] + 1)
        return found


def graph_of(module: nn.Module, observation: Mapping[str, Tensor]) -> Graph:
    """The graph of `module(observation)`.

    Raises:
        ValueError: the module does not use some of its parameters, so they have no place in the graph.
    """
    recorder = _Recorder(module, observation)
    with torch.no_grad(), recorder:
        module(observation)
    used = {node.parameter for node in recorder.nodes}
    if unused := [name for name, _ in module.named_parameters() if name not in used]:
        raise ValueError(f"no graph: the module does not use its parameters {', '.join(unused)} for this observation")
    return Graph(tuple(recorder.nodes), frozenset(recorder.edges))


class _Recorder(TorchFunctionMode):
    def __init__(self, module: nn.Module, observation: Mapping[str, Tensor]):
        super().__init__()
        self.names = {id(parameter): name for name, parameter in module.named_parameters()}
        self.nodes: list[Node] = []
        self.edges: set[tuple[int, int]] = set()
        self.made: dict[int, int] = {}  # a tensor's id -> the node that computed it
        self.cells: dict[int, tuple[tuple[int, ...], bool]] = {}  # -> its axes before views, and where channels are
        self.kept: list[Tensor] = []  # so that no id is given twice
        for key, part in observation.items():
            self._put(part, self._add(Node(f"observation.{key}"), ()), tuple(part.shape[1:]), True)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        given = list(_tensors((args, kwargs or {})))
        sources = [tensor for tensor in given if id(tensor) in self.made]
        parameters = [tensor for tensor in given if id(tensor) in self.names]
        results = [tensor for tensor in _tensors(output) if id(tensor) not in self.made]
        if results and (sources or parameters):
            self._record(func.__name__.strip("_"), sources, parameters, results)
        return output

    def _record(self, name: str, sources: list[Tensor], parameters: list[Tensor], results: list[Tensor]) -> None:
        shown = name in COPIES or all(_shares(result, source) for result in results for source in sources)
        if len(sources) == 1 and not parameters and shown:
            for result in results:
                self._put(result, self.made[id(sources[0])], *self.cells[id(sources[0])])
            return
        axes, last = self.cells[id(sources[0])] if sources else ((), True)
        before = [self.made[id(source)] for source in sources]
        new = [tensor for tensor in parameters if self.names[id(tensor)] not in self._present()]
        for parameter in new:
            full = self.names[id(parameter)]
            shape = tuple(parameter.shape)
            node = Node(f"{name}.{full.rpartition('.')[2]}", full, shape, _extents(shape, name, axes, last), last)
            before = [self._add(node, before)]
        if not new:
            before = [self._add(Node(name), before)]
        if parameters:
            last = not name.startswith("conv") and (last or name in ROWS or name == "linear")
        for result in results:
            self._put(result, before[0], tuple(result.shape[1:]), last)

    def _present(self) -> set[str | None]:
        return {node.parameter for node in self.nodes}

    def _add(self, node: Node, before: Sequence[int]) -> int:
        self.nodes.append(node)
        self.edges |= {(number, len(self.nodes) - 1) for number in before}
        return len(self.nodes) - 1

    def _put(self, tensor: Tensor, node: int, axes: tuple[int, ...], last: bool) -> None:
        self.kept.append(tensor)
        self.made[id(tensor)] = node
        self.cells[id(tensor)] = (axes, last)


COPIES = ("flatten", "reshape", "contiguous", "to", "long", "float")  # that views may be, too
ROWS = ("matmul", "embedding")  # operations whose parameter is (inputs, outputs)


def _extents(shape: tuple[int, ...], name: str, axes: tuple[int, ...], last: bool) -> Extents:
    """A parameter's numbers as a kernel: a linear layer over the cells of a map is a convolution with one position."""
    if len(shape) == 1:
        return shape[0], 1, 1, 1
    if len(shape) == 2:
        outputs, inputs = reversed(shape) if name in ROWS else shape
        if len(axes) == 3 and math.prod(axes) == inputs:
            x, y = axes[:2] if last else axes[1:]
            return outputs, inputs // (x * y), x, y
        return outputs, inputs, 1, 1
    outputs, inputs, *cells = shape
    x, y = (*cells, 1, 1)[:2]
    return outputs, inputs, x, math.prod(cells) // x


def shaped(node: Node, kernel: Tensor) -> Tensor:
    """A kernel (outputs, inputs, x, y) in the shape of a node's parameter."""
    if node.kind.partition(".")[0] in ROWS:
        kernel = kernel.transpose(0, 1)
    elif node.channels_last and len(node.shape) == 2:
        kernel = kernel.permute(0, 2, 3, 1)
    return kernel.reshape(node.shape)


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in nested lists and mappings."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors([*value.values()])
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _tensors(each)


def _shares(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are views of the same memory."""
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
