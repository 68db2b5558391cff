"""The laboratory: the claims on which this project rests, each as an experiment that anyone can repeat.

    from laboratory import claims, measured
    result = measured(claims()["folding"], quick=True)
    print(result.effect, result.word)

A file in `laboratory/claims/` is one claim: what it says, how it is measured, what decides. `lab.py` is the command.
"""

from laboratory.claim import Claim, Measured
from laboratory.claims import claims
from laboratory.result import Result, measured

__all__ = ["Claim", "Measured", "Result", "claims", "measured"]
