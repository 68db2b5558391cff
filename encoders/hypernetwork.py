"""Hypernetwork: one view of the observation generates the weights applied to the other (Ha et al. 2017)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor, nn

from encoders.base import Encoder, Flatten, kind_of, mlp
from encoders.layers.hyper import INTERACTIONS, HyperLinear
from encoders.layers.stem import Context, Observation, Stem
from encoders.layers.unique import unique_rows
from encoders.ranges import require_choice, require_whole
from encoders.torch_internals import traced


class Hypernetwork(Encoder):
    """Layers on x in which a context x' takes part, by default in generating their weights (Jayakumar et al. 2020).

    Grids: x is the cells (the shared stem, flattened into one linear layer), x' direction, carried object and mission.
    Vectors and grids without any of those: x' is the observation itself.

    Args:
        observation_space: a grid or a vector.
        width: units of each of these layers, and number of features.
        layers: number of them.
        context: size of the embedding of x'.
        embedding: size of a cell's embedding (grids only).
        multiplicative: how x' takes part: "hyper", "film", "gate", "bilinear" or "concat" (encoders/layers/hyper.py has
            the equations and the number of parameters of each); all else stays the same.
        rank: of the generated matrices ("hyper" and "bilinear" only), None: free. At the default sizes hyper of rank 21
            has as many parameters as film.

    Raises:
        ValueError: an unknown interaction, or a rank where no matrix is generated, or below 1.
    """

    reads = ("grid", "vector")
    scaled = ("width", "context", "embedding")

    def __init__(
        self,
        observation_space: spaces.Space,
        width: int = 64,
        layers: int = 2,
        context: int = 32,
        embedding: int = 32,
        multiplicative: str = "hyper",
        rank: int | None = None,
    ):
        require_whole(1, width=width, layers=layers, context=context, embedding=embedding)
        super().__init__(observation_space, width)
        interaction = interaction_named(multiplicative, rank)
        if kind_of(observation_space) == "grid":
            stem = Stem(observation_space, embedding, context=False)
            flat = stem.grid[0] * stem.grid[1] * embedding
            self.flatten: nn.Module = nn.Sequential(stem, nn.Flatten())
            self.x = mlp(flat, 2 * width)
            size = 2 * width
            reader = Context(observation_space, context)
        else:
            self.flatten = Flatten(observation_space)
            self.x = nn.Sequential()
            flat = size = self.flatten.size
            reader = Context(spaces.Dict(), context)
        self.reader = reader if reader.keys else None
        self.own_context = mlp(flat, context) if self.reader is None else None
        sizes = [size] + [width] * layers
        self.layers = nn.ModuleList(interaction(i, o, context) for i, o in zip(sizes, sizes[1:], strict=False))
        # generating a matrix per context pays where many samples share one
        self.groups = self.reader is not None and multiplicative in ("hyper", "bilinear") and rank is None

    def forward(self, obs: Observation) -> Float[Tensor, "batch features"]:
        flat = self.flatten(obs)
        x = self.x(flat)
        if self.reader is None:
            assert self.own_context is not None
            return self._layered(x, self.own_context(flat))
        assert isinstance(obs, dict)
        # an exported network is given other contexts than those it was traced with, and other numbers of them
        if not self.groups or torch.jit.is_tracing():
            return self._layered(x, self.reader(obs))
        if traced(x) and self.reader.keys == ["direction"]:
            every = self.reader({"direction": torch.arange(4, device=x.device)[:, None]})
            for layer in self.layers:
                x = layer.paired(x, every, obs["direction"].long()[:, 0]).relu()  # type: ignore[operator]
            return x
        contexts, group = unique_rows({key: obs[key] for key in self.reader.keys})
        embedded = self.reader(contexts)
        for layer in self.layers:
            x = layer.grouped(x, embedded, group).relu()  # type: ignore[operator]
        return x

    def _layered(self, x: Float[Tensor, "batch inputs"], context: Float[Tensor, "batch context"]) -> Tensor:
        for layer in self.layers:
            x = layer(x, context).relu()
        return x


def interaction_named(name: str, rank: int | None = None) -> Any:
    """(inputs, outputs, context) -> the layer of an `encoder.multiplicative`.

    Raises:
        ValueError: another name, or a rank that cannot be.
    """
    require_choice((*INTERACTIONS,), multiplicative=name)
    interaction = INTERACTIONS[name]
    if rank is None:
        return interaction
    if not issubclass(interaction, HyperLinear):
        able = " or ".join(key for key, each in INTERACTIONS.items() if issubclass(each, HyperLinear))
        raise ValueError(
            f"encoder.rank={rank} is for the matrices that encoder.multiplicative={able} generates; with {name}, use "
            "encoder.rank=null"
        )
    require_whole(1, rank=rank)
    return partial(interaction, rank=rank)
