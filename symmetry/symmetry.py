"""A symmetry of an environment: an MDP automorphism, as data.

(φ, ψ) is a symmetry of a Markov decision process when p(φ(g)s' | φ(g)s, ψ(g)a) = p(s' | s, a) and
r(φ(g)s, ψ(g)a) = r(s, a) for every g (van der Pol et al. 2020, section 3). An optimal policy then satisfies
π(ψ(g)a | φ(g)s) = π(a | s) and its value V(φ(g)s) = V(s).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from symmetry.codes import Codes
from symmetry.group import Group
from symmetry.representation import Representation


@dataclass(frozen=True)
class Symmetry:
    """How observations and actions of an environment transform under a finite group.

    Attributes:
        group: the group G.
        observation: how each observation key transforms: a vector by its `Representation`, categorical codes by
            `Codes`; a plain Box is the key "observation".
        action: the representation on the actions: on their one-hot form if discrete, on the vector if continuous.
        twin: `twin(env, g)` puts the simulator of `env` into the transformed state φ(g)s. Default: transform
            `env.unwrapped.state`, right where the state is the observation.

    Raises:
        ValueError: a representation belongs to another group.
    """

    group: Group
    observation: Mapping[str, Representation | Codes]
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

    def validate(self, observation: Mapping[str, Sequence[int]], action: int, discrete: bool) -> None:
        """Compare the declaration with an environment's sizes.

        Args:
            observation: the shape of each observation key; a plain Box is the key "observation".
            action: how many discrete actions, or how many numbers an action has.
            discrete: whether actions are discrete.

        Raises:
            ValueError: keys or sizes differ, or a sign stands before a discrete action.
        """
        if set(observation) != set(self.observation):
            raise ValueError(
                f"the symmetry transforms the observations {sorted(self.observation)}, the environment has "
                f"{sorted(observation)}; declare each of them"
            )
        for key, shape in observation.items():
            part = self.observation[key]
            declared = part.shape if isinstance(part, Codes) else (part.size,)
            if tuple(shape) != declared:
                raise ValueError(
                    f"the symmetry of {key!r} acts on shape {declared}, the environment's is {tuple(shape)}"
                )
        if action != self.action.size:
            kind = "discrete actions" if discrete else "numbers in an action"
            raise ValueError(f"the symmetry acts on {self.action.size} {kind}, the environment has {action}")
        if discrete and not self.action.is_permutation:
            raise ValueError(
                "the symmetry puts signs before discrete actions; they can only change places (signs of +1)"
            )

    def to_data(self) -> dict[str, Any]:
        """Plain numbers and strings, enough for `from_data` to rebuild everything but `twin`."""

        def images(representation: Representation) -> list[dict[str, list[int]]]:
            return [{"permutation": list(p), "signs": list(s)} for p, s in representation.generators]

        return {
            "group": {"name": self.group.name, "generators": [list(g) for g in self.group.generators]},
            "observation": {
                key: part.to_data() if isinstance(part, Codes) else images(part)
                for key, part in self.observation.items()
            },
            "action": images(self.action),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Symmetry:
        """The inverse of `to_data`.

        Raises:
            ValueError: something is missing or no representation.
        """
        try:
            group = Group(data["group"]["generators"], name=str(data["group"]["name"]))

            def representation(images: list[dict[str, list[int]]]) -> Representation:
                return Representation(group, [(image["permutation"], image["signs"]) for image in images])

            observation = {
                str(key): Codes.from_data(group, part) if isinstance(part, Mapping) else representation(part)
                for key, part in data["observation"].items()
            }
            return cls(group, observation, representation(data["action"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a symmetry: {error!r}") from error
