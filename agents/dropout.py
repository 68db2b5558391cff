"""Dropout in PPO, A2C and recurrent PPO: the policy drops while it collects, as it does while it learns.

PPO's ratio π/π_old is 1 before the first step of an update only if both see the same masks, which dropout layers of
`encoders.layers` derive from the observation. But SB3 collects with the policy in evaluation mode, where dropout is
off, so `DropsWhileCollecting` switches it on in the two methods that SB3 collects with.

DQN, QR-DQN, SAC and TD3 learn from what earlier policies did, so there is no ratio: they act without dropout, and drop
while they learn, with masks renewed at each `train`.
"""

from __future__ import annotations

from typing import Any

from encoders.layers.dropout import acting, dropouts


class DropsWhileCollecting:
    """An SB3 policy that learns from its own actions; `forward` and `predict_values` are called to collect them."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.dropouts = dropouts(self)  # type: ignore[arg-type]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        with acting(self.dropouts):
            return super().forward(*args, **kwargs)  # type: ignore[misc]

    def predict_values(self, *args: Any, **kwargs: Any) -> Any:
        with acting(self.dropouts):
            return super().predict_values(*args, **kwargs)  # type: ignore[misc]
