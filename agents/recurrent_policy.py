"""The policy of recurrent PPO: an LSTM over the episode between encoder and heads, called as rarely as possible."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from agents.dropout import DropsWhileCollecting
from agents.heads import Headed
from agents.weight_decay import Decayed
from encoders.heads import SMALL, head
from symmetry import Symmetry


class HeadedRecurrentPolicy(Headed, DropsWhileCollecting, Decayed, RecurrentActorCriticPolicy):
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
        self.action_net = head(features, int(self.action_net.out_features), gain=SMALL)  # NumPy's int for MultiDiscrete
        self.value_net = head(features, 1)  # the constructor goes on to add the LSTMs and makes the optimizer last

    def extract_features(self, obs: Any, features_extractor: BaseFeaturesExtractor | None = None) -> Any:
        """Features of each observation; while training, those that are all zeros, as padding is, are encoded once.

        f(obs)[i] = f(obs[i]), so equal observations have equal features and nothing changes but the work. (An encoder
        with batch statistics no longer counts the padding among them.)
        """
        if not self.training:
            return super().extract_features(obs, features_extractor)
        entries = list(obs.values()) if isinstance(obs, dict) else [obs]
        real = torch.stack([(entry != 0).reshape(len(entry), -1).any(dim=1) for entry in entries]).any(dim=0)
        encoded = torch.cat([real.nonzero().flatten(), (~real).nonzero().flatten()[:1]])
        place = torch.where(real, real.cumsum(dim=0) - 1, len(encoded) - 1)  # of each observation among the encoded
        few = {key: entry[encoded] for key, entry in obs.items()} if isinstance(obs, dict) else obs[encoded]
        features = super().extract_features(few, features_extractor)
        if isinstance(features, tuple):  # an encoder each for actor and critic
            return tuple(each.index_select(0, place) for each in features)
        return features.index_select(0, place)

    def evaluate_actions(self, obs: Any, actions: Tensor, *states: Any) -> tuple[Tensor, Tensor, Tensor]:
        """SB3's values, log probabilities and entropies; PyTorch's Bernoulli takes no MultiBinary actions as bytes."""
        return super().evaluate_actions(obs, actions.float(), *states)

    @staticmethod
    def _process_sequence(  # type: ignore[override] # sb3-contrib declares one state for (h, c)
        features: Float[Tensor, "batch features"],
        lstm_states: tuple[Float[Tensor, "layers sequences hidden"], Float[Tensor, "layers sequences hidden"]],
        episode_starts: Float[Tensor, "batch"],
        lstm: nn.LSTM,
    ) -> tuple[Float[Tensor, "batch hidden"], tuple[Tensor, Tensor]]:
        """LSTM outputs and last (h, c): one call for each stretch of time in which no episode starts, not one per step.

        The law is sb3-contrib's: before step t of sequence n, (h, c) ← (1 − start[n, t]) · (h, c). Where no sequence
        starts at t this multiplies by one, so all steps from one start to the next are one run of the LSTM's own
        recurrence. The batch is sequence after sequence, all of one length. In those of the recurrent rollout buffer,
        which cuts at every start and pads with zeros, episodes start at step 0 only: one call. So is acting.
        """
        sequences = lstm_states[0].shape[1]
        steps = features.reshape(sequences, -1, lstm.input_size).swapaxes(0, 1)
        starts = episode_starts.reshape(sequences, -1).swapaxes(0, 1)
        cuts = [0]
        if len(steps) > 1:  # reading where episodes start makes the CPU wait for the device: not when acting
            cuts += (starts[1:].any(dim=1).nonzero().flatten() + 1).tolist()
        outputs = []
        for first, end in zip(cuts, [*cuts[1:], len(steps)], strict=True):
            keep = (1.0 - starts[first])[:, None]
            output, lstm_states = lstm(steps[first:end], (keep * lstm_states[0], keep * lstm_states[1]))
            outputs.append(output)
        return torch.cat(outputs).swapaxes(0, 1).flatten(end_dim=1), lstm_states
