"""Transformer: everything observed is a token, and attention learns which matter to which (Vaswani et al. 2017)."""

from __future__ import annotations

import torch
from gymnasium import spaces
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.base import Encoder, Flatten, kind_of
from encoders.layers.stem import CODES, Context, Observation, Stem


class Transformer(Encoder):
    """Pre-norm attention layers over tokens; the class token's last state is the features.

    Grids: one token a cell (the shared stem, plus a row and a column embedding), and one each for direction, carried
    object and every word of the mission. Vectors: one token a number x_k, as x_k·w_k + b_k. With positions="none" the
    features do not change when cells are permuted.

    Args:
        observation_space: a grid or a vector.
        width: size of tokens, and number of features.
        layers, heads: depth and attention heads.
        positions: "learned" or "none" (grids only).

    Raises:
        ValueError: an unknown option, or heads that do not divide the width.
    """

    reads = ("grid", "vector")

    def __init__(
        self,
        observation_space: spaces.Space,
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
        positions: str = "learned",
    ):
        super().__init__(observation_space, width)
        if width % heads:
            raise ValueError(f"encoder.heads={heads} does not divide encoder.width={width}")
        if positions not in ("learned", "none"):
            raise ValueError(f"encoder.positions is learned or none, got {positions!r}")
        tokens = CellTokens if kind_of(observation_space) == "grid" else NumberTokens
        self.tokens = tokens(observation_space, width, positions)
        self.class_token = nn.Parameter(torch.randn(width) * 0.1)
        self.layers = nn.ModuleList(AttentionLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, obs: Observation) -> Float[Tensor, "batch features"]:
        tokens, mask = self.tokens(obs)
        tokens = torch.cat([self.class_token.expand(tokens.shape[0], 1, -1), tokens], dim=1)
        if mask is not None:
            mask = F.pad(mask, (1, 0), value=True)[:, None, None]
        *first, last = self.layers
        for layer in first:
            tokens = layer(tokens, mask)
        return self.norm(last(tokens, mask, queries=1)[:, 0])  # of the last layer only the class token is read


class AttentionLayer(nn.Module):
    """h ← h + MHA(LN(h)); h ← h + MLP(LN(h)) (Xiong et al. 2020, pre-norm)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(
        self,
        h: Float[Tensor, "batch tokens width"],
        mask: Bool[Tensor, "batch 1 1 tokens"] | None,
        queries: int | None = None,
    ) -> Float[Tensor, "batch queries width"]:
        """The next states of the first `queries` tokens (None: of all)."""
        width, weight, bias = h.shape[2], self.qkv.weight, self.qkv.bias
        normed = self.norm_attention(h)
        h, asking = h[:, :queries], normed[:, :queries]
        query = self._heads(F.linear(asking, weight[:width], bias[:width]))
        key, value = map(self._heads, F.linear(normed, weight[width:], bias[width:]).chunk(2, dim=2))
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        h = h + self.out(attended.transpose(1, 2).flatten(2))
        return h + self.mlp(self.norm_mlp(h))

    def _heads(self, x: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch heads tokens size"]:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class CellTokens(nn.Module):
    """Tokens of a grid observation, and which of them are real (words of shorter missions are padding)."""

    def __init__(self, space: spaces.Space, width: int, positions: str):
        super().__init__()
        self.stem = Stem(space, width, context=False)
        x, y = self.stem.grid
        self.columns = nn.Parameter(torch.randn(x, 1, width) * 0.1) if positions == "learned" else None
        self.rows = nn.Parameter(torch.randn(1, y, width) * 0.1) if positions == "learned" else None
        self.keys = Context(space, 1).keys
        if "direction" in self.keys:
            self.direction = nn.Embedding(4, width)
        if "carrying" in self.keys:
            self.carrying = nn.Embedding(2 * CODES, width)
        if "mission" in self.keys:
            mission = space["mission"]  # type: ignore[index]
            self.words = nn.Embedding(int(mission.high.max()) + 1, width, padding_idx=0)
            self.word_positions = nn.Parameter(torch.randn(mission.shape[0], width) * 0.1)

    def forward(self, obs: Observation) -> tuple[Tensor, Tensor | None]:
        cells = self.stem(obs)
        if self.columns is not None and self.rows is not None:
            cells = cells + self.columns + self.rows
        tokens = [cells.flatten(1, 2)]
        if not self.keys:
            return tokens[0], None
        assert isinstance(obs, dict)
        if "direction" in self.keys:
            tokens.append(self.direction(obs["direction"].long()))
        if "carrying" in self.keys:
            codes = obs["carrying"].long() + torch.tensor([0, CODES], device=cells.device)
            tokens.append(self.carrying(codes).sum(1, keepdim=True))
        if "mission" not in self.keys:
            return torch.cat(tokens, dim=1), None
        ids = obs["mission"].long()
        longest = int((ids > 0).sum(1).max())
        ids = ids[:, :longest]
        real = torch.cat([torch.ones(len(ids), sum(t.shape[1] for t in tokens), device=ids.device), ids > 0], dim=1)
        tokens.append(self.words(ids) + self.word_positions[:longest])
        return torch.cat(tokens, dim=1), real.bool()


class NumberTokens(nn.Module):
    """One token for every number of a vector: x_k·w_k + b_k."""

    def __init__(self, space: spaces.Space, width: int, positions: str):
        super().__init__()
        self.flatten = Flatten(space)
        self.weight = nn.Parameter(torch.randn(self.flatten.size, width) * 0.1)
        self.bias = nn.Parameter(torch.randn(self.flatten.size, width) * 0.1)

    def forward(self, obs: Observation) -> tuple[Tensor, None]:
        return self.flatten(obs)[..., None] * self.weight + self.bias, None
