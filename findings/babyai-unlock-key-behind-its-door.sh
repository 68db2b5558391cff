#!/usr/bin/env bash
# BabyAI's Unlock levels can have every key that fits their locked door behind that door, so they cannot be solved.
#
# Versions: minigrid 3.2.0 with gymnasium 1.4.0 and numpy 2.4.6 (Python 3.11.7, Linux x86-64).
# Expected: a key of the locked door's colour lies where the agent can get without it, as the comment in the source says
# ("Add the key to a different room").
# Seen: of the levels 0 to 499 of BabyAI-Unlock-v0, 17 have none, even if the agent walks through everything but walls and
# the locked door. The room of the key is compared with the locked one by `is`, and its numbers are NumPy's integers, of
# which equal ones are different objects.
# Fails if that changes. Needs bash, Python 3.11 or later, and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cat > "$folder/unlock.py" <<'PYTHON'
import contextlib
import os

import gymnasium
import minigrid  # registers the ids


def lacks_a_key(env):
    """Whether no key of the locked door's colour can be reached; all but walls and locked doors can be walked through."""
    (locked,) = {cell.color for cell in env.grid.grid if cell is not None and cell.type == "door" and cell.is_locked}
    seen, fresh = set(), [tuple(int(part) for part in env.agent_pos)]
    while fresh:
        x, y = fresh.pop()
        cell = env.grid.get(x, y)
        if (x, y) in seen or (cell is not None and (cell.type == "wall" or (cell.type == "door" and cell.is_locked))):
            continue
        seen.add((x, y))
        if cell is not None and cell.type == "key" and cell.color == locked:
            return False
        fresh += [(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)]
    return True


env, count = gymnasium.make("BabyAI-Unlock-v0").unwrapped, 0
with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
    for seed in range(500):
        env.reset(seed=seed)
        count += lacks_a_key(env)
print(f"{count} of 500 levels have no key for their door outside the locked room")
assert count == 17
print("as described")
PYTHON

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q gymnasium==1.4.0 minigrid==3.2.0 numpy==2.4.6
"$folder/venv/bin/python" -W ignore "$folder/unlock.py"
