"""A policy's card: its README.md, written from shelf.yaml, policy.yaml and facts.json alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pretrained.shelf import LARGEST, SHELF, Entry, markdown, read_facts, shown, shown_size
from storage.plain import from_yaml
from storage.reading import read_regular

LEVELS = """\
Evaluations play levels whose seeds training never draws, a new one for every episode. A small environment has few
different levels, so there they look like those of training."""
STARTS = "Every episode starts in a state drawn anew."


def card(entry: Entry, shelf: Path = SHELF) -> str:
    """The text of an entry's card."""
    folder = shelf / entry.name
    facts = read_facts(folder)
    played = facts["played"]
    spec = from_yaml(read_regular(folder / "policy.yaml", LARGEST))
    measured = f"    python evaluate.py policy=pretrained/{entry.name} episodes={played[0]['episodes']}"
    return f"""\
# {entry.name}

{entry.notes}

    {spec["command"]}

{about(facts, shown_size(folder))}

Means and 95% intervals over {played[0]["episodes"]} episodes with sampled actions, and as many with greedy ones:

{scores(played)}

{LEVELS if played[0]["simulator"] == "minigrid" else STARTS} The same numbers again:

{measured}{"".join(f"{chr(10)}{measured} env={each['env']}" for each in played[1:])}

`python benchmarks/zoo.py` wrote this card.
"""


def about(facts: dict[str, Any], size: str) -> str:
    """How a policy was made, and what it is, as a Markdown list."""
    played = facts["played"][0]
    spent = f"{facts['cpu_seconds']:,} s of CPU time on one thread of {facts['machine']}"
    clock = f"{facts['wall_seconds']:,} s on the clock, beside other programs"
    made_with = [f"{name} {played['versions'][name]}" for name in ("torch", "stable-baselines3", played["simulator"])]
    rows = {
        "environment": facts["env"],
        "encoder": facts["encoder"],
        "agent": facts["agent"],
        "seed": f"{facts['seed']}, one seed, not chosen among others",
        "training": f"{facts['steps']:,} steps, {spent} ({clock})",
        "parameters": f"{facts['parameters']:,}, {size}",
        "made with": ", ".join(made_with),
    }
    if played.get("equivariance_error") is not None:
        built_in = "the symmetry is not built in" if facts["symmetry"] == "none" else "the symmetry is built in"
        rows["equivariance error"] = f"{played['equivariance_error']} ({built_in})"
    return "\n".join(f"- {key}: {value}" for key, value in rows.items())


def scores(played: list[dict[str, Any]]) -> str:
    """A row for each environment and kind of actions."""
    measures = [measure for measure in ("return", "success", "length") if played[0]["sampled"][measure]]
    rows = [
        [each["env"], actions, *(shown(each[actions][measure]) for measure in measures)]
        for each in played
        for actions in ("sampled", "greedy")
    ]
    return markdown(["environment", "actions", *measures], rows)
