"""How contenders are called in a report: by what not all of them share.

ppo_fast-cnn experiment=atlas, ppo_fast-mlp experiment=atlas  ->  cnn, mlp
"""

from __future__ import annotations

from collections.abc import Iterable


def in_common(labels: Iterable[str]) -> list[str]:
    """The agent and the options that all labels (`evaluation.runs.label`) share."""
    each = [_parts(label) for label in labels]
    agents = {agent for agent, _, _ in each}
    first = each[0][2] if each else []
    shared = [option for option in first if all(option in options for _, _, options in each)]
    return [*agents, *shared] if len(agents) == 1 else shared


def short_names(labels: Iterable[str]) -> dict[str, str]:
    """label -> the same without what all of them share, unique like the labels."""
    labels = [*labels]
    shared = in_common(labels)
    called = {}
    for label in labels:
        agent, encoder, options = _parts(label)
        kind = encoder if agent in shared else f"{agent}-{encoder}"
        called[label] = f"{kind} {','.join(each for each in options if each not in shared)}".rstrip()
    return called


def _parts(label: str) -> tuple[str, str, list[str]]:
    """ "agent-encoder-symmetry option=value,..." -> its agent, its encoder with symmetry, its options."""
    kind, _, options = label.partition(" ")
    agent, _, encoder = kind.partition("-")
    return agent, encoder, options.split(",") if options else []
