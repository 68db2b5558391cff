"""What a run takes of the weights that it starts from, and what it says of the rest."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from interrupted import of, train_killed
from policy_outputs import outputs

from agents import AGENTS, Policy, load_policy, make_agent, save_policy, start_from
from agents.saved.policy import parameters
from benchmarks.kills import differences
from configs.check import checked
from configs.compose import compose, compose_defaults
from envs import make_vec_env
from evaluation.runs import differences as options_that_differ
from evaluation.runs import run_folder
from learning.build import build
from learning.decide import decide
from learning.initial import start
from learning.snapshot import Snapshots
from storage.manifest import checksum
from train import can_be_trained, train

SMALL = {"width": 16}  # as the encoders of short runs are
REPLAY = of("CartPole", "dqn", agent__train_freq=4)


def untrained(env_id: str, encoder: str, agent: str = "ppo", seed: int = 0, **options: Any) -> Any:
    env = make_vec_env(env_id, n_envs=2, seed=0)
    return make_agent(env, encoder, agent, seed=seed, device="cpu", **options)


def saved(env_id: str, encoder: str, agent: str = "ppo", **options: Any) -> Policy:
    """The policy of an untrained model of another seed, written and read."""
    return load_policy(save_policy(untrained(env_id, encoder, agent, seed=1, **options), "source"), device="cpu")


def spoil(source: Path) -> None:
    """Make a policy file another one."""
    file = source / "policy.safetensors"
    file.write_bytes(file.read_bytes() + b" ")


def state(policy: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in parameters(policy).items()}


def built(*overrides: str) -> tuple[Any, dict[str, Any]]:
    config = checked(compose("train", overrides), compose_defaults(overrides))
    decided = decide({**config, "command": list(overrides)})[0]
    return build(decided), decided


@pytest.mark.parametrize("agent", AGENTS)
def test_a_policy_starts_with_the_outputs_of_its_source(agent):
    env_id = "Pendulum" if agent in ("sac", "td3") else "CartPole"
    model, source = untrained(env_id, "mlp", agent), saved(env_id, "mlp", agent)
    observations = np.stack([model.observation_space.sample() for _ in range(8)])
    before, wanted = (outputs(each, observations) for each in (Policy.of(model), source))
    taken = start_from(model, source)
    after = outputs(Policy.of(model), observations)
    assert all(np.array_equal(after[key], wanted[key]) for key in wanted)
    assert any(not np.array_equal(before[key], wanted[key]) for key in wanted)
    assert taken.names and not taken.new and not taken.left
    count = len(parameters(model.policy))
    assert str(taken) == f"{count} of {count} parameters"


def test_what_does_not_fit_begins_anew_and_is_listed_with_the_reason():
    model, source = untrained("Acrobot", "mlp"), saved("CartPole", "mlp", encoder_options={"layers": 3})
    before = state(model.policy)
    taken = start_from(model, source)
    after, theirs = state(model.policy), state(source.module)
    kept = {"features_extractor.trunk.0.bias", "features_extractor.trunk.2.weight", "features_extractor.trunk.2.bias"}
    assert {*taken.names} == kept | {"value_net.weight", "value_net.bias"}
    assert all(torch.equal(after[name], theirs[name]) for name in taken.names)
    assert all(torch.equal(after[name], before[name]) for name in taken.new)
    assert str(taken).splitlines() == [
        "5 of 8 parameters",
        "new: features_extractor.trunk.0.weight (shape (128, 6) here, (128, 4) there)",
        "new: action_net.weight (shape (3, 128) here, (2, 128) there)",
        "new: action_net.bias (shape (3,) here, (2,) there)",
        "not taken: features_extractor.trunk.4.weight, features_extractor.trunk.4.bias (not in this agent)",
    ]


@pytest.mark.parametrize(
    ("agent", "target"), [("ppo", "dqn"), ("dqn", "qrdqn"), ("qrdqn", "recurrent_ppo"), ("recurrent_ppo", "a2c")]
)
def test_the_encoder_of_another_agent_is_taken_and_the_heads_are_new(agent, target):
    model, source = untrained("CartPole", "mlp", target), saved("CartPole", "mlp", agent)
    before = state(model.policy)
    taken = start_from(model, source)
    after = state(model.policy)
    (acting, *_) = (tensor for name, tensor in state(source.module).items() if name.endswith("trunk.0.weight"))
    encoded = {name for name in after if "features_extractor" in name}
    assert all(torch.equal(after[name], acting) for name in encoded if name.endswith("trunk.0.weight"))
    assert {*taken.names} == encoded and {*taken.new} == {*after} - encoded
    assert all(torch.equal(after[name], before[name]) for name in taken.new)
    assert {*taken.new.values()} == {f"the heads of {agent} are other ones"}


def test_agents_with_the_same_network_take_the_heads_too():
    model, source = untrained("CartPole", "mlp", "a2c"), saved("CartPole", "mlp", "ppo")
    assert not start_from(model, source).new
    assert all(torch.equal(tensor, state(source.module)[name]) for name, tensor in state(model.policy).items())


def test_every_encoder_takes_the_one_in_its_own_place():
    model, source = untrained("Pendulum", "mlp", "td3"), saved("Pendulum", "mlp", "sac")
    start_from(model, source)
    here, there = state(model.policy), state(source.module)
    places = {"actor": "actor", "critic": "critic", "critic_target": "critic_target", "actor_target": "actor"}
    for place, other in places.items():
        name = "features_extractor.trunk.0.weight"
        assert torch.equal(here[f"{place}.{name}"], there[f"{other}.{name}"])
    assert not torch.equal(here[f"actor.{name}"], here[f"critic.{name}"])


def test_the_encoder_alone_is_taken_where_it_is_asked_for():
    model, source = untrained("CartPole", "mlp"), saved("CartPole", "mlp")
    taken = start_from(model, source, encoder_only=True)
    assert {name.partition(".")[0] for name in taken.names} == {"features_extractor"}
    assert {*taken.new.values(), *taken.left.values()} == {"only the encoder is taken"}


def test_an_encoder_goes_into_one_that_lifts_it_and_back():
    lifted = {"method": "average"}
    for here, there in ((lifted, {}), ({}, lifted)):
        model, source = untrained("CartPole", "mlp", **here), saved("CartPole", "mlp", **there)
        taken = start_from(model, source)
        name = "trunk.0.weight"
        mine, theirs = ({k: v for k, v in state(each).items() if name in k} for each in (model.policy, source.module))
        assert torch.equal(*mine.values(), *theirs.values())
        assert {*taken.new.values()} == {"the heads obey another symmetry"}


@pytest.mark.parametrize(
    ("env_id", "theirs", "mine", "message"),
    [
        # their stems are equal
        (
            "DoorKey-5x5",
            ("gnn", {"channels": 32}),
            ("cnn", {}),
            "a checkpoint of another encoder: gnn there, cnn here$",
        ),
        (
            "CartPole",
            ("mlp", {"width": 16}),
            ("mlp", {"width": 32}),
            r": mlp \(width=16\) there, mlp \(width=32\) here, and no parameter of it fits$",
        ),
    ],
)
def test_another_encoder_is_refused_by_the_names_of_both(env_id, theirs, mine, message):
    source = saved(env_id, theirs[0], encoder_options=theirs[1])
    model = untrained(env_id, mine[0], encoder_options=mine[1])
    before = state(model.policy)
    with pytest.raises(ValueError, match=message):
        start_from(model, source)
    assert all(torch.equal(tensor, before[name]) for name, tensor in state(model.policy).items())


def test_a_source_that_does_not_fit_is_one_line_and_nothing_is_written():
    message = r"initial=pretrained/DoorKey-6x6-gnn is a checkpoint of another encoder: gnn there, cnn here$"
    overrides = ["env=DoorKey-5x5", "encoder=cnn", "initial=pretrained/DoorKey-6x6-gnn"]
    for command in (train, can_be_trained):  # the latter before a sweep
        with pytest.raises(ValueError, match=message):
            command(overrides)
    with pytest.raises(FileNotFoundError, match="there is no policy in nowhere"):
        train(["env=CartPole", "encoder.initial=nowhere"])
    assert not [*Path().iterdir()]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["initial=a", "encoder.initial=b"], "initial= and encoder.initial= name two sources; give one"),
        (["encoder.freeze=maybe"], "encoder.freeze is true or false; got 'maybe'"),
        (["pretrained=a"], "no option is called 'pretrained'; did you mean initial"),
        (["agent.policy_kwargs.freeze=true"], "agent.policy_kwargs.freeze is decided by the encoder"),
    ],
)
def test_options_that_cannot_be_are_refused(overrides, message):
    with pytest.raises(ValueError, match=message):
        train(overrides)


def test_a_run_says_what_it_takes_and_keeps_the_checksum_of_its_source(capsys):
    source = save_policy(untrained("CartPole", "mlp", encoder_options=SMALL), "source")
    file = source / "policy.safetensors"
    config = {**REPLAY, "total_timesteps": 128, "encoder.initial": str(source), "encoder.freeze": True}
    folder = train(config).folder
    assert "encoder.freeze=True,encoder.initial=source" in folder.parent.name
    shown = capsys.readouterr().out
    assert "starts from source: 8 of 12 parameters\n    new: q_net.q_net.0.weight," in shown
    assert "0 encoder (frozen), " in shown
    assert yaml.safe_load((folder / "config.yaml").read_text())["initial_sha256"] == checksum(file)
    here, there = (parameters(load_policy(each).module) for each in (folder, source))
    taken = [name for name in there if name.startswith("features_extractor")]
    assert len(taken) == 4 and all(torch.equal(here[f"q_net.{name}"], there[name]) for name in taken)
    spoil(source)
    train(config)
    assert "note: source, from which this run started, has changed since; overwrite=true" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    "config", [of("CartPole", initial="source"), {**REPLAY, "encoder.initial": "source", "encoder.freeze": True}]
)
def test_a_killed_run_ends_alike_whatever_becomes_of_its_source(config, monkeypatch, capsys):
    source = save_policy(untrained("CartPole", "mlp", encoder_options=SMALL), "source")
    train(config, run_dir="whole")
    take = Snapshots.take

    def take_and_change(self: Any) -> None:
        take(self)
        if self.model.num_timesteps < 200:
            spoil(source)
        else:
            shutil.rmtree(source, ignore_errors=True)

    monkeypatch.setattr(Snapshots, "take", take_and_change)
    train_killed(monkeypatch, [150, 340], config, "killed")
    assert differences("whole", "killed") == []
    assert capsys.readouterr().out.count("source, from which this run started, has changed since") == 1


def test_another_source_is_another_configuration_and_another_folder():
    first, second = (compose("train", ["env=CartPole", f"initial=source-{name}"]) for name in "ab")
    assert options_that_differ(second, first) == ["initial was source-a, now source-b"]
    defaults = compose_defaults(["env=CartPole"])
    assert run_folder(first, defaults) != run_folder(second, defaults)


def test_runs_of_earlier_versions_which_do_not_name_these_options_are_the_same_configuration():
    config = compose("train", ["env=CartPole"])
    earlier = {key: value for key, value in config.items() if key != "initial"}
    earlier["encoder"] = {key: value for key, value in config["encoder"].items() if key not in ("initial", "freeze")}
    assert options_that_differ(config, earlier) == []
    assert options_that_differ(compose("train", ["env=CartPole", "encoder.freeze=true"]), earlier)
    assert run_folder(config, compose_defaults(["env=CartPole"])).parent.name == "default"


@pytest.mark.parametrize("frozen", [False, True])
def test_the_statistics_of_observations_are_taken_and_stay_where_the_encoder_is_frozen(frozen):
    pendulum = ["env=Pendulum", "env.normalize=true", "n_envs=2", f"encoder.freeze={str(frozen).lower()}"]
    model = built(*pendulum)[0].model
    model.env.training = True
    model.env.reset()
    for _ in range(50):
        model.env.step(np.ones((2, 1), np.float32))
    source = load_policy(save_policy(model, "source"), device="cpu")
    made, decided = built(*pendulum, "initial=source")
    _, said = start(made, decided)
    assert said.endswith("statistics of observations: taken")
    observations = np.stack([made.evaluation_env.observation_space.sample() for _ in range(8)])
    here, there = outputs(Policy.of(made.model), observations), outputs(source, observations)
    assert all(np.array_equal(here[key], there[key]) for key in there)
    made.env.reset()
    assert np.array_equal(made.env.obs_rms.mean, source.spec["normalization"]["mean"]) == frozen


def test_observations_normalized_in_one_place_only_are_told_of():
    save_policy(built("env=Pendulum", "env.normalize=true")[0].model, "normalized")
    said = start(*built("env=Pendulum", "env.normalize=false", "initial=normalized"))[1]
    assert said.endswith("its observations were normalized, and these are not: add env.normalize=true")


def test_the_options_with_which_more_would_fit_are_named(capsys):
    other = of("DoorKey-5x5", encoder="gnn", encoder__width=48, encoder__channels=32, encoder__layers=1)
    train({**other, "total_timesteps": 64, "initial": "pretrained/DoorKey-6x6-gnn"})
    said = "more of its encoder fits with its options: add encoder.width=64 encoder.layers=2 env.view=full"
    assert said in capsys.readouterr().out
