"""Transformer: attention learns which tokens of the observation matter to which (Vaswani et al. 2017)."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.base import Encoder, Flatten, kind_of
from encoders.layers.graph import graph_sizes
from encoders.layers.stem import Carried, Context, Observation, Stem, number_of_codes, words_of
from encoders.nodes import NodeFeatures, TypedLinear, acting, node_types, one_hot_types, present
from encoders.ranges import require_choice, require_whole


class Transformer(Encoder):
    """Pre-norm attention layers over tokens; the features are a class token's state or a pooling over all.

    Grids: one token a cell (the shared stem, plus a row and a column position), and one each for direction, carried
    object and every word of the mission. Vectors: one token a number x_k, as x_k·w_k + b_k. With positions="none" the
    states of cells permute as the cells do, and the features do not change (words keep their order). Bodies: one token
    a node, from a linear layer of its type; edges are not read, attention learns which node matters to which (Kurin et
    al. 2020, "My Body is a Cage"). The features are also those of each node (`encoders.nodes`).

    Args:
        observation_space: a grid, a vector or a body.
        width: size of tokens, and number of features.
        layers, heads: depth and attention heads.
        positions: "learned"; "sine" (Vaswani et al. 2017, section 3.5; half of the width for columns, half for rows),
            which fits any grid size; or "none", which does too (grids only).
        feedforward: units of the two-layer network after each attention; None: four times the width.
        residual: of bodies: the state of a node is joined with its token, as it was before the first layer.
        pooling: "class", the state of an additional token; or the "mean" or "max" over all tokens.

    Raises:
        ValueError: an unknown option, heads that do not divide the width, or a width that sines do not fit.
    """

    reads = ("grid", "vector", "body")

    def __init__(
        self,
        observation_space: spaces.Space,
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
        positions: str = "learned",
        pooling: str = "class",
        feedforward: int | None = None,
        residual: bool = False,
    ):
        require_whole(1, width=width, layers=layers, heads=heads, feedforward=feedforward or 4 * width)
        require_choice(("learned", "sine", "none"), positions=positions)
        require_choice(("class", "mean", "max"), pooling=pooling)
        super().__init__(observation_space, width)
        if width % heads:
            raise ValueError(f"encoder.heads={heads} does not divide encoder.width={width}")
        if positions == "sine" and width % 4:
            raise ValueError(f"encoder.positions=sine needs an encoder.width that 4 divides, got {width}")
        kind = kind_of(observation_space)
        if residual and kind != "body":
            raise ValueError(
                "encoder.residual=true joins the state of each node of a body with its token; use false here"
            )
        readers: dict[str, Any] = {"grid": CellTokens, "body": NodeTokens}
        self.tokens: Any = readers.get(kind, NumberTokens)(observation_space, width, positions)
        self.residual = residual
        if isinstance(self.tokens, NodeTokens):
            of_node = width * (1 + residual)
            self.per_node = NodeFeatures(self.tokens.sizes["nodes"], self.tokens.types, width, of_node)
            self._features_dim = self.per_node.size
        self.pooling = pooling
        self.class_token = nn.Parameter(torch.randn(width) * 0.1) if pooling == "class" else None
        self.layers = nn.ModuleList(AttentionLayer(width, heads, feedforward) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, obs: Observation) -> Float[Tensor, "batch features"]:
        tokens, mask = self._read(obs)
        if self.per_node is not None:
            assert isinstance(obs, dict)
            return self._features_of_nodes(obs, tokens, mask, self.per_node)
        *first, last = self.layers
        for layer in first:
            tokens = layer(tokens, mask)
        if self.pooling == "class":
            return self.norm(last(tokens, mask, queries=1)[:, 0])  # of the last layer only the class token is read
        return pooled(self.norm(last(tokens, mask)), mask, self.pooling)

    def _features_of_nodes(
        self, obs: dict[str, Tensor], tokens: Tensor, mask: Tensor | None, layout: NodeFeatures
    ) -> Float[Tensor, "batch features"]:
        states = tokens
        for layer in self.layers:
            states = layer(states, mask)
        states = self.norm(states)
        whole = states[:, 0] if self.pooling == "class" else pooled(states, mask, self.pooling)
        nodes = states[:, -layout.nodes :]
        if self.residual:
            nodes = torch.cat([nodes, tokens[:, -layout.nodes :]], dim=2)
        return layout.join(whole, nodes, acting(obs, one_hot_types(obs, layout.types)))

    def attention(self, obs: Observation) -> dict[str, Float[Tensor, "batch layers heads ..."]]:
        """Attention of the features to each token, by layer and head; it sums to 1 for each of them.

        Keys: "class", "cells" (whose last two axes are x and y), "direction", "carrying", "mission" (one number a
        word), "numbers" and "nodes", where there are such tokens. With pooling over all tokens: the mean of their
        attention.
        """
        attention = self.weights(obs, 1 if self.pooling == "class" else None)
        mask = self._read(obs)[1]
        if mask is None or self.pooling == "class":
            attention = attention.mean(3)
        else:
            asking = mask[..., None]
            attention = (attention * asking).sum(3) / asking.sum(3)
        sizes = {"class": 1} if self.pooling == "class" else {}
        sizes |= self.tokens.sizes
        if "mission" in sizes:
            sizes["mission"] = attention.shape[3] - sum(sizes.values())
        parts = dict(zip(sizes, attention.split(list(sizes.values()), dim=3), strict=True))
        if isinstance(self.tokens, CellTokens):
            parts["cells"] = parts["cells"].unflatten(3, self.tokens.stem.grid)
        return parts

    def weights(self, obs: Observation, queries: int | None = None) -> Float[Tensor, "batch layers heads queries keys"]:
        """Attention of the first `queries` tokens (None: of all) to each, by layer and head: what `forward` works with.

        Rows sum to 1, and padding gets 0; what padding attends to means nothing. The class token, if any, comes first.
        """
        (tokens, mask), found = self._read(obs), []
        for layer in self.layers:
            assert isinstance(layer, AttentionLayer)
            found.append(layer.weights(tokens, mask, queries))
            tokens = layer(tokens, mask)
        return torch.stack(found, dim=1)

    def _read(self, obs: Observation) -> tuple[Tensor, Bool[Tensor, "batch 1 1 tokens"] | None]:
        """Every token, the class token first, and which of them are real."""
        tokens, mask = self.tokens(obs)
        if self.class_token is not None:
            tokens = [self.class_token.expand(tokens[0].shape[0], 1, -1), *tokens]
            mask = None if mask is None else F.pad(mask, (1, 0), value=True)
        return torch.cat(tokens, dim=1), None if mask is None else mask[:, None, None]


class AttentionLayer(nn.Module):
    """h ← h + MHA(LN(h)); h ← h + MLP(LN(h)) (Xiong et al. 2020, pre-norm)."""

    def __init__(self, width: int, heads: int, feedforward: int | None = None):
        super().__init__()
        self.heads, inner = heads, feedforward or 4 * width
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))

    def forward(
        self,
        h: Float[Tensor, "batch tokens width"],
        mask: Bool[Tensor, "batch 1 1 tokens"] | None,
        queries: int | None = None,
    ) -> Float[Tensor, "batch queries width"]:
        """The next states of the first `queries` tokens (None: of all)."""
        query, key, value = self.projected(h, queries)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        h = h[:, :queries] + self.out(attended.transpose(1, 2).flatten(2))
        return h + self.mlp(self.norm_mlp(h))

    def weights(
        self,
        h: Float[Tensor, "batch tokens width"],
        mask: Bool[Tensor, "batch 1 1 tokens"] | None,
        queries: int | None = None,
    ) -> Float[Tensor, "batch heads queries tokens"]:
        """softmax(QKᵀ/√d), which the fused kernel of `forward` does not return."""
        query, key, _ = self.projected(h, queries)
        scores = query @ key.transpose(2, 3) / query.shape[3] ** 0.5
        return (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(3)

    def projected(self, h: Float[Tensor, "batch tokens width"], queries: int | None = None) -> tuple[Tensor, ...]:
        """Queries, keys and values: (batch, heads, tokens, width/heads)."""
        width, weight, bias = h.shape[2], self.qkv.weight, self.qkv.bias
        normed = self.norm_attention(h)
        if queries is None:
            parts = self.qkv(normed).chunk(3, dim=2)
        else:
            query = F.linear(normed[:, :queries], weight[:width], bias[:width])
            parts = (query, *F.linear(normed, weight[width:], bias[width:]).chunk(2, dim=2))
        return tuple(part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts)


def pooled(
    states: Float[Tensor, "batch tokens width"], mask: Bool[Tensor, "batch 1 1 tokens"] | None, how: str
) -> Float[Tensor, "batch width"]:
    """The "mean" or the "max" of the states of real tokens."""
    if mask is None:
        return states.mean(1) if how == "mean" else states.amax(1)
    real = mask[:, 0, 0, :, None]
    return (states * real).sum(1) / real.sum(1) if how == "mean" else states.masked_fill(~real, -torch.inf).amax(1)


class CellTokens(nn.Module):
    """Tokens of a grid observation, and which of them are real (words of shorter missions are padding).

    Attributes:
        sizes: how many tokens there are of each kind, in their order; 0 for the mission, whose length varies from batch
            to batch.
    """

    rows: Tensor | None
    columns: Tensor | None

    def __init__(self, space: spaces.Space, width: int, positions: str):
        super().__init__()
        self.stem = Stem(space, width, context=False)
        x, y = self.stem.grid
        if positions == "sine":
            blank = torch.zeros(1, 1, width // 2)
            columns, rows = sines(x, width // 2)[:, None], sines(y, width // 2)[None]
            self.register_buffer("columns", torch.cat([columns, blank.expand(x, 1, -1)], dim=2), persistent=False)
            self.register_buffer("rows", torch.cat([blank.expand(1, y, -1), rows], dim=2), persistent=False)
        else:
            self.columns = nn.Parameter(torch.randn(x, 1, width) * 0.1) if positions == "learned" else None
            self.rows = nn.Parameter(torch.randn(1, y, width) * 0.1) if positions == "learned" else None
        self.keys = Context(space, 1).keys
        self.sizes = {"cells": x * y}
        if "direction" in self.keys:
            self.direction = nn.Embedding(4, width)
            self.sizes["direction"] = 1
        if "carrying" in self.keys:
            self.carrying = Carried(number_of_codes(space["carrying"]), width)  # type: ignore[index]
            self.sizes["carrying"] = 1
        if "mission" in self.keys:
            mission = space["mission"]  # type: ignore[index]
            self.words = nn.Embedding(int(mission.high.max()) + 1, width, padding_idx=0)
            self.sizes["mission"] = 0
            if positions == "sine":
                self.register_buffer("word_positions", sines(mission.shape[0], width), persistent=False)
            else:
                self.word_positions = nn.Parameter(torch.randn(mission.shape[0], width) * 0.1)

    def forward(self, obs: Observation) -> tuple[list[Tensor], Tensor | None]:
        cells = self.stem(obs)
        if self.columns is not None and self.rows is not None:
            cells = cells + (self.columns + self.rows)
        tokens = [cells.flatten(1, 2)]
        if not self.keys:
            return tokens, None
        assert isinstance(obs, dict)
        if "direction" in self.keys:
            tokens.append(self.direction(obs["direction"].long()))
        if "carrying" in self.keys:
            tokens.append(self.carrying(obs["carrying"])[:, None])
        if "mission" not in self.keys:
            return tokens, None
        ids = words_of(obs, len(self.word_positions)).long()
        # no length becomes a Python number, which would be frozen where this is traced to be exported
        used = torch.arange(ids.shape[1], device=ids.device) < (ids > 0).sum(1).max()
        ids = ids[:, used]
        here = ids.new_ones(ids.shape[0], sum(token.shape[1] for token in tokens))
        real = torch.cat([here, ids > 0], dim=1)
        tokens.append(self.words(ids) + self.word_positions[: used.shape[0]][used])
        return tokens, real.bool()


def sines(positions: int, width: int) -> Float[Tensor, "positions width"]:
    """sin(p / 10000^(2i/width)) and its cosine, for each position p, in turn (Vaswani et al. 2017, section 3.5)."""
    angles = torch.arange(positions)[:, None] / 10_000 ** (torch.arange(0, width, 2) / width)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


class NumberTokens(nn.Module):
    """One token for every number of a vector: x_k·w_k + b_k."""

    def __init__(self, space: spaces.Space, width: int, positions: str):
        super().__init__()
        self.flatten = Flatten(space)
        self.sizes = {"numbers": self.flatten.size}
        self.weight = nn.Parameter(torch.randn(self.flatten.size, width) * 0.1)
        self.bias = nn.Parameter(torch.randn(self.flatten.size, width) * 0.1)

    def forward(self, obs: Observation) -> tuple[list[Tensor], None]:
        return [self.flatten(obs)[..., None] * self.weight + self.bias], None


class NodeTokens(nn.Module):
    """One token for every node of a body, from a linear layer of its type; padding is masked."""

    def __init__(self, space: spaces.Space, width: int, positions: str):
        super().__init__()
        nodes, features, _ = graph_sizes(space)
        self.types, self.sizes = node_types(space), {"nodes": nodes}
        self.read = TypedLinear(features, width, self.types)

    def forward(self, obs: Observation) -> tuple[list[Tensor], Tensor]:
        assert isinstance(obs, dict)
        return [self.read(obs["nodes"], one_hot_types(obs, self.types))], present(obs)
