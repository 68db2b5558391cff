"""Laws of the generated families: their graphs are what is described, and their episodes end where that is said."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from envs import make_env

mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed: pip install -e .[mujoco]")

from envs.bodies.families import NAMES  # noqa: E402
from envs.bodies.simulation import kind_named  # noqa: E402
from envs.bodies.task import State  # noqa: E402

PLANAR = [name for name in NAMES if name.startswith(("Hopper", "Walker", "Humanoid"))]
ENDLESS = [name for name in NAMES if name.startswith(("Snake", "Cheetah"))]
LEG, ARM = ("hip", "knee"), ("shoulder", "elbow")


def hangs(name):
    """Joint -> the joint that it hangs on; those of the root hang on "root"."""
    body = kind_named(name).body
    return {body.names[i + 1]: body.names[parent] for i, parent in enumerate(body.parents)}


def chain(*joints):
    """What `hangs` says of joints in a row."""
    return dict(zip(joints, ("root", *joints)[: len(joints)], strict=True))


def state(data):
    return State(data.qpos[None], data.qvel[None], data.xpos[None])


def begun(name):
    """A body at the beginning of an episode."""
    kind = kind_named(name)
    data = kind.simulation()
    kind.begin(data, np.random.default_rng(0))
    return kind, data


@pytest.mark.parametrize("joints", [1, 3, 8, 20])
def test_a_snake_is_a_chain_of_bends(joints):
    body = kind_named(f"Snake-{joints}").body
    assert hangs(f"Snake-{joints}") == chain(*(f"bend_{i + 1}" for i in range(joints)))
    assert body.types == ("root", *["bend"] * joints) and (body.motors[1:] == np.arange(joints)).all()


@pytest.mark.parametrize(("parts", "lost"), [(3, {"knee_1", "knee_2"}), (4, {"knee_2"}), (5, set())])
def test_a_hopper_is_one_leg_that_ends_in_a_foot(parts, lost):
    kept = [joint for joint in ("hip", "knee_1", "knee_2", "ankle") if joint not in lost]
    assert hangs(f"Hopper-{parts}") == chain(*kept) and kind_named(f"Hopper-{parts}").body.nodes == parts


@pytest.mark.parametrize(
    ("parts", "left", "right"), [*((2, 1, 0), (3, 1, 1), (4, 2, 1), (5, 2, 2), (6, 3, 2), (7, 3, 3))]
)
def test_a_walker_has_two_legs_of_which_the_left_is_never_shorter(parts, left, right):
    leg = ("hip", "knee", "ankle")
    expected = [chain(*(f"{joint}_{side}" for joint in leg[:n])) for side, n in (("left", left), ("right", right))]
    assert hangs(f"Walker-{parts}") == expected[0] | expected[1]
    body = kind_named(f"Walker-{parts}").body
    assert {*body.types[1:]} == {*leg[:left]} and body.nodes == parts


@pytest.mark.parametrize(
    ("name", "hind", "front"),
    [
        *(("Cheetah-2", 1, 0), ("Cheetah-2-front", 0, 1), ("Cheetah-3", 1, 1), ("Cheetah-3-back", 2, 0)),
        *(("Cheetah-3-front", 0, 2), ("Cheetah-4", 2, 1), ("Cheetah-4-front", 1, 2), ("Cheetah-4-allback", 3, 0)),
        *(("Cheetah-4-allfront", 0, 3), ("Cheetah-5", 2, 2), ("Cheetah-5-back", 3, 1), ("Cheetah-5-front", 1, 3)),
        *(("Cheetah-6", 3, 2), ("Cheetah-6-front", 2, 3), ("Cheetah-7", 3, 3)),
    ],
)
def test_a_cheetah_has_a_hind_leg_and_a_front_leg(name, hind, front):
    leg = ("hip", "knee", "ankle")
    expected = [chain(*(f"{joint}_{number}" for joint in leg[:n])) for number, n in ((1, hind), (2, front))]
    assert hangs(name) == expected[0] | expected[1]
    assert kind_named(name).body.nodes == 1 + hind + front == int(name.split("-")[1])


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        *(("9", set()), ("8", {"knee_left"}), ("8-right-knee", {"knee_right"}), ("7", {"elbow_left", "elbow_right"})),
        *((f"7-{side}-leg", {f"{joint}_{side}" for joint in LEG}) for side in ("left", "right")),
        *((f"7-{side}-arm", {f"{joint}_{side}" for joint in ARM}) for side in ("left", "right")),
    ],
)
def test_a_humanoid_has_the_limbs_that_it_has_not_lost(name, lost):
    whole = {}
    for side in ("left", "right"):
        whole |= chain(*(f"{joint}_{side}" for joint in LEG)) | chain(*(f"{joint}_{side}" for joint in ARM))
    assert hangs(f"Humanoid-2d-{name}") == {joint: on for joint, on in whole.items() if joint not in lost}
    assert kind_named(f"Humanoid-2d-{name}").body.nodes == int(name[0])


@pytest.mark.parametrize(("legs", "lost"), [(4, set()), (3, {"right_2"}), (2, {"right_2", "left_2"})])
def test_an_ant_keeps_its_joints_and_loses_motors(legs, lost):
    body = kind_named(f"Ant-{legs}").body
    whole = {}
    for leg in ("left_1", "right_1", "left_2", "right_2"):
        whole |= chain(f"hip_{leg}", f"ankle_{leg}")
    assert hangs(f"Ant-{legs}") == whole and {*body.types} == {"root", "hip", "ankle"}
    still = {name for name, motor in zip(body.names, body.motors, strict=True) if motor < 0}
    assert still == {"root", *(f"{joint}_{leg}" for leg in lost for joint in ("hip", "ankle"))}


@pytest.mark.parametrize("name", [*PLANAR, *ENDLESS, "Ant-2", "Ant-4"])
def test_a_body_left_alone_does_not_end_at_once(name):
    kind, data = begun(name)
    for _ in range(20):
        kind.advance(data, np.zeros(kind.model.nu))
        assert not kind.task.ends(state(data))[0]


@pytest.mark.parametrize("name", PLANAR)
def test_a_walker_in_the_plane_ends_when_it_falls_or_sinks(name):
    for coordinate, value in ((2, 1.01), (2, -1.01), (1, 0.3)):
        kind, data = begun(name)
        data.qpos[coordinate] = value
        assert kind.task.ends(state(data))[0]


def test_an_ant_ends_when_it_lies_or_flies():
    for height in (0.19, 1.01):
        kind, data = begun("Ant-4")
        data.qpos[2] = height
        assert kind.task.ends(state(data))[0]


@pytest.mark.parametrize("name", ENDLESS)
def test_what_cannot_fall_never_ends(name):
    kind, data = begun(name)
    data.qpos[1:3] = -0.5, 3
    assert not kind.task.ends(state(data))[0]


@pytest.mark.parametrize("name", NAMES)
def test_features_stay_within_their_bounds(name):
    env = make_env(name)
    env.action_space.seed(0)
    seen, _ = env.reset(seed=0)
    for _ in range(60):
        assert env.observation_space.contains(seen)
        seen, reward, ended, *_ = env.step(env.action_space.sample())
        assert np.isfinite(reward)
        if ended:
            seen, _ = env.reset()


@pytest.mark.parametrize(
    ("name", "reward"),
    [
        ("Snake-3", 2 / 0.04 - 3e-4 / 4 * 0.25),
        ("Hopper-4", 2 / 0.008 + 1 - 1e-3 * 0.25),
        ("Walker-7", 2 / 0.008 + 1 - 1e-3 * 0.25),
        ("Humanoid-2d-9", 2 / 0.008 + 1 - 1e-3 * 0.25),
        ("Cheetah-7", 2 / 0.04 - 0.1 * 0.25),
        ("Ant-4", 2 / 0.05 + 1 - 0.5 * 0.25),
    ],
)
def test_the_reward_is_speed_less_effort(name, reward):
    kind, data = begun(name)
    before = State(*(array.copy() for array in state(data)))
    data.qpos[0] += 2
    actions = np.zeros((1, kind.model.nu))
    actions[0, 0] = 0.5
    assert kind.task.reward(before, state(data), actions, kind.seconds)[0] == pytest.approx(reward, rel=1e-9)


def test_a_hopper_of_four_parts_moves_as_that_of_gymnasium():
    kind, data = begun("Hopper-4")
    other = gymnasium.make("Hopper-v5").unwrapped
    other.reset(seed=0)
    other.set_state(data.qpos, data.qvel)
    for action in np.random.default_rng(0).uniform(-1, 1, (40, 3)):
        kind.advance(data, action)
        other.do_simulation(action, kind.task.frame_skip)
        np.testing.assert_allclose(data.qpos, other.data.qpos, atol=1e-6)


def test_an_ant_of_four_legs_moves_as_that_of_gymnasium():
    kind, data = begun("Ant-4")
    other = gymnasium.make("Ant-v5").unwrapped
    other.reset(seed=0)
    names = {"left_1": 1, "left_2": 2, "right_2": 3, "right_1": 4}  # there legs have numbers
    signs = {f"ankle_{leg}": -1 for leg in ("left_2", "right_2")}  # a positive angle lifts these there

    def told(model):
        return [mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_JOINT, joint) for joint in range(1, model.njnt)]

    ours, theirs = told(kind.model), told(other.model)
    place = [theirs.index(f"{joint.split('_')[0]}_{names[joint.split('_', 1)[1]]}") for joint in ours]
    sign = np.array([signs.get(joint, 1) for joint in ours])

    def turned(values, skip):
        """Our positions or velocities in the order and with the signs of the other."""
        theirs = values.copy()
        theirs[skip:][place] = sign * values[skip:]
        return theirs

    motors = {other.model.actuator_trnid[motor, 0] - 1: motor for motor in range(8)}
    other.set_state(turned(data.qpos, 7), turned(data.qvel, 6))
    for action in np.random.default_rng(0).uniform(-1, 1, (20, 8)):
        kind.advance(data, action)
        given = np.zeros(8)
        given[[motors[joint] for joint in place]] = sign * action
        other.do_simulation(given, kind.task.frame_skip)
        np.testing.assert_allclose(turned(data.qpos, 7), other.data.qpos, atol=1e-5)


def test_a_snake_with_two_bends_weighs_as_the_swimmer():
    mass = gymnasium.make("Swimmer-v5").unwrapped.model.body_mass.sum()
    assert kind_named("Snake-2").model.body_mass.sum() == pytest.approx(mass)


def test_left_and_right_of_a_humanoid_move_alike():
    kind, data = begun("Humanoid-2d-9")
    kind.begin(data, np.random.default_rng(0))
    side = data.qpos[3:7].copy()
    data.qpos[3:11], data.qvel[3:11] = [*side, *side], 0
    for _ in range(20):
        kind.advance(data, np.tile([0.3, -0.2, 0.5, 0.1], 2))
    np.testing.assert_allclose(data.qpos[3:7], data.qpos[7:11], atol=1e-9)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Snake-0", "a snake has 1 joint or more; got Snake-0"),
        ("Ant-5", "an ant has motors in 2 to 4 legs; got Ant-5"),
        ("Cheetah-9", "no body is called 'Cheetah-9'; did you mean Cheetah-"),
    ],
)
def test_a_body_that_a_family_does_not_have_is_refused_with_the_reason(name, message):
    with pytest.raises(ValueError, match=message):
        kind_named(name)
