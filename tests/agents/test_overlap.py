"""Halves of the environments stepped in the background, and PPO acting on one while the other steps."""

from __future__ import annotations

import copy
import time

import numpy as np
import pytest
import torch
from benchmark_runs import positive, run
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecNormalize

from agents import make_agent
from agents.ppo import collect
from agents.ppo.algorithm import FastPPO
from envs import make_vec_env
from train import train

pytestmark = pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")


def engine(name="DoorKey-5x5", n_envs=6, seed=3, **options):
    return make_vec_env(name, n_envs=n_envs, seed=seed, engine="batched", **options)


def parts(value, half):
    """A half of observations, or of a list or an array with a row for each environment."""
    if isinstance(value, dict):
        return {key: parts(part, half) for key, part in value.items()}
    middle = len(value) // 2
    return value[middle:] if half else value[:middle]


def without_clock(infos):
    """Infos but for when an episode ended."""
    return [{**info, "episode": {**info["episode"], "t": 0}} if "episode" in info else info for info in infos]


def equal(mine, theirs):
    """Whether nested dicts, lists and arrays are the same in content and type."""
    if isinstance(mine, dict):
        return mine.keys() == theirs.keys() and all(equal(mine[key], theirs[key]) for key in mine)
    if isinstance(mine, (list, tuple)):
        return len(mine) == len(theirs) and all(map(equal, mine, theirs))
    return np.array_equal(mine, theirs) and np.asarray(mine).dtype == np.asarray(theirs).dtype


# --- the engine -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("DoorKey-5x5", {"bank": 5, "kwargs": {"max_steps": 9}}),
        ("GoToDoor-5x5", {"bank": 0, "history": 3}),
        ("DynamicObstacles-5x5", {"bank": 7, "reward_scale": 0.5, "view": "full"}),
        pytest.param(
            "Empty-8x8",
            {"bank": 3, "history": 2, "engine_threads": 2, "kwargs": {"max_steps": 5}},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_two_halves_in_any_order_are_one_step(name, options):
    whole, halved = engine(name, **options), engine(name, **options)
    assert equal(whole.reset(), halved.reset())
    random, ended = np.random.default_rng(0), 0
    for _ in range(120):
        actions = random.integers(0, halved.action_space.n, 6)
        observation, rewards, dones, infos = whole.step(actions)
        order = random.permutation(2).tolist()
        for half in order:
            halved.step_half_async(half, parts(actions, half))
        for half in reversed(order):
            seen, gained, done, said = halved.step_half_wait(half)
            assert equal(seen, parts(observation, half))
            assert equal([gained, done], [parts(rewards, half), parts(dones, half)])
            assert equal(without_clock(said), without_clock(parts(infos, half)))
        ended += dones.sum()
        assert equal(whole.reset_infos, halved.reset_infos)
    assert ended > 6
    assert equal(whole.step(actions)[0], halved.step(actions)[0])  # and all together again


def test_a_half_alone_leaves_the_other_where_it_is():
    env = engine()
    first = env.reset()
    before = {key: array.copy() for key, array in env.batch.seen.items()}
    for _ in range(21):
        env.step_half_async(0, np.array([0, 1, 2]))
        env.step_half_wait(0)
    assert equal(parts(before, 1), parts(env.batch.seen, 1)) and not equal(parts(first, 0), parts(env.batch.seen, 0))


def test_python_goes_on_while_a_half_steps():
    """The compiled loop gives the interpreter's lock away: else no other line would run before it is done."""
    env = engine("Empty-8x8", n_envs=60_000, bank=2)
    env.reset()
    actions, rounds = np.zeros(30_000, np.int64), []
    loop = env.batch.step_all

    def between(*arguments):
        began = len(rounds)
        result = loop(*arguments)
        ran.append(len(rounds) - began)
        return result

    ran: list[int] = []
    env.batch.step_all = between
    for half in (0, 1, 0, 1):
        env.step_half_async(half, actions)
        while not env.under_way[half].done():
            rounds.append(half)
            time.sleep(0)
        env.step_half_wait(half)
    assert max(ran) > 2


@pytest.mark.slow
def test_threads_of_the_engine_are_not_pytorch_s():
    env = engine("Empty-8x8", bank=2, engine_threads=2)
    env.reset()
    env.step(np.zeros(6, np.int64))
    assert torch.get_num_threads() == 1


def test_a_mistake_in_the_background_is_told_where_it_is_waited_for():
    env = engine()
    env.reset()
    env.step_half_async(1, np.array([0, 1, 9]))
    with pytest.raises(ValueError, match="3 integers from 0 to 6"):
        env.step_half_wait(1)
    env.step_half_async(1, np.array([0, 1, 2]))
    with pytest.raises(RuntimeError, match="half 1 is already being stepped"):
        env.step_half_async(1, np.array([0, 1, 2]))
    with pytest.raises(RuntimeError, match="step_half_wait"):
        env.step(np.zeros(6, np.int64))
    assert equal(env.reset(), env.episodes._seen(env.episodes.everyone)) and not env.under_way
    env.step(np.zeros(6, np.int64))
    env.step_half_async(0, np.zeros(3, np.int64))
    env.close()
    assert not env.under_way and env.worker._shutdown


def test_what_has_no_halves_says_why():
    assert engine().no_halves() is None
    assert engine(n_envs=5).no_halves() == "n_envs=5 has no halves"
    assert engine("CartPole").no_halves() == "CartPole steps all of its environments in one go"


# --- PPO --------------------------------------------------------------------------------------------------------------

SMALL = {"n_steps": 24, "batch_size": 48, "n_epochs": 1, "device": "cpu", "seed": 0}
CUT_SHORT = {"bank": 50, "kwargs": {"max_steps": 7}}  # so that there is something to bootstrap


def agent(overlap, encoder="mlp", n_envs=6, options=CUT_SHORT, **others):
    model = make_agent(
        engine(n_envs=n_envs, **options),
        encoder,
        "ppo",
        overlap=overlap,
        implementation="eager",
        encoder_options={"width": 16},
        **{**SMALL, "distinct": False, **others},
    )
    model.decide(10_000)
    return model


class Watching(BaseCallback):
    """What callbacks are shown, and what is under way meanwhile; stops at the given step."""

    def __init__(self, stop=None):
        super().__init__()
        self.stop, self.seen, self.rollouts = stop, [], []

    def _on_step(self):
        assert not getattr(self.training_env, "under_way", None)
        shown = {key: copy.deepcopy(self.locals[key]) for key in ("new_obs", "rewards", "dones", "taken")}
        self.seen.append({**shown, "infos": without_clock(self.locals["infos"]), "steps": self.num_timesteps})
        return len(self.seen) != self.stop

    def _on_rollout_end(self):
        rollout = self.model.rollout_buffer
        kept = ("actions", "values", "log_probs", "rewards", "starts", "advantages", "returns")
        tensors = {key: np.array(getattr(rollout, key)) for key in kept}
        if rollout.distinct is None:
            tensors |= {key: np.array(part) for key, part in rollout.observations.items()}
        self.rollouts.append(tensors)


def learned(model, steps=288, **options):
    watching = Watching(**options)
    set_random_seed(1)
    model.learn(steps, callback=watching)
    return watching


def half_by_half(env, observation, choose, steps):
    """As if nothing ran in the background: the policy acts on one half, then on the other, then all step."""
    for _ in range(steps):
        choices = [choose(parts(observation, half), half) for half in (0, 1)]
        stepped = env.step(np.concatenate([choice.taken for choice in choices]))
        yield collect.Choice(*collect._joined(*choices)), stepped
        observation = stepped[0]


def same_parameters(*models):
    return all(map(torch.equal, *(model.policy.parameters() for model in models)))


@pytest.mark.parametrize("encoder", ["mlp", "cnn"])
def test_overlapped_is_acting_half_by_half_to_the_bit(encoder, monkeypatch):
    """Rollouts, what callbacks see, episodes and parameters, over several updates."""
    background, plain = agent(True, encoder), agent(True, encoder)
    assert background.overlapping
    mine = learned(background)
    monkeypatch.setattr(collect, "overlapped", half_by_half)
    theirs = learned(plain)
    assert len(mine.seen) == 48 and [step["steps"] for step in mine.seen] == list(range(6, 289, 6))
    assert equal(mine.seen, theirs.seen) and equal(mine.rollouts, theirs.rollouts)
    assert sum(step["dones"].sum() for step in mine.seen) >= 36
    assert same_parameters(background, plain)
    for buffers in zip(background.ep_info_buffer, plain.ep_info_buffer, strict=True):
        assert equal(*({**info, "t": 0} for info in buffers))
    assert equal(list(background.ep_success_buffer), list(plain.ep_success_buffer))


def test_other_noise_is_noticed(monkeypatch):
    """Drawn for the second half first, say."""
    mine = learned(agent(True))

    def second_half_first(env, observation, choose, steps):
        for _ in range(steps):
            choices = [choose(parts(observation, half), half) for half in (1, 0)][::-1]
            stepped = env.step(np.concatenate([choice.taken for choice in choices]))
            yield collect.Choice(*collect._joined(*choices)), stepped
            observation = stepped[0]

    monkeypatch.setattr(collect, "overlapped", second_half_first)
    assert not equal(mine.rollouts, learned(agent(True)).rollouts)


def test_what_is_collected_is_what_the_engine_does_with_the_actions():
    """Rewards, observations, ends and infos are those of a plain engine given the same actions."""
    watching = learned(agent(True))
    replay = engine(n_envs=6, seed=0, **CUT_SHORT)  # SB3 seeds the environments with the agent's seed
    seen = [replay.reset()]
    for step in watching.seen:
        observation, rewards, dones, infos = replay.step(step["taken"])
        assert equal([observation, dones], [step["new_obs"], step["dones"]])
        assert equal([rewards, without_clock(infos)], [step["rewards"], step["infos"]])
        seen.append(observation)
    for number, rollout in enumerate(watching.rollouts):
        steps = range(24 * number, 24 * (number + 1))
        kept = {key: np.stack([seen[step][key] for step in steps], axis=1) for key in seen[0]}
        assert equal(kept, {key: rollout[key] for key in kept})
        ended = [watching.seen[step - 1]["dones"] if step else np.ones(6, bool) for step in steps]
        assert np.array_equal(rollout["starts"], np.stack(ended, axis=1))
        gained = np.stack([watching.seen[step]["rewards"] for step in steps], axis=1)
        cut = np.stack([watching.seen[step]["dones"] for step in steps], axis=1) & (gained == 0)
        assert np.array_equal(rollout["rewards"][~cut], gained[~cut]) and (rollout["rewards"][cut] != 0).all()


@pytest.mark.parametrize("distinct", [False, True])
def test_overlapped_runs_repeat_to_the_bit(distinct):
    mine, theirs = (agent(True, distinct=distinct) for _ in range(2))
    assert equal(learned(mine).rollouts, learned(theirs).rollouts) and same_parameters(mine, theirs)


def test_distinct_observations_are_the_same_overlapped():
    """Encoding each once changes rounding only, so the actions drawn at the start are the same."""
    plain, once = (learned(agent(True, distinct=distinct), steps=144).rollouts[0] for distinct in (False, True))
    assert np.array_equal(plain["actions"], once["actions"])
    assert np.allclose(plain["values"], once["values"], atol=1e-5)


def test_a_callback_that_stops_stops_there():
    models = [agent(overlap) for overlap in (True, False)]
    for model in models:
        watching = learned(model, stop=31)
        assert len(watching.seen) == 31 and model.num_timesteps == 31 * 6
        model.env.step(np.zeros(6, np.int64))  # nothing is under way


def test_windows_and_missions_overlap_too():
    model = agent(True, "lstm", options={"name": "GoToDoor-5x5", "history": 3, "bank": 20})
    assert model.overlapping and len(learned(model).seen) == 48


# --- towards the device -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overlap", [True, False])
def test_what_is_done_for_a_device_gives_the_same_rollout(overlap):
    """Staged observations, and one call for all episodes that were cut short: here from the CPU to itself."""
    plain, staged = agent(overlap), agent(overlap)
    staged.pinned = collect.Pinned(torch.device("cpu"))
    mine, theirs = (learned(model, steps=144).rollouts[0] for model in (plain, staged))
    bootstrapped = {"rewards", "advantages", "returns"}
    assert all(equal(mine[key], theirs[key]) for key in mine.keys() - bootstrapped)
    assert all(np.allclose(mine[key], theirs[key], atol=1e-5) for key in bootstrapped)


def test_staged_observations_are_copies_and_their_memory_is_kept():
    pinned = collect.Pinned(torch.device("cpu"))
    observation = {"image": np.arange(12, dtype=np.uint8).reshape(2, 6), "direction": np.ones((2, 1), np.uint8)}
    first, other = pinned(observation, 0), pinned(observation, 1)
    memory = dict(pinned.memory)
    observation["image"] += 1
    second = pinned(observation, 0)
    assert first["image"][0, 0] == 0 and other["image"][0, 0] == 0 and second["image"][0, 0] == 1
    assert len(memory) == 4 and all(pinned.memory[place] is memory[place] for place in memory)
    pinned({key: part[:1].astype(np.int64) for key, part in observation.items()}, 0)
    assert pinned.memory["image", 0].shape == (1, 6) and pinned.memory["image", 0].dtype == torch.int64
    transposed = np.arange(6.0).reshape(2, 3).T
    assert np.array_equal(pinned(transposed, 0), transposed)


# --- the rule ---------------------------------------------------------------------------------------------------------


def test_auto_is_off_on_a_cpu_and_on_where_a_device_and_the_engine_allow(monkeypatch):
    assert not agent("auto").overlapping and agent(True).overlapping
    for n_envs, name, expected in ((6, "DoorKey-5x5", True), (5, "DoorKey-5x5", False), (6, "CartPole", False)):
        model = agent("auto", n_envs=n_envs, options={"name": name})
        model.device = torch.device("cuda")
        model.decide(10_000)
        assert model.overlapping is expected


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        (lambda: engine(n_envs=5), "n_envs=5 has no halves"),
        (lambda: engine("CartPole"), "CartPole steps all of its environments in one go"),
        (lambda: VecNormalize(engine("CartPole")), "VecNormalize does not step halves"),
        (lambda: make_vec_env("DoorKey-5x5", n_envs=6), "LevelsVecEnv does not step halves"),
    ],
)
def test_where_it_cannot_be_the_reason_is_told(env, reason):
    model = make_agent(env(), "mlp", "ppo", overlap=True, **SMALL)
    with pytest.raises(ValueError, match=rf"agent.overlap=true is not possible here: {reason}.*; use auto or false"):
        model.learn(100)
    assert not model.num_timesteps
    with pytest.raises(ValueError, match=r"agent.overlap is auto, true or false; got 'often'"):
        make_agent(env(), "mlp", "ppo", overlap="often", **SMALL)
    with pytest.raises(ValueError, match=r"agent.overlap=True is not an option of SB3's own class"):
        make_agent(env(), "mlp", "ppo", overlap=True, implementation="sb3", **SMALL)


def test_a_saved_model_asks_again(tmp_path):
    """What was decided on one machine does not bind another."""
    model = agent("auto")
    model.overlapping = True
    model.save(tmp_path / "model")
    loaded = FastPPO.load(tmp_path / "model", env=make_vec_env("DoorKey-5x5", n_envs=6), device="cpu")
    loaded.learn(144)
    assert loaded.overlap == "auto" and not loaded.overlapping


def test_a_run_records_what_was_decided_and_says_when_it_is_on(capsys):
    options = ["env=DoorKey-5x5", "total_timesteps=128", "n_envs=4", "agent.n_steps=16", "env.bank=5"]
    options += ["evaluation.episodes=2", "evaluation.final_episodes=2", "device=cpu", "progress=false"]
    off = train(options)
    assert off.config["agent"]["overlap"] is False and "half of the environments" not in capsys.readouterr().out
    on = train([*options, "agent.overlap=true"])
    assert on.config["agent"]["overlap"] is True and on.folder != off.folder
    assert "acting on one half of the environments while the other steps" in capsys.readouterr().out
    assert train(options).folder == off.folder and "is finished" in capsys.readouterr().out


@pytest.mark.slow
def test_the_benchmark_compares_both_ways():
    written = run("overlap", "--n-envs", "8", "--n-steps", "4", "--batch-size", "32", "--rounds", "1")
    for ways in written["overlap"].values():
        assert ways.keys() == {"playing", "training"} and all(positive(way.values()) for way in ways.values())
