"""What the compared runs support, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from comparing.comparison import Comparison, Environment, Pair
from comparing.statistics import LEVEL


def sentences(comparison: Comparison) -> list[str]:
    """A sentence for each pair, the separated ones first; then what could not be compared, and why."""
    pairs = sorted(comparison.pairs, key=lambda pair: (not pair.separated, pair.environment, -pair.improvement.value))
    return [*map(verdict, pairs), *_single_seeds(comparison.environments)]


def verdict(pair: Pair) -> str:
    """Which of two contenders is better, or how many more seeds of each would tell."""
    first, second = pair.first, pair.second
    where = f"on {pair.environment} (P = {pair.improvement})"
    if pair.separated:
        return f"{first} > {second} {where}"
    if pair.improvement.value == 0.5:
        needed = "no difference was seen"
    elif pair.more_seeds is None:
        needed = "more than 1,000 more seeds would be needed"
    else:
        needed = f"about {pair.more_seeds} more seed{'s' * (pair.more_seeds > 1)} would be needed"
    alone = " (they would be, were they the only pair here)" if pair.p_value <= 1 - LEVEL else ""
    return f"not separated{alone}: {first}, {second} {where}; {needed}"


def counted(comparison: Comparison) -> str:
    """How many pairs were compared, and what "separated" promises."""
    if not comparison.pairs:
        return "no two contenders have two seeds or more in one environment, so none are compared"
    separated, pairs = sum(pair.separated for pair in comparison.pairs), len(comparison.pairs)
    return (
        f"{pairs} pair{'s' * (pairs > 1)} compared, {separated} separated (rank tests; in each environment, at "
        "most 5% of these are expected to be chance). P: how often a run of the first has a greater "
        f"{' or '.join(sorted({environment.measure.kind for environment in comparison.environments}))}"
    )


def _single_seeds(environments: Sequence[Environment]) -> Iterator[str]:
    for environment in environments:
        single = [one.label for one in environment.contenders if len(one.known) == 1]
        if single:
            yield (
                f"no interval: {', '.join(single)} on {environment.name}; one seed tells nothing about others "
                "(train with seed=0,1,2,3,4)"
            )


def shared(comparison: Comparison) -> str:
    """What all contenders have in common, and their names do not say; "" where that is nothing."""
    return f"all contenders: {', '.join(comparison.shared)}" if comparison.shared else ""


def not_there(comparison: Comparison) -> list[str]:
    """Runs and scores that a comparison lacks: damaged, failed, not finished, never begun, without the measure."""
    lines = [f"left out: {reason}" for _, reason in comparison.left_out]
    for environment in comparison.environments:
        lines += [f"missing on {environment.name}: {missing}" for missing in environment.missing]
        for one in environment.contenders:
            if lacking := len(one.scores) - len(one.known):
                lines.append(
                    f"missing on {environment.name}: {environment.measure.name} of {one.label}, "
                    f"{lacking} of {len(one.scores)} seeds"
                )
    return lines
