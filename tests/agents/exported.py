"""Exports a policy with every encoder, loads each file and compares it with the policy.

    python exported.py torchscript|onnx ENV_ID...

A program of its own because in the tests shapes are checked, which cannot be traced. It prints, as JSON, environment
and encoder -> the number of actions that differ from `policy.predict`, or the error.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from encoder_cases import history, reading

from agents import Policy, make_agent
from agents.export import save_onnx, save_plain
from encoders.base import kind_of
from envs import make_vec_env

STATES = 16


def differing(form: str, env_id: str, encoder: str, folder: str) -> int:
    env = make_vec_env(env_id, n_envs=STATES, seed=0, **history(encoder))
    torch.manual_seed(0)
    model = make_agent(env, encoder, "ppo", seed=0, device="cpu")
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))  # so that actions differ from state to state
    policy, first = Policy.of(model), env.reset()
    example = rows(first, 3)  # of these batches, and of one, is the trace
    env.action_space.seed(0)
    for _ in range(5):
        met = env.step(np.array([env.action_space.sample() for _ in range(STATES)]))[0]
    file = Path(folder) / f"{encoder}.{form}"
    act, wrong = (torchscript if form == "torchscript" else onnx)(policy, file, example), 0
    for batch in (met, rows(met, 1), first):
        wrong += int((act(batch) != policy.predict(batch, deterministic=True)[0]).sum())
    return wrong


def torchscript(policy, file, example):
    """The actions of the file, as a function of a batch of observations."""
    loaded = torch.jit.load(save_plain(policy, file, example))
    return lambda batch: loaded(policy.module.obs_to_tensor(batch)[0]).numpy()


def onnx(policy, file, example):
    """The same for a file of ONNX."""
    import onnxruntime

    session = onnxruntime.InferenceSession(save_onnx(policy, file, example), providers=["CPUExecutionProvider"])

    def act(batch):
        parts = batch if isinstance(batch, dict) else {"observation": batch}
        return session.run(["actions"], {given.name: parts[given.name] for given in session.get_inputs()})[0]

    return act


def rows(batch, count: int):
    return {key: part[:count] for key, part in batch.items()} if isinstance(batch, dict) else batch[:count]


if __name__ == "__main__":
    torch.set_num_threads(1)
    found: dict[str, int | str] = {}
    with TemporaryDirectory() as folder:
        for env_id in sys.argv[2:]:
            kind = kind_of(make_vec_env(env_id, n_envs=1).observation_space)
            for encoder in reading(kind):
                try:
                    found[f"{env_id} {encoder}"] = differing(sys.argv[1], env_id, encoder, folder)
                except (RuntimeError, ValueError) as error:
                    found[f"{env_id} {encoder}"] = f"{type(error).__name__}: {error}"
    print(json.dumps(found))
