#!/usr/bin/env bash
# The same MuJoCo environment id, seed and actions give other states under another release of MuJoCo.
#
# Versions: gymnasium 1.4.0 with mujoco 3.3.7 and with mujoco 4.0.0 (numpy 2.4.6, imageio 2.37.2, Python 3.11.7, Linux x86-64).
# Expected: an id with a version, such as Ant-v5, names one environment, so that equal seeds and actions give equal states.
# Seen: the v5 ids do not change, and the states part. Largest |difference| of (qpos, qvel) within so many steps:
#
#     steps                1        2       10       30      100
#     HumanoidStandup-v5   1.9e-01  1.9e-01  1.1e+00  3.5e+00  8.9e+00
#     Humanoid-v5          2.5e-07  7.4e-07  8.6e-06  6.0e-01  3.4e+00
#     Ant-v5               3.5e-07  1.0e-01  4.7e-01  2.7e+00  1.1e+01
#     Hopper-v5            1.1e-16  3.3e-16  6.3e-02  1.0e-01  1.0e-01
#     Walker2d-v5          1.9e-14  1.9e-14  1.1e-13  2.3e-13  2.8e-13
#     Swimmer-v5           0.0e+00  4.4e-16  1.3e-15  1.3e-15  4.9e-15
#
# So scores of HumanoidStandup, Humanoid, Ant and Hopper belong to a release of MuJoCo; Walker2d and Swimmer stay within
# rounding for a hundred steps. Fails if that changes. Needs bash, Python 3.11 or later, and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cat > "$folder/play.py" <<'PYTHON'
import sys

import gymnasium
import numpy as np

states = {}
for name in ("HumanoidStandup-v5", "Humanoid-v5", "Ant-v5", "Hopper-v5", "Walker2d-v5", "Swimmer-v5"):
    env = gymnasium.make(name)
    env.action_space.seed(0)
    env.reset(seed=0)
    simulator, states[name] = env.unwrapped, []
    for action in [env.action_space.sample() for _ in range(100)]:
        simulator.step(action)
        states[name].append(np.concatenate([simulator.data.qpos, simulator.data.qvel]))
np.savez(sys.argv[1], **states)
PYTHON

for release in 3.3.7 4.0.0; do
    python3 -m venv "$folder/$release"
    "$folder/$release/bin/pip" install -q gymnasium==1.4.0 mujoco==$release numpy==2.4.6 imageio==2.37.2 packaging
    "$folder/$release/bin/python" -W ignore "$folder/play.py" "$folder/$release.npz"
done

cd "$folder"
4.0.0/bin/python - <<'PYTHON'
import numpy as np

before, after = np.load("3.3.7.npz"), np.load("4.0.0.npz")
part = {}
print(f"{'steps':<20}", *(f"{steps:>8}" for steps in (1, 2, 10, 30, 100)))
for name in before:
    difference = np.maximum.accumulate(np.abs(before[name] - after[name]).max(1))
    part[name] = difference[[0, 1, 9, 29, 99]]
    print(f"{name:<20}", *(f"{error:>8.1e}" for error in part[name]))
assert part["HumanoidStandup-v5"][0] > 1e-2, "HumanoidStandup parts in its first step"
assert part["Ant-v5"][1] > 1e-3 and part["Humanoid-v5"][3] > 1e-3 and part["Hopper-v5"][2] > 1e-3
assert part["Walker2d-v5"][4] < 1e-11 and part["Swimmer-v5"][4] < 1e-11, "these do not part"
print("as described")
PYTHON
