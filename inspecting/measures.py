"""What is measured at the moments of an episode: each part for all moments at once, or why this policy has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from agents.diagnostics import as_encoded
from analysis.cells import as_function
from analysis.deconvolution import Deconvolution, strongest
from analysis.saliency import generated_weights, gradient, occlusion, relation_importances, relations_of, squares
from analysis.stacks import Stack, stack_of
from encoders.base import kind_of
from envs.shuffle import unshuffled
from inspecting.moments import newest
from playing.lipschitz import actor_of

if TYPE_CHECKING:
    from agents import Policy

UNITS = 4  # of each layer, at each moment
PATCH = 8  # pixels along a side, of images
OUTPUTS = 3  # of a policy with continuous actions
UNSEEN, EMPTY = (0, 0, 0), (1, 0, 0)  # codes of a cell


@dataclass(frozen=True)
class Target:
    """A number that the policy computes from each observation.

    Attributes:
        name: what it is, in words.
        values: at each moment.
        saliency: (moments, y, x) for cells and pixels, each at least 0; (moments, numbers) with a sign for vectors.
        occlusion: the same, by how much the target is higher than without the cell, patch or number.
    """

    name: str
    values: np.ndarray
    saliency: np.ndarray
    occlusion: np.ndarray


@dataclass(frozen=True)
class Unit:
    """A unit of a convolutional layer at one moment.

    Attributes:
        channel, cell: which unit.
        activation: of it.
        strength: of its deconvolution, (y, x).
        wanted: type, colour and state that the deconvolution favours in each cell (x, y, 3), and by how much (x, y),
            from 0 to 1; None for pixels.
        signal: the deconvolution itself, (y, x, channels); None for cells.
    """

    channel: int
    cell: tuple[int, int]
    activation: float
    strength: np.ndarray
    wanted: tuple[np.ndarray, np.ndarray] | None
    signal: np.ndarray | None


class Network:
    """A policy's networks at the moments of an episode.

    Attributes:
        kind: what the actor computes, in words: "logits", "Q values", ...
        actor, critic: the networks; critic: None where the agent has none for states.
        observations: of the moments, as the encoder gets them.
        outputs: of the actor.

        shuffle: the seed by which the cells of observations are moved; None: they are not.

    Raises:
        ValueError: a policy with memory.
    """

    def __init__(self, policy: Policy, states: Any, shuffle: int | None = None):
        module: Any = policy.module
        module.set_training_mode(False)
        self.space, self.shuffle = policy.observation_space, shuffle
        self.kind, self.actor = actor_of(policy, "inspect")
        self.critic: nn.Module | None = None
        if hasattr(module, "value_net"):
            self.critic = nn.Sequential(module.vf_features_extractor, module.mlp_extractor.value_net, module.value_net)
        self.observations = as_encoded(policy, states)
        self.actions = int(policy.action_space.n) if hasattr(policy.action_space, "n") else 0
        with torch.no_grad():
            self.outputs = self.chosen_by(self.actor(self.observations))

    def chosen_by(self, outputs: Tensor) -> Tensor:
        """What the actions are chosen by: the mean of the quantiles of each action, where there are quantiles."""
        return outputs.unflatten(1, (-1, self.actions)).mean(1) if self.kind == "quantiles" else outputs

    def in_place(self, cells: np.ndarray) -> np.ndarray:
        """Values of cells (..., x, y) where these cells lie in the environment."""
        return cells if self.shuffle is None else unshuffled(cells, self.shuffle)

    def probabilities(self) -> np.ndarray | None:
        """Of each action at each moment; None where actions are not drawn from logits."""
        return self.outputs.softmax(1).numpy() if self.kind == "logits" else None


def targets(network: Network) -> list[Target]:
    """What the policy computes, and what it depends on.

    Raises:
        ValueError: the observations have no input with a gradient.
    """
    likely = network.outputs.argmax(1)
    rows = torch.arange(len(likely))
    actor = as_function(network.actor, network.observations)[0]
    chosen = network.chosen_by
    if network.kind == "logits":
        name = "log-probability of its most likely action"
        found = [_target(name, network, lambda x: chosen(actor(x)).log_softmax(1)[rows, likely])]
    elif network.actions:
        found = [_target("value of its best action", network, lambda x: chosen(actor(x))[rows, likely])]
    else:
        number = min(OUTPUTS, network.outputs.shape[1])
        found = [
            _target(f"action {each + 1}" if number > 1 else "its action", network, lambda x, i=each: actor(x)[:, i])
            for each in range(number)
        ]
    if network.critic is not None:
        critic = as_function(network.critic, network.observations)[0]
        found.append(_target("value of the state", network, lambda x: critic(x)[:, 0]))
    return found


def _target(name: str, network: Network, function: Any) -> Target:
    x = as_function(network.actor, network.observations)[1]
    flat = x.dim() == 2
    patches, instead = _patches(network, x)
    with torch.no_grad():
        values = function(x)
    slope, changes = gradient(function, x), occlusion(function, x, patches, instead)
    spread = torch.einsum("mp,pc->mc", changes, patches.flatten(1).to(changes)).unflatten(1, patches.shape[1:])
    if flat:
        return Target(name, values.numpy(), slope.numpy(), spread.numpy())
    return Target(name, values.numpy(), _plane(network, slope), _plane(network, spread, covered=True))


def shape_of(network: Network) -> str:
    """How the input is laid out: "cells", "window" of cells, "pixels" in rows, "channels" of pixels, or "numbers"."""
    kind, observations = kind_of(network.space), network.observations
    if kind == "grid":
        return "cells"
    if kind == "window" and isinstance(observations, Mapping) and "image" in observations:
        window: Any = network.space
        return "window" if window["image"].high.max() < 255 else "numbers"
    if kind == "image":
        image = observations["image"] if isinstance(observations, Mapping) else observations
        return "channels" if image.shape[1] <= 4 else "pixels"
    return "numbers"


def _patches(network: Network, x: Tensor) -> tuple[Tensor, Tensor]:
    """What is covered at a time, and what it is replaced by."""
    kind = shape_of(network)
    if kind in ("cells", "window"):
        masks = squares(x.shape[-3:-1])
        if kind == "window":
            window = torch.zeros(len(masks), *x.shape[1:-1], dtype=torch.bool)
            window[:, -1] = masks
            masks = window
        observations: Any = network.observations
        image = observations["image"] if isinstance(observations, Mapping) else observations
        hidden = torch.tensor(replaced_by(network)).to(image).expand_as(image)
        held = {**observations, "image": hidden} if isinstance(observations, Mapping) else hidden
        return masks, as_function(network.actor, held)[1]
    if kind == "pixels":
        return squares(x.shape[1:3], PATCH), x.mean((1, 2), keepdim=True)
    if kind == "channels":
        return squares(x.shape[2:], PATCH)[:, None].expand(-1, x.shape[1], -1, -1), x.mean((2, 3), keepdim=True)
    if x.dim() > 2:
        raise ValueError(f"saliency is drawn for vectors, grids and images; this policy reads {network.space}")
    return torch.eye(x.shape[1], dtype=torch.bool), x.mean(0)


def replaced_by(network: Network) -> tuple[int, int, int]:
    """The code of a covered cell: one that is not seen, which the agent's own view has, or an empty one."""
    full = "carrying" in getattr(network.space, "spaces", {})
    return EMPTY if full else UNSEEN


def _plane(network: Network, values: Tensor, covered: bool = False) -> np.ndarray:
    """Values of the input as a picture, (moments, y, x): their norm over codes or channels; of a window, the newest."""
    kind = shape_of(network)
    if kind == "window":
        values = values[:, -1]
    if not covered:
        values = values.norm(dim=1 if kind == "channels" else 3)
    elif kind == "channels":
        values = values[:, 0]
    return network.in_place(values.numpy()).swapaxes(1, 2) if kind in ("cells", "window") else values.numpy()


def units(network: Network, states: Any) -> list[list[list[Unit]]]:
    """The most active units of each layer at each moment.

    Raises:
        ValueError: the encoder has no convolutional layers.
    """
    stack = stack_of(network.actor[0], network.observations)
    moments = len(stack.inputs)
    found: list[list[list[Unit]]] = []
    for layer, maps in enumerate(Deconvolution(stack.layers, stack.inputs).maps):
        values, cells = strongest(maps)
        ranked = values.topk(min(UNITS, values.shape[1]), dim=1).indices
        by_rank = [_ranked(network, stack, states, layer, channels, cells) for channels in ranked.unbind(1)]
        found.append([[each[m] for each in by_rank if each[m].activation > 0] for m in range(moments)])
    return found


def _ranked(network: Network, stack: Stack, states: Any, layer: int, channels: Tensor, cells: Tensor) -> list[Unit]:
    """One unit of a layer at each moment."""
    rows = torch.arange(len(channels))
    places = cells[rows, channels]
    deconvolution = Deconvolution(stack.layers, stack.inputs)
    signal = deconvolution.of_units(layer, channels, places)
    activations = deconvolution.maps[layer][rows, channels, places[:, 0], places[:, 1]]
    strength = signal.norm(dim=1).numpy()
    wanted: list[Any] = [None] * len(rows)
    if stack.contents is not None:
        known, one_hots = _met(network, states)
        scores = stack.contents(signal) @ one_hots.mT
        margin, best = (scores - scores.mean(-1, keepdim=True)).max(-1)
        share = margin / margin.flatten(1).amax(1).clamp_min(1e-9)[:, None, None]
        wanted = [*zip(known[network.in_place(best.numpy())], network.in_place(share.numpy()), strict=True)]
        strength = network.in_place(strength).swapaxes(1, 2)
    return [
        Unit(
            int(channels[row]),
            (int(places[row, 0]), int(places[row, 1])),
            float(activations[row]),
            strength[row],
            wanted[row],
            signal[row].permute(1, 2, 0).numpy() if stack.contents is None else None,
        )
        for row in rows
    ]


def _met(network: Network, states: Any) -> tuple[np.ndarray, Tensor]:
    """Every content that a cell has at some moment: its codes, and its one-hot form."""
    image = newest_of(states)
    x = as_function(network.actor, network.observations)[1]
    x = x[:, -1] if x.dim() == 5 else x
    codes, first = np.unique(image.reshape(-1, 3), axis=0, return_index=True)
    return codes, x.flatten(0, -2)[torch.as_tensor(first)]


def newest_of(states: Any) -> np.ndarray:
    """The codes of the cells at each moment, (moments, x, y, 3)."""
    image = states["image"] if isinstance(states, Mapping) else states
    return np.stack([newest(each, 3) for each in image])


def relations(network: Network) -> tuple[Sequence[str], np.ndarray]:
    """Names of the relations, and what happens at each moment without each: (relations, moments).

    The change of the actions' probabilities is half the sum of absolute differences; of any other output, the norm of
    the difference relative to the output's.

    Raises:
        ValueError: the encoder has no relations.
    """

    def change(before: Tensor, after: Tensor) -> Tensor:
        if network.kind == "logits":
            return (before.softmax(1) - after.softmax(1)).abs().sum(1) / 2
        return (before - after).norm(dim=1) / before.norm(dim=1).clamp_min(1e-9)

    return relations_of(network.actor), relation_importances(network.actor, network.observations, change).numpy()


def weights(network: Network) -> list[np.ndarray]:
    """The generated weights of each layer, (moments, outputs, inputs and one for the bias).

    Raises:
        ValueError: the encoder generates none.
    """
    return [each.numpy() for each in generated_weights(network.actor, network.observations)]
