"""A CUDA device gives what the CPU gives: every encoder, eager and in graphs, overlapped, in bfloat16.

The first part needs no such device: it checks what would go wrong on one.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from encoder_cases import ENCODERS, case, history
from stable_baselines3.common.utils import set_random_seed
from torch import nn

from agents import make_agent
from agents.equivariance.augment import joined
from agents.ppo.compiled import CompiledUpdate, Replayed
from agents.ppo.distributions import Categorical
from agents.ppo.rollout import Rollout, blank
from agents.ppo.update import ActorCritic
from envs import make_vec_env

pytestmark = pytest.mark.filterwarnings("ignore:RNN module weights are not part")  # they are part of Adam's vector
SMALL = {"n_steps": 16, "batch_size": 64, "n_epochs": 2, "seed": 0, "learning_rate": 1e-3}
on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA device")


@pytest.fixture(autouse=True)
def full_precision(monkeypatch):
    """By default, cuDNN rounds what it convolves to the 10 bits of TF32, which no CPU does."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def environments(encoder: str, env: str | None = None, n_envs: int = 8):
    """Environments that the encoder reads, in the batched engine where that can be."""
    env, options = (env, history(encoder)) if env else case(encoder)
    return make_vec_env(env, n_envs=n_envs, seed=0, engine="auto", bank=20, **options)


def agent(encoder: str, device: str, env: str | None = None, **options):
    options = {"implementation": "eager", "distinct": False, "overlap": False, **SMALL, **options}
    return make_agent(environments(encoder, env), encoder, "ppo", device=device, **options)


# --- without a device -------------------------------------------------------------------------------------------------


def gradient_elsewhere(model) -> None:
    """Forward and backward on a device without memory, where every tensor of the CPU is a stranger."""
    policy = model.policy.to("meta")
    features = policy.extract_features(blank(model.observation_space, 8, torch.device("meta")))
    (policy.action_net(features).sum() + policy.value_net(features).sum()).backward()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_no_part_of_an_encoder_stays_behind_on_the_cpu(encoder, monkeypatch):
    def each_its_own(parts):  # which are distinct depends on values, which are not there
        count = len(next(iter(parts.values())))
        return parts, torch.arange(count, device=next(iter(parts.values())).device)

    def in_another_way(self, x, contexts, group):
        return self.bilinear(x, contexts[group])

    monkeypatch.setattr("encoders.layers.hyper.HyperLinear.grouped", in_another_way)
    for module in ("encoders.lstm", "encoders.hypernetwork"):
        monkeypatch.setattr(f"{module}.unique_rows", each_its_own)
    gradient_elsewhere(agent(encoder, "cpu"))


def test_a_part_that_stays_behind_is_noticed():
    model = agent("cnn", "cpu")

    class Shifted(nn.Module):
        shift = torch.ones(3)

        def forward(self, features):
            return features[..., :3] + self.shift

    model.policy.action_net = Shifted()
    with pytest.raises(RuntimeError, match="device cpu"):
        gradient_elsewhere(model)


def test_twins_are_made_where_their_samples_are():
    env = environments("mlp")
    batch = Rollout(4, env.observation_space, env.action_space, "meta", n_envs=2).example(8)
    assert all(part.is_meta for part in joined(batch, env.symmetry).observations.values())


def on_the_cpu(function, inputs):
    """What stands for a CUDA graph here: the same operations again in the same memory."""
    outputs = function(*(each.clone() for each in inputs))

    def replay():
        for mine, new in zip(outputs, function(*inputs), strict=True):
            mine.copy_(new)

    return replay, outputs


def test_a_replayed_function_reads_and_changes_what_it_shares_and_keeps_its_results_apart():
    def function(parameters, given):
        parameters += given.sum()
        return parameters * 1, given * 2

    parameters, calls = torch.zeros(2), []
    replayed = Replayed(function, [parameters, torch.ones(3)], 1, on_the_cpu)
    assert not parameters.any()  # nothing was learned from the example
    for number in (1.0, 2.0):
        calls.append(replayed(parameters, torch.full((3,), number)))
    assert [[part.tolist() for part in call] for call in calls] == [[[3.0] * 2, [2.0] * 3], [[9.0] * 2, [4.0] * 3]]
    assert parameters.tolist() == [9.0, 9.0]


def replayed_on_the_cpu(model):
    """Its compiled update, replayed; the traced graphs run as they are, since compiling them takes a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch._inductor, "compile", lambda graph, examples: graph)
        model.ready()
    update = model.update
    batch = model.rollout_buffer.example(model.batch_size)
    update.learning = Replayed(update.learning, update._inputs(batch, [0.2, 0.2, 1e-3, 1.0, 1.0]), 3, on_the_cpu)
    noise = torch.ones_like(update.noise_like)
    acted = [update.adam.flat, noise, update._nonces(), *update_parts(model, update.environments)]
    update.acting = Replayed(update.acting, acted, 1, on_the_cpu)


def update_parts(model, environments):
    return list(blank(model.observation_space, environments, model.device).values())


@pytest.mark.parametrize("overlap", [False, True])
def test_replayed_updates_are_the_eager_ones_to_rounding(overlap):
    models = [agent("mlp", "cpu", implementation=form, overlap=overlap) for form in ("eager", "compiled")]
    models[1].overlapping = overlap
    replayed_on_the_cpu(models[1])
    assert models[1].update.environments == (4 if overlap else 8)
    after = models[1].update
    for model in models:
        set_random_seed(1)
        model.learn(128)
    assert models[1].update is after and distance(*models) < 1e-6
    assert torch.equal(models[0].rollout_buffer.actions, models[1].rollout_buffer.actions)


def distance(*models) -> float:
    """‖θ - θ'‖ / ‖θ‖."""
    one, other = (torch.cat([p.detach().cpu().flatten() for p in m.policy.parameters()]).double() for m in models)
    return float((one - other).norm() / one.norm())


@pytest.mark.parametrize("encoder", ENCODERS)
def test_an_encoder_computes_in_bfloat16(encoder):
    """On the CPU: which operations are narrowed is another list there, but types that do not fit together are found."""
    model = agent(encoder, "cpu")
    observations = model.policy.obs_to_tensor(model.env.reset())[0]
    wide, narrow = (ActorCritic(model.policy, autocast)(observations) for autocast in (False, True))
    for one, other in zip(wide, narrow, strict=True):
        assert other.dtype == torch.float32 and not torch.equal(one, other)
        assert torch.allclose(one, other, atol=0.05)
    sum(part.sum() for part in narrow).backward()
    assert all(p.grad.isfinite().all() for p in model.policy.parameters() if p.grad is not None)


# --- on a device ------------------------------------------------------------------------------------------------------


@cache
def learned(encoder: str, device: str, env: str = "DoorKey-5x5", **options):
    """After two rollouts whose actions are given, so that both devices learn from the same steps."""
    model = agent(encoder, device, env, **options)
    random = np.random.default_rng(0)
    count = model.action_space.n

    def drawn(self, output, log_std, noise):
        actions = torch.from_numpy(random.integers(0, count, len(output))).to(output.device)
        return actions, (output - output.logsumexp(-1, keepdim=True)).gather(-1, actions[:, None])[:, 0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Categorical, "sample", drawn)
        set_random_seed(1)
        model.learn(2 * 128)
    return model


@on_cuda
@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("overlap", [False, True])
def test_every_encoder_learns_on_cuda_what_it_learns_on_the_cpu(encoder, overlap):
    here, there = (learned(encoder, device, overlap=overlap) for device in ("cpu", "cuda"))
    rollout = there.rollout_buffer
    assert all(part.is_cuda for part in (*rollout.observations.values(), rollout.actions, rollout.values))
    assert there.policy.device.type == "cuda" and isinstance(rollout.rewards, np.ndarray)
    assert torch.equal(here.rollout_buffer.actions, rollout.actions.cpu())
    assert distance(here, there) < 1e-3
    for key, part in here.rollout_buffer.observations.items():
        assert torch.equal(part, rollout.observations[key].cpu())


@on_cuda
@pytest.mark.parametrize("env", ["CartPole", "GoToDoor-5x5"])
def test_vectors_and_missions_learn_on_cuda_too(env):
    models = [learned("mlp", device, env) for device in ("cpu", "cuda")]
    assert distance(*models) < 1e-3


@on_cuda
@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("overlap", [False, True])
def test_graphs_learn_what_eager_learns(encoder, overlap):
    """Where an encoder can be traced; drawing included, which the graphs do themselves."""
    models = [agent(encoder, "cuda", implementation=form, overlap=overlap) for form in ("eager", "compiled")]
    try:
        models[1].decide(128)
    except ValueError as error:
        pytest.skip(str(error))
    assert isinstance(models[1].update.learning, Replayed) and isinstance(models[1].update.acting, Replayed)
    for model in models:
        set_random_seed(1)
        model.learn(128)
    assert isinstance(models[1].update, CompiledUpdate) and distance(*models) < 1e-4
    # a number drawn at the border of two actions may go either way
    same = models[0].rollout_buffer.actions == models[1].rollout_buffer.actions
    assert same.float().mean() > 0.9


@on_cuda
@pytest.mark.parametrize("implementation", ["eager", "compiled"])
def test_distinct_observations_learn_on_cuda(implementation):
    plain = learned("mlp", "cuda")
    once = learned("mlp", "cuda", distinct=True)
    assert distance(plain, once) < 1e-3
    assert agent("mlp", "cuda", distinct=True, implementation=implementation).learn(256).num_timesteps == 256


@on_cuda
@pytest.mark.parametrize("encoder", ENCODERS)
def test_bfloat16_learns_on_cuda(encoder):
    if not torch.cuda.is_bf16_supported():
        pytest.skip("this device has no bfloat16")
    narrow, wide = learned(encoder, "cuda", precision="bf16"), learned(encoder, "cuda")
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in narrow.policy.parameters())
    assert 0 < distance(wide, narrow) < 0.1


@on_cuda
def test_auto_overlaps_on_cuda_and_runs_repeat():
    models = [agent("mlp", "cuda", overlap="auto", implementation="auto", distinct="auto") for _ in range(2)]
    for model in models:
        set_random_seed(1)
        model.learn(256)
        assert model.overlapping and model.distinct is False and model.pinned.memory
        assert all(memory.is_pinned() for memory in model.pinned.memory.values())
    assert torch.equal(*(model.rollout_buffer.actions for model in models))
