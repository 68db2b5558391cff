"""Laws of agents in unusual spaces: each trains, is saved, loaded and evaluated wherever it can act."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv
from strange_spaces import CHOICES, NUMBERS, OBSERVATIONS, UNREADABLE, VECTOR, Strange
from test_agents import SMALL

from agents import Policy, load_policy, make_agent, save_policy
from agents.make import AGENTS
from agents.saved.spaces import space_from_data, space_to_data
from envs import make_vec_env, readable
from evaluate import evaluate
from evaluation.rollout import rollout
from train import train

QUICK = {"total_timesteps": 64, "evaluation.every": 64, "evaluation.episodes": 2, "evaluation.final_episodes": 2}
QUICK |= {"n_envs": 2, "encoder": "mlp", "agent": "a2c"}


def lives(agent, folder, **kwargs):
    """Train, save, load and evaluate an agent in `Strange-v0`, which refuses actions outside its space."""
    env = make_vec_env("Strange-v0", n_envs=2, seed=0, kwargs=kwargs)
    model = make_agent(env, "mlp", agent, seed=0, device="cpu", **SMALL[agent])
    Strange.taken.clear()
    model.learn(40)
    loaded = load_policy(save_policy(model, folder), device="cpu")
    assert (loaded.observation_space, loaded.action_space) == (env.observation_space, env.action_space)
    seen = env.reset()
    before, after = (policy.predict(seen, deterministic=True)[0] for policy in (Policy.of(model), loaded))
    assert np.array_equal(before, after)
    assert len(rollout(loaded, env, 4, seed=0).returns) == 4


@pytest.mark.parametrize("agent", AGENTS)
def test_every_agent_acts_in_every_space_that_it_can(agent, tmp_path):
    actions = CHOICES if agent not in ("sac", "td3") else {}
    actions = {"discrete": CHOICES["discrete"]} if agent in ("dqn", "qrdqn") else actions
    for name, space in {**actions, **(NUMBERS if agent not in ("dqn", "qrdqn") else {})}.items():
        lives(agent, tmp_path / name, action=space)
        if name == "discrete":
            assert {int(action) for action in Strange.taken} == {-1, 0, 1}


@pytest.mark.parametrize("agent", AGENTS)
def test_every_agent_reads_every_space(agent, tmp_path):
    action = VECTOR if agent in ("sac", "td3") else spaces.Discrete(2)
    for name, space in OBSERVATIONS.items():
        lives(agent, tmp_path / name, observation=space, action=action)


def test_commands_train_and_evaluate_where_actions_do_not_count_from_0(tmp_path):
    class Shifted(Strange):
        def __init__(self):
            super().__init__(OBSERVATIONS["nested"], CHOICES["discrete"])

    gymnasium.register("Shifted-v0", Shifted, disable_env_checker=True)
    result = train({"env": "Shifted-v0", "run_dir": str(tmp_path / "run"), **QUICK})
    Strange.taken.clear()
    scores = evaluate({"policy": str(result.folder), "episodes": 20})
    assert scores["sampled"]["length"]["mean"] == 5 and {int(action) for action in Strange.taken} == {-1, 0, 1}


def test_a_space_that_cannot_be_read_leaves_nothing_behind(tmp_path):
    class Talking(Strange):
        def __init__(self):
            super().__init__(UNREADABLE["Text"])

    gymnasium.register("Talking-v0", Talking, disable_env_checker=True)
    with pytest.raises(ValueError, match=r"no agent can play Talking-v0: the observation 'said' is Text\("):
        train({"env": "Talking-v0", "run_dir": str(tmp_path / "run"), **QUICK})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("observation", "action", "named"),
    [
        (VECTOR, CHOICES["discrete"], r"the action is Discrete\(3, start=-1\)"),
        (OBSERVATIONS["discrete"], spaces.Discrete(2), r"the observation is Discrete\(19, start=2\)"),
        (OBSERVATIONS["dict of discrete"], spaces.Discrete(2), r"the observation 'a' is Discrete\(3, start=5\)"),
        (
            OBSERVATIONS["multidiscrete"],
            spaces.Discrete(2),
            r"the observation is MultiDiscrete\(\[3 2\], start=\[ 5 -1\]\)",
        ),
        (OBSERVATIONS["number"], spaces.Discrete(2), r"the observation is Box\(-1.0, 1.0, \(\), float32\)"),
    ],
)
def test_a_stranger_s_environments_are_refused_or_made_readable(observation, action, named):
    class Seen(DummyVecEnv):
        """SB3's own environments."""

    with pytest.raises(ValueError, match=f"{named}, which agents cannot read as it is; .*envs.readable"):
        make_agent(Seen([lambda: Strange(observation, action)]), "mlp")
    model = make_agent(Seen([lambda: readable(Strange(observation, action))]), "mlp", seed=0, **SMALL["ppo"])
    model.learn(16)


def test_policy_files_keep_where_choices_begin_and_read_older_ones_without():
    space = CHOICES["multidiscrete"]
    data = space_to_data(space)
    assert space_from_data(data) == space
    del data["start"]
    assert space_from_data(data) == spaces.MultiDiscrete([3, 2])
