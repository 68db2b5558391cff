"""Laws of FastRecurrentPPO: it learns what sb3-contrib's class learns, to rounding, from the same minibatches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.logger import KVWriter, Logger
from torch import nn

from agents import make_agent
from agents.recurrent import algorithm, sequences
from agents.recurrent.algorithm import FastRecurrentPPO
from agents.recurrent.rollout import RecurrentRollout
from agents.recurrent.sequences import WORTH, Sequences, arranged, recurrent
from envs import make_vec_env

pytestmark = pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")

EQUAL = 2e-5  # ‖Δθ - Δθ'‖ / ‖Δθ‖; 1e-6 on vectors, after one rollout as after ten


class Logged(KVWriter):
    """The last row that a logger writes."""

    def write(self, key_values, key_excluded, step=0):
        self.row = dict(key_values)


def learned(implementation, env="CartPole", encoder="mlp", *, n_envs=5, rollouts=1, policy_kwargs=None, **options):
    """A model after so many rollouts, with `before` (its parameters at the start) and `row` (what it logged)."""
    short = {"kwargs": {"max_steps": 9}} if env == "DoorKey-5x5" else {}
    short = {"kwargs": {"max_episode_steps": 20}} if env == "Pendulum" else short
    model = make_agent(
        make_vec_env(env, n_envs=n_envs, seed=0, **short),
        encoder,
        "recurrent_ppo",
        implementation=implementation,
        seed=0,
        device="cpu",
        policy_kwargs={"lstm_hidden_size": 16, **(policy_kwargs or {})},
        **{"n_steps": 32, "batch_size": 48, "n_epochs": 2, "learning_rate": 1e-3, **options},
    )
    logged = Logged()
    model.set_logger(Logger(None, [logged]))
    model.before = vector(model)
    model.learn(rollouts * model.n_steps * n_envs)
    model.logger.dump()
    model.row = logged.row
    return model


def vector(model):
    return nn.utils.parameters_to_vector(model.policy.parameters()).detach().double()


def distance(here, there) -> float:
    """‖Δθ - Δθ'‖ / ‖Δθ‖, Δθ being how far learning has moved the parameters."""
    assert torch.equal(here.before, there.before)
    moved = vector(here) - here.before
    return float((vector(there) - vector(here)).norm() / moved.norm())


CASES = {
    "vectors": {},
    "one environment": {"n_envs": 1, "n_steps": 128},
    "eight environments": {"n_envs": 8},
    "one environment in each minibatch": {"batch_size": 32},
    "everything in one minibatch": {"batch_size": 160},
    "two layers": {"policy_kwargs": {"n_lstm_layers": 2}},
    "one LSTM for both": {"policy_kwargs": {"enable_critic_lstm": False, "shared_lstm": True}},
    "a critic without memory": {"policy_kwargs": {"enable_critic_lstm": False}},
    "an encoder each": {"policy_kwargs": {"share_features_extractor": False}},
    "other coefficients": {"vf_coef": 0.7, "ent_coef": 0.1, "max_grad_norm": 0.1},
    "time limits, continuous actions": {"env": "Pendulum"},
    "values clipped": {"env": "Pendulum", "clip_range_vf": 0.01},
    "advantages as they are": {"normalize_advantage": False},
    "stopping early": {"target_kl": 1e-5, "learning_rate": 3e-3},
    "weight decay": {"weight_decay": 0.1},
    "dropout": {"encoder_options": {"dropout": 0.5}},
    "grids, cut short": {"env": "DoorKey-5x5", "encoder": "cnn", "distinct": False},
    "distinct grids, cut short": {"env": "DoorKey-5x5", "encoder": "cnn", "distinct": True},
    "distinct grids, an encoder each": {
        "env": "DoorKey-5x5",
        "distinct": True,
        "policy_kwargs": {"share_features_extractor": False},
    },
}


@pytest.mark.parametrize("case", CASES)
def test_one_rollout_s_updates_are_sb3_contrib_s_to_rounding(case):
    fast = learned("eager", **CASES[case])
    sb3 = learned("sb3", **{key: value for key, value in CASES[case].items() if key != "distinct"})
    assert type(fast) is FastRecurrentPPO and type(sb3) is RecurrentPPO
    for name in ("actions", "values", "log_probs", "advantages", "returns"):
        here = getattr(fast.rollout_buffer, name).numpy().ravel()
        assert here == pytest.approx(getattr(sb3.rollout_buffer, name).ravel(), rel=1e-4, abs=1e-4), name
    assert fast._n_updates == sb3._n_updates
    assert distance(sb3, fast) < EQUAL
    for key, value in sb3.row.items():
        if key.startswith(("train/", "rollout/")):
            assert fast.row[key] == pytest.approx(value, rel=1e-3, abs=1e-5), key


def test_several_rollouts_go_on_from_where_the_last_one_ended():
    # the second rollout begins inside episodes, with the states of the first
    fast, sb3 = (learned(each, rollouts=10, learning_rate=1e-4) for each in ("eager", "sb3"))
    assert distance(sb3, fast) < EQUAL


def forgetful(*arguments):
    """Wrong: sequences inside an episode begin with nothing remembered."""
    found = RIGHT(*arguments)
    found.states = torch.zeros_like(found.states)
    return found


RIGHT = RecurrentRollout.sequences
WRONG = {
    "never forgets": (FastRecurrentPPO, "begun", lambda self, states: states),
    "forgets inside episodes": (RecurrentRollout, "sequences", forgetful),
    "another order": (FastRecurrentPPO, "order", lambda self, size: (np.random.randint(size), np.arange(size))[1]),
    "no value at time limits": (FastRecurrentPPO, "_bootstrap", lambda self, rewards, last, update: None),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_single_change_is_noticed(wrong, monkeypatch):
    env = "Pendulum" if "limits" in wrong else "CartPole"
    sb3 = learned("sb3", env)
    monkeypatch.setattr(*WRONG[wrong])
    assert distance(sb3, learned("eager", env)) > 10 * EQUAL


@pytest.mark.parametrize("case", ["vectors", "two layers", "grids, cut short"])
def test_minibatches_hold_the_samples_sequences_and_states_of_sb3_contrib_s_buffer(case):
    # the second rollout begins inside episodes
    fast, sb3 = (learned(each, rollouts=2, n_epochs=1, learning_rate=1e-9, **CASES[case]) for each in ("eager", "sb3"))
    np.random.seed(1)
    theirs = list(sb3.rollout_buffer.get(48))
    np.random.seed(1)
    ours = list(fast.rollout_buffer.minibatches(fast.order(160), 48))
    assert len(ours) == len(theirs) == 4
    for here, there in zip(ours, theirs, strict=True):
        real = there.mask > 0
        count = there.lstm_states.pi[0].shape[1]
        assert torch.equal(here.actions.float(), there.actions[real].flatten())
        assert torch.allclose(here.log_probs, there.old_log_prob[real], atol=1e-6)
        lengths = real.reshape(count, -1).sum(dim=1)
        longest_first = lengths.argsort(descending=True, stable=True)
        begins = 1 - there.episode_starts.reshape(count, -1)[:, 0]
        for number, (states, who) in enumerate(((there.lstm_states.pi, "actor"), (there.lstm_states.vf, "critic"))):
            expected = torch.stack(states)[:, :, longest_first] * begins[longest_first][:, None]
            assert torch.allclose(here.sequences.states[number], expected, atol=1e-6), who
        assert sum(steps for steps, _ in here.sequences.stretches) == lengths.max()


def cells_of(lengths):
    """Where the samples of sequences of these lengths stand, all beginning with random states of two layers."""
    order, stretches, cells, places = arranged(np.array(lengths))
    states = torch.randn(1, 2, 2, len(lengths), 3, dtype=torch.float64)
    moved = Sequences(stretches, torch.from_numpy(cells), torch.from_numpy(places), states[..., order, :])
    return moved, states


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=8))
def test_an_lstm_reads_each_sequence_as_if_it_were_alone(lengths):
    torch.manual_seed(sum(lengths))
    lstm = nn.LSTM(2, 3, num_layers=2).double()
    features = torch.randn(sum(lengths), 2, dtype=torch.float64)
    where, states = cells_of(lengths)
    found = recurrent(lstm, features, where, 0)
    for number, piece in enumerate(features.split(lengths)):
        hidden, memory = states[0, :, :, [number]]
        expected, _ = lstm(piece[:, None], (hidden, memory))
        assert torch.allclose(found.split(lengths)[number], expected[:, 0], atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 200), min_size=1, max_size=12))
def test_no_end_of_a_sequence_leaves_padding_worth_a_call(lengths):
    where, _ = cells_of(lengths)
    assert sum(steps for steps, _ in where.stretches) == max(lengths)  # no step is repeated
    padding = len(where.cells) - sum(lengths)
    assert padding <= WORTH * len(lengths)
    assert sorted(where.places.tolist()) == sorted(set(where.places.tolist()))


def test_a_stretch_ends_where_a_short_sequence_does():
    assert arranged(np.array([15, 11, 102]))[1] == [(15, 3), (87, 1)]
    assert arranged(np.array([5, 5, 5]))[1] == [(5, 3)]


def test_padding_gets_no_gradient():
    where, _ = cells_of([3, 40, 7])
    lstm = nn.LSTM(2, 3, num_layers=2).double()
    features = torch.randn(50, 2, dtype=torch.float64, requires_grad=True)
    output = recurrent(lstm, features, where, 0)
    chosen = torch.arange(50) >= 43  # the sequence of 7, in a stretch with padding
    (gradient,) = torch.autograd.grad(output[chosen].sum(), features)
    assert gradient[chosen].abs().min() > 0 and not gradient[~chosen].any()


@pytest.mark.parametrize("layers", [1, 2])
def test_a_step_is_a_step_of_the_lstm(layers):
    lstm = nn.LSTM(4, 3, num_layers=layers).double()
    features, state = torch.randn(5, 4).double(), torch.randn(2, layers, 5, 3).double()
    output, after = sequences.step(lstm, features, state)
    expected, (hidden, memory) = lstm(features[None], (state[0], state[1]))
    assert torch.allclose(output, expected[0]) and torch.allclose(after, torch.stack([hidden, memory]))


@pytest.mark.parametrize("env", ["CartPole", "DoorKey-5x5"])
def test_a_saved_model_goes_on_as_the_one_that_was_saved(env, tmp_path):
    model = learned("eager", env, distinct=False)  # distinct observations are numbered anew: equal to rounding
    model.save(tmp_path / "model")
    again = FastRecurrentPPO.load(tmp_path / "model", env=make_vec_env(env, n_envs=5, seed=3), device="cpu")
    here = make_vec_env(env, n_envs=5, seed=3)
    model.set_env(here, force_reset=True)
    for each in (model, again):
        each._last_lstm_states = algorithm.RNNStates(*[(torch.zeros(1, 5, 16),) * 2] * 2)
        each.set_random_seed(0)
        each.learn(160, reset_num_timesteps=False)
    assert torch.equal(vector(model), vector(again))


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ({"policy_kwargs": {"lstm_kwargs": {"dropout": 0.1}, "n_lstm_layers": 2}}, "lstm_kwargs"),
        ({"use_sde": True, "env": "Pendulum"}, "use_sde"),
    ],
)
def test_what_only_sb3_contrib_can_do_is_named_and_auto_leaves_it_to_it(option, reason):
    assert type(learned("auto", n_epochs=1, **option)) is RecurrentPPO
    with pytest.raises(ValueError, match=reason):
        learned("eager", **option)


def test_auto_is_the_fast_form_and_compiled_is_none_of_it():
    model = learned("auto", n_epochs=1)
    assert type(model) is FastRecurrentPPO and model.implementation == "eager"
    with pytest.raises(ValueError, match="auto, sb3, eager"):
        learned("compiled")
