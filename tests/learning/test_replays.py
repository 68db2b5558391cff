"""Replays: what TensorBoard shows of evaluations, and films of episodes as files."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from interrupted import of, train_killed
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.kills import differences
from envs import make_env, make_vec_env
from envs.levels import FRESH
from evaluate import evaluate
from evaluation.rollout import rollout
from learning.replays import Replays, chosen
from playing.film import TILE, replayed
from train import train

CARTPOLE = of("CartPole", encoder="homomorphic")


def shown(folder: str) -> list[tuple[int, bytes]]:
    """(step, GIF) of every replay in TensorBoard."""
    events = EventAccumulator(folder, {"images": 0}, purge_orphaned_data=False).Reload()
    found = events.Images("evaluation/replay") if "evaluation/replay" in events.Tags()["images"] else []
    return sorted((image.step, image.encoded_image_string) for image in found)


def test_the_last_evaluation_is_shown_and_the_first_and_those_between():
    assert chosen(0, 1000, 50) == set() and chosen(1, 1000, 50) == {20}
    assert chosen(2, 1000, 50) == {1, 20} and chosen(3, 1000, 50) == {1, 10, 20}
    assert chosen(3, 30, 50) == {1} and chosen(9, 100, 50) == {1, 2}


@pytest.mark.slow
def test_replays_change_no_byte_and_an_interrupted_run_shows_each_once(monkeypatch):
    """A film more or less, and a death after one: the same files, and the same replays."""
    often = {**CARTPOLE, "evaluation": {"every": 100, "episodes": 2, "final_episodes": 3, "videos": 3}}
    train(often, run_dir="none", **{"evaluation.videos": 0})
    train(often, run_dir="whole")
    train_killed(monkeypatch, [110, 310], often, "killed")  # between an evaluation and the snapshot after it
    assert differences("none", "whole") == differences("whole", "killed") == []
    assert shown("none") == []
    assert [step for step, _ in shown("whole")] == [100, 200, 300]
    assert shown("killed") == shown("whole")
    with Image.open(io.BytesIO(shown("whole")[0][1])) as replay:
        assert replay.format == "GIF" and replay.is_animated and replay.size == (200, 134)


UNSEEN = {"bank": 20, "levels": 20, "part": "test"}


@pytest.mark.parametrize(
    ("env", "engine", "levels"),
    [
        ("DoorKey-5x5", "batched", FRESH),
        ("DoorKey-5x5", "batched", UNSEEN),
        ("CartPole", "batched", FRESH),
        ("CartPole", "gymnasium", FRESH),
    ],
)
def test_a_replay_is_the_first_episode_of_its_evaluation(env, engine, levels):
    """The last picture is what the environment draws after the actions of the policy, and after no others."""

    class Policy:
        def predict(self, observation: Any, *_: Any) -> tuple[np.ndarray, None]:
            return chance.integers(
                0, 2, len(next(iter(observation.values())) if env != "CartPole" else observation)
            ), None

    chance, seed, kwargs = np.random.default_rng(0), 7, {"max_episode_steps": 30} if env == "CartPole" else {}
    options = {"id": env, "kwargs": kwargs, **levels}
    episodes = rollout(Policy(), make_vec_env(**options, engine=engine, n_envs=4), 8, seed=seed)
    assert len(episodes.actions) == episodes.lengths[0]
    pictures, rate = replayed(options, seed, episodes.actions, 1000)
    assert len(pictures) == episodes.lengths[0] + 1
    few, slower = replayed(options, seed, episodes.actions, 5)
    assert len(few) == 5 and slower < rate
    assert np.array_equal(few[0], pictures[0]) and np.array_equal(few[-1], pictures[-1])
    real = make_env(env, kwargs=kwargs, render_mode="rgb_array")
    if env == "DoorKey-5x5":
        real.unwrapped.tile_size = TILE
    real.reset(seed=seed if episodes.levels is None else int(episodes.levels[0]))
    for action in episodes.actions:
        last = real.step(action)
    assert last[2] or last[3]
    assert np.array_equal(real.render(), pictures[-1])
    real.reset(seed=seed + 1)
    assert not np.array_equal(real.render(), pictures[0])


class Careless(gymnasium.Env):
    """It takes all its random numbers from the global generators."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    observation_space, action_space = spaces.Box(-1, 1, (1,), np.float32), spaces.Discrete(2)

    def __init__(self, render_mode: str | None = None, broken: bool = False):
        self.render_mode, self.broken = render_mode, broken

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        random.random(), np.random.rand(), torch.rand(1)
        return np.zeros(1, np.float32), 1.0, False, False, {}

    def render(self):
        if self.broken:
            raise RuntimeError("no screen")
        return np.full((301, 11, 3), 128, np.uint8)


@pytest.fixture
def careless():
    gymnasium.register("Careless-v0", Careless, max_episode_steps=5)
    yield {"id": "Careless-v0", "kwargs": {}}
    gymnasium.registry.pop("Careless-v0")


def test_a_replay_leaves_all_random_numbers_as_they_were(careless):
    episodes = rollout(Idle(), make_vec_env(**careless, n_envs=1), 1, seed=0)
    before, replays = chance(), []
    Replays(careless, {1}, replays.append)(1, 0, episodes)
    assert len(replays) == 1 and replays[0].value[0].image.height == 151
    assert chance() == before
    replayed(careless, 0, episodes.actions, 5)  # this does draw some
    assert not any(here == there for here, there in zip(chance(), before, strict=True))


def chance() -> tuple[Any, Any, Any]:
    """The states of Python's, NumPy's and PyTorch's global random numbers."""
    return random.getstate(), np.random.get_state()[2], torch.get_rng_state().tolist()


class Idle:
    def predict(self, observation: Any, *_: Any) -> tuple[np.ndarray, None]:
        return np.zeros(len(observation), int), None


def test_what_cannot_be_drawn_is_said_once_and_the_run_goes_on(careless, capsys):
    episodes = rollout(Idle(), make_vec_env(**careless, n_envs=1), 1, seed=0)
    for broken, said in ((True, "note: no replays in TensorBoard: RuntimeError: no screen\n"), (False, "")):
        shown = []
        show = Replays({**careless, "kwargs": {"broken": broken}}, {1, 2}, shown.append)
        show(1, 0, episodes)
        show(2, 0, episodes)
        assert capsys.readouterr().err == said and len(shown) == (0 if broken else 2)


def test_what_says_that_it_does_not_draw_is_not_made_to(careless, monkeypatch, capsys):
    episodes = rollout(Idle(), make_vec_env(**careless, n_envs=1), 1, seed=0)
    monkeypatch.setattr(Careless, "metadata", {"render_modes": []})
    monkeypatch.setattr(Careless, "__init__", lambda self, **_: 1 / 0)
    Replays(careless, {1}, lambda replay: 1 / 0)(1, 0, episodes)
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_an_mp4_has_a_picture_for_every_step_and_a_gif_needs_no_extra(monkeypatch, capsys):
    av = pytest.importorskip("av")
    options = {
        "policy": "pretrained/CartPole-homomorphic",
        "episodes": 1,
        "output": "scores.json",
        "env.kwargs.max_episode_steps": 20,
    }
    evaluate(options, video="replay.mp4")
    assert "replay.mp4, one episode of 20 steps" in capsys.readouterr().out
    with av.open("replay.mp4") as film:
        pictures = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert float(film.streams.video[0].average_rate) == 50
    env = make_env("CartPole", render_mode="rgb_array")
    env.reset(seed=0)
    assert len(pictures) == 21 and pictures[0].shape == env.render().shape
    assert np.abs(pictures[0].astype(int) - env.render()).mean() < 2
    monkeypatch.setattr("playing.film.find_spec", lambda name: None)
    Path("replay.mp4").unlink()
    with pytest.raises(
        ValueError, match=r'video=replay\.mp4 needs the package PyAV: pip install -e "\.\[video\]"; a \.gif'
    ):
        evaluate(options, video="replay.mp4")
    assert not Path("replay.mp4").exists()
    evaluate(options, video="replay.gif")
    assert Path("replay.gif").exists()
