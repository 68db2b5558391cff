"""The convolutional stack through which an encoder reads its observations, and what its input says of each cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from analysis.cells import Observations
from analysis.deconvolution import WINDOWS, Maps
from encoders.cnn import CNN
from encoders.layers.convolution import Residual
from encoders.layers.equivariant import EquivariantGrid
from encoders.lstm import LSTM
from symmetry import EquivariantConv2d


@dataclass(frozen=True)
class Stack:
    """Convolutional layers and their input at a batch of observations.

    Attributes:
        layers: each up to its activation; what follows the last activation is left out.
        inputs: of the first layer: embedded cells (batch, embedding, x, y), or pixels (batch, channels, ...).
        contents: from a signal at the inputs to one at the one-hot codes of each cell, the transpose of the embedding
            and of its modulation by the context; None for pixels.
    """

    layers: Sequence[nn.Sequential]
    inputs: Maps
    contents: Callable[[Maps], Float[Tensor, "batch x y codes"]] | None


@torch.no_grad()
def stack_of(network: nn.Module, observations: Observations) -> Stack:
    """The stack of the encoder within a network; of a window, the newest observation is its input.

    Raises:
        ValueError: it has no convolutional layers; the message says which encoders have.
    """
    for module in network.modules():
        if isinstance(module, LSTM):
            observations = newest(module, observations)
        if isinstance(module, CNN) and (layers := up_to_activations([*module.trunk])):
            contents = _embedding(module, observations) if module.is_grid else None
            return Stack(layers, _seen(module, module.trunk, observations), contents)
        if isinstance(module, EquivariantGrid):
            layers = up_to_activations([*module.trunk][:-3])  # without flattening and the linear layer
            return Stack(layers, _seen(module, module.trunk, observations), _equivariant(module, observations))
    raise ValueError(
        "there are no convolutional layers in this network; encoder=cnn has them, homomorphic on grids, and lstm where "
        "its trunk is a cnn"
    )


def newest(encoder: LSTM, observations: Any) -> Observations:
    """The last observation of each window, as its trunk reads it."""
    frames = {key: observations[key][:, -1] * scale for key, scale in encoder.scale.items()}
    return frames["observation"] if [*frames] == ["observation"] else frames


def up_to_activations(modules: Sequence[nn.Module]) -> list[nn.Sequential]:
    """Modules in layers, each up to its activation or residual block; equivariant convolutions as ordinary ones."""
    layers: list[list[nn.Module]] = []
    begun: list[nn.Module] = []
    for module in modules:
        begun.append(module.to_plain() if isinstance(module, EquivariantConv2d) else module)
        if isinstance(module, (nn.ReLU, Residual)):
            if any(isinstance(part, WINDOWS) for each in begun for part in each.modules()):
                layers.append(begun)
            else:
                layers[-1] += begun  # the activation behind the last residual block
            begun = []
    return [nn.Sequential(*layer) for layer in layers]


def _seen(encoder: nn.Module, trunk: nn.Module, observations: Observations) -> Tensor:
    """What a trunk is given when its encoder reads these observations."""
    given: list[Tensor] = []
    hook = trunk.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    try:
        encoder(observations)
    finally:
        hook.remove()
    return given[0]


def _embedding(encoder: CNN, observations: Any) -> Callable[[Maps], Tensor]:
    stem = encoder.stem
    gain: Any = 1.0
    if stem.context is not None:
        gain = 1 + stem.film(stem.context(observations))[:, None, None].chunk(2, dim=-1)[0]
    return lambda signal: signal.permute(0, 2, 3, 1) * gain @ stem.cells.table.detach().mT


def _equivariant(grid: EquivariantGrid, observations: Any) -> Callable[[Maps], Tensor]:
    weight = grid.embed.to_plain().weight[:, :, 0, 0].detach()
    gain: Any = 1.0
    if grid.context is not None:
        gain = 1 + grid.film(grid.context(observations))[:, None, None].chunk(2, dim=-1)[0]
    return lambda signal: signal.permute(0, 2, 3, 1) * gain @ weight
