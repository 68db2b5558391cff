"""Objects, colours and mission words of one's own: seen, told apart, and agreed on by all parts."""

from __future__ import annotations

import logging

import gymnasium
import numpy as np
import pytest
import torch
import yaml
from gymnasium import spaces
from minigrid.core import constants
from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.core.world_object import Goal, Key, WorldObj
from minigrid.envs.babyai.core.roomgrid_level import RoomGridLevel
from minigrid.envs.babyai.core.verifier import GoToInstr, ObjDesc
from minigrid.minigrid_env import MiniGridEnv
from minigrid.utils.rendering import fill_coords, point_in_rect

from encoders.base import kind_of
from envs import check_symmetry, codes, make_env, make_vec_env, missions
from envs.missions import WORDS, word_ids, words_beyond
from envs.symmetries import minigrid_symmetry_of
from evaluate import evaluate
from train import train

STONE, ORANGE = 11, 11


class Stone(WorldObj):
    """An object that MiniGrid does not have."""

    def __init__(self, color="grey"):
        super().__init__("stone", color)

    def can_pickup(self):
        return True

    def render(self, img):
        fill_coords(img, point_in_rect(0.2, 0.8, 0.2, 0.8), constants.COLORS[self.color])


class Quarry(MiniGridEnv):
    """A stone or a key ahead of the agent, and a mission that names an animal."""

    def __init__(self, thing="stone", colour="grey", animals=("zebra", "gnu"), **kwargs):
        self.thing, self.colour, self.animals = thing, colour, animals
        space = MissionSpace(lambda animal: f"feed the {animal}", [list(animals)])
        super().__init__(space, grid_size=6, max_steps=30, **kwargs)

    def _gen_grid(self, width, height):
        self.grid = Grid(width, height)
        self.grid.wall_rect(0, 0, width, height)
        self.grid.set(3, 1, Stone(self.colour) if self.thing == "stone" else Key(self.colour))
        self.grid.set(4, 4, Goal())
        self.agent_pos, self.agent_dir = (2, 1), 0
        self.mission = f"feed the {self._rand_elem(self.animals)}"


class Speaking(RoomGridLevel):
    """A sentence that no mission space tells of."""

    def gen_mission(self):
        self.place_agent()
        thing, _ = self.add_object(1, 1)
        self.instrs = GoToInstr(ObjDesc(thing.type, thing.color))
        self.instrs.surface = lambda env: "trot to whatever you like"


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """MiniGrid's tables with a stone and the colour orange, both of code 11; and the environments above."""
    monkeypatch.setattr(missions, "_named", set())
    for table, key, value in [
        (constants.OBJECT_TO_IDX, "stone", STONE),
        (constants.IDX_TO_OBJECT, STONE, "stone"),
        (constants.COLOR_TO_IDX, "orange", ORANGE),
        (constants.IDX_TO_COLOR, ORANGE, "orange"),
        (constants.COLORS, "orange", np.array([255, 128, 0])),
    ]:
        monkeypatch.setitem(table, key, value)
    for name, made in (("Test-Quarry-v0", Quarry), ("Test-Speaking-v0", Speaking)):
        monkeypatch.delitem(gymnasium.registry, name, raising=False)
        gymnasium.register(name, made)
        monkeypatch.setitem(gymnasium.registry, name, gymnasium.registry.pop(name))


@pytest.fixture
def only_stones(monkeypatch):
    """Without the colour, whose code the engine has no room for."""
    monkeypatch.delitem(constants.COLOR_TO_IDX, "orange")


def quarry(**options):
    return make_env("Test-Quarry-v0", **options)


# ── objects and colours ──


@pytest.mark.parametrize("view", ["partial", "full"])
def test_a_grid_with_new_codes_is_a_grid_and_its_bounds_hold_them(view):
    env = quarry(view=view, kwargs={"colour": "orange"})
    observation, _ = env.reset(seed=0)
    assert env.observation_space["image"].high.max() == 11 and kind_of(env.observation_space) == "grid"
    assert env.observation_space.contains(observation)
    assert [STONE, ORANGE, 0] in observation["image"].reshape(-1, 3).tolist()
    observation = env.step(env.unwrapped.actions.pickup)[0]
    assert env.observation_space.contains(observation)
    if view == "full":
        assert observation["carrying"].tolist() == [STONE, ORANGE]


def test_pixels_are_still_an_image():
    env = quarry(view="rgb")
    assert kind_of(env.observation_space) == "image" and env.reset(seed=0)[0]["image"].max() > 20


def test_minigrid_s_own_environments_stay_as_they_are_whatever_is_registered(monkeypatch):
    space = make_env("DoorKey-5x5", view="full").observation_space
    assert space["image"] == spaces.Box(0, 10, (5, 5, 3), np.uint8)
    assert space["carrying"] == spaces.Box(0, 10, (2,), np.uint8)
    assert make_env("BabyAI-GoToLocal-v0").observation_space["mission"].high.max() == len(WORDS) - 1
    assert make_vec_env("DoorKey-5x5", engine="auto", bank=2).engine == "batched"

    monkeypatch.setattr(codes, "COLOR_NAMES", [*constants.COLOR_NAMES, "orange"])  # from which they draw colours
    assert make_env("DoorKey-5x5").observation_space["image"].high.max() == 11
    assert make_env("BabyAI-GoToLocal-v0").get_wrapper_attr("words") == ("orange",)
    assert make_vec_env("DoorKey-5x5", engine="auto", bank=2).engine == "gymnasium"


def test_an_environment_may_declare_codes_of_its_own(monkeypatch):
    class Deep(Stone):
        def encode(self):
            return STONE, 2, 40

    class Mine(Quarry):
        def __init__(self, declared=True):
            super().__init__()
            if declared:
                parts = {**self.observation_space, "image": spaces.Box(0, 40, (7, 7, 3), np.uint8)}
                self.observation_space = spaces.Dict(parts)

        def _gen_grid(self, width, height):
            super()._gen_grid(width, height)
            self.grid.set(3, 1, Deep())

    gymnasium.register("Test-Mine-v0", Mine)
    monkeypatch.setitem(gymnasium.registry, "Test-Mine-v0", gymnasium.registry.pop("Test-Mine-v0"))
    env = make_env("Test-Mine-v0")
    assert env.observation_space.contains(env.reset(seed=0)[0])
    assert minigrid_symmetry_of(env).observation["image"].values.size == 3 * 41  # type, colour and state
    with pytest.raises(ValueError, match=r"Mine shows the code 40, but its largest known code is 11: register"):
        make_env("Test-Mine-v0", kwargs={"declared": False}).reset(seed=0)


def test_a_code_beyond_a_byte_is_refused(monkeypatch):
    monkeypatch.setitem(constants.OBJECT_TO_IDX, "boulder", 255)
    with pytest.raises(ValueError, match="at most 254, got 255"):
        quarry()


@pytest.mark.parametrize("view", ["partial", "full"])
def test_the_mirror_holds_with_new_codes(view):
    env = quarry(view=view, kwargs={"colour": "orange"})
    symmetry = minigrid_symmetry_of(env)
    assert check_symmetry(env, symmetry, steps=40).worst == 0
    image = torch.from_numpy(env.reset(seed=0)[0]["image"])[None]
    # type, colour and state of every cell are there: nothing is invisible
    assert symmetry.observation["image"].one_hot(image).sum(-1).eq(3).all() and image.max() == ORANGE


def test_a_new_object_runs_in_gymnasium_and_the_log_says_why(only_stones, caplog):
    env = make_vec_env("Test-Quarry-v0", n_envs=2, engine="auto", bank=4, seed=0)
    assert env.engine == "gymnasium" and "it has a Stone, which is not one of Farama's objects" in caplog.text
    assert env.observation_space["image"].high.max() == STONE and env.observation_space.contains(
        {key: part[0] for key, part in env.reset().items()}
    )


def test_a_colour_the_engine_has_no_room_for_runs_in_gymnasium(caplog):
    options = {"n_envs": 2, "bank": 4, "seed": 0, "kwargs": {"thing": "key", "colour": "orange"}}
    env = make_vec_env("Test-Quarry-v0", engine="auto", **options)
    assert env.engine == "gymnasium" and "'orange' has the code 11" in caplog.text
    assert [5, ORANGE, 0] in env.reset()["image"].reshape(-1, 3).tolist()
    with pytest.raises(ValueError, match="the engine packs codes up to 7"):
        make_vec_env("Test-Quarry-v0", engine="batched", **options)


@pytest.mark.parametrize("view", ["partial", "full", "rgb"])
def test_a_colour_the_engine_has_room_for_is_the_same_on_both_engines(monkeypatch, view):
    monkeypatch.setitem(constants.COLOR_TO_IDX, "orange", 7)
    options = {"n_envs": 2, "bank": 4, "seed": 0, "view": view, "kwargs": {"thing": "key", "colour": "orange"}}
    mine, theirs = (make_vec_env("Test-Quarry-v0", engine=engine, **options) for engine in ("batched", "gymnasium"))
    for seen, there in [(mine.reset(), theirs.reset())] + [
        (mine.step(np.array([a, a]))[0], theirs.step(np.array([a, a]))[0]) for a in (0, 1, 3, 2, 4)
    ]:
        assert all(np.array_equal(seen[key], there[key]) for key in seen)
    assert mine.observation_space == theirs.observation_space


# ── words ──


def test_words_of_the_mission_space_are_told_apart():
    env = quarry()
    said = {env.reset(seed=seed)[0]["mission"].tobytes(): env.unwrapped.mission for seed in range(20)}
    assert sorted(said.values()) == ["feed the gnu", "feed the zebra"]
    assert env.observation_space["mission"].high.max() == len(WORDS) + len(env.get_wrapper_attr("words")) - 1
    assert env.get_wrapper_attr("words")[:3] == ("feed", "zebra", "gnu")


def test_words_of_every_placeholder_are_found_however_many_missions_there_are():
    many = [f"{a}{b}" for a in "bcdfg" for b in "aeiou"]
    core = gymnasium.make("Test-Quarry-v0").unwrapped
    space = MissionSpace(lambda a, b, c, d: f"{a} {b} {c} {d}", [["zz", "yy"], many, many, many])
    core.observation_space = spaces.Dict({**core.observation_space, "mission": space})
    assert {*many, "zz", "yy"} <= {*WORDS, *words_beyond(core)}


def test_names_of_new_objects_and_colours_are_words_of_a_user_s_environment():
    assert make_env("Test-Speaking-v0").get_wrapper_attr("words") == ("stone", "orange")


def test_the_ids_of_standard_words_stay():
    assert word_ids("go to the red ball", ("zebra",)).tolist() == word_ids("go to the red ball").tolist()
    assert word_ids("zebra", ("gnu", "zebra"))[0] == len(WORDS) + 1


@pytest.mark.parametrize("engine", ["gymnasium", "batched"])
def test_words_that_are_listed_are_told_apart_and_others_named_once(engine, caplog, monkeypatch, only_stones):
    options = {"n_envs": 2, "bank": 20, "seed": 0, "engine": engine, "kwargs": {"thing": "key"}}
    env = make_vec_env("Test-Quarry-v0", words=["zebra", "feed"], **options)
    missions_met = {tuple(row) for _ in range(12) for row in env.reset()["mission"][:, :3].tolist()}
    feed = len(WORDS) + 1
    assert missions_met == {(feed, WORDS.index("the"), i) for i in (len(WORDS), missions.UNKNOWN)}
    warned = [record.getMessage() for record in caplog.records if "outside the vocabulary" in record.getMessage()]
    assert len(warned) == 1 and "missions say 'gnu'" in warned[0] and "env.words=[zebra,feed,gnu]" in warned[0]


def test_words_no_mission_space_tells_of_are_named_with_what_to_type(caplog):
    make_env("Test-Speaking-v0").reset(seed=0)
    (warned,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "'trot', 'whatever', 'like'" in warned and "env.words=[stone,orange,like,trot,whatever]" in warned
    caplog.clear()
    env = make_env("Test-Speaking-v0", words=["like", "trot", "whatever"])
    assert missions.UNKNOWN not in env.reset(seed=0)[0]["mission"] and not caplog.records


def test_the_engine_s_missions_are_those_of_the_real_environment(only_stones):
    options = {"n_envs": 3, "bank": 20, "seed": 0, "kwargs": {"thing": "key"}}
    mine, theirs = (make_vec_env("Test-Quarry-v0", engine=engine, **options) for engine in ("batched", "gymnasium"))
    assert mine.engine == "batched" and mine.observation_space == theirs.observation_space
    for _ in range(5):
        seen, there = mine.reset(), theirs.reset()
        assert np.array_equal(seen["mission"], there["mission"]) and seen["mission"].max() >= len(WORDS)


@pytest.mark.parametrize(
    "words",
    ["zebra", 3, ["two words"], ["Zebra"], [3], [f"{a}{b}" for a in "abcdefghijklmnop" for b in "abcdefghijklm"]],
)
def test_what_is_not_a_list_of_words_is_refused(words):
    with pytest.raises(ValueError, match=r"env\.words"):
        quarry(words=words)


def test_words_are_an_option_of_minigrid_alone():
    assert make_env("CartPole", words=[])
    with pytest.raises(ValueError, match=r"env\.words is an option of MiniGrid environments, which CartPole-v1 is not"):
        make_env("CartPole", words=["zebra"])


# ── runs and policy files ──

SHORT = ["total_timesteps=64", "n_envs=2", "agent.n_steps=32", "agent.batch_size=32", "progress=false"]
SHORT += ["evaluation.every=64", "evaluation.episodes=2", "evaluation.final_episodes=2"]


def trained(*overrides):
    chosen = ["env=minigrid", "env.id=Test-Quarry-v0", "env.view=full", "+env.kwargs.colour=orange", *SHORT, *overrides]
    return train(chosen).folder


def test_a_policy_file_agrees_with_its_environment_on_codes_and_words(monkeypatch):
    folder = trained("encoder=cnn")
    spec = yaml.safe_load((folder / "policy" / "policy.yaml").read_text())
    parts = spec["observation_space"]["spaces"]
    words = ["feed", "zebra", "gnu", "stone", "orange"]
    assert spec["environment"]["words"] == words == yaml.safe_load((folder / "config.yaml").read_text())["env"]["words"]
    assert parts["image"]["high"] == parts["carrying"]["high"] == 11 and parts["mission"]["high"] == len(WORDS) + 4
    assert evaluate({"policy": folder, "episodes": 2})["episodes"] == 2

    # a mission space that lists its words in another order: they keep the ids they were trained with
    monkeypatch.setitem(gymnasium.registry["Test-Quarry-v0"].kwargs, "animals", ("gnu", "emu", "zebra"))
    assert evaluate({"policy": folder, "episodes": 2})["episodes"] == 2

    # an object more than it has parameters for
    monkeypatch.setitem(constants.OBJECT_TO_IDX, "boulder", 12)
    with pytest.raises(ValueError, match=r"do not fit the network: .* shape \(36, \d+\), needed here is \(39, \d+\)"):
        evaluate({"policy": folder, "episodes": 2})


def test_a_policy_trained_with_the_standard_words_still_plays_where_there_are_more():
    folder = trained("encoder=cnn", "env.words=[the]")
    file = folder / "policy" / "policy.yaml"
    spec = yaml.safe_load(file.read_text())
    assert spec["observation_space"]["spaces"]["mission"]["high"] == len(WORDS) - 1
    del spec["environment"]["words"]  # as in policy files of versions that had no such option
    file.write_text(yaml.safe_dump(spec))
    (folder / "policy" / "manifest.json").unlink()
    assert evaluate({"policy": folder, "episodes": 2})["episodes"] == 2
