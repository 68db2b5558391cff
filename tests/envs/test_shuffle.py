"""Shuffled cells: the same observations up to one permutation, and which encoders can tell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders.cnn import CNN
from encoders.transformer import Transformer
from envs import check_symmetry, make_env, make_vec_env, make_vector_env, symmetry_of
from envs.shuffle import permutation, unshuffled
from evaluate import evaluate
from train import train

ENV = "DoorKey-5x5"
TINY = {"total_timesteps": 512, "evaluation": {"every": 512, "episodes": 2, "final_episodes": 2}, "progress": False}


def shuffled(image: np.ndarray, seed: int) -> np.ndarray:
    """Written out: cell after cell, of images with any leading axes; those of a window's padding are alike."""
    x, y = image.shape[-3:-1]
    moved = np.empty_like(image)
    for place, cell in enumerate(permutation(x * y, seed)):
        moved[..., place // y, place % y, :] = image[..., cell // y, cell % y, :]
    return moved


def play(env, steps: int = 150):
    """Observations, and last observations of episodes, of every step of random play."""
    generator = np.random.default_rng(0)
    yield env.reset(), []
    for _ in range(steps):
        observation, _, _, infos = env.step(generator.integers(0, 7, env.num_envs))
        yield observation, [info["terminal_observation"] for info in infos if "terminal_observation" in info]


@pytest.mark.parametrize("engine", ["gymnasium", "batched"])
@pytest.mark.parametrize("options", [{}, {"view": "full"}, {"history": 3}], ids=["partial", "full", "history"])
def test_shuffled_cells_are_the_cells_up_to_the_permutation(engine, options):
    options = {"n_envs": 3, "seed": 1, "engine": engine, "kwargs": {"max_steps": 40}, **options}
    plain, moved = make_vec_env(ENV, **options), make_vec_env(ENV, shuffle=5, **options)
    assert plain.observation_space == moved.observation_space
    episodes = 0
    for (here, here_last), (there, there_last) in zip(play(plain), play(moved), strict=True):
        for mine, theirs in [(here, there), *zip(here_last, there_last, strict=True)]:
            assert np.array_equal(shuffled(mine["image"], 5), theirs["image"])
            assert not np.array_equal(mine["image"], theirs["image"])
            assert all(np.array_equal(mine[key], theirs[key]) for key in mine if key != "image")
        episodes += len(here_last)
    assert episodes >= 9


def test_both_engines_and_gymnasium_s_vector_environment_shuffle_alike():
    options = {"n_envs": 3, "shuffle": 2, "view": "full"}
    for (real, real_last), (fast, fast_last) in zip(
        *(play(make_vec_env(ENV, seed=0, engine=engine, **options)) for engine in ("gymnasium", "batched")), strict=True
    ):
        for mine, theirs in [(real, fast), *zip(real_last, fast_last, strict=True)]:
            assert all(np.array_equal(mine[key], theirs[key]) for key in mine)
    first, _ = make_vector_env(ENV, engine="batched", **options).reset(seed=0)
    assert np.array_equal(first["image"], make_vec_env(ENV, seed=0, **options).reset()["image"])


def test_the_permutation_is_the_seed_s_whatever_the_level_and_the_release_of_numpy():
    assert permutation(9, 0).tolist() == [4, 5, 2, 6, 3, 8, 7, 0, 1]  # policies are played with it years later
    env = make_env(ENV, shuffle=0)
    for level in range(3):
        image = make_env(ENV).reset(seed=level)[0]["image"]
        assert np.array_equal(env.reset(seed=level)[0]["image"], shuffled(image, 0))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 2**32))
def test_unshuffling_puts_cells_back(x, y, seed):
    image = np.random.default_rng(0).integers(0, 11, (2, x, y, 3))
    moved = shuffled(image, seed)
    assert all(np.array_equal(unshuffled(moved[..., code], seed), image[..., code]) for code in range(3))


def test_a_transformer_without_positions_cannot_tell_and_others_can():
    env = make_vec_env(ENV, n_envs=32, seed=0)
    observation = env.reset()
    for _ in range(10):
        observation = env.step(np.random.default_rng(0).integers(0, 7, 32))[0]
    plain = {key: torch.from_numpy(part).double() for key, part in observation.items()}
    moved = plain | {"image": torch.from_numpy(shuffled(observation["image"], 3)).double()}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        none = Transformer(env.observation_space, positions="none").double()
        rest = [Transformer(env.observation_space).double(), CNN(env.observation_space).double()]
    assert (none(plain) - none(moved)).abs().max() < 1e-12
    assert all((encoder(plain) - encoder(moved)).abs().max() > 1e-2 for encoder in rest)


def test_shuffled_cells_declare_no_symmetry():
    assert make_env(ENV).symmetry is not None and symmetry_of(ENV) is not None
    assert make_env(ENV, shuffle=0).symmetry is None and symmetry_of(ENV, shuffle=0) is None
    assert make_vec_env(ENV, n_envs=1, engine="batched", shuffle=0).symmetry is None  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="does not obey this symmetry: image"):
        check_symmetry(make_env(ENV, shuffle=0), symmetry_of(ENV), steps=20)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"view": "rgb", "shuffle": 0}, "env.shuffle=0 moves cells, and env.view=rgb shows pixels"),
        ({"view": "flat", "shuffle": 0}, "env.view=flat shows a vector; use env.view=partial or env.view=full"),
        ({"shuffle": -1}, "env.shuffle is null, or the seed.*got -1"),
        ({"shuffle": True}, "env.shuffle is null, or the seed.*got True"),
        ({"shuffle": "yes"}, "env.shuffle is null, or the seed.*got 'yes'"),
    ],
)
def test_what_cannot_be_shuffled_says_why(options, message):
    for make in (make_env, make_vec_env):
        with pytest.raises(ValueError, match=message):
            make(ENV, **options)
    with pytest.raises(ValueError, match=message):
        train(TINY, env={"name": ENV, **options})


def test_only_minigrid_has_cells_and_a_symmetry_needs_them_in_their_places():
    with pytest.raises(
        ValueError, match=r"env.shuffle is an option of MiniGrid environments, which CartPole-v1 is not"
    ):
        make_env("CartPole", shuffle=0)
    for choice in ({"encoder": "homomorphic"}, {"encoder": "cnn", "symmetry": "augment"}):
        with pytest.raises(ValueError, match=r"shuffled cells have no symmetry, which .*; use env.shuffle=null"):
            train(TINY, env={"name": ENV, "shuffle": 0}, **choice)


@pytest.mark.slow
def test_a_run_says_that_it_was_shuffled_and_is_evaluated_so(monkeypatch):
    options = {"env": {"name": ENV, "shuffle": 4}, "encoder": "transformer", "agent": {"n_steps": 32}}
    folder = train(TINY, **options).folder
    assert "env.shuffle=4" in str(folder)
    assert yaml.safe_load((folder / "config.yaml").read_text())["env"]["shuffle"] == 4
    assert yaml.safe_load((folder / "policy" / "policy.yaml").read_text())["environment"]["shuffle"] == 4
    made = []
    monkeypatch.setattr("envs.make_vec_env", lambda *a, **k: made.append(k["shuffle"]) or make_vec_env(*a, **k))
    evaluate({"policy": str(folder), "episodes": 2, "attention": "maps.png"})
    assert made == [4]
