"""Equivariant layers for grids of categorical codes: `homomorphic` uses them where `cnn` uses ordinary ones.

Every layer obeys f(φ(g)s) = ρ(g) f(s): an embedding of cells, FiLM by the context, 3×3 convolutions, one linear layer.
Between them ρ is copies of the regular representation, which permutes features: ReLU and FiLM's products commute with
that (Cohen & Welling 2016, "Group equivariant convolutional networks").
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from encoders.layers.stem import CONTEXT_KEYS, Mission
from encoders.ranges import require_choice
from symmetry import Codes, EquivariantConv2d, EquivariantLinear, EquivariantPool2d, Representation, Symmetry, cells

CONTEXT = 64  # features of the context


def regular(symmetry: Symmetry, features: int) -> Representation:
    """As many copies of the regular representation as give this many features, rounded up."""
    return Representation.regular(symmetry.group) * -(-features // symmetry.group.order)


def plane_of(codes: Codes, grid: tuple[int, int]) -> Representation:
    """How the group acts on the plane (see `symmetry.plane`), found from what it does to the cells of a grid.

    Raises:
        ValueError: a generator neither mirrors the grid nor turns it about its centre.
    """
    last = torch.tensor(grid) - 1
    position = 2 * torch.cartesian_prod(*map(torch.arange, grid)).reshape(-1, 2) - last  # from the centre
    turns = [([0, 1], signs) for signs in itertools.product((1, -1), repeat=2)]
    turns += [([1, 0], signs) for _, signs in turns] if grid[0] == grid[1] else []
    chosen = []
    for moved, _ in codes.cells.generators:
        for axes, signs in turns:
            to = torch.empty_like(position)
            to[:, axes] = position * torch.tensor(signs)
            x, y = ((to + last) // 2).unbind(1)
            if (x * grid[1] + y).tolist() == list(moved):
                chosen.append((axes, signs))
                break
        else:
            raise ValueError(
                f"{codes.group} moves cells of the grid {grid[0]}x{grid[1]} other than mirrors and turns do"
            )
    return Representation(codes.group, chosen)


class EquivariantContext(nn.Module):
    """Direction, carried object and mission as one vector c with c(φ(g)s) = ρ(g) c(s), ρ copies of the regular one.

    Codes enter in their one-hot form. A mission is read by an ordinary GRU, once for every element of the
    group: c[k, g] = mission(φ(g)⁻¹ s)[k].
    """

    def __init__(self, symmetry: Symmetry, vocabulary: int):
        super().__init__()
        self.group, self.rep = symmetry.group, regular(symmetry, CONTEXT)
        self.codes = {key: symmetry.observation[key] for key in CONTEXT_KEYS if key in symmetry.observation}
        self.read = nn.ModuleDict()
        for key, codes in self.codes.items():
            assert isinstance(codes, Codes)
            if key == "mission":
                self.read[key] = Mission(vocabulary, self.rep.size // self.group.order)
            else:  # a one-hot code selects one column per channel, so entries of scale 1 give what an embedding gives
                one_hot = codes.cells.tensor(codes.values)
                self.read[key] = EquivariantLinear(one_hot, self.rep, gain=(3 * one_hot.size) ** 0.5)

    def forward(self, obs: Mapping[str, Tensor]) -> Float[Tensor, "batch context"]:
        parts = []
        for key, codes in self.codes.items():
            assert isinstance(codes, Codes)
            if key == "mission":
                twins = [codes(self.group.inverse(g), obs[key]) for g in range(self.group.order)]
                said = self.read[key](torch.cat(twins)).unflatten(0, (self.group.order, -1))
                parts.append(said.permute(1, 2, 0).flatten(1))
            else:
                parts.append(self.read[key](codes.one_hot(obs[key]).flatten(1)))
        return torch.stack(parts).sum(0)


class EquivariantGrid(nn.Module):
    """Grid observation -> features (batch, out_rep.size).

    Args:
        grid: cells along x and y.
        symmetry: with `Codes` for the image and the other parts of the observation.
        vocabulary: number of different word ids in missions.
        width: number of features.
        channels: of each convolution.
        layers: number of 3×3 convolutions.
        pooling: "flatten" keeps where things are; "max", the maximum over cells, fits any grid size.

    The numbers of features and channels are rounded up to copies of the regular representation.

    Raises:
        ValueError: an unknown pooling, or a group that moves cells other than by mirrors and turns.
    """

    def __init__(
        self,
        grid: tuple[int, int],
        symmetry: Symmetry,
        vocabulary: int,
        width: int,
        channels: int,
        layers: int,
        pooling: str,
    ):
        super().__init__()
        require_choice(("flatten", "max"), pooling=pooling)
        codes = symmetry.observation["image"]
        assert isinstance(codes, Codes)
        plane, field = plane_of(codes, grid), regular(symmetry, channels)
        self.grid, self.codes, self.out_rep = grid, codes, regular(symmetry, width)
        # as in `encoders.layers.stem`: the sum of embeddings of scale 1/√3
        self.embed = EquivariantConv2d(codes.values, field, plane, grid, kernel=1, gain=codes.values.size**0.5)
        self.context: EquivariantContext | None = None
        if any(key in symmetry.observation for key in CONTEXT_KEYS):
            self.context = EquivariantContext(symmetry, vocabulary)
            self.film = EquivariantLinear(self.context.rep, field * 2)
        trunk: list[nn.Module] = []
        for _ in range(layers):
            trunk += [EquivariantConv2d(field, field, plane, grid), nn.ReLU()]
        if pooling == "max":
            trunk.append(EquivariantPool2d(field, plane, grid, window=grid))
        flat = field if pooling == "max" else field.tensor(cells(plane, grid))
        self.trunk = nn.Sequential(*trunk, nn.Flatten(), EquivariantLinear(flat, self.out_rep), nn.ReLU())

    def forward(self, obs: Tensor | dict[str, Tensor]) -> Float[Tensor, "batch features"]:
        image = obs["image"] if isinstance(obs, dict) else obs
        maps = self.embed(self.codes.one_hot(image).unflatten(1, self.grid).permute(0, 3, 1, 2))
        if self.context is not None:
            assert isinstance(obs, dict)
            gamma, beta = self.film(self.context(obs))[:, :, None, None].chunk(2, dim=1)
            maps = maps * (1 + gamma) + beta
        return self.trunk(maps)
