"""Average: any encoder lifted to a regular representation, so that equivariant heads behind it average over the group.

    z(s)[c, g] = f(φ(g)⁻¹ s)[c],    z(φ(h)s)[c, g] = f(φ(h⁻¹g)⁻¹ s)[c] = z(s)[c, h⁻¹g]

An equivariant linear head W on z computes Σ_g ψ(g) W_e f(φ(g)⁻¹ s), with W_e its columns for g = e: the average over
the group of what an ordinary head |G|·W_e would compute (symmetrization; Puny et al. 2022, "Frame averaging", eq. 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from gymnasium import spaces
from jaxtyping import Float
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

from encoders.base import Encoder, items
from encoders.layers.stem import Observation
from encoders.nodes import layout_of
from symmetry import Representation, Symmetry

MASK = "valid"  # the mask of a window of observations: which of them exist


class Average(Encoder):
    """z(φ(g)s) = ρ(g) z(s), ρ copies of the regular representation, for any encoder f; see the head of this file.

    The copies φ(g)⁻¹s of a batch are encoded in one call of f on |G|·batch rows.

    Args:
        observation_space: what the encoder reads.
        encoder: the class of f.
        options: its keywords.
        symmetry: how observations transform.

    Raises:
        ValueError: no symmetry, one that does not match the observations, or what the encoder cannot read.
    """

    equivariant = True

    def __init__(
        self,
        observation_space: spaces.Space,
        encoder: type[BaseFeaturesExtractor],
        options: Mapping[str, Any] | None = None,
        symmetry: Symmetry | None = None,
    ):
        if symmetry is None:
            raise ValueError("symmetry=average needs an environment that declares a symmetry, and this one does not")
        check_sizes(symmetry, observation_space)
        inner = encoder(observation_space, **(options or {}))
        super().__init__(observation_space, inner.features_dim * symmetry.group.order)
        self.encoder, self.symmetry, self.per_node = inner, symmetry, layout_of(inner)
        self.out_rep = Representation.regular(symmetry.group) * inner.features_dim

    @classmethod
    def check(cls, space: spaces.Space) -> None:
        """The encoder within checks what it reads."""

    def forward(self, obs: Observation) -> Float[Tensor, "batch features"]:
        group = self.symmetry.group
        twins = orbit(self.symmetry, obs, [group.inverse(g) for g in range(group.order)])
        features = self.encoder(twins)
        return features.reshape(group.order, -1, features.shape[1]).permute(1, 2, 0).flatten(1)


def observe(symmetry: Symmetry, g: int, obs: Any) -> Any:
    """φ(g) of a batch of observations, or of windows of them: the mask of a window stays as it is."""
    if isinstance(obs, Mapping) and MASK in obs:
        frames = symmetry.observe(g, {key: part for key, part in obs.items() if key != MASK})
        return {key: frames.get(key, obs[key]) for key in obs}
    return symmetry.observe(g, obs)


def orbit(symmetry: Symmetry, obs: Any, elements: list[int] | None = None) -> Any:
    """φ(g)s for every g (or for these): a batch of |G|·batch rows, element after element."""
    twins = [observe(symmetry, g, obs) for g in (range(symmetry.group.order) if elements is None else elements)]
    if isinstance(obs, Mapping):
        return {key: torch.cat([twin[key] for twin in twins]) for key in obs}
    return torch.cat(twins)


def check_sizes(symmetry: Symmetry, space: spaces.Space) -> None:
    """Raise ValueError unless the symmetry fits these observations (`Symmetry.validate`), or the windows' own."""
    window = isinstance(space, spaces.Dict) and MASK in space.spaces
    parts = {key: part.shape for key, part in items(space) if not (window and key == MASK)}
    nodes = parts.get("actuated", (symmetry.action.size,))[0]
    if nodes != symmetry.action.size:
        raise ValueError(
            f"the policy obeys the reflection of bodies of {symmetry.action.size} nodes, and these have up to {nodes}; "
            "name all that it is to play in env.train and env.test of its training"
        )
    symmetry.validate({key: shape[1:] if window else shape for key, shape in parts.items()})
