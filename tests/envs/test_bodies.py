"""Laws of bodies: what their graphs are, and what batches, seeds and unread actions do not change."""

from __future__ import annotations

import numpy as np
import pytest

from envs import make_env, make_vec_env

mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed: pip install -e .[mujoco]")

from envs.bodies.families import NAMES  # noqa: E402
from envs.bodies.graph import body_of, compiled, type_of  # noqa: E402
from envs.bodies.simulation import kind_named  # noqa: E402

ROBOT = """<mujoco><worldbody><geom type="plane" size="5 5 1"/><body name="torso" pos="0 0 1"><freejoint/>
<geom size="0.1"/>{limbs}</body></worldbody>{rest}</mujoco>"""
LIMB = '<body pos="0.2 0 0"><joint name="{name}" axis="0 1 0"/><geom size="0.05"/>{more}</body>'


def robot(*names, motors=None, rest=""):
    """The XML of a torso with a chain of limbs."""
    limbs = ""
    for name in reversed(names):
        limbs = LIMB.format(name=name, more=limbs)
    wanted = names if motors is None else motors
    motors = "".join(f'<motor joint="{name}"/>' for name in wanted)
    return ROBOT.format(limbs=limbs, rest=f"<actuator>{motors}</actuator>{rest}")


def graph(xml):
    return body_of(compiled(xml, "robot"), "robot")


@pytest.mark.parametrize("legs", [4, 6, 20])
def test_the_graph_of_a_centipede_is_what_its_description_says(legs):
    body = kind_named(f"Centipede-{legs}").body
    segments = legs // 2
    assert body.nodes == 1 + 2 * legs + 2 * (segments - 1)
    assert [body.types.count(kind) for kind in ("root", "hip", "ankle", "turn", "lift")] == [
        *(1, legs, legs, segments - 1, segments - 1)
    ]
    names = dict(enumerate(body.names))
    on = {names[i + 1]: names[parent] for i, parent in enumerate(body.parents)}
    for segment in range(segments):
        base = f"lift_{segment}" if segment else "root"
        for side in ("left", "right"):
            assert on[f"ankle_{side}_{segment}"] == f"hip_{side}_{segment}" and on[f"hip_{side}_{segment}"] == base
        if segment:
            assert on[f"lift_{segment}"] == f"turn_{segment}"
            assert on[f"turn_{segment}"] == (f"lift_{segment - 1}" if segment > 1 else "root")


def test_a_crippled_leg_is_felt_and_does_not_act():
    whole, crippled = (kind_named(f"Centipede-6{name}").body for name in ("", "-crippled"))
    assert whole.names == crippled.names
    lost = {name for name, motor in zip(crippled.names, crippled.motors, strict=True) if motor < 0}
    assert lost == {"root", *(f"{joint}_{side}_0" for joint in ("hip", "ankle") for side in ("left", "right"))}


def test_edges_lead_to_children_and_parents_and_from_the_root():
    body = graph(robot("hip", "knee"))
    (sources, targets), kinds = body.edges
    found = {(int(s), int(t), int(k)) for s, t, k in zip(sources, targets, kinds, strict=True)}
    assert found == {(0, 1, 0), (1, 2, 0), (1, 0, 1), (2, 1, 1), (0, 1, 2), (0, 2, 2)}


def test_a_type_is_a_name_without_side_and_number():
    assert [type_of(name) for name in ("hip_left_3", "left_hip_joint", "bthigh", "7")] == [
        "hip",
        "hip",
        "bthigh",
        "joint",
    ]


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (robot("hip", motors=()), "robot has no actuators"),
        (robot("hip", motors=("hip", "hip")), "joint hip of robot has several actuators"),
        (
            robot("hip", rest='<tendon><fixed name="t"><joint joint="hip" coef="1"/></fixed></tendon>'),
            "robot has tendons, which belong to no single joint",
        ),
        ("<mujoco><worldbody><body/></mujoco>", "MuJoCo cannot read robot"),
        (
            robot("hip")
            .replace("<freejoint/>", "")
            .replace('<joint name="hip" axis="0 1 0"/>', '<joint type="ball" name="hip"/>'),
            "moves something else",
        ),
    ],
)
def test_what_is_no_body_is_refused_with_the_reason(xml, message):
    with pytest.raises(ValueError, match=message):
        graph(xml)


def test_batched_and_single_stepping_agree_bit_for_bit():
    options = {"kwargs": {"train": ["Centipede-4", "Centipede-6"], "test": ["Centipede-8"]}, "n_envs": 5, "seed": 3}
    single, batch = (make_vec_env("bodies", engine=engine, **options) for engine in ("gymnasium", "batched"))
    generator = np.random.default_rng(0)
    seen, also = single.reset(), batch.reset()
    ends = 0
    for _ in range(150):
        assert all(np.array_equal(seen[key], also[key]) for key in seen)
        actions = generator.uniform(-1, 1, (5, *single.action_space.shape)).astype(np.float32)
        (seen, reward, done, infos), (also, reward_too, done_too, infos_too) = single.step(actions), batch.step(actions)
        assert np.array_equal(reward, reward_too) and np.array_equal(done, done_too)
        for i in np.flatnonzero(done):
            ends += 1
            assert {**infos[i]["episode"], "t": 0} == {**infos_too[i]["episode"], "t": 0}
            assert infos[i]["body"] == infos_too[i]["body"]
            last, last_too = infos[i]["terminal_observation"], infos_too[i]["terminal_observation"]
            assert all(np.array_equal(last[key], last_too[key]) for key in last)
    assert ends > 5


def test_a_saved_batch_goes_on_bit_for_bit():
    env = make_vec_env("Centipede-6", engine="batched", n_envs=3, seed=0)
    env.reset()
    actions = np.random.default_rng(0).uniform(-1, 1, (40, 3, *env.action_space.shape)).astype(np.float32)
    for action in actions[:20]:
        env.step(action)
    state = env.saved()
    played = [env.step(action)[:3] for action in actions[20:]]
    again = make_vec_env("Centipede-6", engine="batched", n_envs=3, seed=9)
    again.reset()
    again.restore(state)
    for action, (seen, reward, done) in zip(actions[20:], played, strict=True):
        seen_too, reward_too, done_too, _ = again.step(action)
        assert np.array_equal(seen["nodes"], seen_too["nodes"])
        assert np.array_equal(reward, reward_too) and np.array_equal(done, done_too)


def test_each_body_has_its_share_of_the_environments_and_alone_each_episode_draws_one():
    kwargs = {"train": ["Centipede-4", "Centipede-6"]}
    shares = make_vec_env("bodies", n_envs=4, seed=0, engine="gymnasium", kwargs=kwargs)
    shares.reset()
    assert [info["body"] for info in shares.reset_infos] == ["Centipede-4", "Centipede-6"] * 2
    alone = make_env("bodies", kwargs=kwargs)
    assert {alone.reset(seed=seed)[1]["body"] for seed in range(8)} == {*kwargs["train"]}


@pytest.mark.parametrize("name", NAMES)
def test_actions_of_nodes_that_do_not_act_change_nothing(name):
    env = make_env("bodies", kwargs={"train": [name], "test": ["Centipede-20"]})
    generator = np.random.default_rng(0)

    def played(unread):
        seen, _ = env.reset(seed=1)
        for t in range(3):
            action = np.where(seen["actuated"] > 0, np.sin(t + np.arange(len(seen["actuated"]))), unread())
            seen, reward, *_ = env.step(action.astype(np.float32))
        return seen["nodes"], reward

    (first, reward), (second, reward_too) = played(lambda: 0.0), played(lambda: generator.uniform(-1, 1))
    assert np.array_equal(first, second) and reward == reward_too


def test_a_centipede_that_stands_lives_and_one_that_lies_does_not():
    kind = kind_named("Centipede-6")
    data = kind.simulation()
    kind.begin(data, np.random.default_rng(0))
    for _ in range(200):
        kind.advance(data, np.zeros(kind.model.nu))
    env = make_env("Centipede-6")
    env.reset(seed=0)
    assert not env.step(np.zeros(env.action_space.shape, np.float32))[2]
    env.unwrapped.data.qpos[2] = 0.2
    assert env.step(np.zeros(env.action_space.shape, np.float32))[2]
    assert kind.task.steps == env.spec.max_episode_steps == 1000


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"train": ["Centipede-7"]}, "a centipede has 4 legs or more, two for each segment; got Centipede-7"),
        ({"train": ["Centiped-8"]}, "no body is called 'Centiped-8'; did you mean Centipede-8"),
        ({"train": []}, "env.train names the bodies to play"),
        ({"train": "Centipede-8"}, "env.train is a list of bodies"),
        ({"train": ["Centipede-4"], "types": ["root", "hip"]}, "Centipede-4 has nodes of the type ankle, lift, turn"),
    ],
)
def test_what_cannot_be_played_is_refused_with_the_reason(kwargs, message):
    with pytest.raises(ValueError, match=message):
        make_env("bodies", kwargs=kwargs)


def test_what_a_joint_shows_of_its_place_tells_left_from_right_and_is_the_same_in_a_longer_body():
    six, eight = (kind_named(f"Centipede-{n}") for n in (6, 8))
    built = [dict(zip(kind.body.names[1:], kind.features.places, strict=True)) for kind in (six, eight)]
    for name, place in built[0].items():
        assert np.allclose(place, built[1][name]), name
        if "left" in name:
            other = built[0][name.replace("left", "right")]
            assert np.allclose(other, place * [1, -1, 1]) and not np.allclose(other, place)


def test_the_first_picture_of_an_episode_is_lit_and_shows_what_the_next_one_shows():
    env = make_env("Centipede-6", render_mode="rgb_array")
    env.reset(seed=0)
    try:
        first = env.render().astype(float)
    except RuntimeError as error:
        pytest.skip(str(error))
    env.step(np.zeros(env.action_space.shape, np.float32))
    assert np.abs(first - env.render()).mean() < 20
    env.close()
