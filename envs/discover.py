"""Find the symmetry of a low-dimensional environment from its simulator alone.

The search is for pairs of signed permutations, T of the simulator's state x and Q of the action a. On sampled
transitions x' = F(x, a), a symmetry satisfies F(Tx, Qa) = T F(x, a) with the same reward and the same end of the
episode. The signed permutation P of the observation is then read off: each component of the transformed observations
equals ± one component of the original ones. The pairs found form a group.

1. One-sided differences show which components of the next state depend on which components of the state. A permutation
   must preserve this dependence.
2. Each remaining pair is tested on one transition after another, and dropped at the first one that violates it.

python -m envs.discover env=CartPole
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import permutations, product
from math import factorial
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from envs.arguments import read_arguments, run_command
from envs.single import make_env
from envs.twins import check_symmetry
from symmetry import Group, Representation, Symmetry

LARGEST_STATE = 8
MOST_CANDIDATES = 200_000
SMALL = 1e-4  # step of the one-sided differences

Signed = tuple[tuple[int, ...], tuple[int, ...]]  # component j moves to images[j] and is multiplied by signs[j]
Triple = tuple[Signed, Signed, Signed]  # of state, observation and action


@dataclass
class Transition:
    """One step: (state, action) -> next state, observation, and outcome (reward, terminated, truncated)."""

    state: np.ndarray
    action: Any
    following: np.ndarray
    observation: np.ndarray
    outcome: np.ndarray


def discover_symmetries(
    env: gymnasium.Env | str, samples: int = 64, seed: int = 0, tolerance: float = 1e-6
) -> list[Symmetry]:
    """The signed permutations that sampled transitions obey: a list with one `Symmetry`, or an empty list.

    Args:
        env: an environment with vector observations, discrete or vector actions, and a vector `env.unwrapped.state`
            of at most 8 components that determines the next state.
        samples: number of transitions of random play that a candidate must obey.
        seed: seed of the random play.
        tolerance: the largest error of a component x, relative to max(1, |x|).

    Raises:
        ValueError: the spaces or the state are of another kind, a step draws random numbers, or there are too many
            candidates.
    """
    env = make_env(env) if isinstance(env, str) else env
    core = env.unwrapped
    transitions = _play(env, samples, seed)
    found: list[Triple] = []
    for state, action in _candidates(core, transitions):
        observation = _observation_of(core, transitions, state, action, tolerance)
        if observation is not None:
            found.append((state, observation, action))
    if len(found) <= 1:  # the identity
        return []
    symmetry = _close(found)
    check_symmetry(env, symmetry, steps=samples, seed=seed + 1, tolerance=tolerance)
    return [symmetry]


def rewrite_state(env: Any, g: int, state: Representation) -> None:
    """Replace the state x of `env.unwrapped` by T(g)x."""
    env.unwrapped.state = state(g, torch.as_tensor(np.asarray(env.unwrapped.state, np.float64))).numpy()


def _step(core: Any, state: np.ndarray, action: Any) -> Transition:
    """The transition from a state with an action; the simulator need not be in an episode."""
    core.state = state.copy()
    observation, reward, *ends, _ = core.step(action)
    following = np.asarray(core.state, np.float64).copy()
    if any(ends):
        core.reset()
    return Transition(state, action, following, np.asarray(observation, float), np.array([reward, *ends], float))


def _play(env: gymnasium.Env, samples: int, seed: int) -> list[Transition]:
    core: Any = env.unwrapped
    if not isinstance(core.observation_space, spaces.Box) or len(core.observation_space.shape or ()) != 1:
        raise ValueError(f"symmetries are discovered for vector observations, {core} shows {core.observation_space}")
    core.action_space.seed(seed)
    core.reset(seed=seed)
    if getattr(core, "state", None) is None or np.ndim(core.state) != 1 or len(core.state) > LARGEST_STATE:
        raise ValueError(
            f"discovery sets the simulator's state: {core} needs an attribute `state`, a vector of at most "
            f"{LARGEST_STATE} numbers, and has {getattr(core, 'state', None)!r}"
        )
    stretch = np.random.default_rng(seed)
    played: list[Transition] = []
    while len(played) < samples:
        state, chance = np.asarray(core.state, np.float64).copy(), str(core.np_random.bit_generator.state)
        played.append(_step(core, state, core.action_space.sample()))
        if not played[-1].outcome[1:].any() and str(core.np_random.bit_generator.state) != chance:
            raise ValueError(f"{core} draws random numbers in its steps, so that transitions cannot be compared")
        following = np.asarray(core.state, np.float64).copy()
        # random play alone reaches only small states
        played.append(_step(core, state * (1 + stretch.random(len(state))), core.action_space.sample()))
        core.state = following
    return played


def _candidates(core: Any, transitions: list[Transition]) -> Iterator[tuple[Signed, Signed]]:
    """The pairs of signed permutations of state and action that may be symmetries."""
    size = len(transitions[0].state)
    depends = _dependence(core, transitions)
    allowed = [order for order in permutations(range(size)) if (depends[np.ix_(order, order)] == depends).all()]
    actions = core.action_space
    numbers = int(actions.n) if isinstance(actions, spaces.Discrete) else int(np.prod(actions.shape))
    signed = 1 if isinstance(actions, spaces.Discrete) else 2**numbers
    count = len(allowed) * 2**size * factorial(numbers) * signed
    if count > MOST_CANDIDATES:
        raise ValueError(f"{core} has {count} candidates for a symmetry; {MOST_CANDIDATES} can be tried")
    for order in allowed:
        for signs in product((1, -1), repeat=size):
            for action in _action_candidates(actions):
                yield (order, signs), action


def _action_candidates(space: spaces.Space) -> Iterator[Signed]:
    if isinstance(space, spaces.Discrete):
        for order in permutations(range(int(space.n))):
            yield order, (1,) * len(order)
        return
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        raise ValueError(f"symmetries are discovered for Discrete actions or vectors, got {space}")
    for order in permutations(range(space.shape[0])):
        for signs in product((1, -1), repeat=len(order)):
            ends = np.sort([_apply((order, signs), space.low), _apply((order, signs), space.high)], axis=0)
            if (ends == [space.low, space.high]).all():
                yield order, signs


def _dependence(core: Any, transitions: list[Transition]) -> np.ndarray:
    """depends[i, j]: whether component i of the next state changes with component j of the state in any sample."""
    size = len(transitions[0].state)
    depends = np.zeros((size, size), bool)
    for transition in transitions[:8]:
        for j in range(size):
            nudged = transition.state.copy()
            nudged[j] += SMALL
            depends[:, j] |= _step(core, nudged, transition.action).following != transition.following
    return depends


def _observation_of(
    core: Any, transitions: list[Transition], state: Signed, action: Signed, tolerance: float
) -> Signed | None:
    """The signed permutation of the observation, if every transition obeys the pair; else None."""
    shown = []
    for original in transitions:
        twin = _step(core, _apply(state, original.state), _act(action, original.action, core.action_space))
        if not _equal(twin.following, _apply(state, original.following), tolerance):
            return None
        if not _equal(twin.outcome, original.outcome, tolerance):
            return None
        shown.append(twin.observation)
    seen, images = np.stack([original.observation for original in transitions]), np.stack(shown)
    order, signs = [], []
    for j in range(seen.shape[1]):
        free = [i for i in range(seen.shape[1]) if i not in order]
        free.sort(key=lambda i: i != j)  # j itself first, so that components that are always equal stay in place
        fits = [(i, s) for i in free for s in (1, -1) if _equal(images[:, i], s * seen[:, j], tolerance)]
        if not fits:
            return None
        order.append(fits[0][0])
        signs.append(fits[0][1])
    return tuple(order), tuple(signs)


def _apply(signed: Signed, x: np.ndarray) -> np.ndarray:
    moved = np.empty_like(x)
    moved[list(signed[0])] = x * np.asarray(signed[1], x.dtype)
    return moved


def _act(signed: Signed, action: Any, space: spaces.Space) -> Any:
    if isinstance(space, spaces.Discrete):
        return type(action)(signed[0][action - space.start] + space.start)
    return _apply(signed, action)


def _equal(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    return bool((np.abs(a - b) <= tolerance * np.maximum(1, np.abs(b))).all())


def _close(found: list[Triple]) -> Symmetry:
    """The symmetry whose group is formed by the triples (state, observation, action), with few generators."""

    def points(triple: Triple) -> tuple[int, ...]:  # the n components and their negatives, for each of the three
        images: list[int] = []
        for order, signs in triple:
            start = len(images)
            for i, sign in zip(order, signs, strict=True):
                plus = start + 2 * i
                images += [plus, plus + 1] if sign > 0 else [plus + 1, plus]
        return tuple(images)

    elements = {points(triple): triple for triple in found}
    chosen: list[tuple[int, ...]] = []
    group = Group([sorted(next(iter(elements)))], "C1")
    for element in elements:
        if element not in group.elements:
            chosen.append(element)
            group = Group(chosen)
    if group.order != len(found):
        raise ValueError(f"the {len(found)} pairs found form no group: take more samples or a smaller tolerance")
    group = Group(chosen, f"C{group.order}" if len(chosen) == 1 else f"G{group.order}")

    def representation(part: int) -> Representation:
        return Representation(group, [elements[element][part] for element in chosen])

    return Symmetry(
        group, {"observation": representation(1)}, representation(2), partial(rewrite_state, state=representation(0))
    )


def main() -> None:
    """Print the symmetry that is found."""
    given = read_arguments(env="CartPole", samples=64, seed=0)
    found = discover_symmetries(**given)
    if not found:
        print(f"{given['env']}: no signed permutation of observation and action but the identity")
    for symmetry in found:
        print(f"{given['env']}: {symmetry.group.name}, of order {symmetry.group.order}, generated by")
        for k in range(len(symmetry.group.generators)):
            for name, part in {**symmetry.observation, "action": symmetry.action}.items():
                assert isinstance(part, Representation)
                order, signs = part.generators[k]
                print(f"  {name:<12} {list(order)}, signs {list(signs)}")


if __name__ == "__main__":
    run_command(main)
