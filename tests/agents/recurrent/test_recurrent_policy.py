"""Laws of recurrent PPO: whole sequences at once, padding encoded once, and it learns what sb3-contrib's learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from torch import nn

from agents import AGENTS, make_agent
from agents.recurrent_policy import HeadedRecurrentPolicy
from encoders.mlp import MLP
from envs import make_vec_env

step_by_step, at_once = RecurrentActorCriticPolicy._process_sequence, HeadedRecurrentPolicy._process_sequence

PATTERNS = ("none", "beginnings", "inside", "everywhere")
SIZES = [(1, 1, 1), (1, 7, 1), (5, 1, 2), (3, 12, 1), (6, 9, 2)]  # sequences, length, layers


class StepByStep(HeadedRecurrentPolicy):
    """Our heads, with sb3-contrib's loop over time steps and its encoding of all padding."""

    extract_features = RecurrentActorCriticPolicy.extract_features
    _process_sequence = staticmethod(step_by_step)


class NeverForgets(HeadedRecurrentPolicy):
    """Wrong: the state of one episode goes on into the next."""

    @staticmethod
    def _process_sequence(features, lstm_states, episode_starts, lstm):
        return at_once(features, lstm_states, torch.zeros_like(episode_starts), lstm)


def case(sequences, length, layers, pattern):
    """(features, states, starts, lstm), random and in float64."""
    generator = torch.Generator().manual_seed(sequences * length)
    torch.manual_seed(0)
    lstm = nn.LSTM(4, 3, num_layers=layers).double()
    random = [
        torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)
        for shape in [(sequences * length, 4), (layers, sequences, 3), (layers, sequences, 3)]
    ]
    starts = (torch.rand(sequences, length, generator=generator) < 0.4).double()
    if pattern == "none":
        starts.zero_()
    elif pattern == "beginnings":
        starts[:, 1:] = 0
        starts[0, 0] = 1
    elif pattern == "everywhere":
        starts.fill_(1)
    return random[0], (random[1], random[2]), starts.flatten(), lstm


def results(process, features, states, starts, lstm):
    """Outputs, last states, and the gradients of a function of them all in the inputs and the LSTM's parameters."""
    output, (hidden, cell) = process(features, states, starts, lstm)
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).reshape(output.shape)
    loss = (output * weights).sum() + hidden.square().sum() + cell.sin().sum()
    return [output, hidden, cell, *torch.autograd.grad(loss, [features, *states, *lstm.parameters()])]


def differ(first, second):
    assert all(a.shape == b.shape for a, b in zip(first, second, strict=True))
    return max((a - b).abs().max().item() for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("size", SIZES)
def test_outputs_states_and_gradients_are_those_of_the_loop_over_steps(size, pattern):
    inputs = case(*size, pattern)
    assert differ(results(at_once, *inputs), results(step_by_step, *inputs)) < 1e-12


@pytest.mark.parametrize("pattern", PATTERNS[1:])
def test_a_wrong_mask_gives_something_else(pattern):
    features, states, starts, lstm = case(3, 12, 1, pattern)
    expected = results(step_by_step, features, states, starts, lstm)
    wrong = {"never": torch.zeros_like(starts), "inverted": 1 - starts}
    if pattern == "inside":
        wrong["first steps only"] = (starts.reshape(3, 12) * (torch.arange(12) == 0)).flatten()
        wrong["a step late"] = starts.roll(1)
    for name, mask in wrong.items():
        assert differ(results(at_once, features, states, mask, lstm), expected) > 1e-3, name


def make(env_id="CartPole", policy=HeadedRecurrentPolicy, encoder="mlp", **policy_kwargs):
    """A small recurrent PPO whose minibatches hold several episodes, of different lengths."""
    env = make_vec_env(env_id, n_envs=4, seed=0, kwargs={"max_steps": 9} if "DoorKey" in env_id else None)
    options = {"implementation": "sb3", "n_steps": 32, "batch_size": 48, "n_epochs": 2}
    policy_kwargs = {"lstm_hidden_size": 16, **policy_kwargs}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(AGENTS, "recurrent_ppo", replace(AGENTS["recurrent_ppo"], policy=policy))
        return make_agent(env, encoder, "recurrent_ppo", policy_kwargs=policy_kwargs, seed=0, device="cpu", **options)


@pytest.mark.parametrize("env_id", ["CartPole", "DoorKey-5x5"])
def test_episodes_start_only_at_the_first_step_of_the_buffer_s_sequences(env_id):
    samples = list(make(env_id).learn(256).rollout_buffer.get(48))  # the second rollout begins inside episodes
    for sample in samples:
        starts, mask = (x.reshape(sample.lstm_states.pi[0].shape[1], -1) for x in (sample.episode_starts, sample.mask))
        assert starts[1:, 0].any() and not starts[:, 1:].any()
        assert not starts[mask == 0].any() and (mask.diff(dim=1) <= 0).all()  # padding is behind, with zeros
        observations = sample.observations if isinstance(sample.observations, dict) else {"": sample.observations}
        assert all(not entry[sample.mask == 0].any() for entry in observations.values())
    assert any((sample.mask == 0).any() for sample in samples)


def calls(module, function):
    """The length of what each call of `module` returns while `function` runs: of an encoder, how many features."""
    seen = []
    hook = module.register_forward_hook(lambda _, inputs, output: seen.append(len(output)))
    function()
    hook.remove()
    return seen


def test_an_update_calls_each_lstm_once_per_minibatch():
    model = make().learn(128)
    for lstm in (model.policy.lstm_actor, model.policy.lstm_critic):
        assert len(calls(lstm, model.train)) == 2 * 3  # epochs, minibatches
    loop = make(policy=StepByStep).learn(128)
    assert len(calls(loop.policy.lstm_actor, loop.train)) > 50


@pytest.mark.parametrize("env_id", ["CartPole", "DoorKey-5x5"])
def test_an_update_encodes_no_padding_but_one_row(env_id):
    ours, theirs = (make(env_id, policy).learn(128) for policy in (HeadedRecurrentPolicy, StepByStep))
    assert all(rows <= 48 + 1 for rows in calls(ours.policy.features_extractor, ours.train))
    assert any(rows > 48 + 1 for rows in calls(theirs.policy.features_extractor, theirs.train))


def features_differ(env_id, zeros, encoder="mlp", shared=True):
    """By how much features in training differ from those outside it, where the observations `zeros` of 6 are zero."""
    model = make(env_id, encoder=encoder, share_features_extractor=shared)
    model.observation_space.seed(0)
    observations = [model.observation_space.sample() for _ in range(6)]
    if isinstance(observations[0], dict):
        batch = {key: torch.as_tensor(np.stack([o[key] for o in observations])) for key in observations[0]}
    else:
        batch = torch.as_tensor(np.stack(observations))
    for entry in batch.values() if isinstance(batch, dict) else [batch]:
        entry[zeros] = 0
    features = model.policy.train().extract_features(batch), model.policy.eval().extract_features(batch)
    return differ(*[[f] if shared else f for f in features])


@pytest.mark.parametrize("zeros", [[], [1, 4, 5], [0], list(range(6))])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("env_id", ["CartPole", "DoorKey-5x5"])
def test_features_are_the_same_as_if_all_padding_were_encoded(env_id, shared, zeros):
    assert features_differ(env_id, zeros, shared=shared) < 1e-6


def test_but_not_of_an_encoder_that_mixes_observations():
    class Centred(MLP):
        def forward(self, obs):
            features = super().forward(obs)
            return features - features.mean(dim=0)

    assert features_differ("CartPole", [1, 4, 5], Centred) > 1e-3 > features_differ("CartPole", [1], Centred)


def learned(policy, env_id="CartPole", **options):
    """(the actions of the first rollout, how far its update moved all parameters)"""
    model = make(env_id, policy, **options)
    before = nn.utils.parameters_to_vector(model.policy.parameters()).detach()
    model.learn(128)
    return model.rollout_buffer.actions, nn.utils.parameters_to_vector(model.policy.parameters()).detach() - before


@pytest.mark.parametrize(
    ("env_id", "options"),
    [
        ("CartPole", {}),
        ("CartPole", {"n_lstm_layers": 2, "share_features_extractor": False}),
        ("CartPole", {"enable_critic_lstm": False}),
        ("CartPole", {"enable_critic_lstm": False, "shared_lstm": True}),
        ("Pendulum", {}),
        ("DoorKey-5x5", {}),
        ("DoorKey-5x5", {"encoder": "gnn"}),
    ],
)
def test_an_update_is_sb3_contrib_s(env_id, options):
    actions, moved = learned(HeadedRecurrentPolicy, env_id, **options)
    expected_actions, expected = learned(StepByStep, env_id, **options)
    assert np.array_equal(actions, expected_actions)
    assert (moved - expected).norm() < 1e-5 * expected.norm()  # the parameters themselves agree to 1e-7


def test_a_policy_that_never_forgets_learns_something_else():
    moved, expected = learned(NeverForgets)[1], learned(StepByStep)[1]
    assert (moved - expected).norm() > 1e-2 * expected.norm()
