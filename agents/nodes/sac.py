"""SB3's SAC where each node of a body acts."""

from __future__ import annotations

from typing import Any

import stable_baselines3 as sb3

from agents.nodes.gaussian import MaskedSquashedDiagGaussian


class NodeSAC(sb3.SAC):
    """SB3's SAC; where nodes act, target_entropy="auto" is minus the number of those that do.

        H̄ = -(1/B) Σ_s Σ_i acting_i(s),   over a minibatch of B observations s

    SB3's loss of α is linear in H̄, so this is the loss with each observation's own number. Of other actions H̄ is minus
    their number, and a number that is given is that number, as in SB3.
    """

    @property
    def target_entropy(self) -> Any:  # type: ignore[override]
        """H̄ for the observations for which the actor drew actions last."""
        wanted = vars(self)["target_entropy"]
        mask = getattr(self.actor.action_dist, "mask", None) if wanted == "auto" and "actor" in vars(self) else None
        return wanted if mask is None else -mask.sum(1).mean().item()

    @target_entropy.setter
    def target_entropy(self, wanted: Any) -> None:
        vars(self)["target_entropy"] = wanted

    def _setup_model(self) -> None:
        wanted = vars(self)["target_entropy"]
        super()._setup_model()
        if wanted == "auto" and isinstance(self.actor.action_dist, MaskedSquashedDiagGaussian):
            self.target_entropy = wanted  # SB3 has put minus the number of actions in its place
