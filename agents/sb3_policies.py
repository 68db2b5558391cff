"""SB3's policies with our heads: nothing between encoder and head, equivariant heads where there is a symmetry.

Each class overrides the one place where SB3 makes its output layers and takes two more arguments, `symmetry` and
`weight_decay` (agents/weight_decay.py).
Three of SB3's habits are undone for all: plain layers behind the encoder (`net_arch`), an orthogonal initialisation
that reaches into the encoder (`ortho_init`), and optimizers made before the last layer is.
"""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from jaxtyping import Float
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.qrdqn.policies import QRDQNPolicy, QuantileNetwork
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy, ContinuousCritic
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from stable_baselines3.sac.policies import Actor as SACActor
from stable_baselines3.sac.policies import SACPolicy
from stable_baselines3.td3.policies import Actor as TD3Actor
from stable_baselines3.td3.policies import TD3Policy
from torch import Tensor, nn

from agents.equivariance.normalization import check_actions
from agents.weight_decay import Decayed, OnPolicy
from encoders.heads import SMALL, Dueling, PointwiseTanh, critic, head, ties
from symmetry import Representation, Symmetry

CRITIC_HIDDEN = (256, 256)


def representations(
    encoder: BaseFeaturesExtractor, symmetry: Symmetry | None, actions: spaces.Space, use_sde: bool = False
) -> tuple[Representation, Representation] | None:
    """(features, actions) representations if there is a symmetry to obey, else None.

    Raises:
        ValueError: a symmetry is to be obeyed, but the encoder promises nothing about its features, the symmetry is not
            one of these actions, or exploration is state-dependent (gSDE), whose noise is a plain map of the features.
    """
    if symmetry is None:
        return None
    if use_sde:
        raise ValueError("agent.use_sde=true explores with a map that breaks the symmetry; use agent.use_sde=false")
    out_rep = getattr(encoder, "out_rep", None)
    if out_rep is None:
        raise ValueError(
            f"symmetry=hard needs an encoder whose features transform under the group, and {type(encoder).__name__} "
            "promises nothing; use encoder=homomorphic, symmetry=average (any encoder), or symmetry=none"
        )
    check_actions(symmetry, actions)
    return out_rep, symmetry.action


class HeadedActorCriticPolicy(OnPolicy, ActorCriticPolicy):
    """PPO and A2C: linear policy and value heads on the encoder's features."""

    ties: Tensor | None  # which number of the parameter log_std is that of each action; None: its own

    def __init__(self, *args: Any, symmetry: Symmetry | None = None, **kwargs: Any):
        self.symmetry = symmetry
        super().__init__(*args, **{"net_arch": [], "ortho_init": False, **kwargs})

    @property
    def log_std(self) -> Tensor:  # type: ignore[override]
        """Logarithm of the standard deviation of each action; as a parameter, one number for each that may differ.

        Raises:
            AttributeError: the actions are discrete.
        """
        free = self._parameters.get("log_std")
        if free is None:
            raise AttributeError("this policy has no log_std")
        return self.expand(free)

    def expand(self, log_std: Tensor) -> Tensor:
        """The parameter `log_std`, expanded to all actions."""
        return log_std if self.ties is None else log_std[self.ties]

    def _build(self, lr_schedule: Any) -> None:
        self.register_buffer("ties", None, persistent=False)
        super()._build(lr_schedule)  # makes log_std, and the output layers replaced here
        reps = representations(self.pi_features_extractor, self.symmetry, self.action_space, self.use_sde)
        if reps is None:
            features = self.action_net.in_features
            self.action_net = head(features, int(self.action_net.out_features), gain=SMALL)
            self.value_net = head(features, 1)
        else:
            out_rep, action = reps
            if isinstance(self.action_dist, DiagGaussianDistribution):
                orbits = ties(action)
                if len(orbits.unique()) < len(orbits):
                    self.ties = orbits
                    free = torch.ones(len(orbits.unique())) * self.log_std_init
                    self._parameters["log_std"] = nn.Parameter(free)
            self.action_net = head(out_rep, action, gain=SMALL)
            self.value_net = head(out_rep, Representation.trivial(action.group))
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)


class HeadedRecurrentPolicy(OnPolicy, RecurrentActorCriticPolicy):
    """Recurrent PPO: encoder, LSTM over the episode, linear heads. An LSTM is not equivariant, so no symmetry."""

    def __init__(self, *args: Any, symmetry: Symmetry | None = None, **kwargs: Any):
        if symmetry is not None:
            raise ValueError(
                "agent=recurrent_ppo puts an LSTM behind the encoder, which breaks the symmetry; use agent=ppo"
            )
        super().__init__(*args, **{"net_arch": [], "ortho_init": False, **kwargs})

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        features = self.action_net.in_features
        self.action_net = head(features, self.action_net.out_features, gain=SMALL)
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


class HeadedDQNPolicy(Decayed, DQNPolicy):
    """DQN: a linear Q head on the encoder's features, or a dueling one."""

    def __init__(self, *args: Any, symmetry: Symmetry | None = None, dueling: bool = False, **kwargs: Any):
        self.symmetry, self.dueling = symmetry, dueling
        super().__init__(*args, **{"net_arch": [], **kwargs})

    def make_q_net(self) -> QNetwork:
        network = super().make_q_net()
        reps = representations(network.features_extractor, self.symmetry, self.action_space)
        inputs: Any = (network.features_dim, int(self.action_space.n)) if reps is None else reps
        network.q_net = nn.Sequential(Dueling(*inputs) if self.dueling else head(*inputs))
        return network.to(self.device)


class HeadedQRDQNPolicy(Decayed, QRDQNPolicy):
    """QR-DQN: a linear quantile head, laid out quantile after quantile as SB3 reads it."""

    def __init__(self, *args: Any, symmetry: Symmetry | None = None, **kwargs: Any):
        self.symmetry = symmetry
        super().__init__(*args, **{"net_arch": [], **kwargs})

    def make_quantile_net(self) -> QuantileNetwork:
        network = super().make_quantile_net()
        reps = representations(network.features_extractor, self.symmetry, self.action_space)
        if reps is None:
            network.quantile_net = nn.Sequential(
                head(network.features_dim, network.n_quantiles * int(self.action_space.n))
            )
        else:
            network.quantile_net = nn.Sequential(head(reps[0], reps[1] * network.n_quantiles))
        return network.to(self.device)


class HeadedCritics:
    """What SAC and TD3 share: continuous critics Q(s, a) = head(trunk(features ⊕ a))."""

    symmetry: Symmetry | None

    def replace_critics(self, network: ContinuousCritic, hidden: tuple[int, ...]) -> ContinuousCritic:
        reps = representations(network.features_extractor, self.symmetry, network.action_space)
        actions = network.action_space.shape[0]  # type: ignore[index]
        for index in range(network.n_critics):
            inputs = reps if reps is not None else (network.features_extractor.features_dim, actions)
            network.q_networks[index] = critic(*inputs, hidden)
            setattr(network, f"qf{index}", network.q_networks[index])
        return network


class HeadedSACPolicy(HeadedCritics, Decayed, SACPolicy):
    """SAC: mean and log standard deviation heads on the encoder's features, two critics with hidden layers."""

    def __init__(
        self,
        *args: Any,
        symmetry: Symmetry | None = None,
        critic_hidden: tuple[int, ...] = CRITIC_HIDDEN,
        **kwargs: Any,
    ):
        self.symmetry, self.critic_hidden = symmetry, tuple(critic_hidden)
        super().__init__(*args, **{"net_arch": [], **kwargs})

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> SACActor:
        actor = super().make_actor(features_extractor)
        reps = representations(actor.features_extractor, self.symmetry, self.action_space, actor.use_sde)
        if actor.use_sde:
            return actor  # gSDE's own layers: a mean, and a noise matrix in place of a log_std head
        if reps is None:
            actions = actor.action_space.shape[0]
            actor.mu, actor.log_std = head(actor.features_dim, actions), head(actor.features_dim, actions)
        else:
            actor.mu, actor.log_std = head(*reps), head(reps[0], reps[1].unsigned())
        return actor.to(self.device)

    def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> ContinuousCritic:
        return self.replace_critics(super().make_critic(features_extractor), self.critic_hidden).to(self.device)


class HeadedTD3Policy(HeadedCritics, Decayed, TD3Policy):
    """TD3: a tanh head on the encoder's features, two critics with hidden layers."""

    def __init__(
        self,
        *args: Any,
        symmetry: Symmetry | None = None,
        critic_hidden: tuple[int, ...] = CRITIC_HIDDEN,
        **kwargs: Any,
    ):
        self.symmetry, self.critic_hidden = symmetry, tuple(critic_hidden)
        super().__init__(*args, **{"net_arch": [], **kwargs})

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> TD3Actor:
        actor = super().make_actor(features_extractor)
        reps = representations(actor.features_extractor, self.symmetry, self.action_space)
        inputs = reps if reps is not None else (actor.features_dim, actor.action_space.shape[0])
        actor.mu = PointwiseTanh(head(*inputs, gain=SMALL))  # type: ignore[assignment]
        return actor.to(self.device)

    def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> ContinuousCritic:
        return self.replace_critics(super().make_critic(features_extractor), self.critic_hidden).to(self.device)
