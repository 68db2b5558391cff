"""Which policies there are (shelf.yaml), what was measured of each (its facts.json), and their table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.plain import from_json, from_yaml
from storage.reading import read_regular

SHELF = Path(__file__).resolve().parent
FACTS = "facts.json"
LARGEST = 100_000  # bytes of facts.json, of policy.yaml and of shelf.yaml
READING = """\
Scores are means and 95% intervals over 200 episodes of each kind, on levels whose seeds training never draws: the share
of successes, or the return where an environment defines no success (CartPole, Acrobot, Pendulum). The file README.md of
each policy says more. To play one: python evaluate.py policy=<policy> video=replay.gif"""


@dataclass(frozen=True)
class Entry:
    """What shelf.yaml says about a policy.

    Attributes:
        options: those of `train.py` that made it.
        notes: what its card says beside the numbers.
        elsewhere: other environments that it is measured in.
    """

    name: str
    options: list[str]
    notes: str
    elsewhere: list[str]


def entries() -> dict[str, Entry]:
    """Every policy of shelf.yaml by name, in its order."""
    written = from_yaml(read_regular(SHELF / "shelf.yaml", LARGEST))
    return {
        name: Entry(name, about["train"].split(), about["notes"].strip(), about.get("elsewhere", []))
        for name, about in written.items()
    }


def read_facts(folder: Path) -> dict[str, Any]:
    """What the training and the evaluations of a policy measured."""
    return from_json(read_regular(folder / FACTS, LARGEST))


def listing(shelf: Path = SHELF) -> str:
    """The policies that are there, as a Markdown table."""
    header = ["policy", "environment", "encoder", "agent", "sampled actions", "greedy actions", "size"]
    rows = []
    for name in entries():
        folder = shelf / name
        if (folder / FACTS).is_file():
            facts = read_facts(folder)
            named = [f"pretrained/{name}", facts["env"], facts["encoder"], facts["agent"]]
            scores = [shown(judged(facts["played"][0][actions])) for actions in ("sampled", "greedy")]
            rows.append([*named, *scores, shown_size(folder)])
    return markdown(header, rows)


def judged(scores: dict[str, Any]) -> dict[str, float]:
    """What a policy is judged by: success, where the environment defines it, else the return."""
    return scores["success"] or scores["return"]


def shown(score: dict[str, float]) -> str:
    """A mean and its interval."""
    digits = 1 if max(abs(score["low"]), abs(score["high"])) >= 100 else 2
    return f"{score['mean']:.{digits}f} [{score['low']:.{digits}f}, {score['high']:.{digits}f}]"


def shown_size(folder: Path) -> str:
    """The size of a policy's parameters."""
    return f"{(folder / 'policy.safetensors').stat().st_size / 1000:,.0f} kB"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with its columns below each other."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    padded.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)
