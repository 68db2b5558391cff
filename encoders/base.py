"""What every encoder is: an SB3 `BaseFeaturesExtractor` that knows which observations it can read.

`Encoder.forward(obs) -> features (batch, features_dim)`. SB3 hands an encoder float tensors (a Dict of them for Dict
spaces), image spaces already divided by 255 and one-hot discrete ones. MiniGrid's cell codes are declared with their
true bounds, Box(0, 10), so SB3 does not take them for an image and they arrive as they are. More objects or colours
give a larger bound: three numbers per cell are codes as long as their bound is below 255, that of pixels.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from gymnasium import spaces
from stable_baselines3.common.preprocessing import get_flattened_obs_dim
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from encoders.nodes import NodeFeatures
from encoders.ranges import require_choice
from symmetry import Representation

CODES = 11  # of MiniGrid's own objects: 0 to 10
PIXELS = 255  # the bound of pixels

DESCRIPTIONS = {
    "vector": "vectors (Box(n,), Discrete, or a Dict of them)",
    "grid": "grids (a Dict with image: Box(0, 10, (x, y, 3), uint8), or bounds up to 254, as envs.make_env gives)",
    "graph": "graphs (a Dict of nodes (N, F), edge_index (2, E), edge_type (E,), and masks node_mask, edge_mask)",
    "body": "bodies (a graph with node_type and actuated, (N,) both, as env=bodies gives)",
    "image": "images (Box(0, 255, (height, width, channels), uint8))",
    "window": "windows of observations (a leading axis and a mask `valid`, as env.history=K gives)",
    "array": "other arrays",
}


class Encoder(BaseFeaturesExtractor):
    """A features extractor with a stated inductive bias.

    Attributes:
        reads: the kinds of observation it can read, keys of `DESCRIPTIONS`.
        equivariant: whether it promises f(φ(g)s) = ρ(g) f(s) for the environment's symmetry. If so, its constructor
            takes that symmetry as the keyword `symmetry`, and sets `out_rep`.
        scaled: the options that make it larger or smaller, together and in proportion, until it has the number of
            parameters that is asked for (`encoders.size`); the first is the one that fits the last few.
        per_node: where the features of each node of a body are among them, on which a head for each node is built; else
            None. An equivariant encoder has |G| copies of each of these features, a regular representation.
        out_rep: ρ, a representation of the symmetry's group of size `features_dim`, on which equivariant heads are
            built; None without a promise.

    Args:
        observation_space: the space of the observations it will be given.
        features_dim: size of its output.

    Raises:
        ValueError: it cannot read that space; the message says what it needs, what it got and which encoders would fit.
    """

    reads: ClassVar[tuple[str, ...]] = ()
    equivariant: ClassVar[bool] = False
    scaled: ClassVar[tuple[str, ...]] = ("width",)
    per_node: NodeFeatures | None = None
    out_rep: Representation | None = None

    def __init__(self, observation_space: spaces.Space, features_dim: int):
        self.check(observation_space)
        super().__init__(observation_space, features_dim)

    def stages(self) -> Sequence[nn.Module] | None:
        """The modules that `forward` applies one after another in evaluation mode; None where it does more."""
        return None

    @classmethod
    def sizes(cls, space: spaces.Space, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options in `scaled` by name, those of an encoder within it by dotted name, with their values."""
        return sizes_among(cls, cls.scaled, options)

    @classmethod
    def check(cls, space: spaces.Space) -> None:
        """Raise the ValueError described above unless this encoder reads `space`."""
        kind = kind_of(space)
        if not cls.reads:
            raise ValueError(
                f"encoder {cls.__name__} does not say what it reads: give the class the attribute reads, for example "
                f"reads = ({kind!r},), which is the kind of these observations; there is: {', '.join(DESCRIPTIONS)}"
            )
        if kind not in cls.reads:
            fitting = ", ".join(encoders_reading(kind)) or "none"
            raise ValueError(
                f"encoder {cls.__name__} reads {' or '.join(DESCRIPTIONS[k] for k in cls.reads)}; got "
                f"{describe(space)}, of the kind '{kind}'. Encoders that read it: {fitting}"
            )


def sizes_among(encoder: type, scaled: Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """The value of each option in `scaled`: the one in `options`, else the default of the class.

    Raises:
        ValueError: the class has no such option.
    """
    known = inspect.signature(encoder).parameters
    for name in scaled:
        if name not in known:
            raise ValueError(
                f"encoder.parameters scales the options that a class names in its attribute scaled, by default width, "
                f"and {encoder.__name__} has no option {name}; give the class scaled = ('<option>',)"
            )
    return {name: options.get(name, known[name].default) for name in scaled}


def kind_of(space: spaces.Space) -> str:
    """Which of `DESCRIPTIONS` an observation space is."""
    if isinstance(space, spaces.Dict):
        if "valid" in space.spaces:
            return "window"
        if "nodes" in space.spaces and "edge_index" in space.spaces:
            return "body" if "actuated" in space.spaces else "graph"
        if "image" in space.spaces:
            return kind_of(space["image"])
        kinds = {kind_of(part) for part in space.spaces.values()}
        return "vector" if kinds == {"vector"} else "array"
    if isinstance(space, spaces.Box):
        if len(space.shape) == 3 and space.dtype == "uint8":
            return "grid" if space.shape[2] == 3 and space.high.max() < PIXELS else "image"
        return "vector" if len(space.shape) == 1 else "array"
    return "vector"


def describe(space: spaces.Space) -> str:
    """A space in one line: bounds as their extremes, where Gymnasium prints every one."""
    if isinstance(space, spaces.Dict):
        return f"Dict({', '.join(f'{key}: {describe(part)}' for key, part in space.spaces.items())})"
    if isinstance(space, spaces.Box):
        return f"Box({space.low.min():g}, {space.high.max():g}, {space.shape}, {space.dtype})"
    return str(space)


def encoders_reading(kind: str | None = None) -> list[str]:
    """Names of this project's encoders that read observations of `kind`; None: of any."""
    import encoders

    names = []
    for module in pkgutil.iter_modules(encoders.__path__):
        for member in vars(importlib.import_module(f"encoders.{module.name}")).values():
            own = isinstance(member, type) and member.__module__ == f"encoders.{module.name}"
            if own and issubclass(member, Encoder) and (kind in member.reads if kind else member.reads):
                names.append(module.name)
    return names


class Flatten(nn.Module):
    """Every part of a vector observation, flattened and concatenated: (batch, size)."""

    def __init__(self, space: spaces.Space):
        super().__init__()
        parts = space.spaces.values() if isinstance(space, spaces.Dict) else [space]
        self.size = sum(get_flattened_obs_dim(part) for part in parts)
        # SB3 does not scale windows of images, whose space has four axes: do it here
        self.scale = {key: pixel_scale(part) for key, part in items(space)}
        self.changes = isinstance(space, spaces.Dict) or self.scale["observation"] != 1 or len(space.shape or ()) != 1

    def forward(self, obs: Tensor | dict[str, Tensor]) -> Tensor:
        parts = obs if isinstance(obs, dict) else {"observation": obs}
        return torch.cat([parts[key].flatten(1) * scale for key, scale in self.scale.items()], dim=1)

    def stages(self) -> Sequence[nn.Module] | None:
        """As for `Encoder`; none where the observation is a vector as it is."""
        return None if self.changes else ()


def items(space: spaces.Space) -> list[tuple[str, Any]]:
    """(key, subspace) pairs of a Dict, or the one pair ("observation", space)."""
    return list(space.spaces.items()) if isinstance(space, spaces.Dict) else [("observation", space)]


def pixel_scale(space: spaces.Space) -> float:
    """The factor that brings raw values SB3 leaves alone into [0, 1]: 1/255 for windows of images, else 1."""
    window_of_images = isinstance(space, spaces.Box) and len(space.shape) == 4 and space.high.max() == 255
    return 1 / 255 if window_of_images else 1.0


def mlp(*sizes: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers of the given sizes, each followed by an activation."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers)


ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}


def activation_named(name: str) -> type[nn.Module]:
    """The module of an `encoder.activation`.

    Raises:
        ValueError: another name.
    """
    require_choice((*ACTIVATIONS,), activation=name)
    return ACTIVATIONS[name]
