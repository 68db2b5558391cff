"""Variants of this project's encoders, and policies of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from torch import Tensor, nn

from encoders.cnn import CNN
from encoders.heads import head
from encoders.mlp import MLP

Options = Mapping[str, Any]

CLASSES = {"mlp": MLP, "cnn": CNN}
WIDTHS, CHANNELS, EMBEDDINGS, LAYERS = (16, 20, 24, 28, 32), (8, 12, 16, 20, 24), (8, 12, 16), (1, 2, 3)


class Imitator(nn.Module):
    """logits = head(encoder(observation)).

    Args:
        options: of the encoder, and its name as `encoder`.
        space, actions: of the environment.
    """

    def __init__(self, options: Options, space: spaces.Space, actions: int):
        super().__init__()
        self.options, self.space, self.actions = options, space, actions
        others = {key: value for key, value in options.items() if key != "encoder"}
        self.encoder = CLASSES[options["encoder"]](space, **others)
        self.head = head(self.encoder.features_dim, actions)
        self.eval()

    def forward(self, observation: dict[str, Tensor]) -> Tensor:
        return self.head(self.encoder(observation))

    def anew(self) -> Imitator:
        """The same at a new random initialization."""
        return Imitator(self.options, self.space, self.actions)


def drawn(generator: np.random.Generator) -> Options:
    """The options of a variant, drawn at random."""

    def of(*values: Any) -> Any:
        return values[generator.integers(len(values))]

    common = {"width": of(*WIDTHS), "layers": of(*LAYERS), "embedding": of(*EMBEDDINGS)}
    normalization = of("none", "layer")
    if of("mlp", "cnn") == "mlp":
        return {"encoder": "mlp", **common, "activation": of("relu", "tanh"), "normalization": normalization}
    kernel = of(1, 3, 5)
    return {
        "encoder": "cnn",
        **common,
        "channels": of(*CHANNELS),
        "kernel": kernel,
        "padding": kernel // 2,
        "pooling": of("flatten", "max", "avg", "adaptive"),
        "layer_pooling": of("none", "max") if common["layers"] == 1 else "none",
        "normalization": normalization,
    }


def named(options: Options) -> str:
    """All options in one line."""
    return " ".join([options["encoder"], *(f"{key}={value}" for key, value in options.items() if key != "encoder")])
