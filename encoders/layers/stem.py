"""The stem that all grid encoders share: MiniGrid cell codes -> embeddings. Only their trunks differ.

A cell is three codes (object type, colour, state) and its embedding the sum of theirs. Direction, carried object
and mission form one *context* vector, which modulates every cell by FiLM (Perez et al. 2018):
cell ← cell ⊙ (1 + γ(context)) + β(context).
"""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor, nn

from encoders.base import CODES, items

CONTEXT_KEYS = ("direction", "carrying", "mission")

Observation = Tensor | dict[str, Tensor]


def number_of_codes(space: spaces.Box) -> int:
    """How many codes a space has room for, and at least MiniGrid's own 11: 0, 1, ..., its largest bound."""
    return max(CODES, int(space.high.max()) + 1)


class CellEmbedding(nn.Module):
    """Sum of learned embeddings of a cell's type, colour and state.

    Args:
        codes: how many codes each of the three may have.
        width: size of the embedding.
    """

    def __init__(self, codes: int, width: int):
        super().__init__()
        self.table = nn.Parameter(torch.randn(3 * codes, width) / 3**0.5)
        self.register_buffer("codes", torch.arange(float(codes)), persistent=False)

    codes: Tensor

    def forward(self, codes: Float[Tensor, "batch x y 3"]) -> Float[Tensor, "batch x y width"]:
        # a product with the one-hot codes: the gradient of a lookup costs several times as much
        one_hot = (codes[..., None] == self.codes).to(self.table.dtype)
        return one_hot.flatten(-2) @ self.table


class Mission(nn.Module):
    """A sentence of word ids -> vector: word embedding 32, GRU 128, its state after the last word.

    Most of a batch shares its missions, so each distinct one is read once.
    """

    def __init__(self, vocabulary: int, width: int):
        super().__init__()
        self.words = nn.Embedding(vocabulary, 32, padding_idx=0)
        self.reader = nn.GRU(32, 128, batch_first=True)
        self.out = nn.Linear(128, width)

    def forward(self, ids: Float[Tensor, "batch words"]) -> Float[Tensor, "batch width"]:
        missions, where = ids.long().unique(dim=0, return_inverse=True)
        lengths = (missions > 0).sum(1).clamp_min(1)
        # no length becomes a Python number, which would be frozen where this is traced to be exported
        used = torch.arange(missions.shape[1], device=ids.device) < lengths.max()
        states, _ = self.reader(self.words(missions[:, used]))
        last = states[torch.arange(missions.shape[0], device=ids.device), lengths - 1]
        return self.out(last)[where]


def words_of(obs: dict[str, Tensor], limit: int) -> Float[Tensor, "batch words"]:
    """The missions' word ids.

    Raises:
        ValueError: they are longer than the observation space says.
    """
    ids = obs["mission"]
    if ids.shape[1] > limit:
        raise ValueError(f"missions have at most {limit} words in this encoder's observation space, got {ids.shape[1]}")
    return ids


class Carried(nn.Embedding):
    """Sum of learned embeddings of the carried object's type and colour.

    Args:
        codes: how many codes each of the two may have.
        width: size of the embedding.
    """

    offsets: Tensor

    def __init__(self, codes: int, width: int):
        super().__init__(2 * codes, width)
        self.register_buffer("offsets", torch.tensor([0, codes]), persistent=False)

    def forward(self, codes: Float[Tensor, "batch 2"]) -> Float[Tensor, "batch width"]:
        return super().forward(codes.long() + self.offsets).sum(1)


class Context(nn.Module):
    """The context of the cells as one vector: the sum of embeddings of direction, carried object and mission.

    `keys` lists the parts present in the space; with none of them there is no context and `forward` must not be called.
    """

    def __init__(self, space: spaces.Space, width: int):
        super().__init__()
        present: Any = space.spaces if isinstance(space, spaces.Dict) else {}
        self.keys = [key for key in CONTEXT_KEYS if key in present]
        if "direction" in self.keys:
            self.direction = nn.Embedding(4, width)
        if "carrying" in self.keys:
            self.carrying = Carried(number_of_codes(present["carrying"]), width)
        if "mission" in self.keys:
            self.mission = Mission(int(present["mission"].high.max()) + 1, width)
            self.limit: int = present["mission"].shape[0]

    def forward(self, obs: dict[str, Tensor]) -> Float[Tensor, "batch width"]:
        parts = []
        if "direction" in self.keys:
            parts.append(self.direction(obs["direction"].long()[:, 0]))
        if "carrying" in self.keys:
            parts.append(self.carrying(obs["carrying"]))
        if "mission" in self.keys:
            parts.append(self.mission(words_of(obs, self.limit)))
        return torch.stack(parts).sum(0)


class Stem(nn.Module):
    """Cells of a grid observation, embedded and modulated by the context: (batch, x, y, width).

    Args:
        space: a grid space (see `encoders.base.kind_of`).
        width: size of a cell's embedding.
        context: whether to modulate by direction, carried object and mission; encoders that use the context
            elsewhere (as tokens, as a hypernetwork's second view) switch it off.
    """

    def __init__(self, space: spaces.Space, width: int, context: bool = True):
        super().__init__()
        image: Any = space["image"] if isinstance(space, spaces.Dict) else space
        self.grid: tuple[int, int] = image.shape[:2]
        self.width = width
        self.cells = CellEmbedding(number_of_codes(image), width)
        self.context: Context | None = None
        if context and any(key in CONTEXT_KEYS for key, _ in items(space)):
            self.context = Context(space, 64)
            self.film = nn.Linear(64, 2 * width)

    def forward(self, obs: Observation) -> Float[Tensor, "batch x y width"]:
        cells = self.cells(obs["image"] if isinstance(obs, dict) else obs)
        if self.context is None:
            return cells
        assert isinstance(obs, dict)
        gamma, beta = self.film(self.context(obs))[:, None, None].chunk(2, dim=-1)
        return cells * (1 + gamma) + beta
