"""`encoder.parameters=N`: every encoder can be given about the same number of parameters."""

from __future__ import annotations

from contextlib import closing

import pytest
import torch
from encoder_cases import ENCODERS, NEEDS_MUJOCO, history, reads
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from agents.make import encoder_named
from configs.check import checked
from configs.compose import UsageError, compose
from encoders.base import Encoder
from encoders.size import fitted, sizes_of
from envs import make_env
from evaluation.report import parameter_counts
from learning.build import build
from learning.decide import decide

OBSERVED = {
    "partial view": ("grid", "DoorKey-6x6", {}),
    "full view": ("grid", "DoorKey-8x8", {"view": "full"}),
    "vector": ("vector", "CartPole", {}),
    "body": ("body", "Centipede-4", {}),
}


def marks(name, kind):
    if kind == "body":
        return NEEDS_MUJOCO
    return pytest.mark.slow if name == "homomorphic" and kind == "grid" else ()


CASES = [
    pytest.param(name, seen, marks=marks(name, kind))
    for name in ENCODERS
    for seen, (kind, _, _) in OBSERVED.items()
    if reads(name, kind)
]
CHOSEN = ["env=CartPole", "total_timesteps=64", "agent.n_steps=8"]


@pytest.fixture(scope="module")
def usual():
    return compose("train", CHOSEN)


def with_options(usual, command=(), env=None, **options):
    """The usual configuration with other options of its encoder, as if the command had given them."""
    chosen = {**usual, "encoder": {**usual["encoder"], **options}, "command": [*command]}
    return chosen if env is None else {**chosen, "env": {**chosen["env"], **env}}


@pytest.mark.parametrize("name, seen", CASES)
def test_an_encoder_has_the_number_of_parameters_that_is_asked_for(name, seen):
    _, env_id, options = OBSERVED[seen]
    env, encoder = make_env(env_id, **options, **history(name)), encoder_named(name)
    space, symmetry = env.observation_space, {"symmetry": env.symmetry} if encoder.equivariant else {}

    def made(sizes):
        own = {key: value for key, value in sizes.items() if "." not in key}
        trunk = {key.partition(".")[2]: value for key, value in sizes.items() if "." in key}
        return encoder(space, **own, **({"trunk_options": trunk} if trunk else {}), **symmetry)

    for wanted in (32_000, 64_000):
        sizes, count = fitted(made, sizes_of(encoder, space, {}), wanted)
        assert count == sum(parameter.numel() for parameter in made(sizes).parameters())
        assert abs(count - wanted) <= 0.1 * wanted


def test_the_sizes_are_decided_and_the_model_has_as_many_parameters_as_is_said(usual):
    before = torch.random.get_rng_state()
    config, reasons = decide(with_options(usual, env={"engine": "gymnasium"}, parameters=32_000))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert config["encoder"]["width"] == 176 and config["encoder"]["embedding"] == 32  # of which a vector has none
    assert reasons["encoder.parameters"] == "encoder.parameters=32,000: encoder.width=176 make 32,032"
    with closing(build(config)) as built:
        assert parameter_counts(built.model.policy)["encoder"] == 32_032


def test_without_a_number_nothing_is_decided(usual):
    config, reasons = decide(usual)
    assert usual["encoder"]["parameters"] is None
    assert config["encoder"] == usual["encoder"] and "encoder.parameters" not in reasons


LSTM = {"class": "encoders.lstm.LSTM", "width": 128, "trunk_options": {"width": 32}}


@pytest.mark.parametrize(
    "options, command, env, message",
    [
        ({"parameters": 3}, [], {}, r"not possible within 10%; the nearest: 7 \(encoder.width=1\)$"),
        (
            {"class": "encoders.transformer.Transformer", "width": 64, "heads": 32, "parameters": 64_000},
            [],
            {},
            r"the nearest: 25,760 \(encoder.width=32\) and 100,672 \(encoder.width=64\)$",
        ),
        ({"parameters": 64_000}, ["encoder.width=128"], {}, "decides encoder.width, which is given too"),
        (
            {**LSTM, "parameters": 64_000},
            ["++encoder.trunk_options={width:32}"],
            {"history": 4},
            "decides encoder.trunk_options.width, which is given too",
        ),
        ({"class": "encoders.cnn.CNN", "parameters": 64_000}, [], {}, "got Box.*Encoders that read it"),
    ],
)
def test_what_cannot_be_is_one_clear_error(usual, options, command, env, message):
    known = ("name", "initial", "freeze")
    kept = usual["encoder"] if "class" not in options else {key: usual["encoder"][key] for key in known}
    with pytest.raises(ValueError, match=message):
        decide(with_options({**usual, "encoder": kept}, command, env, **options))


@pytest.mark.parametrize("number", [0, 2.5, "many", True])
def test_a_number_of_parameters_is_a_whole_number(usual, number):
    with pytest.raises(UsageError, match=f"encoder.parameters is a whole number, at least 1; got {number!r}"):
        checked(with_options(usual, parameters=number), usual)
    assert checked(with_options(usual, parameters=6.4e4), usual)["encoder"]["parameters"] == 64_000


class Named(Encoder):
    """An encoder whose size is called something else."""

    reads = ("vector",)
    scaled = ("units",)

    def __init__(self, observation_space, units=8):
        super().__init__(observation_space, units)
        self.layer = torch.nn.Linear(observation_space.shape[0], units)


class Fixed(BaseFeaturesExtractor):
    """A features extractor of Stable-Baselines3's kind, without a width."""


def test_a_class_from_outside_names_the_options_that_are_scaled():
    space = make_env("CartPole").observation_space
    sizes, count = fitted(lambda sizes: Named(space, **sizes), sizes_of(Named, space, {}), 1000)
    assert (sizes, count) == ({"units": 200}, 1000)
    with pytest.raises(ValueError, match="Fixed has no option width; give the class scaled"):
        sizes_of(Fixed, space, {})
