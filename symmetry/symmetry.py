"""A symmetry of an environment: an MDP automorphism, as data.

(φ, ψ) is a symmetry of a Markov decision process when p(φ(g)s' | φ(g)s, ψ(g)a) = p(s' | s, a) and
r(φ(g)s, ψ(g)a) = r(s, a) for every g (van der Pol et al. 2020, section 3). An optimal policy then satisfies
π(ψ(g)a | φ(g)s) = π(a | s) and its value V(φ(g)s) = V(s).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from symmetry.arrays import Arrays
from symmetry.codes import Codes
from symmetry.group import Group
from symmetry.representation import Representation

Bounds = tuple[Any, Any]  # two vectors of numbers, whatever torch reads


@dataclass(frozen=True)
class Symmetry:
    """How observations and actions of an environment transform under a finite group.

    Attributes:
        group: the group G.
        observation: how each observation key transforms: a vector by its `Representation`, categorical codes by
            `Codes`, an array of numbers by `Arrays`; a plain Box is the key "observation".
        action: the representation on the actions: on their one-hot form if discrete, on the vector if continuous.
        twin: `twin(env, g)` puts the simulator of `env` into the transformed state φ(g)s. Default: transform
            `env.unwrapped.state`, right where the state is the observation.

    Raises:
        ValueError: a representation belongs to another group.
    """

    group: Group
    observation: Mapping[str, Representation | Codes | Arrays]
    action: Representation
    twin: Callable[[Any, int], None] | None = None

    def __post_init__(self) -> None:
        for name, representation in {**self.observation, "action": self.action}.items():
            if representation.group != self.group:
                raise ValueError(
                    f"{name} transforms under {representation.group}, the symmetry's group is {self.group}"
                )

    def observe(self, g: int, observation: Any) -> Any:
        """φ(g)s of a batch of observations: a tensor, or a dict with a tensor for each key."""
        if isinstance(observation, Mapping):
            return {key: self.observation[key](g, part) for key, part in observation.items()}
        return self.observation["observation"](g, observation)

    def act(self, g: int, actions: Tensor) -> Tensor:
        """ψ(g)a of a batch of actions: integers are indices of discrete ones, floats are vectors (batch, size)."""
        if actions.is_floating_point():
            return self.action(g, actions)
        moved = self.action.source[self.action.group.inverse(g)]  # ψ(g) e_j = e_{moved[j]}
        return moved.to(actions.device)[actions]

    def validate(self, shapes: Mapping[str, Sequence[int]] | None = None, actions: int | Bounds | None = None) -> None:
        """Check that the symmetry fits an environment's observations, its actions, or both.

        Args:
            shapes: the shape of each observation key; a plain Box is the key "observation".
            actions: how many discrete actions there are, or the bounds (low, high) of vectors.

        Raises:
            ValueError: keys or sizes differ, a sign stands before a discrete action, or some element does not map the
                actions within the bounds onto themselves.
        """
        if shapes is not None:
            self._validate_observation(shapes)
        if isinstance(actions, int):
            self._validate_size(actions, "discrete actions")
            if not self.action.is_permutation:
                raise ValueError(
                    "the symmetry puts signs before discrete actions; they can only change places (signs of +1)"
                )
        elif actions is not None:
            self._validate_bounds(torch.stack([torch.as_tensor(bound, dtype=torch.float64) for bound in actions]))

    def _validate_observation(self, shapes: Mapping[str, Sequence[int]]) -> None:
        if set(shapes) != set(self.observation):
            raise ValueError(
                f"the symmetry transforms the observations {sorted(self.observation)}, the environment has "
                f"{sorted(shapes)}; declare each of them"
            )
        for key, shape in shapes.items():
            declared = self.observation[key].shape
            if tuple(shape) != declared:
                raise ValueError(
                    f"the symmetry of {key!r} acts on shape {declared}, the environment's is {tuple(shape)}"
                )

    def _validate_size(self, actions: int, kind: str) -> None:
        if actions != self.action.size:
            raise ValueError(f"the symmetry acts on {self.action.size} {kind}, the environment has {actions}")

    def _validate_bounds(self, bounds: Float[Tensor, "2 size"]) -> None:
        self._validate_size(bounds.shape[1], "numbers in an action")
        for g in range(self.group.order):
            moved = self.action(g, bounds)
            low, high = moved.amin(0), moved.amax(0)
            if not torch.equal(low, bounds[0]) or not torch.equal(high, bounds[1]):
                raise ValueError(
                    f"element {self.group.elements[g]} carries the actions between {bounds[0].tolist()} and "
                    f"{bounds[1].tolist()} to those between {low.tolist()} and {high.tolist()}; are the bounds "
                    "symmetric?"
                )

    def to_data(self) -> dict[str, Any]:
        """Numbers, strings and lists from which `from_data` rebuilds everything but `twin`."""

        def images(representation: Representation) -> list[dict[str, list[int]]]:
            return [{"permutation": list(p), "signs": list(s)} for p, s in representation.generators]

        return {
            "group": {"name": self.group.name, "generators": [list(g) for g in self.group.generators]},
            "observation": {
                key: images(part) if isinstance(part, Representation) else part.to_data()
                for key, part in self.observation.items()
            },
            "action": images(self.action),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Symmetry:
        """The inverse of `to_data`.

        Raises:
            ValueError: something is missing, or is not a representation.
        """
        try:
            group = Group(data["group"]["generators"], name=str(data["group"]["name"]))

            def representation(images: list[dict[str, list[int]]]) -> Representation:
                return Representation(group, [(image["permutation"], image["signs"]) for image in images])

            def transform(part: Any) -> Representation | Codes | Arrays:
                if not isinstance(part, Mapping):
                    return representation(part)
                return (Codes if "cells" in part else Arrays).from_data(group, part)

            observation = {str(key): transform(part) for key, part in data["observation"].items()}
            return cls(group, observation, representation(data["action"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a symmetry: {error!r}") from error
