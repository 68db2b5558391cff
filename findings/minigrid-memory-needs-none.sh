#!/usr/bin/env bash
# MiniGrid's MemoryS7 and MemoryS9 are solved by a policy that acts on the current observation only.
#
# Versions: minigrid 3.2.0, gymnasium 1.4.0, numpy 2.4.6 (Python 3.11.7, Linux x86-64).
# Expected: the right exit depends on an object at the other end of a corridor, so a policy without memory is at chance, 0.5.
# Seen: in these sizes the 7 x 7 view of an agent that faces west where the corridor ends holds that object and both exits. It
# then turns to the right one, and has forgotten it: facing south it always goes on, facing north with a probability of 0.05,
# and looks west again otherwise. Of 1,000 seeds succeed
#
#     MiniGrid-MemoryS7-v0   971
#     MiniGrid-MemoryS9-v0   976
#
# So a score there says nothing about memory, unless the view is smaller (agent_view_size=3) or the corridor longer (S11, S13).
# Fails if that changes. Needs bash, Python 3.11 or later, and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q gymnasium==1.4.0 minigrid==3.2.0 numpy==2.4.6
cat > "$folder/memoryless.py" <<'PYTHON'
import gymnasium
import minigrid  # registers the ids
import numpy as np

EAST, SOUTH, WEST, NORTH = range(4)
LEFT, RIGHT, FORWARD = range(3)
WALL, KEY, BALL = 2, 5, 6


def act(observation, chance):
    """An action, from what is seen now and a random number."""
    kinds = observation["image"][:, :, 0].T  # rows before the agent, which stands in the middle of the last one
    facing = observation["direction"]
    if facing == EAST:
        return LEFT if kinds[5, 3] == WALL else FORWARD
    if facing == WEST:
        cue = next(kind for kind in kinds[:6].flat if kind in (KEY, BALL))
        return LEFT if kinds[6, 1] == cue else RIGHT
    return FORWARD if facing == SOUTH or chance < 0.05 else LEFT


for name in ("MiniGrid-MemoryS7-v0", "MiniGrid-MemoryS9-v0"):
    env, random, successes = gymnasium.make(name), np.random.default_rng(0), 0
    for seed in range(1000):
        observation, _ = env.reset(seed=seed)
        ended = False
        while not ended:
            observation, reward, terminated, truncated, _ = env.step(act(observation, random.random()))
            ended = terminated or truncated
        successes += reward > 0
    print(f"{name}: {successes} of 1,000 seeds")
    assert successes == {"MiniGrid-MemoryS7-v0": 971, "MiniGrid-MemoryS9-v0": 976}[name]
print("as described")
PYTHON
"$folder/venv/bin/python" -W ignore "$folder/memoryless.py"
