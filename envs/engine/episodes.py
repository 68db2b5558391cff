"""What both adapters say of an engine: observations, windows of them, and the episodes that end."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium import spaces

PLAIN = "observation"  # as History calls it


class Engine(Protocol):
    """Environments stepped together, as `Batch` and `Classic` do; what is in its arrays stays until the next step."""

    n: int
    seen: dict[str, np.ndarray]  # what every environment shows; a plain Box is the key PLAIN
    seen_last: dict[str, np.ndarray]  # what it showed last, where its episode ended
    result: dict[str, np.ndarray]  # reward, terminated, truncated, done; episode_return, episode_length where done
    began: dict[str, np.ndarray]  # what the info of an episode's first observation tells

    def reset(self, seed: int | None = None) -> None: ...

    def step(self, actions: np.ndarray) -> np.ndarray:
        """-> the environments whose episode ended."""
        ...

    def ended(self, i: int) -> dict[str, Any]:
        """What the environment says in the last info of an episode."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Divisible(Protocol):
    """An engine that can also step a part of its environments, as `Batch` can."""

    def step_part(self, actions: np.ndarray, start: int, stop: int) -> np.ndarray:
        """`step` of the environments from `start` to `stop` - 1; the others stay as they are."""
        ...


class Part:
    """Environments next to each other: how to step them, and what the engine's arrays hold of them.

    Args:
        start, stop: which, of a `Divisible` engine; all of them if not given.
    """

    def __init__(self, batch: Any, start: int = 0, stop: int | None = None):
        self.step: Callable[[np.ndarray], np.ndarray] = batch.step
        if stop is not None:
            self.step = partial(batch.step_part, start=start, stop=stop)
        self.first, self.which = start, slice(start, batch.n if stop is None else stop)
        self.seen = {key: array[self.which] for key, array in batch.seen.items()}
        self.reward, self.done = (batch.result[name][self.which] for name in ("reward", "done"))


class Windows:
    """`envs.history.History` for all environments at once."""

    def __init__(self, space: spaces.Dict, n: int, length: int):
        self.arrays = {key: np.zeros((n, *box.shape), box.dtype) for key, box in space.items()}  # type: ignore[misc]
        self.ones = np.ones(n, np.uint8)

    def begin(self, observation: dict[str, np.ndarray], which: Any = slice(None)) -> None:
        """New episodes, of which these are the first observations."""
        for key, window in self.arrays.items():
            window[which] = 0
            window[which, -1] = observation.get(key, self.ones)[which]

    def push(self, observation: dict[str, np.ndarray], which: slice) -> None:
        """The next observations of these environments."""
        for key, array in self.arrays.items():
            window = array[which]
            window[:, :-1] = window[:, 1:]
            window[:, -1] = observation.get(key, self.ones[which])

    def copy(self, which: Any = slice(None)) -> dict[str, np.ndarray]:
        return {key: np.array(window[which]) for key, window in self.arrays.items()}


def _copied(observation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key: array.copy() for key, array in observation.items()}


class Episodes:
    """What both adapters say about the engine: observations, windows of them, and the episodes that end."""

    def __init__(self, batch: Engine, space: spaces.Space, history: int):
        self.batch, self.everyone = batch, Part(batch)
        self.plain = not isinstance(space, spaces.Dict)
        self.windows = Windows(space, batch.n, history) if isinstance(space, spaces.Dict) and history else None
        self.since = time.time()

    def reset(self, seed: int | None, options: Any = None) -> Any:
        if options:
            raise ValueError(f"the batched engine has no options of a reset, got {options}; use engine=gymnasium")
        self.batch.reset(seed)
        if self.windows is not None:
            self.windows.begin(self.batch.seen)
        return self._seen(self.everyone)

    def step(self, actions: np.ndarray, part: Part) -> tuple[Any, np.ndarray, dict[str, np.ndarray]]:
        """-> observations of these, the environments whose episode ended, and the last observations of those."""
        ended = part.step(actions)
        last = {key: array.take(ended, 0) for key, array in self.batch.seen_last.items()} if len(ended) else {}
        if self.windows is None:
            return self._seen(part), ended, last
        if not len(ended):
            self.windows.push(part.seen, part.which)
            return self._seen(part), ended, last
        until = _copied(part.seen)
        for key, array in last.items():
            until[key][ended - part.first] = array
        self.windows.push(until, part.which)
        last = self.windows.copy(ended)
        self.windows.begin(self.batch.seen, ended)
        return self._seen(part), ended, last

    def _seen(self, part: Part) -> Any:
        if self.windows is not None:
            return self.windows.copy(part.which)
        return part.seen[PLAIN].copy() if self.plain else _copied(part.seen)

    def row(self, observation: dict[str, np.ndarray], row: int) -> Any:
        """One of several observations."""
        return observation[PLAIN][row] if self.plain else {key: array[row] for key, array in observation.items()}

    def of_episode(self, i: int) -> dict[str, Any]:
        """What the environment and `Monitor` say at the end of an episode of environment i."""
        result = self.batch.result
        statistics = {
            "r": round(float(result["episode_return"][i]), 6),
            "l": int(result["episode_length"][i]),
            "t": round(time.time() - self.since, 6),
        }
        return {**self.batch.ended(i), "episode": statistics}

    def of_beginning(self, i: int) -> dict[str, Any]:
        """What the info of the first observation says."""
        return {key: array[i].item() for key, array in self.batch.began.items()}
