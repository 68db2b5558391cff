"""All outputs of a policy on a batch of observations: what must stay the same when it is saved and loaded.

As a program (`python policy_outputs.py FOLDER`) it loads every policy below FOLDER and writes their outputs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from agents import Policy, load_policy


def outputs(policy: Policy, observation) -> dict[str, np.ndarray]:
    """Distribution parameters, values, Q values and greedy actions, whichever the policy has."""
    module = policy.module
    module.set_training_mode(False)
    obs, _ = module.obs_to_tensor(policy.normalize(observation))
    batch = len(policy.predict(observation, deterministic=True)[0])
    found = {"actions": policy.predict(observation, deterministic=True)[0]}
    with torch.no_grad():
        if hasattr(module, "lstm_actor"):
            layers, _, units = module.lstm_hidden_state_shape
            zeros = (torch.zeros(layers, batch, units), torch.zeros(layers, batch, units))
            starts = torch.ones(batch)
            distribution, _ = module.get_distribution(obs, zeros, starts)
            found |= parameters_of(distribution.distribution)
            found["value"] = module.predict_values(obs, zeros, starts)
        elif hasattr(module, "value_net"):
            found |= parameters_of(module.get_distribution(obs).distribution)
            found["value"] = module.predict_values(obs)
        elif hasattr(module, "q_net"):
            found |= {"q": module.q_net(obs), "target": module.q_net_target(obs)}
        elif hasattr(module, "quantile_net"):
            found |= {"q": module.quantile_net(obs), "target": module.quantile_net_target(obs)}
        else:
            actions = torch.tanh(torch.arange(batch, dtype=torch.float32))[:, None].expand(
                -1, *policy.action_space.shape
            )
            if hasattr(module.actor, "get_action_dist_params"):
                found["mean"], found["log_std"], _ = module.actor.get_action_dist_params(obs)
            else:
                found["mean"] = module.actor(obs)
            for name, critic in (("critic", module.critic), ("critic_target", module.critic_target)):
                found |= {f"{name}{i}": q for i, q in enumerate(critic(obs, actions))}
    return {key: np.asarray(value) for key, value in found.items()}


def parameters_of(distribution) -> dict[str, torch.Tensor]:
    if hasattr(distribution, "logits"):
        return {"logits": distribution.logits}
    return {"mean": distribution.mean, "std": distribution.stddev}


def load_observation(file: Path):
    """A batch of observations written by `save_observation`."""
    with np.load(file) as arrays:
        parts = dict(arrays)
    return parts["observation"] if list(parts) == ["observation"] else parts


def save_observation(file: Path, observation) -> None:
    np.savez(file, **(observation if isinstance(observation, dict) else {"observation": observation}))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for folder in sorted(path.parent for path in Path(sys.argv[1]).rglob("policy.yaml")):
        np.savez(
            folder / "outputs.npz", **outputs(load_policy(folder, device="cpu"), load_observation(folder / "obs.npz"))
        )
