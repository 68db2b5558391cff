"""The levels that compiled code makes, beside those that Farama's Python makes: how many differ in any field.

    python benchmarks/level_equality.py [--levels 20000] [--json PATH] [id ...]

Each family, that is each function that lays out levels, gets as many levels, which its ids share.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import gymnasium
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timing import machine, output

from envs.engine.farama import read_levels
from envs.engine.levels import maker_of
from envs.engine.makers.families import ids_of_families
from envs.names import resolve_id

CHUNK = 1_000


def differing(name: str, count: int) -> int:
    """How many of the levels 0 to count - 1 of an id differ."""
    env, differ = gymnasium.make(name), 0
    for start in range(0, count, CHUNK):
        seeds = range(start, min(start + CHUNK, count))
        pairs = zip(maker_of(env).made(seeds).levels, read_levels(env, seeds).levels, strict=True)
        unlike = [(mine != theirs).reshape(len(seeds), -1).any(1) for mine, theirs in pairs]
        differ += int(np.any(unlike, axis=0).sum())
    return differ


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ids", nargs="*", help="default: all")
    parser.add_argument("--levels", type=int, default=20_000, help="of each family")
    parser.add_argument("--json", type=output, help="write the figures to this file")
    options = parser.parse_args()
    about, found = machine("minigrid", "numpy", "numba"), {}
    print(f"{'':>40}{'levels':>10}{'differ':>8}")
    for names in ids_of_families([resolve_id(name) for name in options.ids]).values():
        for name in names:
            count = options.levels // len(names)
            found[name] = {"levels": count, "differ": differing(name, count)}
            print(f"{name:>40}{count:>10,}{found[name]['differ']:>8}", flush=True)
    total, unlike = (sum(each[key] for each in found.values()) for key in ("levels", "differ"))
    print(f"{total:,} levels of {len(found)} ids, {unlike} differ")
    if options.json:
        options.json.write_text(json.dumps({"machine": about, "ids": found}, indent=2) + "\n")
    sys.exit(unlike > 0)


if __name__ == "__main__":
    main()
