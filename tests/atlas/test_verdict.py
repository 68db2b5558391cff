"""Laws of verdicts: which scores decide a claim, and which do not."""

from __future__ import annotations

import pytest

from atlas.claims import claims, job
from atlas.verdict import HELD, MISSING, NOT, UNDECIDED, verdict
from configs.compose import UsageError

CLAIM = claims(["locality"])[0]
HIGH, LOW = [1.0, 0.98, 0.99, 1.0, 0.97], [0.5, 0.52, 0.49, 0.55, 0.51]


def scores(matters, removed):
    """(favoured, rival) in both tasks -> scores as `verdict` takes them."""
    names = (CLAIM.favoured, CLAIM.rival)
    return {"matters": dict(zip(names, matters, strict=True)), "removed": dict(zip(names, removed, strict=True))}


@pytest.mark.parametrize(
    ("matters", "removed", "word"),
    [
        ((HIGH, LOW), (HIGH, HIGH), HELD),
        ((LOW, HIGH), (HIGH, HIGH), NOT),
        ((HIGH, HIGH), (HIGH, HIGH), NOT),
        ((HIGH, LOW), (HIGH, LOW), UNDECIDED),  # better in both, so not due to the property
        (([1.0, 0.0, 1.0, 0.0, 1.0], LOW), (HIGH, HIGH), UNDECIDED),
        ((HIGH[:3], LOW), (HIGH, HIGH), UNDECIDED),  # three seeds
        ((HIGH[:4], LOW), (HIGH, HIGH), HELD),
        ((HIGH, []), (HIGH, HIGH), MISSING),
    ],
)
def test_a_claim_holds_if_its_encoder_is_better_and_because_of_the_property(matters, removed, word):
    assert verdict(CLAIM, scores(matters, removed)).word == word


def test_the_effects_are_differences_of_means():
    found = verdict(CLAIM, scores((HIGH, LOW), (HIGH, HIGH)))
    assert found.advantage.mean == pytest.approx(sum(HIGH) / 5 - sum(LOW) / 5)
    assert found.due.mean == pytest.approx(found.advantage.mean)
    assert found.seeds == 5


@pytest.mark.slow
def test_every_claim_can_be_trained_as_it_is_written():
    for claim in claims():
        assert claim.favoured != claim.rival
        folders = {
            job(setting, overrides).folder
            for setting in claim.settings.values()
            for overrides in claim.contenders.values()
        }
        settings = {setting.overrides for setting in claim.settings.values()}
        assert len(folders) == len(settings) * len(claim.contenders)


def test_an_unknown_claim_is_answered_with_those_that_there_are():
    with pytest.raises(UsageError, match="did you mean symmetry"):
        claims(["symetry"])
