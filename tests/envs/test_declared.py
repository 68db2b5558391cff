"""Laws of declared symmetries: they hold in the simulators, wrong ones are caught, and some can be discovered."""

from __future__ import annotations

import runpy
import subprocess
import sys
from functools import partial

import gymnasium
import numpy as np
import pytest
import torch
from conftest import PROJECT
from gymnasium import spaces

from envs import (
    check_symmetry,
    discover_symmetries,
    make_env,
    make_vec_env,
    register_symmetry,
    symmetric_ids,
    symmetry_of,
)
from envs.missions import WORDS
from envs.names import resolve_id
from envs.symmetries import minigrid_symmetry, tolerance_of
from envs.symmetries.classic import MIRROR, flip, permute
from envs.symmetries.minigrid import moved, transform
from envs.symmetries.registry import match_spaces
from envs.twins import measure_symmetry
from symmetry import Group, Representation, Symmetry

WORD_IDS = {word: index for index, word in enumerate(WORDS)}
D4 = Group([[1, 2, 3, 0], [2, 1, 0, 3]], "D4")
CLASSIC = ("CartPole", "Acrobot", "Pendulum")


class Field(gymnasium.Env):
    """A point in a square field, pushed right, down, left or up: the test's own environment, with the symmetry D4."""

    observation_space = spaces.Box(-np.inf, np.inf, (4,), np.float64)
    action_space = spaces.Discrete(4)

    def __init__(self, wind: float = 0.0, gusts: float = 0.0):
        self.wind, self.gusts = wind, gusts

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.np_random.uniform(-1, 1, 4)
        return self.state.copy(), {}

    def step(self, action):
        push = 0.1 * np.array([(1, 0), (0, 1), (-1, 0), (0, -1)][action % 4])
        push[0] += self.wind + (self.np_random.normal() * self.gusts if self.gusts else 0)
        velocity = 0.9 * self.state[2:] + push
        self.state = np.concatenate([self.state[:2] + 0.1 * velocity, velocity])
        place = np.abs(self.state[:2])
        return self.state.copy(), -float(place.sum()), bool(place.max() > 2), False, {}


class Plane(Field):
    """The same field, but which way the point goes is given as an angle, so the state is not what is observed."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)

    def reset(self, **kwargs):
        return super().reset(**kwargs)[0][:2], {}

    def step(self, action):
        observation, *rest = super().step(action)
        return observation[:2], *rest


gymnasium.register("Field-v0", Field)
gymnasium.register("Plane-v0", Plane)
VECTOR = Representation(D4, [([1, 0], [1, -1]), ([0, 1], [-1, 1])])
DIRECTIONS = Representation(D4, [([1, 2, 3, 0], [1] * 4), ([2, 1, 0, 3], [1] * 4)])
FIELD = Symmetry(D4, {"observation": VECTOR * 2}, DIRECTIONS)


@pytest.fixture
def registered():
    register_symmetry("Field-v0", FIELD)


def needs_mujoco(name: str) -> None:
    if name.endswith("-v5"):
        pytest.importorskip("mujoco")


# ── declared, and tested ──


SLOW = {"Ant-v5": pytest.mark.slow}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=SLOW.get(name, ())) for name in ("Field-v0", *symmetric_ids())]
)
def test_every_declared_symmetry_holds_in_the_simulator(name, registered):
    needs_mujoco(name)
    check = check_symmetry(make_env(name), steps=60)
    assert check.worst <= tolerance_of(name) and not check.draws
    assert len(check.observation) == check.symmetry.group.order


def test_the_approximate_one_is_not_exact():
    pytest.importorskip("mujoco")
    name = "InvertedDoublePendulum-v5"
    assert tolerance_of(name) > 1e-6 == tolerance_of("CartPole")
    assert check_symmetry(make_env(name), steps=60).worst > 1e-9
    with pytest.raises(ValueError, match="does not obey"):
        check_symmetry(make_env(name), steps=60, tolerance=1e-9)


def test_states_are_compared_in_full_precision_where_observations_are_rounded():
    check = check_symmetry(make_env("Acrobot"), steps=60)
    assert max(check.observation) == 0 < max(check.state) == check.worst < tolerance_of("Acrobot") == 1e-8
    with pytest.raises(ValueError, match=r"does not obey this symmetry: the simulator's state\[\d\] should be"):
        check_symmetry(make_env("Acrobot"), steps=60, tolerance=0)
    assert check_symmetry(make_env("CartPole"), steps=60).worst == 0


def test_a_state_that_no_observation_shows_is_compared_too():
    class Hidden(gymnasium.Wrapper):
        """The wind blows in what is not observed."""

        def step(self, action):
            step = self.env.step(action)
            self.unwrapped.state[2] += 0.01
            return step

    def twin(env, g):
        env.unwrapped.state = (VECTOR * 2)(g, torch.from_numpy(env.unwrapped.state)).numpy()

    seen = Symmetry(D4, {"observation": VECTOR}, DIRECTIONS, twin)
    with pytest.raises(ValueError, match=r"the simulator's state\[\d\] should be"):
        check_symmetry(Hidden(gymnasium.make("Plane-v0")), seen, steps=1)


def test_what_has_no_state_of_its_own_is_compared_by_what_it_shows():
    class Closed(gymnasium.Env):
        observation_space, action_space = spaces.Box(-1, 1, (1,)), spaces.Discrete(2)
        state = "closed"

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.place = 0.5
            return np.array([self.place]), {}

        def step(self, action):
            self.place *= -1 if action else 1
            return np.array([self.place]), 0.0, False, False, {}

    def twin(env, g):
        env.unwrapped.place *= -1 if g else 1

    check = check_symmetry(Closed(), Symmetry(MIRROR, {"observation": flip(-1)}, permute(0, 1), twin), steps=5)
    assert not check.has_state and check.worst == 0


@pytest.mark.parametrize("view, group", [("partial", "C2"), ("full", "D4")])
@pytest.mark.parametrize("name", ["DoorKey-6x6", "MemoryS7", "GoToDoor-5x5", "MiniGrid-PutNear-6x6-N2-v0"])
def test_minigrid_may_be_reflected_and_seen_as_a_whole_turned(name, view, group):
    check = check_symmetry(make_env(name, view=view), steps=40)
    assert check.symmetry.group.name == group and check.worst == 0


@pytest.mark.parametrize("name", ["KeyCorridorS3R1", "Unlock"])
def test_a_grid_that_is_not_square_may_only_be_reflected(name):
    check = check_symmetry(make_env(name, view="full"), steps=40)
    assert check.symmetry.group.name == "C2xC2" and check.worst == 0


@pytest.mark.parametrize("view", ["partial", "full"])
def test_missions_that_say_left_say_right_in_the_mirror(view):
    env = make_env("BabyAI-PutNextLocal-v0", view=view)  # its verifier remembers positions
    assert check_symmetry(env, steps=30).worst == 0
    env = make_env("BabyAI-BossLevelNoUnlock-v0", view=view)
    for seed in range(100):
        observation, _ = env.reset(seed=seed)
        if WORD_IDS["left"] in observation["mission"]:
            break
    symmetry = symmetry_of(env)
    words = torch.from_numpy(observation["mission"])[None]
    reflection = next(g for g, p in enumerate(symmetry.group.elements) if g and symmetry.act(g, torch.tensor([0])) == 1)
    mirrored = symmetry.observation["mission"](reflection, words)
    assert (mirrored == WORD_IDS["right"]).sum() >= 1 and not torch.equal(mirrored, words)
    assert torch.equal(symmetry.observation["mission"](reflection, mirrored), words)


def test_without_the_words_the_mirror_is_no_symmetry():
    env = make_env("BabyAI-PickupLoc-v0")
    seed = next(seed for seed in range(100) if WORD_IDS["left"] in env.reset(seed=seed)[0]["mission"])
    symmetry = symmetry_of(env)
    silent = minigrid_symmetry(env.observation_space, "partial", [word.upper() for word in WORDS])
    assert check_symmetry(env, symmetry, steps=3, seed=seed).worst == 0
    unsaid = Symmetry(symmetry.group, silent.observation, symmetry.action, symmetry.twin)
    with pytest.raises(ValueError, match=r"does not obey this symmetry: mission\["):
        check_symmetry(env, unsaid, steps=3, seed=seed)


def test_a_twin_of_a_twin_is_the_composition():
    env = make_env("DoorKey-6x6", view="full")
    group = symmetry_of(env).group

    def image_after(*elements):
        env.reset(seed=4)
        for g in elements:
            transform(env, g, group)
        return env.unwrapped.grid.encode().tolist(), tuple(env.unwrapped.agent_pos), env.unwrapped.agent_dir

    for g in range(group.order):
        for h in range(group.order):
            assert image_after(h, g) == image_after(group.multiply(g, h))


@pytest.mark.parametrize("name", ["BabyAI-PutNextLocal-v0", "BabyAI-MiniBossLevel-v0"])
def test_what_remembers_its_place_moves_with_it(name):
    env = make_env(name, view="full")
    env.reset(seed=1)
    symmetry, world = symmetry_of(env), env.unwrapped

    def places(instruction):
        """Tracked objects and where the verifier thinks they are."""
        for part in vars(instruction).values():
            if hasattr(part, "obj_poss"):
                yield from zip(part.obj_set, part.obj_poss, strict=True)
            elif hasattr(part, "verify"):
                yield from places(part)

    for g in range(symmetry.group.order):
        symmetry.twin(env, g)
        assert [*places(world.instrs)]
        for thing, place in places(world.instrs):
            assert world.grid.get(*place) is thing and tuple(thing.cur_pos) == tuple(place)


def test_corners_go_to_corners():
    assert moved((0, 0), (1, 2, 3, 0), (4, 4)) == (3, 0) and moved((0, 0), (2, 1, 0, 3), (6, 3)) == (5, 0)


def test_what_only_holds_in_distribution_says_so():
    register_symmetry("Field-v0", FIELD)
    with pytest.raises(ValueError, match=r"draws random numbers.*in distribution only"):
        check_symmetry(gymnasium.make("Field-v0", gusts=0.1), steps=5)
    with pytest.raises(ValueError, match="draws random numbers"):
        check_symmetry(make_env("DynamicObstacles-5x5"), steps=5)


# ── wrong declarations ──


def test_a_wrong_declaration_is_caught_and_told_where():
    wrong = Symmetry(MIRROR, {"observation": flip(-1, -1, -1, -1)}, permute(0, 1))
    with pytest.raises(ValueError) as caught:
        check_symmetry(make_env("CartPole"), wrong, steps=20)
    for part in (
        "CartPole-v1 does not obey",
        "the simulator's state[3]",
        "should be",
        "error",
        "[1, 0] of C2",
        "φ(g)s = ",
        "s = [",
    ):
        assert part in str(caught.value)
    wind = gymnasium.make("Field-v0", wind=0.05)
    with pytest.raises(ValueError, match=r"observation\[\d\] should be .*of D4"):
        check_symmetry(wind, FIELD, steps=20)
    assert measure_symmetry(wind, FIELD, steps=20).worst > 0.01


def test_one_wrong_element_is_told_apart():
    only_mirrors = measure_symmetry(gymnasium.make("Field-v0", wind=0.05), FIELD, steps=20)
    upside_down = FIELD.group.generator(0), FIELD.group.multiply(FIELD.group.generator(0), FIELD.group.generator(0))
    flips_y = FIELD.group.multiply(FIELD.group.generator(1), upside_down[1])
    assert [g for g, error in enumerate(only_mirrors.observation) if error < 1e-9] == [0, flips_y]


def test_a_reward_that_differs_is_caught():
    class Prefers(gymnasium.RewardWrapper):
        def reward(self, reward):
            return reward + self.unwrapped.state[0]

    with pytest.raises(ValueError, match="the reward should be"):
        check_symmetry(Prefers(gymnasium.make("Field-v0")), FIELD, steps=5)


def test_an_observation_that_is_not_the_state_asks_for_a_twin():
    seen = Symmetry(D4, {"observation": VECTOR}, DIRECTIONS)
    with pytest.raises(ValueError, match=r"is not its state.*give the symmetry twin="):
        check_symmetry(gymnasium.make("Plane-v0"), seen, steps=5)

    def twin(env, g):
        env.unwrapped.state = (VECTOR * 2)(g, torch.from_numpy(env.unwrapped.state)).numpy()

    told = Symmetry(D4, seen.observation, DIRECTIONS, twin)
    assert check_symmetry(gymnasium.make("Plane-v0"), told, steps=50).worst < 1e-12


def test_a_declaration_of_other_sizes_is_refused():
    env = make_env("CartPole")
    for symmetry, message in [
        (FIELD, "2 discrete actions|4 discrete actions"),
        (Symmetry(MIRROR, {"observation": flip(-1, -1)}, permute(1, 0)), "acts on shape"),
        (Symmetry(MIRROR, {"state": flip(-1, -1, -1, -1)}, permute(1, 0)), "declare each"),
        (Symmetry(MIRROR, {"observation": flip(-1, -1, -1, -1)}, flip(1, -1)), "signs before discrete"),
    ]:
        with pytest.raises(ValueError, match=message):
            check_symmetry(env, symmetry)
    with pytest.raises(ValueError, match="declares no symmetry; give one"):
        check_symmetry(make_env("MountainCar"))


def test_bounds_of_actions_must_be_carried_onto_bounds():
    symmetry = Symmetry(MIRROR, {"observation": flip(1)}, flip(-1))
    observation = spaces.Box(-1, 1, (1,))
    match_spaces(symmetry, observation, spaces.Box(-1, 1, (1,)))
    with pytest.raises(ValueError, match="carries the actions between"):
        match_spaces(symmetry, observation, spaces.Box(0, 1, (1,)))
    with pytest.raises(ValueError, match="acts on Box observations"):
        match_spaces(symmetry, spaces.Discrete(3), spaces.Box(-1, 1, (1,)))
    with pytest.raises(ValueError, match="Discrete actions or vectors"):
        match_spaces(symmetry, observation, spaces.MultiDiscrete([2, 2]))


# ── who offers what ──


def test_an_environment_is_declared_from_outside(registered):
    assert symmetry_of("Field-v0") is FIELD and make_env("Field-v0").symmetry is FIELD
    assert make_vec_env("Field-v0", n_envs=2).symmetry is FIELD
    register_symmetry("Field-v0", lambda env: None if env.unwrapped.wind else FIELD)
    assert symmetry_of("Field-v0") is FIELD and make_env("Field-v0", kwargs={"wind": 1.0}).symmetry is None
    with pytest.raises(ValueError, match="takes a Symmetry or a function"):
        register_symmetry("Field-v0", 3)


def test_windows_and_pixels_offer_none():
    assert symmetry_of("CartPole") is not None and make_env("CartPole", history=2).symmetry is None
    assert make_env("DoorKey-5x5", history=2).symmetry is None and make_env("DoorKey-5x5", view="rgb").symmetry is None
    assert symmetry_of("MountainCar") is None


@pytest.mark.parametrize("engine", ["gymnasium", "batched"])
def test_both_engines_offer_what_one_environment_does(engine):
    for options in ({"view": "partial"}, {"view": "full"}):
        env = make_vec_env("DoorKey-5x5", n_envs=2, engine=engine, bank=4, seed=0, **options)
        assert env.symmetry == symmetry_of("DoorKey-5x5", **options)
        observation = {key: torch.from_numpy(part) for key, part in env.reset().items()}
        for key, part in env.symmetry.observe(1, observation).items():
            assert part.shape == observation[key].shape and part.dtype == observation[key].dtype


def test_symmetries_of_minigrid_survive_their_data():
    symmetry = symmetry_of("GoToDoor-5x5", view="full")
    again = Symmetry.from_data(symmetry.to_data())
    assert (again.group, again.observation, again.action) == (symmetry.group, symmetry.observation, symmetry.action)


# ── discovery ──


@pytest.mark.parametrize("name", CLASSIC)
def test_what_is_declared_is_discovered(name):
    (found,) = discover_symmetries(make_env(name))
    declared = symmetry_of(name)
    assert found.group.order == 2
    assert found.observation["observation"].generators == declared.observation["observation"].generators
    assert found.action.generators == declared.action.generators
    check_symmetry(make_env(name), found, steps=100, seed=5)


def test_a_larger_group_is_discovered():
    (found,) = discover_symmetries(gymnasium.make("Field-v0"))
    assert found.group.order == 8
    matrices = {tuple(found.observation["observation"].matrix(g).flatten().tolist()) for g in range(8)}
    assert matrices == {tuple((VECTOR * 2).matrix(g).flatten().tolist()) for g in range(8)}
    (windy,) = discover_symmetries(gymnasium.make("Field-v0", wind=0.05))
    assert windy.group.order == 2


def test_what_shows_only_steps_later_counts():
    class Train(gymnasium.Env):
        """Position, speed, acceleration; the action changes the last and only the first is seen."""

        observation_space, action_space = spaces.Box(-np.inf, np.inf, (1,)), spaces.Box(-1, 1, (1,))

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.state = self.np_random.uniform(-1, 1, 3)
            return self.state[:1].copy(), {}

        def step(self, action):
            position, speed, acceleration = self.state
            self.state = np.array([position + speed, speed + acceleration, 0.5 * acceleration + action[0]])
            return self.state[:1].copy(), -(position**2), False, False, {}

    (found,) = discover_symmetries(Train(), samples=16)
    assert found.group.order == 2  # not 4: the next observation does not tell the sign of the acceleration


@pytest.mark.parametrize("name", ["MountainCar", "MountainCarContinuous-v0"])
def test_none_is_discovered_where_there_is_none(name):
    assert discover_symmetries(make_env(name)) == []


def test_what_cannot_be_searched_says_why():
    class Many(Field):
        action_space = spaces.Discrete(12)

    for env, message in [
        (make_env("DoorKey-5x5"), "vector observations"),
        (gymnasium.make("Field-v0", gusts=0.1), "draws random numbers"),
        (Many(), "candidates"),
    ]:
        with pytest.raises(ValueError, match=message):
            discover_symmetries(env)


# ── commands ──


def command(monkeypatch, module: str, *words: str) -> object:
    """`python -m module words`, in this process: what it exits with."""
    monkeypatch.setattr(sys, "argv", [module, *words])
    monkeypatch.delitem(sys.modules, module, raising=False)  # or runpy warns that it runs again
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    return ended.value.code


def test_the_check_is_a_command(monkeypatch, capsys):
    assert command(monkeypatch, "envs.check_symmetry", "env=CartPole", "steps=20") == 0
    shown = capsys.readouterr().out
    assert "holds exactly" in shown and "[1, 0]" in shown
    assert command(monkeypatch, "envs.check_symmetry", "env=Acrobot", "steps=20") == 0
    shown = capsys.readouterr().out
    assert "holds to 1e-08" in shown and "exactly" not in shown
    register_symmetry("Field-v0", Symmetry(D4, {"observation": DIRECTIONS}, DIRECTIONS))
    assert command(monkeypatch, "envs.check_symmetry", "env=Field-v0", "steps=20") == 1
    assert "DOES NOT HOLD: " in capsys.readouterr().out


@pytest.mark.slow
def test_the_commands_run_as_modules():
    words = [sys.executable, "-m", "envs.discover", "env=Pendulum"]
    found = subprocess.run(words, capture_output=True, text=True, cwd=PROJECT, timeout=240)
    assert found.returncode == 0 and "signs [1, -1, -1]" in found.stdout


@pytest.mark.parametrize(
    "module, word, message",
    [
        ("envs.check_symmetry", "env=MountainCar", "declares no symmetry"),
        ("envs.check_symmetry", "step=3", "the arguments are: env=... view= steps=200 seed=0"),
        ("envs.discover", "samples=many", "samples is a number like 64"),
        ("envs.discover", "env=CartPol", "did you mean CartPole"),
    ],
)
def test_commands_refuse_what_they_cannot_read(monkeypatch, capsys, module, word, message):
    assert command(monkeypatch, module, word) == 2
    assert message in capsys.readouterr().err


def test_the_name_of_the_command_is_still_the_function():
    import envs

    assert callable(envs.check_symmetry) and partial(envs.check_symmetry).func is check_symmetry
    assert resolve_id("CartPole") == "CartPole-v1"
