"""The batched engine against Farama's environments: equal in everything, on every id it accepts."""

from __future__ import annotations

import logging
import warnings

import gymnasium
import minigrid  # noqa: F401  registers the ids
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import register
from hypothesis import HealthCheck, Phase, given, settings, strategies
from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.core.world_object import Ball, Goal
from minigrid.envs import EmptyEnv, KeyCorridorEnv, MemoryEnv
from minigrid.envs.wfc import WFCEnv
from minigrid.envs.wfc.config import WFCConfig
from minigrid.minigrid_env import MiniGridEnv
from numba import njit
from paired_play import play
from PIL import Image
from stable_baselines3 import PPO

from envs import make_env, make_vec_env, make_vector_env
from envs.engine import RULES, Batch, Rule, kernel
from envs.engine.bank import Bank
from envs.engine.levels import generate, maker_of
from envs.engine.rules import step_owner
from envs.levels import EVALUATION, level_seeds

WFC = "MiniGrid-WFC-"  # needs packages of its own to make a level
IDS = [name for name in gymnasium.registry if name.startswith(("MiniGrid-", "BabyAI-")) and not name.startswith(WFC)]

# An id of every rule, instruction and kind of object, with what 2,000 steps must have met in it.
BOTH = ("success", "failure")
REPRESENTATIVES = {
    "MiniGrid-Empty-6x6-v0": ("success",),
    "MiniGrid-DoorKey-6x6-v0": ("success",),
    "MiniGrid-FourRooms-v0": ("success",),
    "MiniGrid-LavaCrossingS9N1-v0": BOTH,
    "MiniGrid-KeyCorridorS3R1-v0": ("success",),
    "MiniGrid-ObstructedMaze-1Dlhb-v0": ("timeout",),
    "MiniGrid-UnlockPickup-v0": ("success",),
    "MiniGrid-Fetch-6x6-N2-v0": BOTH,
    "MiniGrid-GoToDoor-5x5-v0": BOTH,
    "MiniGrid-GoToObject-6x6-N2-v0": BOTH,
    "MiniGrid-MemoryS7-v0": BOTH,
    "MiniGrid-PutNear-6x6-N2-v0": BOTH,
    "MiniGrid-RedBlueDoors-6x6-v0": BOTH,
    "MiniGrid-Unlock-v0": ("success",),
    "MiniGrid-Dynamic-Obstacles-6x6-v0": BOTH,
    "BabyAI-GoToLocal-v0": ("success",),
    "BabyAI-PickupDist-v0": ("success",),
    "BabyAI-OpenDoorsOrderN4Debug-v0": ("success",),
    "BabyAI-PutNextS5N2Carrying-v0": ("success",),
    "BabyAI-KeyInBox-v0": ("success",),
    "BabyAI-MiniBossLevel-v0": ("timeout",),
}


LARGE = {  # their levels take Farama long to make; smaller neighbours have the same rules
    "MiniGrid-FourRooms-v0",
    "MiniGrid-LavaCrossingS9N1-v0",
    "MiniGrid-KeyCorridorS3R1-v0",
    "MiniGrid-ObstructedMaze-1Dlhb-v0",
    "BabyAI-GoToLocal-v0",
    "BabyAI-OpenDoorsOrderN4Debug-v0",
    "BabyAI-KeyInBox-v0",
    "BabyAI-MiniBossLevel-v0",
}


@pytest.mark.parametrize(
    "env_id",
    [pytest.param(id, marks=pytest.mark.slow if id in LARGE else ()) for id in REPRESENTATIVES],
)
def test_every_step_equals_farama_s(env_id):
    seen = play(env_id, 2_000)
    assert seen["steps"] == 2_000
    for outcome in REPRESENTATIVES[env_id]:
        assert seen[outcome], f"no {outcome} in {dict(seen)}"


@pytest.mark.slow
@pytest.mark.parametrize("env_id", IDS)
def test_every_step_equals_farama_s_on_every_id(env_id):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some versions of ids are deprecated
        play(env_id, 1_000, seed=1, bank=64)


@pytest.mark.slow
@pytest.mark.parametrize("env_id", REPRESENTATIVES)
def test_ten_thousand_steps_equal_farama_s(env_id):
    seen = play(env_id, 10_000, seed=2, bank=256)
    assert seen["success"]


def law(examples, alter=None):
    """Whatever is played in whichever environment is what Farama's plays, if the engine is not altered."""

    @settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=examples,
        report_multiple_bugs=False,
        phases=[Phase.generate] + [Phase.shrink] * (alter is None),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(
        env_id=strategies.sampled_from(IDS),
        first_level=strategies.integers(0, 2**32 - 8),
        bank=strategies.integers(0, 5),
        seed=strategies.integers(0, 2**31),
        n=strategies.integers(1, 4),
        view=strategies.sampled_from(["partial", "full", "rgb"]),
        moves=strategies.lists(strategies.integers(0, 15), min_size=1, max_size=40),  # above 6: something sensible
    )
    def equal(env_id, first_level, bank, seed, n, view, moves):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some versions of ids are deprecated
            play(env_id, 100, seed, n, bank, first_level, [view], moves, alter)

    equal()


@pytest.mark.slow
def test_whatever_is_played_equals_farama_s():
    law(examples=120)


@pytest.mark.parametrize("fields", [{"sees_through": True}, {"rule": kernel.BASE}], ids=str)
def test_what_is_played_in_an_altered_engine_does_not(fields):
    with pytest.raises(AssertionError, match="Farama's"):
        law(examples=120, alter=altered(**fields))


def altered(**fields):
    """An engine with other constants."""

    def alter(batch: Batch) -> None:
        batch.geometry = batch.geometry._replace(**fields)

    return alter


def blind_at_the_edge(batch: Batch) -> None:
    sight = batch.geometry.sight.copy()
    sight[1 << 3] &= ~1
    batch.geometry = batch.geometry._replace(sight=sight)


def doors_unlocked(batch: Batch) -> None:
    grid = batch.levels.grid
    locked = (grid & 15 == kernel.DOOR) & ((grid >> 7) & 3 == kernel.LOCKED)
    grid[locked] = grid[locked] & ~(3 << 7) | kernel.CLOSED << 7


def agent_field(name, change):
    def alter(batch: Batch) -> None:
        batch.levels.agent[name] = change(batch.levels.agent[name].copy())

    return alter


def emptied(name):
    def alter(batch: Batch) -> None:
        array = getattr(batch.levels, name)
        array[:] = kernel.EMPTY if name == "contents" else 0

    return alter


def strict(program):
    program[:, 3::2] = 1
    return program


MUTATIONS = {
    "the view ends a column early": ("MiniGrid-FourRooms-v0", blind_at_the_edge),
    "walls are seen through": ("MiniGrid-DoorKey-6x6-v0", altered(sees_through=True)),
    "locked doors open without a key": ("MiniGrid-DoorKey-6x6-v0", doors_unlocked),
    "episodes last a step longer": ("MiniGrid-Empty-6x6-v0", agent_field("max_steps", lambda steps: steps + 1)),
    "the first observation is not the level's": ("BabyAI-PutNextS5N2Carrying-v0", emptied("image")),
    "boxes are empty": ("BabyAI-KeyInBox-v0", emptied("contents")),
    "words are forgotten": ("BabyAI-GoToLocal-v0", emptied("mission")),
    "another object is the target": (
        "MiniGrid-UnlockPickup-v0",
        agent_field("parameters", lambda parameters: parameters % 3 + 1),
    ),
    "another kind is to be fetched": ("MiniGrid-Fetch-6x6-N2-v0", agent_field("parameters", lambda p: p ^ 3)),
    "the target stands elsewhere": ("MiniGrid-GoToObject-6x6-N2-v0", agent_field("parameters", lambda p: p + 1)),
    "success and failure are swapped": (
        "MiniGrid-MemoryS7-v0",
        agent_field("parameters", lambda p: p[:, [1, 0, 2, 3]]),
    ),
    "the doors are swapped": ("MiniGrid-RedBlueDoors-6x6-v0", agent_field("parameters", lambda p: p[:, [1, 0, 2, 3]])),
    "nothing matches a description": ("BabyAI-PickupDist-v0", emptied("masks")),
    "nothing is where it is described": ("BabyAI-GoToLocal-v0", emptied("marks")),
    "every instruction is strict": ("BabyAI-PickupDist-v0", agent_field("program", strict)),
    "then is now": ("BabyAI-OpenDoorsOrderN4-v0", agent_field("program", lambda p: p * (np.arange(10) > 0))),
} | {
    f"{env_id} has no rule of its own": (env_id, altered(rule=kernel.BASE))
    for env_id in REPRESENTATIVES
    if "success" in REPRESENTATIVES[env_id] and "failure" in REPRESENTATIVES[env_id] and "Lava" not in env_id
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_the_comparison_notices_when(mutation):
    env_id, alter = MUTATIONS[mutation]
    with pytest.raises(AssertionError, match="Farama's"):
        play(env_id, 4_000, alter=alter)


def test_obstacles_move_as_often_to_each_cell_as_farama_s():
    real = gymnasium.make("MiniGrid-Dynamic-Obstacles-5x5-v0").unwrapped
    draws = 4_000
    batch = Batch(gymnasium.make(real.spec.id), draws, bank=1, first_level=7)
    batch.reset(0)
    batch.step(np.zeros(draws, np.int64))
    mine = [tuple(row) for row in batch.state.obstacles.tolist()]
    theirs = []
    real.reset(seed=7)
    before = [ball.cur_pos for ball in real.obstacles]
    chance = np.random.default_rng(1)
    for _ in range(draws):
        for ball in real.obstacles:
            real.grid.set(*ball.cur_pos, None)
        for ball, place in zip(real.obstacles, before, strict=True):
            real.put_obj(ball, *place)
        real.agent_dir, real.step_count, real.np_random = 0, 0, chance
        real.step(0)
        theirs.append(tuple(6 + (y + 6) * (real.width + 6) + x for x, y in (ball.cur_pos for ball in real.obstacles)))
    outcomes = sorted(set(mine) | set(theirs))
    counts = np.array([[side.count(outcome) for outcome in outcomes] for side in (mine, theirs)], float)
    counts = counts[:, counts.sum(0) >= 10]
    expected = counts.sum(0) / 2
    statistic, freedom = float(((counts - expected) ** 2 / expected).sum()), counts.shape[1] - 1
    # Wilson & Hilferty (1931): a chi-square's cube root is nearly normal
    z = ((statistic / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / (2 / (9 * freedom)) ** 0.5
    assert freedom >= 5 and z < 3, (statistic, freedom)


def same(mine, theirs):
    """Two observations are equal, in dtypes and keys too."""
    assert mine.keys() == theirs.keys()
    for key in mine:
        assert mine[key].dtype == theirs[key].dtype and np.array_equal(mine[key], theirs[key]), key


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("DoorKey-5x5", {}),
        ("DoorKey-5x5", {"view": "full", "reward_scale": 3.0}),
        ("BabyAI-GoToLocal-v0", {"view": "rgb"}),
        ("GoToDoor-5x5", {"history": 3}),
        ("BabyAI-PutNextS5N2Carrying-v0", {"view": "full", "history": 2}),
        ("Empty-8x8", {"view": "rgb", "history": 1, "kwargs": {"max_steps": 20}}),
    ],
)
@pytest.mark.parametrize(("bank", "first"), [(5, 9), (40, 9), (0, EVALUATION)])
def test_both_engines_are_the_same_vectorised_environment(name, options, bank, first):
    mine, theirs = (
        make_vec_env(name, n_envs=3, seed=11, engine=engine, bank=bank, first_level=first, **options)
        for engine in ("batched", "gymnasium")
    )
    assert mine.observation_space == theirs.observation_space and mine.action_space == theirs.action_space
    random = np.random.default_rng(0)
    episodes = 0
    for _ in range(2):  # a second reset goes on with the next levels
        same(mine.reset(), theirs.reset())
        assert mine.reset_infos == theirs.reset_infos
        for _ in range(120):
            actions = random.integers(0, 7, 3)
            seen, reward, done, infos = mine.step(actions)
            seen_there, reward_there, done_there, infos_there = theirs.step(actions)
            same(seen, seen_there)
            assert reward.dtype == reward_there.dtype and np.array_equal(reward, reward_there)
            assert np.array_equal(done, done_there)
            for i, (info, info_there) in enumerate(zip(infos, infos_there, strict=True)):
                if done[i]:
                    episodes += 1
                    assert info["level_seed"] == mine.reset_infos[i]["level_seed"]
                    same(info.pop("terminal_observation"), info_there.pop("terminal_observation"))
                    assert info["episode"].pop("t") >= 0 and info_there["episode"].pop("t") >= 0
                assert info == info_there
        assert mine.reset_infos == theirs.reset_infos
    assert episodes or name == "BabyAI-PutNextS5N2Carrying-v0" or name == "BabyAI-GoToLocal-v0" or "Door" in name


def test_sb3_learns_the_same_policy_on_either_engine():
    def learned(engine):
        env = make_vec_env("Empty-8x8", n_envs=2, seed=0, engine=engine, bank=20, kwargs={"max_steps": 30})
        model = PPO("MultiInputPolicy", env, n_steps=32, batch_size=32, n_epochs=2, seed=3, device="cpu").learn(128)
        assert model.ep_info_buffer
        return model.policy.state_dict()

    mine, theirs = learned("batched"), learned("gymnasium")
    assert all(torch.equal(mine[key], theirs[key]) for key in mine)


def test_gymnasium_s_vector_environments_are_the_same_too():
    mine, theirs = (make_vector_env("GoToDoor-5x5", n_envs=3, engine=e, bank=9) for e in ("batched", "gymnasium"))
    assert mine.observation_space == theirs.observation_space and mine.action_space == theirs.action_space
    assert mine.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"]
    (seen, infos), (seen_there, infos_there) = mine.reset(seed=4), theirs.reset(seed=4)
    random = np.random.default_rng(0)
    for _ in range(100):
        same(seen, seen_there)
        assert infos.keys() == infos_there.keys()
        for key in infos.keys() - {"final_obs", "final_info"}:
            assert np.array_equal(infos[key], infos_there[key]), key
        for i in np.flatnonzero(infos.get("_final_obs", [])):
            same(infos["final_obs"][i], infos_there["final_obs"][i])
            assert infos["final_info"]["is_success"][i] == infos_there["final_info"]["is_success"][i]
            for key in "rl":
                assert infos["final_info"]["episode"][key][i] == infos_there["final_info"]["episode"][key][i]
        actions = random.integers(0, 7, 3)
        (seen, *step, infos), (seen_there, *step_there, infos_there) = mine.step(actions), theirs.step(actions)
        assert all(np.array_equal(a, b) for a, b in zip(step, step_there, strict=True))


def test_nothing_is_compiled_twice():
    for bank in (0, 4, 4):  # levels made each time, made for a file, and read from it
        for name in ("DoorKey-6x6", "GoToDoor-5x5"):
            for view in ("partial", "full", "rgb"):
                env = make_vec_env(name, n_envs=2, seed=0, engine="batched", view=view, bank=bank)
                env.reset()
                env.step(np.array([0, 1]))
    assert len(kernel.step_all.signatures) == len(kernel.reset_all.signatures) == 1


def test_an_observation_stays_as_it_was_when_the_environments_go_on():
    env = make_vec_env("Empty-8x8", n_envs=2, seed=0, engine="batched", bank=3)
    first = env.reset()
    kept = {key: array.copy() for key, array in first.items()}
    for _ in range(5):
        env.step(np.array([1, 2]))
    same(first, kept)


def test_the_level_depends_on_seed_environment_and_episode_alone():
    few, many = (make_vec_env("Empty-8x8", n_envs=n, seed=5, engine="batched", bank=50) for n in (2, 6))
    few.reset(), many.reset()
    assert few.reset_infos == many.reset_infos[:2]
    everyone = np.arange(1_000)
    assert len(set(level_seeds(0, everyone, everyone * 0, 10**9))) > 990
    assert not np.array_equal(level_seeds(0, everyone, everyone, 100), level_seeds(1, everyone, everyone, 100))
    assert set(level_seeds(3, everyone, everyone, 7, first=20).tolist()) == set(range(20, 27))


def test_evaluations_have_levels_of_their_own():
    everyone = np.arange(100_000)
    for training in (level_seeds(0, everyone, everyone, 0), level_seeds(0, everyone, everyone, 2**31)):
        assert 0 <= training.min() < 2**17 and 2**31 - 2**17 < training.max() < EVALUATION
    evaluation = level_seeds(0, everyone, everyone, 0, EVALUATION)
    assert EVALUATION <= evaluation.min() < EVALUATION + 2**17 and 2**32 - 2**17 < evaluation.max() < 2**32


@pytest.mark.parametrize("engine", ["batched", "gymnasium"])
def test_the_level_of_each_episode_is_told_and_is_farama_s(engine):
    env = make_vec_env("GoToDoor-5x5", n_envs=2, seed=3, engine=engine)  # 10,000 levels
    seen = env.reset()
    levels = [info["level_seed"] for info in env.reset_infos]
    for _ in range(30):
        real = gymnasium.make("MiniGrid-GoToDoor-5x5-v0").reset(seed=levels[1])[0]
        assert np.array_equal(seen["image"][1], real["image"]) and levels[1] < 10_000
        seen, _, done, infos = env.step(np.array([0, kernel.DONE]))
        assert done[1] and "level_seed" not in infos[0]
        levels[1] = infos[1]["level_seed"]
    assert env.engine == engine


def test_without_a_bank_every_episode_is_a_new_level_of_farama_s():
    env = make_vec_env("GoToDoor-5x5", n_envs=2, seed=1, engine="batched", bank=0)
    seen = env.reset()
    levels = [info["level_seed"] for info in env.reset_infos]
    real = make_env("GoToDoor-5x5")
    for _ in range(40):
        seen, _, done, infos = env.step(np.array([5, 0]))
        if done[0]:
            levels.append(infos[0]["level_seed"])
            same({key: array[0] for key, array in seen.items()}, real.reset(seed=levels[-1])[0])
    assert len(levels) == len(set(levels)) == 42


def test_a_reused_environment_makes_the_levels_a_new_one_does():
    for env_id in ("BabyAI-MiniBossLevel-v0", "MiniGrid-ObstructedMaze-Full-v1", "MiniGrid-MultiRoom-N6-v0"):
        many = generate(gymnasium.make(env_id), range(5)).levels
        for seed in range(5):
            for one, array in zip(generate(gymnasium.make(env_id), [seed]).levels, many, strict=True):
                assert np.array_equal(one[0], array[seed])


def test_the_levels_of_a_bank_are_made_when_they_are_drawn():
    env, seeds = gymnasium.make("MiniGrid-GoToDoor-5x5-v0"), np.arange(7, 607, 2)
    bank = Bank(maker_of(env), seeds)
    assert bank.rows(np.array([407, 27, 407])).tolist() == [200, 10, 200]
    assert np.flatnonzero(bank.made).tolist() == [10, 200] and not bank.levels.grid[11].any()
    for mine, at_once in zip(bank.levels, generate(env, seeds.tolist()).levels, strict=True):
        assert np.array_equal(mine[[10, 200]], at_once[[10, 200]])


def test_a_level_that_turns_out_unsupported_is_an_error_that_says_what_to_do():
    env = make_vec_env("Test-Sometimes-v0", n_envs=4, seed=0, engine="batched", bank=1000)
    with pytest.raises(ValueError, match=r"cannot continue: it has a Stone.* \(level \d+\); use env.engine=gymnasium"):
        env.reset()
        for _ in range(400):
            env.step(np.zeros(4, np.int64))


@pytest.mark.parametrize(("view", "bank"), [("partial", 0), ("full", 100), ("rgb", 7)])
def test_the_memory_a_batch_takes_is_known_before(view, bank):
    env = gymnasium.make("BabyAI-GoToLocal-v0")
    batch = Batch(env, 50, view, bank)
    arrays = [*batch.levels, *batch.state, *batch.out, batch.order, batch.everyone, batch.episode]
    arrays += [batch.level_seed, batch.next_seed]
    assert sum(array.nbytes for array in arrays) == batch.nbytes == Batch.nbytes_for(env, 50, view, bank)


def test_more_environments_than_memory_are_refused_before_anything_is_allocated(monkeypatch):
    with pytest.raises(ValueError, match=r"n_envs=1000000000 and env.bank=2 need [\d,.]+ GB .* GB are free"):
        make_vec_env("DoorKey-5x5", n_envs=10**9, engine="auto", bank=2)
    with pytest.raises(ValueError, match=r"env.bank=2000000000 need"):
        make_vec_env("DoorKey-5x5", n_envs=1, engine="auto", bank=2 * 10**9)
    monkeypatch.setattr("envs.engine.batch.available_memory", lambda: 200_000)
    assert make_vec_env("DoorKey-5x5", n_envs=50, engine="batched", bank=0).reset()
    with pytest.raises(ValueError, match=r"0\.2 MB are free"):
        make_vec_env("DoorKey-5x5", n_envs=100, engine="batched", bank=0)
    monkeypatch.setattr("envs.engine.batch.available_memory", lambda: None)
    assert make_vec_env("DoorKey-5x5", n_envs=100, engine="batched", bank=0).reset()


class Treasure(EmptyEnv):
    """A step of its own: picking up the ball wins."""

    def _gen_grid(self, width, height):
        super()._gen_grid(width, height)
        self.ball = Ball("red")
        self.place_obj(self.ball)

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        if action == self.actions.pickup and self.carrying is self.ball:
            reward, terminated = 0.5, True
        return observation, reward, terminated, truncated, info


class Plain(MiniGridEnv):
    """A user's environment without a step of its own."""

    def __init__(self, view=7, **kwargs):
        mission = MissionSpace(mission_func=lambda: "reach the goal")
        super().__init__(mission, grid_size=6, max_steps=30, agent_view_size=view, **kwargs)

    def _gen_grid(self, width, height):
        self.grid = Grid(width, height)
        self.grid.wall_rect(0, 0, width, height)
        self.place_obj(Goal())
        self.place_agent()
        self.mission = "reach the goal"


class Stone(Ball):
    """An object that is not one of Farama's."""


class Strange(Plain):
    def _gen_grid(self, width, height):
        super()._gen_grid(width, height)
        self.place_obj(Stone("grey"))


class Sometimes(Plain):
    """Some levels, beyond those tried at first, have something that is not Farama's."""

    def reset(self, *, seed=None, options=None):
        self.strange = seed is not None and seed > 500
        return super().reset(seed=seed, options=options)

    def _gen_grid(self, width, height):
        super()._gen_grid(width, height)
        if self.strange:
            self.place_obj(Stone("grey"))


class Twice(Plain):
    def _gen_grid(self, width, height):
        super()._gen_grid(width, height)
        ball = Ball("red")
        self.place_obj(ball)
        self.place_obj(ball)


class Rewarded(Plain):
    def _reward(self):
        return 1


@pytest.fixture(scope="module", autouse=True)
def ids_of_a_user():
    names = {"Test-Treasure-v0": Treasure, "Test-Plain-v0": Plain, "Test-Strange-v0": Strange}
    names |= {"Test-Twice-v0": Twice, "Test-Rewarded-v0": Rewarded, "Test-Sometimes-v0": Sometimes}
    for name, made in names.items():
        register(name, made)
    register("Test-Limited-v0", Plain, max_episode_steps=10)
    yield
    for name in (*names, "Test-Limited-v0"):
        del gymnasium.registry[name]


def test_a_user_s_environment_without_a_step_of_its_own_runs_in_the_engine():
    assert play("Test-Plain-v0", 1_000)["success"]


def test_a_rule_can_be_registered_for_a_step_of_one_s_own(monkeypatch):
    class Corridor(KeyCorridorEnv):
        def step(self, action):
            return super().step(action)

    register("Test-Corridor-v0", Corridor)
    with pytest.raises(ValueError, match="Corridor has a `step` of its own"):
        make_vec_env("Test-Corridor-v0", engine="batched", bank=2)
    monkeypatch.setitem(RULES, Corridor, RULES[KeyCorridorEnv])
    play("Test-Corridor-v0", 500)
    del gymnasium.registry["Test-Corridor-v0"]


@pytest.mark.slow
def test_a_compiled_step_of_one_s_own_runs_in_the_engine(monkeypatch):
    @njit
    def find_treasure(agent, grid, contents, action):
        reward, terminated, truncated = kernel.step_base(agent, grid, contents, action)
        if action == kernel.PICKUP and agent.carrying >> 9 == agent.parameters[0]:
            reward, terminated = 0.5, True
        return reward, terminated, truncated

    monkeypatch.setitem(
        RULES, Treasure, Rule(kernel.CUSTOM, lambda env, level: [level.number(env.ball)], find_treasure)
    )
    assert play("Test-Treasure-v0", 2_000)["success"]


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("FrozenLake-v1", {}, "not a MiniGrid environment"),
        ("Test-Treasure-v0", {}, "Treasure has a `step` of its own"),
        ("Test-Plain-v0", {"kwargs": {"view": 5}}, "sees 5x5 cells"),
        ("DoorKey-5x5", {"kwargs": {"agent_view_size": 9}}, "sees 9x9 cells"),
        ("Test-Strange-v0", {}, "has a Stone"),
        ("Test-Twice-v0", {}, "in two places"),
        ("Test-Rewarded-v0", {}, "Rewarded has its own `_reward`"),
        ("Test-Limited-v0", {}, "wrapped in TimeLimit"),
        ("DoorKey-5x5", {"render_mode": "rgb_array"}, "draws no pictures"),
    ],
)
def test_what_the_engine_cannot_step_is_refused_or_left_to_gymnasium(name, options, reason, caplog):
    with pytest.raises(ValueError, match=reason) as refused:
        make_vec_env(name, engine="batched", bank=2, **options)
    assert "RoomGridLevel" in str(refused.value) and "engine=gymnasium" in str(refused.value)
    with caplog.at_level(logging.INFO):
        env = make_vec_env(name, n_envs=2, engine="auto", **options)
    assert env.num_envs == 2 and "runs in Gymnasium" in caplog.text and reason in caplog.text


@pytest.mark.slow
def test_wave_function_collapse_runs_in_the_engine_where_it_has_its_pictures(tmp_path):
    """The wheels of MiniGrid 3.2.0 lack the pictures that WFC learns its patterns from; here is another."""
    for package in ("imageio", "networkx"):  # of minigrid[wfc]
        pytest.importorskip(package)
    field = np.full((8, 8, 3), 255, np.uint8)
    field[2:4, 2:4] = field[5, 6] = 0
    Image.fromarray(field).save(tmp_path / "field.png")
    for picture in ("field.png", "none.png"):
        config = WFCConfig(tmp_path / picture, input_periodic=True, output_periodic=True)
        register("Test-WFC-v0", WFCEnv, kwargs={"wfc_config": config, "size": 9})
        if picture == "field.png":
            assert play("Test-WFC-v0", 500, bank=2)["success"]
        else:
            with pytest.raises(ValueError, match=r"WFCEnv cannot make level 0: .*none.png"):
                make_vec_env("Test-WFC-v0", engine="auto")
        del gymnasium.registry["Test-WFC-v0"]


def test_auto_says_that_it_uses_the_engine(caplog):
    with caplog.at_level(logging.INFO):
        env = make_vec_env("Empty-8x8", engine="auto", bank=2)
    assert type(env).__name__ == "BatchedVecEnv" and "runs in the batched engine" in caplog.text


@pytest.mark.parametrize(
    "options", [{"engine": "fast"}, {"bank": -1}, {"n_envs": 0}, {"engine": "batched", "view": "x"}]
)
def test_what_cannot_be_made_is_a_value_error(options):
    with pytest.raises(ValueError):
        make_vec_env("DoorKey-5x5", **options)


@pytest.mark.parametrize("actions", [[0, 7], [-1, 0], [0], [0, 1, 2]])
def test_an_action_that_is_none_is_a_value_error(actions):
    env = make_vec_env("DoorKey-5x5", n_envs=2, seed=0, engine="batched", bank=2)
    env.reset()
    before = env.batch.state.agent.copy()
    with pytest.raises(ValueError, match="integers from 0 to 6"):
        env.step(np.array(actions))
    assert np.array_equal(before, env.batch.state.agent)


@pytest.mark.slow
def test_threads_do_not_change_the_result():
    one, two = (
        make_vec_env("DynamicObstacles-5x5", n_envs=50, seed=0, engine="batched", bank=9, engine_threads=t)
        for t in (1, 2)
    )
    same(one.reset(), two.reset())
    random = np.random.default_rng(0)
    for _ in range(200):
        actions = random.integers(0, 3, 50)
        (seen, reward, done, _), (seen_there, reward_there, done_there, _) = one.step(actions), two.step(actions)
        same(seen, seen_there)
        assert np.array_equal(reward, reward_there) and np.array_equal(done, done_there)


def test_the_rule_is_found_by_the_class_that_owns_the_step():
    assert step_owner(gymnasium.make("MiniGrid-MemoryS7-v0")) is MemoryEnv
    assert step_owner(gymnasium.make("MiniGrid-DoorKey-5x5-v0")) is MiniGridEnv
