"""A transformer's encoder: every token, input or empty, attends to all of them (Delétang et al. 2023, section A.2).

The layers are those of `encoders.transformer`: layer norm comes first in each (Xiong et al. 2020), where Delétang et
al. have it last, and there is no dropout.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.transformer import AttentionLayer
from laboratory.sequence.positions import added, within


class Transformer(nn.Module):
    """Attention layers over tokens.

    Args:
        tokens: how many different ones there are.
        width: size of their states.
        layers, heads: depth and attention heads.
        positions: one of POSITIONS.
        longest: how many tokens positions=learned can read.
        seed: of positions=randomized.
    """

    def __init__(self, tokens: int, width: int, layers: int, heads: int, positions: str, longest: int, seed: int):
        super().__init__()
        self.token = nn.Linear(tokens, width, bias=False)
        nn.init.normal_(self.token.weight)
        self.added = added(positions, width, longest, seed)
        self.layers = nn.ModuleList(Layer(width, heads, positions) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, inputs: int) -> Tensor:
        """States (steps, batch, width) of the one-hot tokens (steps, batch, tokens)."""
        h = self.added(self.token(x).transpose(0, 1))
        for layer in self.layers:
            h = layer(h)
        return self.norm(h).transpose(0, 1)

    def weights(self, x: Tensor) -> list[Tensor]:
        """The attention (batch, heads, queries, keys) in each layer."""
        h, found = self.added(self.token(x).transpose(0, 1)), []
        for layer in self.layers:
            assert isinstance(layer, Layer)
            found.append(layer.attention(h))
            h = layer(h)
        return found


class Layer(AttentionLayer):
    """An attention layer that knows positions."""

    def __init__(self, width: int, heads: int, positions: str):
        super().__init__(width, heads)
        self.within = within(positions, width, heads)

    def forward(self, h: Tensor) -> Tensor:  # type: ignore[override]
        query, key, value, bias = self.placed(h)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        h = h + self.out(attended.transpose(1, 2).flatten(2))
        return h + self.mlp(self.norm_mlp(h))

    def attention(self, h: Tensor) -> Tensor:
        """The weights that `forward` does not return."""
        query, key, _, bias = self.placed(h)
        scores = query @ key.mT / query.shape[3] ** 0.5
        return (scores if bias is None else scores + bias).softmax(3)

    def placed(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Queries and keys with positions, values, and what is added to the scores."""
        query, key, value = self.projected(h)
        query, key, bias = self.within(query, key, torch.arange(h.shape[1]))
        return query, key, value, bias
