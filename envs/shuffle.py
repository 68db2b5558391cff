"""The cells of a grid, moved by one fixed permutation: the same information, without its layout.

The loss in performance measures what an encoder's spatial bias is worth. A dense layer, or attention without positions,
loses nothing. A convolution or a graph of neighbours now relates cells that are not neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium import spaces
from jaxtyping import Int, Shaped

if TYPE_CHECKING:
    from envs.engine import Engine


def permutation(cells: int, seed: int) -> Int[np.ndarray, "cells"]:
    """The permutation σ of a seed: the cell shown at place i (row by row of the array) is cell σ(i).

    Raises:
        ValueError: `seed` is not a whole number of at least 0.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"env.shuffle is null, or the seed of a permutation: a whole number, at least 0; got {seed!r}")
    return np.random.default_rng(seed).permutation(cells)


def unshuffled(values: Shaped[np.ndarray, "... x y"], seed: int) -> Shaped[np.ndarray, "... x y"]:
    """Values of the shuffled cells, moved back to the places of the cells before shuffling."""
    *rest, x, y = values.shape
    return values.reshape(*rest, x * y)[..., np.argsort(permutation(x * y, seed))].reshape(values.shape)


class ShuffledCells(gymnasium.ObservationWrapper):
    """A `MiniGridObservation` whose image has its cells moved by the permutation of a seed.

    Raises:
        ValueError: the view shows no cells, or `seed` is not a whole number of at least 0.
    """

    def __init__(self, env: gymnasium.Env, seed: int):
        super().__init__(env)
        view = env.get_wrapper_attr("view")
        if view not in ("partial", "full"):
            shown = "pixels" if view == "rgb" else "a vector"
            raise ValueError(
                f"env.shuffle={seed} moves cells, and env.view={view} shows {shown}; "
                "use env.view=partial or env.view=full"
            )
        assert isinstance(env.observation_space, spaces.Dict)
        x, y, channels = env.observation_space["image"].shape or ()
        self.shape, self.order = (x * y, channels), permutation(x * y, seed)

    def observation(self, observation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        image = observation["image"]
        return {**observation, "image": image.reshape(self.shape)[self.order].reshape(image.shape)}


class ShuffledEngine:
    """An engine that moves the cells in all images of another engine, as `ShuffledCells` does for one environment."""

    def __init__(self, engine: Engine, seed: int):
        self.engine, self.n = engine, engine.n
        self.result, self.began = engine.result, engine.began
        self.seen = {**engine.seen, "image": np.empty_like(engine.seen["image"])}
        self.seen_last = {**engine.seen_last, "image": np.empty_like(engine.seen_last["image"])}
        n, x, y, channels = self.seen["image"].shape
        self.shape, self.order = (n, x * y, channels), permutation(x * y, seed)

    def reset(self, seed: int | None = None) -> None:
        self.engine.reset(seed)
        self._shuffle(self.engine.seen, self.seen)

    def step(self, actions: np.ndarray) -> np.ndarray:
        ended = self.engine.step(actions)
        self._shuffle(self.engine.seen, self.seen)
        if len(ended):
            self._shuffle(self.engine.seen_last, self.seen_last)
        return ended

    def ended(self, i: int) -> dict[str, Any]:
        return self.engine.ended(i)

    def saved(self) -> dict[str, Any]:
        return self.engine.saved()

    def restore(self, state: Mapping[str, Any]) -> None:
        self.engine.restore(state)
        self._shuffle(self.engine.seen, self.seen)

    def _shuffle(self, shown: dict[str, np.ndarray], into: dict[str, np.ndarray]) -> None:
        cells, places = shown["image"].reshape(self.shape), into["image"].reshape(self.shape)
        cells.take(self.order, 1, places, mode="clip")  # "raise" would copy once more
