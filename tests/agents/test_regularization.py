"""Laws of dropout, normalization and weight decay, above all: before an update's first step PPO's ratio is 1."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3 import PPO
from test_ppo import distance, environments, go_on
from torch import nn

from agents import load_policy, make_agent, save_policy
from agents.ppo.algorithm import FastPPO
from agents.ppo.learning import Learning
from agents.recurrent.algorithm import FastRecurrentPPO
from encoders.cnn import CNN
from encoders.gnn import GNN
from encoders.layers.dropout import Dropout, acting, dropouts, observation_key
from encoders.layers.normalization import EPSILON, BatchNorm, normalization
from encoders.mlp import MLP

pytestmark = pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")

SMALL = {"n_steps": 16, "batch_size": 24, "n_epochs": 2, "learning_rate": 1e-2}
SLIM = {
    "mlp": {"width": 16},
    "cnn": {"width": 16, "channels": 8},
    "gnn": {"width": 16, "channels": 8},
    "lstm": {"width": 16},
}
DROPPING, NORMALIZING = {"dropout": 0.5}, {"normalization": "batch"}


def untrained(agent="ppo", env="DoorKey-5x5", encoder="cnn", encoder_options=None, **options):
    given = {**SLIM.get(encoder, {}), **(encoder_options or {})} if isinstance(encoder, str) else encoder_options
    options = {**(SMALL if "ppo" in agent else {}), **options}
    return make_agent(environments(env, 5), encoder, agent, seed=0, device="cpu", encoder_options=given, **options)


def measured_ratios(model) -> torch.Tensor:
    """π/π_old of every sample of the rollout just collected, as an update computes them: in training mode, shuffled."""
    policy, found = model.policy, []
    policy.set_training_mode(True)
    with torch.no_grad():
        if isinstance(model, Learning):
            rollout, update = model.rollout_buffer, model.ready()
            rollout.freeze()
            order = np.arange(rollout.n_steps * rollout.n_envs)
            if not isinstance(model, FastRecurrentPPO):
                np.random.default_rng(0).shuffle(order)
            for batch in rollout.minibatches(order, getattr(model, "batch_size", len(order))):
                output, _ = update.evaluated(batch)
                log_std = getattr(policy, "log_std", None)
                log_probs, _ = update.loss.distribution.measure(output, log_std, batch.actions)
                found.append(log_probs - batch.log_probs)
        else:
            for batch in model.rollout_buffer.get(getattr(model, "batch_size", None)):
                actions = batch.actions.long().flatten()
                more = (batch.lstm_states, batch.episode_starts) if hasattr(batch, "lstm_states") else ()
                kept = batch.mask > 0.5 if more else slice(None)
                log_probs = policy.evaluate_actions(batch.observations, actions, *more)[1]
                found.append((log_probs - batch.old_log_prob)[kept])
    return torch.cat(found).exp()


def furthest_ratio(model, updates=3) -> float:
    """The largest |π/π_old - 1| before the first step of any of some updates."""
    worst, train = [], model.train

    def watched():
        ratios = measured_ratios(model)
        assert len(ratios) == model.n_steps * model.n_envs
        worst.append(float((ratios - 1).abs().max()))
        train()

    model.train = watched
    model.learn(updates * model.n_steps * model.n_envs)
    assert len(worst) == updates
    return max(worst)


class Ordinary(CNN):
    """Its layers replaced by torch's of the same name."""

    def __init__(self, observation_space, **options):
        super().__init__(observation_space, **options)
        for index, layer in enumerate(self.trunk):
            if isinstance(layer, BatchNorm):
                self.trunk[index] = nn.BatchNorm2d(len(layer.weight))
            if isinstance(layer, Dropout):
                self.trunk[index] = nn.Dropout(layer.p)


LAWFUL = {
    "dropout": {"encoder_options": DROPPING},
    "dropout of channels": {"encoder_options": {**DROPPING, "drops": "channels"}},
    "dropout, each distinct observation once": {"encoder_options": DROPPING, "distinct": True},
    "dropout, vectors": {"env": "CartPole", "encoder": "mlp", "encoder_options": DROPPING},
    "dropout, continuous actions": {"env": "Pendulum", "encoder": "mlp", "encoder_options": DROPPING},
    "dropout in an encoder each for actor and critic": {
        "encoder_options": DROPPING,
        "policy_kwargs": {"share_features_extractor": False},
    },
    "dropout in windows": {
        "env": ("DoorKey-5x5", {"history": 3}),
        "encoder": "lstm",
        "encoder_options": {"trunk_options": {"dropout": 0.5}},
    },
    "dropout, lifted": {"encoder_options": DROPPING, "method": "average"},
    "batch normalization": {"encoder_options": NORMALIZING},
    "batch normalization, vectors": {"env": "CartPole", "encoder": "mlp", "encoder_options": NORMALIZING},
    "batch normalization in windows": {
        "env": ("DoorKey-5x5", {"history": 3}),
        "encoder": "lstm",
        "encoder_options": {"trunk_options": NORMALIZING},
    },
    "both": {"encoder_options": DROPPING | NORMALIZING},
    "both, SB3's own class": {"encoder_options": DROPPING | NORMALIZING, "implementation": "sb3"},
    "both, recurrent": {"agent": "recurrent_ppo", "encoder_options": DROPPING | NORMALIZING},
    "both, sb3-contrib's own class": {
        "agent": "recurrent_ppo",
        "encoder_options": DROPPING | NORMALIZING,
        "implementation": "sb3",
    },
    "both, a2c": {"agent": "a2c", "encoder_options": DROPPING | NORMALIZING, "n_steps": 16},
}


LONGEST = {"both, recurrent", "dropout in windows", "both, sb3-contrib's own class"}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow if case in LONGEST else ()) for case in LAWFUL]
)
def test_before_an_update_s_first_step_the_ratio_is_one_for_every_sample(case):
    assert furthest_ratio(untrained(**LAWFUL[case])) < 1e-6


@pytest.mark.parametrize("implementation", ["eager", "sb3"])
@pytest.mark.parametrize("options", [DROPPING, NORMALIZING], ids=["nn.Dropout", "nn.BatchNorm2d"])
def test_with_torch_s_own_layers_it_is_not(options, implementation):
    options = {"encoder_options": {"width": 16, "channels": 8, **options}, "implementation": implementation}
    assert furthest_ratio(untrained(encoder=Ordinary, **options)) > 1e-4


def test_dropout_that_rests_while_collecting_or_renews_its_masks_too_soon_breaks_the_law(monkeypatch):
    resting = untrained(encoder_options=DROPPING)
    monkeypatch.setattr("agents.ppo.update.dropouts", lambda policy: ())
    assert furthest_ratio(resting) > 1e-2
    monkeypatch.undo()
    renewed = untrained(encoder_options=DROPPING)
    renewed.learn(80)
    collected = renewed.collect_rollouts
    renewed.collect_rollouts = lambda *args, **kw: (
        collected(*args, **kw),
        *[d.nonce.add_(1) for d in dropouts(renewed.policy)],
    )
    assert furthest_ratio(renewed) > 1e-2


def test_masks_are_renewed_once_per_rollout_and_statistics_swapped_in():
    model = untrained(encoder_options=DROPPING | NORMALIZING)
    drop, norm = (next(m for m in model.policy.modules() if isinstance(m, kind)) for kind in (Dropout, BatchNorm))
    seen, train = [], model.train

    def watched():
        train()
        seen.append((int(drop.nonce), norm.running_mean.clone(), norm.met_mean.clone()))

    model.train = watched
    model.learn(240)
    assert len({nonce for nonce, *_ in seen}) == 3
    assert not seen[0][1].any()  # the first rollout: not normalized
    for (_, _, met), (_, stored, _) in zip(seen, seen[1:], strict=False):
        assert torch.equal(met, stored)


def test_runs_repeat_and_the_seed_decides_the_masks():
    one, same = (untrained(encoder_options=DROPPING).learn(160) for _ in range(2))
    assert distance(one, same) == 0
    other = untrained(encoder_options=DROPPING)
    for part in dropouts(other.policy):
        part.nonce += 1
    assert distance(one, other.learn(160)) > 1e-3


@pytest.mark.parametrize("distinct", [False, True])
def test_what_is_encoded_once_learns_what_each_sample_would(distinct):
    """The masks are the same, so `distinct` is equal to rounding, and eager equals SB3's own class."""
    options = {"encoder_options": DROPPING, "learning_rate": 1e-3}
    expected = untrained(**options, implementation="sb3").learn(80)
    assert distance(expected, untrained(**options, distinct=distinct).learn(80)) < 1e-5
    assert distance(expected, untrained(encoder_options={"dropout": 0.49}, learning_rate=1e-3).learn(80)) > 1e-3


@pytest.mark.parametrize("agent", ["ppo", "a2c", "recurrent_ppo", "dqn", "qrdqn"])
def test_an_evaluation_drops_nothing_and_repeats(agent):
    options = {"learning_starts": 10} if "dqn" in agent else {}
    model = untrained(agent, encoder_options=DROPPING, **options).learn(100)
    observation = environments("DoorKey-5x5", 5, seed=3).reset()
    one, two = (model.predict(observation, deterministic=True)[0] for _ in range(2))
    assert np.array_equal(one, two)
    rested = copy.deepcopy(model.policy)
    for part in dropouts(rested):
        part.p, part.nonce = 0.0, part.nonce + 1
    assert np.array_equal(rested.predict(observation, deterministic=True)[0], one)
    parts = dropouts(model.policy)
    assert parts and not any(part.acting for part in parts)


@pytest.mark.parametrize("agent", ["ppo", "dqn"])
@pytest.mark.parametrize("options", [DROPPING, NORMALIZING], ids=["dropout", "batch"])
def test_a_policy_folder_keeps_statistics(agent, options, tmp_path):
    """Also right after an update, when they are yet to be swapped in."""
    model = untrained(agent, encoder_options=options, **({"learning_starts": 10} if agent == "dqn" else {}))
    model.learn(160)
    loaded = load_policy(save_policy(model, tmp_path / "policy"), device="cpu")
    observation = environments("DoorKey-5x5", 5, seed=3).reset()
    here, there = answers(model.policy, observation), answers(loaded.module, observation)
    assert torch.equal(here, there)
    for part in (loaded.module.q_net if agent == "dqn" else loaded.module).modules():
        if isinstance(part, BatchNorm):
            assert part.running_mean.abs().sum() > 0
            part.running_mean.zero_()
    if "normalization" in options:
        assert not torch.equal(here, answers(loaded.module, observation))


def answers(policy, observation) -> torch.Tensor:
    policy.set_training_mode(False)
    with torch.no_grad():
        tensors = policy.obs_to_tensor(observation)[0]
        return (
            policy.q_net(tensors) if hasattr(policy, "q_net") else policy.get_distribution(tensors).distribution.probs
        )


def test_a_saved_model_goes_on_with_the_same_masks_and_statistics(tmp_path):
    model = untrained(encoder_options=DROPPING | NORMALIZING).learn(160)
    model.save(tmp_path / "model")
    loaded = FastPPO.load(tmp_path / "model", env=environments("DoorKey-5x5", 5), device="cpu")
    model.set_env(environments("DoorKey-5x5", 5))
    for each in (model, loaded):
        each.set_random_seed(0)
        each.learn(160)
    assert distance(model, loaded) < 1e-6


# --- the layers ----------------------------------------------------------------------------------------------------


def test_masks_are_uniform_and_independent_of_each_other():
    torch.manual_seed(0)
    layer, x = Dropout(0.3), torch.ones(3000, 40)
    keys = observation_key({"image": torch.arange(3000.0)[:, None]})
    kept = layer(x, keys)
    assert set(kept.unique().tolist()) == {0.0, np.float32(1 / 0.7)}
    kept = (kept > 0).double()
    assert (kept.mean(0) - 0.7).abs().max() < 5 * (0.21 / 3000) ** 0.5
    assert (kept.mean(1).var() / (0.21 / 40) - 1).abs() < 0.15  # units are not dropped together
    off_diagonal = torch.corrcoef(kept.T) - torch.eye(40)
    assert off_diagonal.abs().max() < 5 / 3000**0.5
    layer.eval().train()  # another rollout
    again = (layer(x, keys) > 0).double()
    assert abs(float((again * kept).mean()) - 0.49) < 0.01


def test_a_mask_depends_on_the_observation_alone():
    layer = Dropout(0.5)
    x, obs = torch.randn(6, 4, 5, 5), {"image": torch.rand(6, 5, 5, 3), "direction": torch.ones(6, 1)}
    key, order = observation_key(obs), torch.tensor([3, 3, 0])
    assert torch.equal(layer(x, key)[order], layer(x[order], observation_key({k: v[order] for k, v in obs.items()})))
    assert torch.equal(key, observation_key(dict(reversed(obs.items()))))
    changed = {**obs, "direction": obs["direction"] + 1}
    assert (observation_key(changed) != key).all() and len(key.unique()) == 6
    assert not torch.equal(layer(x, key), layer(x, observation_key(changed)))


def test_channels_are_dropped_whole_and_features_one_by_one():
    x, key = torch.ones(50, 4, 5, 5), observation_key(torch.rand(50, 3))
    share = {drops: Dropout(0.5, drops)(x, key).ne(0).double().mean((2, 3)) for drops in ("channels", "features")}
    assert set(share["channels"].unique().tolist()) == {0.0, 1.0}
    assert share["features"].min() > 0 and share["features"].max() < 1


def test_a_layer_that_rests_is_the_identity():
    layer, x, key = Dropout(0.5).eval(), torch.randn(4, 7), observation_key(torch.rand(4, 3))
    assert layer(x) is x
    with acting([layer]):
        assert not torch.equal(layer(x, key), x)
    assert layer(x) is x


SHAPES = st.tuples(st.integers(2, 6), st.sampled_from([2, 4, 8]), st.integers(1, 4), st.integers(2, 4))


@given(shape=SHAPES, name=st.sampled_from(["layer", "instance", "group"]))
@settings(max_examples=30, deadline=None)
def test_layer_instance_and_group_normalization_are_what_they_are_called(shape, name):
    torch.manual_seed(0)
    (layer,) = normalization(name, shape[1], groups=2)
    layer = layer.double()
    nn.init.normal_(layer.weight), nn.init.normal_(layer.bias)
    x = torch.randn(shape, dtype=torch.float64)
    size = {"layer": shape[1], "instance": 1, "group": shape[1] // 2}[name]
    parts = x.reshape(shape[0], -1, size * shape[2] * shape[3])
    standard = (parts - parts.mean(2, keepdim=True)) / (parts.var(2, correction=0, keepdim=True) + layer.eps).sqrt()
    expected = standard.reshape(shape) * layer.weight[:, None, None] + layer.bias[:, None, None]
    assert (layer(x) - expected).abs().max() < 1e-10
    with torch.no_grad():
        layer.weight.mul_(1.5)
    assert (layer(x) - expected).abs().max() > 1e-3


@given(shape=SHAPES, learned=st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_batch_normalization_is_by_stored_statistics_until_learning_stops(shape, learned):
    torch.manual_seed(0)
    layer = BatchNorm(shape[1]).double()
    nn.init.normal_(layer.weight), nn.init.normal_(layer.bias)
    mean, variance = torch.zeros(shape[1]).double(), torch.ones(shape[1]).double()

    def normalized(x, mean, variance):
        wide = (None, slice(None), None, None)
        return (x - mean[wide]) / (variance[wide] + EPSILON).sqrt() * layer.weight[wide] + layer.bias[wide]

    first = (mean, variance)
    for _ in range(learned):
        x = torch.randn(shape, dtype=torch.float64) * 3 + 1
        assert (layer(x) - normalized(x, *first)).abs().max() < 1e-10
        mean = 0.9 * mean + 0.1 * x.mean((0, 2, 3))
        variance = 0.9 * variance + 0.1 * x.var((0, 2, 3))
    layer.eval()
    x = torch.randn(shape, dtype=torch.float64)
    assert (layer(x) - normalized(x, mean, variance)).abs().max() < 1e-10
    if learned:
        assert (layer(x) - normalized(x, *first)).abs().max() > 1e-4


@pytest.mark.parametrize("name", ["batch", "layer", "instance", "group"])
@pytest.mark.parametrize("encoder", [CNN, MLP, GNN])
def test_every_trunk_takes_every_normalization_with_a_gradient_for_each_parameter(encoder, name):
    env = environments("DoorKey-5x5", 5)
    if (encoder, name) == (MLP, "instance"):
        with pytest.raises(ValueError, match="an mlp has none"):
            encoder(env.observation_space, normalization=name)
        return
    made = encoder(env.observation_space, normalization=name, dropout=0.2)
    obs = {key: torch.as_tensor(part).float() for key, part in env.reset().items()}
    for _ in range(2):  # the second time by statistics
        made.train(False), made.train(True)
        features = made(obs)
        features.mul(torch.randn_like(features)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())
    assert dropouts(made) and not dropouts(encoder(env.observation_space))


# --- weight decay --------------------------------------------------------------------------------------------------


def weights_and_others(policy) -> tuple[list, list]:
    groups = policy.optimizer.param_groups
    return groups[0]["params"], groups[1]["params"]


@pytest.mark.parametrize("env", ["CartPole", "Pendulum"])
def test_eager_weight_decay_is_sb3_s_ppo_with_adamw(env):
    options = {"env": env, "encoder": "mlp", "weight_decay": 0.1, "encoder_options": {"normalization": "layer"}}
    sb3, fast = (go_on(untrained(**options, implementation=i), 240) for i in ("sb3", "eager"))
    assert type(sb3) is PPO and type(sb3.policy.optimizer) is torch.optim.AdamW
    assert distance(sb3, fast) < 1e-6
    assert distance(sb3, go_on(untrained(**{**options, "weight_decay": 0.09}), 240)) > 1e-5
    assert distance(sb3, go_on(untrained(**{**options, "weight_decay": 0.0}), 240)) > 1e-4


def test_adamw_s_step_shrinks_weights_and_nothing_else():
    """Where there is no gradient, what is left after a step is (1 - ηλ)θ."""
    model = untrained(encoder_options={"normalization": "group", "groups": 4}, weight_decay=0.5, learning_rate=1e-2)
    update = model.ready()
    before = {name: p.detach().clone() for name, p in model.policy.named_parameters()}
    update.adam.step([torch.zeros_like(p) for p in update.adam.parameters], 1.0)
    for name, p in model.policy.named_parameters():
        alone = p.dim() == 1  # biases, and gains
        assert torch.equal(p, before[name] if alone else before[name] * (1 - 1e-2 * 0.5)), name


@pytest.mark.slow
def test_compiled_graphs_drop_as_eager_does_and_keep_the_law():
    options = {"encoder": "mlp", "encoder_options": DROPPING, "distinct": True, "batch_size": 20}
    eager, compiled = (untrained(**options, implementation=i).learn(80) for i in ("eager", "compiled"))
    assert type(compiled.update).__name__ == "CompiledUpdate"
    assert distance(eager, compiled) < 1e-6
    assert furthest_ratio(untrained(**options, implementation="compiled")) < 1e-6


@pytest.mark.slow
def test_compiled_weight_decay_equals_eager_to_rounding():
    options = {"encoder": "mlp", "weight_decay": 0.1, "distinct": True}
    eager, compiled = (go_on(untrained(**options, implementation=i), 80) for i in ("eager", "compiled"))
    assert distance(eager, compiled) < 1e-6
    assert distance(eager, go_on(untrained(**{**options, "weight_decay": 0.0}), 80)) > 1e-5


@pytest.mark.parametrize("agent", ["dqn", "qrdqn", "sac", "td3", "recurrent_ppo", "a2c"])
def test_every_agent_s_weights_decay(agent):
    env = "Pendulum" if agent in ("sac", "td3") else "CartPole"
    options = {"use_rms_prop": False} if agent == "a2c" else {}
    policy = untrained(agent, env, "mlp", weight_decay=0.1, **options).policy
    owners = [policy.actor, policy.critic] if hasattr(policy, "actor") else [policy]
    for owner in owners:
        decayed, others = weights_and_others(owner)
        assert type(owner.optimizer) is torch.optim.AdamW
        assert decayed and all(p.dim() > 1 for p in decayed) and all(p.dim() == 1 for p in others)
        assert owner.optimizer.param_groups[0]["weight_decay"] == 0.1
        assert owner.optimizer.param_groups[1]["weight_decay"] == 0.0
    plain = untrained(agent, env, "mlp", **options).policy
    assert type((plain.actor if hasattr(plain, "actor") else plain).optimizer) is torch.optim.Adam


def test_a_saved_model_decays_on(tmp_path):
    model = go_on(untrained(weight_decay=0.1, encoder="mlp", env="CartPole"), 80)
    model.save(tmp_path / "model")
    loaded = FastPPO.load(tmp_path / "model", device="cpu")
    assert type(loaded.policy.optimizer) is torch.optim.AdamW
    assert [len(g["params"]) for g in loaded.policy.optimizer.param_groups] == [
        len(g["params"]) for g in model.policy.optimizer.param_groups
    ]


# --- what cannot be ------------------------------------------------------------------------------------------------

REFUSED = {
    "groups that do not divide": (
        {"encoder_options": {"normalization": "group", "groups": 3}},
        "groups=3 does not div",
    ),
    "no such normalization": ({"encoder_options": {"normalization": "power"}}, "none, batch, layer, instance or group"),
    "dropout of everything": ({"encoder_options": {"dropout": 1.0}}, "a probability below 1"),
    "no such units": ({"encoder_options": {"drops": "cells"}}, "features or channels"),
    "minibatches of one": (
        {"encoder_options": NORMALIZING, "batch_size": 1, "normalize_advantage": False},
        "one sample, which has no variance",
    ),
    "minibatches of one, by SB3": ({"batch_size": 1}, "batch_size. must be greater than 1"),
    "a rest of one": ({"encoder_options": NORMALIZING, "batch_size": 79}, "one sample, which has no variance"),
    "one, off-policy": (
        {"agent": "dqn", "encoder_options": NORMALIZING, "batch_size": 1},
        "one sample, which has no variance",
    ),
    "distinct batches": ({"encoder_options": NORMALIZING, "distinct": True}, "counts every sample"),
    "negative decay": ({"weight_decay": -1.0}, "at least 0"),
    "decay by RMSprop": ({"agent": "a2c", "weight_decay": 0.1}, "agent.use_rms_prop=false"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(case):
    options, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        untrained(**options)


def test_compiled_graphs_keep_no_statistics_and_say_so():
    with pytest.raises(ValueError, match=r"cannot be traced: batch normalization keeps statistics.*use eager"):
        untrained(encoder_options=NORMALIZING, implementation="compiled").learn(80)
