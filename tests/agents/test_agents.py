"""Laws of agents: what reaches the encoder, what stands behind it, and that symmetric policies are symmetric."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
import yaml
from encoder_cases import history
from omegaconf import OmegaConf
from policy_outputs import outputs
from stable_baselines3.common.vec_env import VecNormalize

from agents import AGENTS, Policy, make_agent
from agents.diagnostics import outputs as named_outputs
from agents.make import hyperparameters
from configs.compose import FOLDER
from encoders.mlp import MLP
from envs import make_env, make_vec_env

SMALL = {
    "ppo": {"n_steps": 16, "batch_size": 16, "n_epochs": 2},
    "a2c": {},
    "recurrent_ppo": {"n_steps": 16, "batch_size": 16, "n_epochs": 2},
    **{name: {"buffer_size": 500, "learning_starts": 20, "batch_size": 16} for name in ("dqn", "qrdqn", "sac", "td3")},
}
SYMMETRIC = [
    ("CartPole", "ppo"),
    ("CartPole", "a2c"),
    ("CartPole", "dqn"),
    ("CartPole", "qrdqn"),
    ("Acrobot", "ppo"),
    ("Acrobot", "dqn"),
    ("Pendulum", "ppo"),
    ("Pendulum", "sac"),
    ("Pendulum", "td3"),
]


def make(env_id: str, encoder: str, agent: str, **options):
    env = make_vec_env(env_id, n_envs=2, seed=0, **(history(encoder) if isinstance(encoder, str) else {}))
    return make_agent(env, encoder, agent, seed=0, device="cpu", **SMALL[agent], **options)


def states(env_id: str, n: int = 50) -> np.ndarray:
    """Observations met by random actions."""
    env = make_env(env_id)
    env.action_space.seed(0)
    met = [env.reset(seed=0)[0]]
    while len(met) < n:
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
        met.append(env.reset()[0] if terminated or truncated else observation)
    return np.array(met)


@pytest.mark.parametrize(
    ("env_id", "agent"), [("CartPole", "ppo"), ("CartPole", "dqn"), ("CartPole", "qrdqn"), ("Pendulum", "a2c")]
)
def test_the_heads_that_a_policy_names_are_those_it_acts_by(env_id, agent):
    policy = Policy.of(make(env_id, "mlp", agent))
    same = {"logits": "log_probs", "q": "quantiles"} if agent != "dqn" else {}
    met, named = states(env_id), named_outputs(policy, states(env_id))
    for name, expected in outputs(policy, met).items():
        if name in ("actions", "std"):
            continue
        got = named[same.get(name, name)][1].numpy()
        np.testing.assert_allclose(got.reshape(expected.shape), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("agent", ["sac", "td3"])
def test_the_heads_of_actors_and_critics_are_those_that_are_trained(agent):
    model = make("Pendulum", "mlp", agent)
    policy, met = model.policy, states("Pendulum")
    named = named_outputs(Policy.of(model), met, torch.full((len(met), 1), 0.3))
    with torch.no_grad():
        observations = torch.as_tensor(met)
        mean = policy.actor.get_action_dist_params(observations)[0] if agent == "sac" else policy.actor(observations)
        values = policy.critic_target(observations, torch.full((len(met), 1), 0.3))
    torch.testing.assert_close(named["actor"][1], mean)
    torch.testing.assert_close(named["critic_target1"][1], values[1])


def equivariance_error(model, env_id: str) -> float:
    """The largest violation, in float64, of f(φs) = ψf(s) for what stands for actions and f(φs) = f(s) for values.

    Relative to max(1, |output|). SB3 casts observations to float32, so encoder and heads are called without it.
    """
    symmetry = make_vec_env(env_id, n_envs=1).symmetry
    phi, psi = symmetry.observation["observation"], symmetry.action
    policy = model.policy.double()
    s = torch.as_tensor(states(env_id)).double()
    with torch.no_grad():
        here = heads(policy, s, torch.linspace(-1, 1, len(s), dtype=torch.float64)[:, None])
        there = heads(
            policy,
            phi(1, s),
            psi(1, torch.linspace(-1, 1, len(s), dtype=torch.float64)[:, None]) if psi.size == 1 else None,
        )
    worst = 0.0
    for name, output in here.items():
        expected = psi(1, output) if name.startswith("acts") else output
        worst = max(worst, float(((expected - there[name]).abs() / expected.abs().clamp_min(1)).max()))
    policy.float()  # exact: its numbers came from float32
    return worst


def heads(policy, s: torch.Tensor, a: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """Every head's output on states s (and actions a); "acts..." transform as actions do, the others not at all."""
    if hasattr(policy, "value_net"):
        features = policy.features_extractor(s)
        return {"acts": policy.action_net(features), "value": policy.value_net(features)}
    if hasattr(policy, "q_net"):
        return {f"acts{i}": n.q_net(n.features_extractor(s)) for i, n in enumerate((policy.q_net, policy.q_net_target))}
    if hasattr(policy, "quantile_net"):
        networks = (policy.quantile_net, policy.quantile_net_target)
        return {
            f"acts{i}": n.quantile_net(n.features_extractor(s)).reshape(len(s), n.n_quantiles, -1)
            for i, n in enumerate(networks)
        }
    features = policy.actor.features_extractor(s)
    found = {"acts": policy.actor.mu(features)}
    if hasattr(policy.actor, "log_std"):
        found["log_std"] = policy.actor.log_std(features)
    for name, critic in (("critic", policy.critic), ("target", policy.critic_target)):
        inputs = torch.cat([critic.features_extractor(s), a], dim=1)
        found |= {f"{name}{i}": network(inputs) for i, network in enumerate(critic.q_networks)}
    return found


@pytest.mark.parametrize(("env_id", "agent"), SYMMETRIC)
def test_homomorphic_policies_obey_the_symmetry_before_and_after_training(env_id, agent):
    model = make(env_id, "homomorphic", agent)
    assert equivariance_error(model, env_id) < 1e-12
    before = {name: p.detach().clone() for name, p in model.policy.named_parameters()}
    model.learn(200)
    assert equivariance_error(model, env_id) < 1e-12
    unmoved = [n for n, p in model.policy.named_parameters() if "target" not in n and torch.equal(p, before[n])]
    assert not unmoved  # it learned, and every layer of it


@pytest.mark.parametrize(("env_id", "agent"), SYMMETRIC)
def test_a_plain_mlp_does_not(env_id, agent):
    assert equivariance_error(make(env_id, "mlp", agent), env_id) > 1e-4


def test_mirrored_state_swaps_the_actions():
    model = make("CartPole", "homomorphic", "ppo")
    model.learn(500)
    policy, s = Policy.of(model), states("CartPole")
    here, there = outputs(policy, s), outputs(policy, -s)
    np.testing.assert_allclose(here["logits"][:, 0], there["logits"][:, 1], atol=1e-5)
    np.testing.assert_allclose(here["value"], there["value"], atol=1e-4)


@pytest.mark.parametrize(
    ("env_id", "agent"),
    [("CartPole", a) for a in ("ppo", "a2c", "dqn", "qrdqn")] + [("Pendulum", "sac"), ("Pendulum", "td3")],
)
def test_nothing_stands_between_encoder_and_head(env_id, agent):
    """The first layer behind the encoder takes its features, and is the last one of actors, V and discrete Q."""
    model = make(env_id, "mlp", agent)
    behind = {
        name: m
        for name, m in model.policy.named_modules()
        if isinstance(m, torch.nn.Linear) and "features_extractor" not in name and "target" not in name
    }
    actors = {name: m for name, m in behind.items() if "critic" not in name}
    assert actors and all(m.in_features == 128 for m in actors.values())
    critic_layers = [m for name, m in behind.items() if "qf0" in name]
    assert len(critic_layers) == (2 if env_id == "Pendulum" else 0)
    if critic_layers:
        assert critic_layers[0].in_features == 128 + model.action_space.shape[0]


@pytest.mark.parametrize("agent", AGENTS)
def test_every_trained_parameter_has_its_optimizer(agent):
    model = make("Pendulum" if agent in ("sac", "td3") else "CartPole", "mlp", agent)
    policy = model.policy
    optimizers = (
        [policy.optimizer] if hasattr(policy, "optimizer") else [policy.actor.optimizer, policy.critic.optimizer]
    )
    held = {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in policy.named_parameters():
        assert ("target" in name) != (id(parameter) in held), name


def test_sb3_leaves_the_encoder_s_initialisation_alone():
    """SB3's orthogonal initialisation would give every layer orthogonal rows."""
    weight = make("CartPole", "mlp", "ppo").policy.features_extractor.trunk[2].weight
    assert weight.abs().max() <= 1 / 128**0.5 and (weight @ weight.T - torch.eye(128) * 2).abs().max() > 0.5


def test_the_encoder_receives_cell_codes_as_they_are():
    seen = []

    class Spy(MLP):
        def forward(self, obs):
            seen.append({key: value.clone() for key, value in obs.items()})
            return super().forward(obs)

    env = make_vec_env("DoorKey-5x5", n_envs=2, seed=0)
    model = make_agent(env, Spy, "ppo", **SMALL["ppo"])
    observation = env.reset()
    model.predict(observation)
    for key, value in observation.items():
        assert np.array_equal(seen[-1][key].numpy(), value)


def test_the_same_command_and_seed_give_the_same_parameters():
    def learned(seed):
        env = make_vec_env("DoorKey-5x5", n_envs=2, seed=seed)
        model = make_agent(env, "gnn", "ppo", seed=seed, device="cpu", **SMALL["ppo"])
        return torch.cat([p.flatten() for p in model.learn(64).policy.parameters()])

    assert torch.equal(learned(1), learned(1)) and not torch.equal(learned(1), learned(2))


@pytest.mark.parametrize("agent", AGENTS)
def test_configs_reach_every_hyperparameter_and_have_sb3_s_defaults(agent):
    config = yaml.safe_load((FOLDER / "agent" / f"{agent}.yaml").read_text())["agent"]
    not_data = {"policy", "env", "tensorboard_log", "verbose", "seed", "device", "_init_setup_model"}
    not_data |= {"replay_buffer_class", "replay_buffer_kwargs", "rollout_buffer_class", "rollout_buffer_kwargs"}
    signature = dict(inspect.signature(AGENTS[agent].algorithm).parameters)
    if (fast := AGENTS[agent].fast) is not None:
        ours = [each for each in fast.__mro__ if each.__module__.startswith("agents.") and "__init__" in vars(each)]
        for each in reversed(ours):
            signature |= inspect.signature(each).parameters
    signature["weight_decay"] = inspect.signature(make_agent).parameters["weight_decay"]  # of every agent's optimizer
    not_data |= {"args", "kwargs", "precision"}  # precision is an option of its own
    assert set(config) == set(signature) - not_data
    for name, value in config.items():
        if (agent, name) != ("td3", "action_noise") and name != "policy_kwargs":
            default = signature[name].default
            assert value == default or float(value) == default, name


def test_gsde_trains_but_not_with_a_symmetry():
    make("Pendulum", "mlp", "sac", use_sde=True).learn(60)
    with pytest.raises(ValueError, match="use_sde"):
        make("Pendulum", "homomorphic", "sac", use_sde=True)
    with pytest.raises(ValueError, match="use_sde"):
        make("Pendulum", "homomorphic", "ppo", use_sde=True)


def test_normalized_observations_are_normalized_in_the_policy_too():
    env = VecNormalize(make_vec_env("Pendulum", n_envs=2, seed=0), norm_reward=False)
    model = make_agent(env, "mlp", "ppo", seed=0, **SMALL["ppo"]).learn(200)
    raw = states("Pendulum", 5)
    np.testing.assert_array_equal(Policy.of(model).normalize(raw), env.normalize_obs(raw))


def test_an_agent_that_cannot_be_says_why():
    for env_id, encoder, agent, options, message in [
        ("CartPole", "mlp", "sac", {}, "agent=sac cannot act in Discrete.*ppo, a2c, dqn"),
        ("Pendulum", "mlp", "dqn", {}, "these can: ppo, a2c, sac, td3"),
        ("CartPole", "gnn", "ppo", {}, "reads grids"),
        ("CartPole", "nothing", "ppo", {}, "no encoder is called"),
        ("MountainCar", "homomorphic", "ppo", {}, "declares none"),
        ("CartPole", "homomorphic", "recurrent_ppo", {}, "LSTM behind the encoder"),
        ("CartPole", "mlp", "ppo", {"policy_kwargs": {"net_arch": [64]}}, "decided by the encoder"),
        ("CartPole", "mlp", "ppo", {"no_such_option": 1}, "no_such_option"),
        ("CartPole", "mlp", "ppo", {"learning_rate": "cos_1"}, "lin_<number>"),
    ]:
        with pytest.raises(ValueError, match=message):
            make(env_id, encoder, agent, **options)
    with pytest.raises(ValueError, match="no agent is called"):
        make_agent(make_vec_env("CartPole", n_envs=1), "mlp", "ppoo")


BEYOND = {  # values that no run can have, though SB3 takes them
    "learning_rate": (0, -1e-3, "cos_1", [1]),
    "gamma": (7, -0.1, "high"),
    "gae_lambda": (3, -1),
    "ent_coef": (-1, "low"),
    "vf_coef": (-1,),
    "clip_range": (0, -0.2),
    "clip_range_vf": (0,),
    "max_grad_norm": (0, -1, "none"),
    "target_kl": (0,),
    "n_steps": (0, 1.5, True),
    "batch_size": (0, "all"),
    "n_epochs": (0,),
    "buffer_size": (0, -1, 1.5),
    "learning_starts": (-1,),
    "tau": (0, 1.5),
    "train_freq": (0, [1, "week"], "often"),
    "gradient_steps": (-2,),
    "target_update_interval": (0,),
    "exploration_fraction": (2,),
    "exploration_initial_eps": (1.5,),
    "exploration_final_eps": (-0.1,),
    "policy_delay": (0,),
    "target_policy_noise": (-1,),
    "target_noise_clip": (-1,),
    "action_noise": (-0.1,),
    "target_entropy": ("high",),
    "sde_sample_freq": (-2,),
    "stats_window_size": (0,),
    "rms_prop_eps": (0,),
    "weight_decay": (-1, "some"),
    "normalize_advantage": (2,),
    "use_sde": ("maybe",),
    "use_rms_prop": (3,),
    "optimize_memory_usage": (1,),
}


def options_of(agent: str) -> dict:
    """The options of an agent's YAML file."""
    return OmegaConf.to_container(OmegaConf.load(FOLDER / "agent" / f"{agent}.yaml"))["agent"]  # reads 3e-4 as a number


@pytest.mark.parametrize("agent", AGENTS)
def test_a_hyperparameter_outside_its_range_is_refused_by_its_name(agent):
    env = make_vec_env("Pendulum" if agent in ("sac", "td3") else "CartPole", n_envs=2)
    for option in options_of(agent):
        for value in BEYOND.get(option, ()):
            with pytest.raises(ValueError, match=f"agent.{option} is"):
                make_agent(env, "mlp", agent, **{option: value})


@pytest.mark.parametrize("agent", AGENTS)
def test_the_defaults_of_yaml_are_those_of_the_algorithm(agent):
    ours = {"implementation", "distinct", "overlap", "weight_decay", "policy_kwargs", "action_noise"}
    taken = inspect.signature(AGENTS[agent].algorithm).parameters
    for option, value in options_of(agent).items():
        if option not in ours:
            assert hyperparameters({option: value}, None)[option] == taken[option].default, option
