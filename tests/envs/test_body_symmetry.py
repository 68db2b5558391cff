"""Laws of the left and right of bodies: reflections are found where they hold, and policies obey them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from agents import load_policy, make_agent, save_policy
from envs import check_symmetry, make_env, make_vec_env, symmetry_of
from symmetry import Representation, Symmetry
from train import train

pytest.importorskip("mujoco", reason="MuJoCo is not installed: pip install -e .[mujoco]")

from envs.bodies.graph import body_of, compiled
from envs.bodies.reflection import reflection_of
from envs.bodies.simulation import kind_named
from envs.symmetries.classic import MIRROR

ALIKE = ("Centipede-4", "Centipede-6", "Snake-4", "Ant-4", "Walker-7", "Humanoid-2d-9")
UNLIKE = ("Ant-3", "Hopper-5", "Walker-6", "Walker-4", "Cheetah-7", "Humanoid-2d-8", "Humanoid-2d-7-left-arm")
EXACTLY = 1e-10  # of the simulator's state after one step, relative to max(1, |x|)

# a torso with an arm on each side, whose hinges turn about the vertical, and a tail
TWO_ARMS = """<mujoco><option gravity="0 0 -9.81"/><default><joint limited="true" armature="1"/></default>
<worldbody><geom type="plane" size="5 5 1"/><body name="torso" pos="0 0 1"><freejoint/><geom size="0.1"/>
<body pos="0.1 0.2 0"><joint name="arm_left" axis="0 0 1" range="-20 40" stiffness="2"/>
<geom type="capsule" size="0.05" fromto="0 0 0 0.1 0.3 0"/></body>
<body pos="0.1 -0.2 0"><joint name="arm_right" axis="0 0 1" range="-40 20" stiffness="2"/>
<geom type="capsule" size="0.05" fromto="0 0 0 0.1 -0.3 0"/></body>
<body pos="-0.2 0 0"><joint name="tail" axis="0 1 0" range="-30 10"/><geom size="0.05" pos="-0.1 0 0"/></body>
</body></worldbody>
<actuator><motor joint="arm_left" gear="50"/><motor joint="arm_right" gear="50"/><motor joint="tail"/></actuator>
</mujoco>"""


def reflection(xml):
    return reflection_of(body_of(compiled(xml, "robot"), "robot"))


# ── reflections are found, and hold ──


@pytest.mark.parametrize("name", ALIKE)
def test_the_reflection_holds_in_the_simulator(name):
    check = check_symmetry(name, steps=15)
    assert max(check.state) < EXACTLY and max(check.reward) < EXACTLY and max(check.termination) == 0
    assert check.has_state and not check.draws


@pytest.mark.parametrize("name", UNLIKE)
def test_a_body_that_is_not_its_own_mirror_image_declares_nothing(name):
    assert symmetry_of(name) is None and make_vec_env(name, n_envs=1).symmetry is None


def test_left_limbs_become_right_ones_and_turning_left_becomes_turning_right():
    body, (places, signs) = kind_named("Centipede-6").body, kind_named("Centipede-6").reflection.nodes
    for name, place, sign in zip(body.names, places, signs, strict=True):
        swapped = name.replace("left", "?").replace("right", "left").replace("?", "right")
        assert body.names[place] == swapped
        assert sign == (-1 if name.startswith(("hip", "turn")) else 1)


def test_a_snake_bends_the_other_way():
    assert kind_named("Snake-4").reflection.nodes == ((0, 1, 2, 3, 4), (1, -1, -1, -1, -1))


def test_legs_at_one_place_are_exchanged():
    body, (places, signs) = kind_named("Walker-7").body, kind_named("Walker-7").reflection.nodes
    assert {body.names[1 + i]: body.names[place] for i, place in enumerate(places[1:])} == {
        f"{joint}_{side}": f"{joint}_{other}"
        for joint in ("hip", "knee", "ankle")
        for side, other in (("left", "right"), ("right", "left"))
    }
    assert set(signs) == {1}


def test_the_sign_of_a_joint_tells_whether_its_axis_is_mirrored():
    assert reflection(TWO_ARMS).nodes == ((0, 2, 1, 3), (1, -1, -1, 1))
    about = 'name="arm_right" axis="0 0 1" range="-40 20"', 'name="arm_right" axis="0 0 -1" range="-20 40"'
    assert reflection(TWO_ARMS.replace(*about)).nodes == ((0, 2, 1, 3), (1, 1, 1, 1))


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ('fromto="0 0 0 0.1 -0.3 0"', 'fromto="0 0 0 0.1 -0.31 0"'),
        ('fromto="0 0 0 0.1 -0.3 0"', 'fromto="0 0 0 0.1 -0.3 0" density="900"'),
        ('fromto="0 0 0 0.1 -0.3 0"', 'fromto="0 0 0 0.1 -0.3 0" friction="0.5"'),
        ('fromto="0 0 0 0.1 -0.3 0"', 'fromto="0 0 0 0.1 -0.3 0" contype="2"'),
        ('pos="0.1 -0.2 0"', 'pos="0.1 -0.21 0"'),
        ('name="arm_right" axis="0 0 1"', 'name="arm_right" axis="0 0.1 1"'),
        ('name="arm_right" axis="0 0 1"', 'name="arm_right" axis="0 0 1" pos="0 0 0.1"'),
        ('name="arm_right" axis="0 0 1"', 'name="arm_right" type="slide" axis="0 1 0"'),
        ('range="-40 20" stiffness="2"', 'range="-20 40" stiffness="2"'),
        ('range="-40 20" stiffness="2"', 'range="-40 20" stiffness="3"'),
        ('range="-40 20" stiffness="2"', 'range="-40 20" stiffness="2" springref="10"'),
        ('range="-40 20" stiffness="2"', 'range="-40 20" stiffness="2" damping="1"'),
        ('joint="arm_right" gear="50"', 'joint="arm_right" gear="51"'),
        ('joint="arm_right" gear="50"', 'joint="arm_right" gear="50" ctrllimited="true" ctrlrange="-1 1"'),
        ('<motor joint="arm_right" gear="50"/>', ""),
        ('name="tail" axis="0 1 0"', 'name="tail" axis="0 0 1"'),
        ('name="tail" axis="0 1 0"', 'name="tail" axis="0 1 1"'),
        ('pos="-0.2 0 0"', 'pos="-0.2 0.01 0"'),
        ('gravity="0 0 -9.81"', 'gravity="0 1 -9.81"'),
        ('type="plane" size="5 5 1"', 'type="plane" size="5 5 1" euler="10 0 0"'),
        ('name="torso" pos="0 0 1"', 'name="torso" pos="0 0 1" euler="0 0 10"'),
        ("<actuator>", '<contact><exclude body1="torso" body2="world"/></contact><actuator>'),
    ],
)
def test_one_difference_between_left_and_right_is_enough_for_none(part, other):
    assert part in TWO_ARMS and reflection(TWO_ARMS.replace(part, other)) is None


def test_a_root_whose_frame_does_not_look_along_the_plane_has_none():
    tail = TWO_ARMS.index('<body pos="0.1 0.2 0">'), TWO_ARMS.index('<body pos="-0.2 0 0">')
    one_limb = TWO_ARMS[: tail[0]] + TWO_ARMS[tail[1] : TWO_ARMS.index("<actuator>")]
    one_limb += '<actuator><motor joint="tail"/></actuator></mujoco>'
    swings = one_limb.replace('axis="0 1 0" range="-30 10"', 'axis="0 0 1" range="-30 30"')
    assert reflection(swings).nodes == ((0, 1), (1, -1))
    aside = swings.replace('pos="0 0 1"', 'pos="0 0 1" euler="0 0 90"').replace('pos="-0.2 0 0"', 'pos="0 -0.2 0"')
    assert reflection(aside.replace('pos="-0.1 0 0"', 'pos="0 -0.1 0"')) is None


def test_several_bodies_declare_the_reflection_that_all_of_them_have():
    def symmetry(train, test=()):
        return make_env("bodies", kwargs={"train": train, "test": test}).symmetry

    together, largest = symmetry(["Centipede-4", "Centipede-6-crippled"]), symmetry(["Centipede-6"])
    assert (together.observation["nodes"], together.action) == (largest.observation["nodes"], largest.action)
    assert symmetry(["Centipede-4"], ["Centipede-6"]).action == largest.action
    assert symmetry(["Centipede-4", "Ant-4"]) is None
    assert symmetry(["Centipede-4"], ["Hopper-3"]) is None
    env = make_env("bodies", kwargs={"train": ["Centipede-4", "Centipede-6"]})
    assert max(check_symmetry(env, steps=15).state) < EXACTLY


def test_a_wrong_sign_is_refused():
    env = make_env("Centipede-4")
    right = env.symmetry
    (places, signs), (numbers, of_numbers) = right.action.generators[0], right.observation["nodes"].flat.generators[0]

    def flipped(pair_signs, *which):
        return [-sign if i in which else sign for i, sign in enumerate(pair_signs)]

    hips = 1, places[1]
    turned = Representation(MIRROR, [(places, flipped(signs, *hips))])
    with pytest.raises(ValueError, match="does not obey this symmetry"):
        check_symmetry(env, replace(right, action=turned), steps=5)
    nodes = type(right.observation["nodes"])
    for number in (2, 8, 10):  # the y of an axis, of the velocity, the x of the angular velocity
        seen = Representation(MIRROR, [(numbers, flipped(of_numbers, number))])
        wrong = {**right.observation, "nodes": nodes(MIRROR, right.observation["nodes"].shape, seen)}
        with pytest.raises(ValueError, match=rf"nodes\[0, {number}\] should be"):
            check_symmetry(env, replace(right, observation=wrong), steps=5)


def test_symmetries_of_bodies_survive_their_data():
    symmetry = symmetry_of("Centipede-4")
    again = Symmetry.from_data(symmetry.to_data())
    assert (again.group, again.observation, again.action) == (symmetry.group, symmetry.observation, symmetry.action)


# ── policies obey them ──

SMALL = {"width": 16, "layers": 1}
POLICIES = [
    ("homomorphic", "auto", {"channels": 8}),
    ("gnn", "average", {**SMALL, "channels": 8}),
    ("transformer", "average", {**SMALL, "heads": 2}),
    ("mlp", "average", SMALL),
]
BOTH = {"train": ["Centipede-4", "Centipede-6-crippled"]}


def agent(encoder, method, options, kwargs=BOTH, name="ppo"):
    env = make_vec_env("bodies", n_envs=4, seed=0, engine="gymnasium", kwargs=kwargs)
    sizes = {"n_steps": 8} if name == "a2c" else {"n_steps": 16, "batch_size": 32, "n_epochs": 1}
    return make_agent(env, encoder, name, method=method, encoder_options=options, seed=0, device="cpu", **sizes)


def seen(model, steps=4):
    env, random = model.get_env(), np.random.default_rng(0)
    obs = env.reset()
    for _ in range(steps):
        obs = env.step(random.uniform(-1, 1, (4, *env.action_space.shape)))[0]
    return {key: torch.as_tensor(part) for key, part in obs.items()}


def randomized(model):
    """With larger weights, so that no output is small."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def check_law(model):
    """π(ψa|φs) = π(a|s) and V(φs) = V(s), on states whose twins are others."""
    policy, symmetry, obs = model.policy, model.get_env().symmetry, seen(model)
    with torch.no_grad():
        actions = torch.randn(len(obs["nodes"]), obs["nodes"].shape[1]) * obs["actuated"]
        twins, moved = symmetry.observe(1, obs), symmetry.act(1, actions)
        here, there = policy.evaluate_actions(obs, actions), policy.evaluate_actions(twins, moved)
        for one, other in zip(here, there, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
        means = [policy.get_distribution(each).mode() for each in (obs, twins)]
    torch.testing.assert_close(symmetry.act(1, means[0]), means[1], rtol=1e-5, atol=1e-5)
    assert (means[0] - means[1]).abs().max() > 0.05 and not torch.equal(obs["nodes"], twins["nodes"])
    assert (means[0][obs["actuated"] == 0] == 0).all() and means[0].abs().max() > 0.05


@pytest.mark.parametrize(("encoder", "method", "options"), POLICIES)
def test_a_symmetric_policy_of_bodies_obeys_the_reflection_before_and_after_an_update(encoder, method, options):
    model = randomized(agent(encoder, method, options))
    check_law(model)
    check_law(model.learn(64))


def test_a2c_obeys_the_reflection_too():
    check_law(randomized(agent(*POLICIES[1], name="a2c")).learn(32))


def test_a_saved_symmetric_policy_acts_as_before_and_plays_no_larger_bodies(tmp_path):
    model = agent(*POLICIES[1])
    save_policy(model, tmp_path / "policy")
    obs = {key: part.numpy() for key, part in seen(model).items()}
    loaded = load_policy(tmp_path / "policy")
    np.testing.assert_array_equal(*(each.predict(obs, deterministic=True)[0] for each in (model, loaded)))
    larger = make_env("bodies", kwargs={"train": ["Centipede-10"], "types": ["root", "ankle", "hip", "lift", "turn"]})
    with pytest.raises(ValueError, match="obeys the reflection of bodies of 17 nodes, and these have up to 29"):
        load_policy(tmp_path / "policy", observation_space=larger.observation_space)


def test_a_trained_run_reports_that_it_obeys(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short = {"n_envs": 2, "total_timesteps": 64, "agent": {"n_steps": 32, "batch_size": 32}, "progress": False}
    evaluation = {"every": 64, "episodes": 1, "final_episodes": 1}
    scores = train(env="Centipede-4", encoder="homomorphic", evaluation=evaluation, **short).scores
    assert scores["equivariance_error"] < 1e-5
