"""The policy of recurrent PPO: an LSTM over the episode between encoder and heads, run in as few calls as possible."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from agents.dropout import DropsWhileCollecting
from agents.heads import Headed
from agents.optimizers import Optimized
from encoders.heads import SMALL, head
from symmetry import Symmetry


class HeadedRecurrentPolicy(Headed, DropsWhileCollecting, Optimized, RecurrentActorCriticPolicy):
    """Recurrent PPO: encoder, LSTM over the episode, linear heads; no symmetry, since an LSTM is not equivariant."""

    def __init__(self, *args: Any, symmetry: Symmetry | None = None, **kwargs: Any):
        if symmetry is not None:
            raise ValueError(
                "agent=recurrent_ppo puts an LSTM behind the encoder, which breaks the symmetry; use agent=ppo"
            )
        super().__init__(*args, **{"net_arch": [], "ortho_init": False, **kwargs})

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        features = self.action_net.in_features
        self.action_net = head(
            features, int(self.action_net.out_features), gain=SMALL
        )  # MultiDiscrete gives a NumPy integer
        self.value_net = head(features, 1)  # the constructor then adds the LSTMs and makes the optimizer last

    def extract_features(self, obs: Any, features_extractor: BaseFeaturesExtractor | None = None) -> Any:
        """Features of each observation; in training mode, all-zero observations, such as padding, are encoded once.

        f(obs)[i] = f(obs[i]), so equal observations have equal features and the result is the same. (The statistics of
        batch normalization then count the padding as one observation.)
        """
        if not self.training:
            return super().extract_features(obs, features_extractor)
        entries = list(obs.values()) if isinstance(obs, dict) else [obs]
        real = torch.stack([(entry != 0).reshape(len(entry), -1).any(dim=1) for entry in entries]).any(dim=0)
        encoded = torch.cat([real.nonzero().flatten(), (~real).nonzero().flatten()[:1]])
        place = torch.where(real, real.cumsum(dim=0) - 1, len(encoded) - 1)  # the row in `encoded` of each observation
        few = {key: entry[encoded] for key, entry in obs.items()} if isinstance(obs, dict) else obs[encoded]
        features = super().extract_features(few, features_extractor)
        if isinstance(features, tuple):  # actor and critic have their own encoders
            return tuple(each.index_select(0, place) for each in features)
        return features.index_select(0, place)

    def evaluate_actions(self, obs: Any, actions: Tensor, *states: Any) -> tuple[Tensor, Tensor, Tensor]:
        """SB3's values, log probabilities and entropies; actions as floats, since torch's Bernoulli takes no bytes."""
        return super().evaluate_actions(obs, actions.float(), *states)

    @staticmethod
    def _process_sequence(  # type: ignore[override] # sb3-contrib declares one state for (h, c)
        features: Float[Tensor, "batch features"],
        lstm_states: tuple[Float[Tensor, "layers sequences hidden"], Float[Tensor, "layers sequences hidden"]],
        episode_starts: Float[Tensor, "batch"],
        lstm: nn.LSTM,
    ) -> tuple[Float[Tensor, "batch hidden"], tuple[Tensor, Tensor]]:
        """LSTM outputs and last (h, c), with one call of the LSTM for each stretch of time in which no episode starts.

        As in sb3-contrib, (h, c) ← (1 − start[n, t]) · (h, c) before step t of sequence n. If no sequence starts at t,
        the factor is one, so all steps between two starts are one call of the LSTM. The batch holds one sequence after
        another, all of the same length. The recurrent rollout buffer cuts sequences at every start and pads them with
        zeros, so its episodes start at step 0 only and take one call, as acting does.
        """
        sequences = lstm_states[0].shape[1]
        steps = features.reshape(sequences, -1, lstm.input_size).swapaxes(0, 1)
        starts = episode_starts.reshape(sequences, -1).swapaxes(0, 1)
        cuts = [0]
        if len(steps) > 1:  # when acting there is one step; reading `starts` would make the CPU wait for the device
            cuts += (starts[1:].any(dim=1).nonzero().flatten() + 1).tolist()
        outputs = []
        for first, end in zip(cuts, [*cuts[1:], len(steps)], strict=True):
            keep = (1.0 - starts[first])[:, None]
            output, lstm_states = lstm(steps[first:end], (keep * lstm_states[0], keep * lstm_states[1]))
            outputs.append(output)
        return torch.cat(outputs).swapaxes(0, 1).flatten(end_dim=1), lstm_states
