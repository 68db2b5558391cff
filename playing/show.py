"""What is made of a policy beside its scores: films, maps of what it attends or listens to, exported files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from playing.film import as_gif, as_mp4, drawing, picture_of, rate_of
from storage.durable import write_file

if TYPE_CHECKING:
    from agents import Policy

MOMENTS = 4  # whose attention is drawn
EXAMPLES = 100  # observations on which an exported file is compared with its policy


def record(policy: Policy, options: dict[str, Any], seed: int, file: Path) -> str:
    """Film an episode as a GIF, or as an MP4 where the file is called so; returns a line that says what it shows."""
    pictures, total, rate = [], 0.0, 1.0
    for _, total, env in episode(policy, options, seed):  # noqa: B007
        pictures.append(picture_of(env))
        rate = rate_of(env)
    write_file(file, as_mp4(pictures, rate) if file.suffix == ".mp4" else as_gif(pictures, rate)[0])
    return f"video: {file}, one episode of {len(pictures) - 1} steps, return {total:.2f}"


def export(policy: Policy, states: Any, file: Path) -> str:
    """Write the greedy actions as ONNX or TorchScript; returns a line that says so."""
    from agents.export import save_onnx, save_plain

    few = {key: part[:EXAMPLES] for key, part in states.items()} if isinstance(states, Mapping) else states[:EXAMPLES]
    (save_onnx if file.suffix == ".onnx" else save_plain)(policy, file, few)
    return f"export: {file}, whose actions were compared with the policy's"


def attend(policy: Policy, options: dict[str, Any], seed: int, file: Path) -> str:
    """Draw what a transformer attends to at some moments of an episode; returns a line that says what it shows."""
    from agents.diagnostics import attention
    from envs.minigrid import picture
    from envs.shuffle import unshuffled
    from evaluation.attention import draw

    view = options.get("view", "partial")
    met = [(observation, picture(env, view)) for observation, _, env in episode(policy, options, seed)]
    steps = np.unique(np.linspace(0, len(met) - 1, MOMENTS).round().astype(int))
    states = {key: np.stack([met[step][0][key] for step in steps]) for key in met[0][0]}
    maps, shuffle = attention(policy, states), options.get("shuffle")
    if shuffle is not None:
        maps["cells"] = unshuffled(maps["cells"], shuffle)
    draw(maps, [met[step][1] for step in steps], [f"step {step}" for step in steps], file)
    return f"attention: {file}, by layer and head at {len(steps)} moments of one episode of {len(met) - 1} steps"


def listen(policy: Policy, options: dict[str, Any], states: Any, file: Path) -> str:
    """Draw which node of a body listens to which, over observations that were met; returns lines that say it.

    Raises:
        ValueError: as `playing.listens.listening_of`.
    """
    from playing.drawn import draw
    from playing.listens import listening_of

    found = listening_of(policy, options, states)
    draw(found, file)
    return f"listens: {file}, {found.name} in {found.states} states; mean actions depend most on\n{found.lines()}"


def episode(policy: Policy, options: dict[str, Any], seed: int) -> Iterator[tuple[Any, float, Any]]:
    """What an evaluation of one episode with this seed meets, with sampled actions.

    Yields every observation, the return so far, and the environment in that state.
    """
    import torch

    from envs.levels import FRESH

    env = drawing({**FRESH, **options})
    state, start, total, done = None, np.ones(1, bool), 0.0, False
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        observation, _ = env.reset(seed=seed)
        yield observation, total, env
        while not done:
            action, state = policy.predict(observation, state, start, deterministic=False)
            observation, reward, terminated, truncated, _ = env.step(action)
            total, done, start = total + float(reward), terminated or truncated, np.zeros(1, bool)
            yield observation, total, env
    env.close()
