#!/usr/bin/env bash
# Stable-Baselines3's off-policy agents take train_freq steps, however few total_timesteps asks for.
#
# Versions: stable-baselines3 2.9.2 with gymnasium 1.4.0 and torch 2.13.0 (Python 3.11.7, Linux x86-64, CPU).
# Expected: model.learn(total_timesteps=100) ends after 100 steps, or within one step of each environment. The bound on
#   how far on-policy agents exceed it, one rollout, is documented at n_steps; train_freq says how often the model learns.
# Seen: the total is looked at between two calls of collect_rollouts, and one call takes train_freq steps of every
#   environment. The remaining progress, of which schedules of the learning rate are functions, falls below 0:
#
#     total_timesteps   train_freq   environments   steps taken   remaining progress
#                 100            4              1           100                 0.00
#                 100         1000              1          1000                -9.00
#                 100         1000              4          4000               -39.00
#
# Fails if that changes. Needs bash, Python 3.11 or later, and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q stable-baselines3==2.9.2 gymnasium==1.4.0 torch==2.13.0

cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_vec_env

taken = {}
print("total_timesteps   train_freq   environments   steps taken   remaining progress")
for train_freq, n_envs in ((4, 1), (1000, 1), (1000, 4)):
    env = make_vec_env("CartPole-v1", n_envs=n_envs, seed=0)
    model = DQN("MlpPolicy", env, train_freq=train_freq, buffer_size=5000, seed=0, device="cpu")
    model.learn(total_timesteps=100)
    taken[train_freq, n_envs] = model.num_timesteps
    progress = model._current_progress_remaining
    print(f"{100:>15}{train_freq:>13}{n_envs:>15}{model.num_timesteps:>14}{progress:>21.2f}")
assert taken == {(4, 1): 100, (1000, 1): 1000, (1000, 4): 4000}
print("as described")
PYTHON
