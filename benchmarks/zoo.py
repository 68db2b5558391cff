"""Make a pretrained policy: train it as pretrained/shelf.yaml says, measure it on fresh levels, write its card.

    python benchmarks/zoo.py CartPole-homomorphic
    python benchmarks/zoo.py

Without a name every card is written again, from what was measured before. The run is a real one, in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from evaluate import evaluate
from pretrained.card import card
from pretrained.shelf import FACTS, SHELF, Entry, entries, listing
from storage.durable import replacing, write_file
from train import train

EPISODES = 200  # with sampled actions, and as many with greedy ones


def make(entry: Entry, place: Path) -> None:
    """Train an entry in the current folder, and put its policy with what was measured into `place`."""
    begin = time.process_time()
    run = train(entry.options)
    spent = time.process_time() - begin
    if run.scores is None:
        raise SystemExit(f"{entry.name} was interrupted, so nothing was put into {place}")
    facts = {
        **{key: run.scores[key] for key in ("env", "agent", "encoder", "symmetry", "seed", "steps")},
        "parameters": sum(run.scores["parameters"].values()),
        "cpu_seconds": round(spent),
        "wall_seconds": round(json.loads((run.folder / "timing.json").read_text())["wall_seconds"]),
        "machine": processor(),
        "played": [measure(run.folder, env) for env in (None, *entry.elsewhere)],
    }
    with replacing(place) as new:
        for name in ("policy.yaml", "policy.safetensors"):
            shutil.copy(run.folder / "policy" / name, new)
        (new / FACTS).write_text(json.dumps(facts, indent=1) + "\n")


def measure(folder: Path, env: str | None) -> dict[str, Any]:
    """The scores of a policy in its own environment, or in another."""
    options = {"policy": str(folder), "episodes": EPISODES, "output": "scores.json"}
    scores = evaluate(options if env is None else {**options, "env": env})
    return {key: value for key, value in scores.items() if key != "policy"}


def processor() -> str:
    """The name of this machine's processor, as far as it can be found out."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())


def main() -> None:
    shelf = entries()
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"a policy to make: {', '.join(shelf)}")
    parser.add_argument("--output", type=Path, default=SHELF, help="the folder of the policies")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in shelf]
    if unknown:
        parser.error(f"pretrained/shelf.yaml has no {unknown[0]}; it has {', '.join(shelf)}")
    here, place = Path.cwd(), options.output.resolve()
    for name in options.names:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)  # where train.py puts runs/
            try:
                make(shelf[name], place / name)
            finally:
                os.chdir(here)
    for name in (name for name in shelf if (place / name / FACTS).is_file()):
        write_file(place / name / "README.md", card(shelf[name], place))
    print(listing(place))


if __name__ == "__main__":
    main()
