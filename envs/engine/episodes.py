"""The results of an engine as both adapters return them: observations, windows of observations, and infos."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium import spaces

from envs.saved import copied, refill

PLAIN = "observation"  # the key of a plain Box, as in History


class Engine(Protocol):
    """Environments stepped together, like `Batch` and `Classic`; the next step overwrites its arrays."""

    n: int
    seen: dict[str, np.ndarray]  # the observation of every environment; a plain Box has the key PLAIN
    seen_last: dict[str, np.ndarray]  # the last observation, where an episode ended
    result: dict[str, np.ndarray]  # reward, terminated, truncated, done; episode_return, episode_length where done
    began: dict[str, np.ndarray]  # the info of an episode's first observation

    def reset(self, seed: int | None = None) -> None: ...

    def step(self, actions: np.ndarray) -> np.ndarray:
        """Step every environment -> the indices of those whose episode ended."""
        ...

    def ended(self, i: int) -> dict[str, Any]:
        """The entries that the environment adds to the last info of an episode."""
        ...

    def saved(self) -> dict[str, Any]:
        """The state between two steps, as plain data (`envs.saved`)."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None: ...


@runtime_checkable
class Divisible(Protocol):
    """An engine that can also step some of its environments, like `Batch`."""

    def step_part(self, actions: np.ndarray, start: int, stop: int) -> np.ndarray:
        """`step` for environments `start` to `stop` - 1 only."""
        ...


class Part:
    """Consecutive environments of an engine: their step function and their slices of its arrays.

    Args:
        batch: the engine.
        start, stop: environments `start` to `stop` - 1, if the engine is `Divisible`; default: all.
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
        """Begin new episodes with these first observations."""
        for key, window in self.arrays.items():
            window[which] = 0
            window[which, -1] = observation.get(key, self.ones)[which]

    def push(self, observation: dict[str, np.ndarray], which: slice) -> None:
        """Add the next observations of these environments."""
        for key, array in self.arrays.items():
            window = array[which]
            window[:, :-1] = window[:, 1:]
            window[:, -1] = observation.get(key, self.ones[which])

    def copy(self, which: Any = slice(None)) -> dict[str, np.ndarray]:
        return {key: np.array(window[which]) for key, window in self.arrays.items()}


def _copied(observation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key: array.copy() for key, array in observation.items()}


class Episodes:
    """Observations, windows and infos of an engine, in the form that both adapters return.

    Args:
        batch: the engine.
        space: the space of one observation, with windows.
        history: number of observations in a window; 0 means no windows.
    """

    def __init__(self, batch: Engine, space: spaces.Space, history: int):
        self.batch, self.everyone = batch, Part(batch)
        self.plain = not isinstance(space, spaces.Dict)
        self.windows = Windows(space, batch.n, history) if isinstance(space, spaces.Dict) and history else None
        self.since = time.time()

    def reset(self, seed: int | None, options: Any = None) -> Any:
        if options:
            raise ValueError(f"the batched engine takes no reset options, got {options}; use engine=gymnasium")
        self.batch.reset(seed)
        if self.windows is not None:
            self.windows.begin(self.batch.seen)
        return self._seen(self.everyone)

    def step(self, actions: np.ndarray, part: Part) -> tuple[Any, np.ndarray, dict[str, np.ndarray]]:
        """Step a part -> its observations, the indices of environments whose episode ended, their last observations."""
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

    def saved(self) -> dict[str, Any]:
        """The state of the engine and of the windows."""
        windows = {} if self.windows is None else copied(self.windows.arrays)
        return {"engine": self.batch.saved(), "windows": windows}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put the engine and the windows into a state of `saved`."""
        self.batch.restore(state["engine"])
        if self.windows is not None:
            refill(self.windows.arrays, state["windows"])

    def _seen(self, part: Part) -> Any:
        if self.windows is not None:
            return self.windows.copy(part.which)
        return part.seen[PLAIN].copy() if self.plain else _copied(part.seen)

    def row(self, observation: dict[str, np.ndarray], row: int) -> Any:
        """One of several observations."""
        return observation[PLAIN][row] if self.plain else {key: array[row] for key, array in observation.items()}

    def of_episode(self, i: int) -> dict[str, Any]:
        """The entries that environment i and `Monitor` add to the last info of an episode."""
        result = self.batch.result
        statistics = {
            "r": round(float(result["episode_return"][i]), 6),
            "l": int(result["episode_length"][i]),
            "t": round(time.time() - self.since, 6),
        }
        return {**self.batch.ended(i), "episode": statistics}

    def of_beginning(self, i: int) -> dict[str, Any]:
        """The info of the first observation of environment i's episode."""
        return {key: array[i].item() for key, array in self.batch.began.items()}
