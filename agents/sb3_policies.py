"""SB3's policies with our heads: nothing between encoder and head, equivariant heads where there is a symmetry.

Each class overrides the method in which SB3 makes its output layers, names its heads (agents/heads.py), and takes two
more arguments: `symmetry`, and `weight_decay` and `freeze` (agents/optimizers.py).
Three defaults of SB3 are switched off: plain layers behind the encoder (`net_arch`), an orthogonal initialisation that
also changes the encoder (`ortho_init`), and optimizers made before the last layer is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from gymnasium import spaces
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

from agents.dropout import DropsWhileCollecting
from agents.equivariance.normalization import check_actions
from agents.heads import ACTS, SAME, SCALES, Headed, Outputs
from agents.nodes import actor_critic, actors
from agents.optimizers import Optimized
from encoders.heads import SMALL, Dueling, PointwiseTanh, critic, head, ties, units_for
from encoders.nodes import NodeFeatures, layout_of
from symmetry import Representation, Symmetry


def representations(
    encoder: BaseFeaturesExtractor, symmetry: Symmetry | None, actions: spaces.Space, use_sde: bool = False
) -> tuple[Representation, Representation] | None:
    """(features, actions) representations if there is a symmetry to obey, else None.

    Raises:
        ValueError: a symmetry is to be obeyed, but the encoder promises nothing about its features or does not keep
            the form of its promise (`encoders.base.Encoder`), the symmetry is not one of these actions, or exploration
            is state-dependent (gSDE), whose noise is a plain map of the features.
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
    if not isinstance(out_rep, Representation) or (out_rep.group, out_rep.size) != (
        symmetry.group,
        encoder.features_dim,
    ):
        raise ValueError(
            f"encoder {type(encoder).__name__} has {encoder.features_dim} features and out_rep={out_rep}; it must be a "
            f"Representation of {symmetry.group} of that size"
        )
    check_actions(symmetry, actions)
    return out_rep, symmetry.action


class HeadedActorCriticPolicy(Headed, DropsWhileCollecting, Optimized, ActorCriticPolicy):
    """PPO and A2C: linear policy and value heads on the encoder's features."""

    penalized = ("actor", "critic")
    ties: Tensor | None  # for each action, the index of its number in the parameter log_std; None: 0, 1, 2, ...

    def __init__(self, *args: Any, symmetry: Symmetry | None = None, **kwargs: Any):
        self.symmetry = symmetry
        super().__init__(*args, **{"net_arch": [], "ortho_init": False, **kwargs})

    @property
    def per_node(self) -> NodeFeatures | None:
        """How features are laid out where each node of a body acts; None elsewhere."""
        return layout_of(self.pi_features_extractor)

    @property
    def log_std(self) -> Tensor:  # type: ignore[override]
        """The logarithm of each action's standard deviation; the parameter has one number for all actions of an orbit.

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
        if self.per_node is not None:
            actor_critic.build(self, self.per_node, None if reps is None else reps[1])
        elif reps is None:
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

    def encoders(self) -> dict[str, nn.Module]:
        return {"actor": self.pi_features_extractor, "critic": self.vf_features_extractor}

    def heads(self, features: Mapping[str, Tensor], actions: Tensor | None = None) -> Outputs:
        found: Outputs = {}
        if "actor" in features:
            output = self.action_net(self.mlp_extractor.forward_actor(features["actor"]))
            if self.per_node is not None:
                output = output.chunk(2, dim=1)[0]
            if isinstance(self.action_space, spaces.Discrete):
                found["log_probs"] = (ACTS, output.log_softmax(-1))
            else:
                found["mean"] = (ACTS, output)
            if isinstance(self.action_space, spaces.Box) and not self.use_sde:
                found["log_std"] = (SCALES, self.log_std.expand_as(output))
        if "critic" in features:
            found["value"] = (SAME, self.value_net(self.mlp_extractor.forward_critic(features["critic"])))
        return found


class SetsModeOnce:
    """A policy whose training mode is set where it changes: SB3 walks through all modules in every step."""

    training: bool

    def set_training_mode(self, mode: bool) -> None:
        """SB3's."""
        if mode != self.training:
            super().set_training_mode(mode)  # type: ignore[misc]


class HeadedDQNPolicy(Headed, SetsModeOnce, Optimized, DQNPolicy):
    """DQN: a linear Q head on the encoder's features, or a dueling one."""

    penalized = ("q",)

    def __init__(self, *args: Any, symmetry: Symmetry | None = None, dueling: bool = False, **kwargs: Any):
        self.symmetry, self.dueling = symmetry, dueling
        super().__init__(*args, **{"net_arch": [], **kwargs})

    def make_q_net(self) -> QNetwork:
        network = super().make_q_net()
        reps = representations(network.features_extractor, self.symmetry, self.action_space)
        inputs: Any = (network.features_dim, int(self.action_space.n)) if reps is None else reps
        network.q_net = nn.Sequential(Dueling(*inputs) if self.dueling else head(*inputs))
        return network.to(self.device)

    def encoders(self) -> dict[str, nn.Module]:
        return {"q": self.q_net.features_extractor, "target": self.q_net_target.features_extractor}

    def heads(self, features: Mapping[str, Tensor], actions: Tensor | None = None) -> Outputs:
        networks = {"q": self.q_net, "target": self.q_net_target}
        return {name: (ACTS, networks[name].q_net(part)) for name, part in features.items()}


class HeadedQRDQNPolicy(Headed, SetsModeOnce, Optimized, QRDQNPolicy):
    """QR-DQN: a linear quantile head, laid out quantile after quantile as SB3 reads it."""

    penalized = ("quantiles",)

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

    def encoders(self) -> dict[str, nn.Module]:
        return {
            "quantiles": self.quantile_net.features_extractor,
            "target": self.quantile_net_target.features_extractor,
        }

    def heads(self, features: Mapping[str, Tensor], actions: Tensor | None = None) -> Outputs:
        networks = {"quantiles": self.quantile_net, "target": self.quantile_net_target}
        shape = (-1, self.n_quantiles, int(self.action_space.n))
        return {name: (ACTS, networks[name].quantile_net(part).reshape(shape)) for name, part in features.items()}


class HeadedCritics(Headed, SetsModeOnce):
    """What SAC and TD3 share: continuous critics Q(s, a) = head(trunk(features ⊕ a)).

    Args:
        symmetry: as for all policies here.
        critic_hidden: units of the trunk's layers; default: one layer, sized by `encoders.heads.units_for`.
        args, kwargs: SB3's.
    """

    networks: ClassVar[tuple[str, ...]] = ("actor", "critic", "critic_target")
    penalized = ("actor",)

    def __init__(
        self,
        *args: Any,
        symmetry: Symmetry | None = None,
        critic_hidden: Sequence[int] | None = None,
        **kwargs: Any,
    ):
        self.symmetry = symmetry
        self.critic_hidden = () if critic_hidden is None else tuple(critic_hidden)
        super().__init__(*args, **{"net_arch": [], **kwargs})

    def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> ContinuousCritic:
        network = super().make_critic(features_extractor)  # type: ignore[misc]
        reps = representations(network.features_extractor, self.symmetry, network.action_space)
        layout, actions = layout_of(network.features_extractor), network.action_space.shape[0]
        inputs = reps or (layout or network.features_extractor.features_dim, actions)
        if not self.critic_hidden:
            self.critic_hidden = (units_for(network.features_extractor, *inputs, network.n_critics),)
        for index in range(network.n_critics):
            network.q_networks[index] = critic(*inputs, self.critic_hidden)
            setattr(network, f"qf{index}", network.q_networks[index])
        return network.to(self.device)  # type: ignore[attr-defined]

    def encoders(self) -> dict[str, nn.Module]:
        return {name: getattr(self, name).features_extractor for name in self.networks}

    def heads(self, features: Mapping[str, Tensor], actions: Tensor | None = None) -> Outputs:
        found: Outputs = {}
        for name in ("actor", "actor_target"):
            if name in features:
                found |= self.actor_heads(name, features[name])
        for name in ("critic", "critic_target"):
            if name in features:
                asked = torch.tanh(found["actor"][1]) if actions is None else actions
                inputs = torch.cat([features[name], asked], dim=1)
                found |= {f"{name}{i}": (SAME, q(inputs)) for i, q in enumerate(getattr(self, name).q_networks)}
        return found

    def actor_heads(self, name: str, features: Tensor) -> Outputs:
        """The outputs of the actor of that name."""
        return {name: (ACTS, getattr(self, name).mu(features))}


class HeadedSACPolicy(HeadedCritics, Optimized, SACPolicy):
    """SAC: mean and log standard deviation heads on the encoder's features, two critics with a hidden layer."""

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> SACActor:
        actor = super().make_actor(features_extractor)
        reps = representations(actor.features_extractor, self.symmetry, self.action_space, actor.use_sde)
        if (layout := layout_of(actor.features_extractor)) is not None:
            return actors.gaussian(actor, layout).to(self.device)
        if actor.use_sde:
            return actor  # gSDE's own layers: a mean, and a noise matrix in place of a log_std head
        inputs = reps or (actor.features_dim, actor.action_space.shape[0])
        actor.mu = head(*inputs)
        actor.log_std = head(*inputs) if reps is None else head(reps[0], reps[1].unsigned())
        return actor.to(self.device)

    def actor_heads(self, name: str, features: Tensor) -> Outputs:
        actor: Any = self.actor
        latent = actor.latent_pi(features)
        mean: Outputs = {name: (ACTS, actor.mu(latent)[:, : self.action_space.shape[0]])}  # behind it nodes have a mask
        return mean if actor.use_sde else {**mean, "log_std": (SCALES, actor.log_std(latent))}


class HeadedTD3Policy(HeadedCritics, Optimized, TD3Policy):
    """TD3: a tanh head on the encoder's features, two critics with a hidden layer."""

    networks = ("actor", "actor_target", "critic", "critic_target")

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> TD3Actor:
        actor = super().make_actor(features_extractor)
        reps = representations(actor.features_extractor, self.symmetry, self.action_space)
        if (layout := layout_of(actor.features_extractor)) is not None:
            return actors.deterministic(actor, layout).to(self.device)
        inputs = reps if reps is not None else (actor.features_dim, actor.action_space.shape[0])
        actor.mu = PointwiseTanh(head(*inputs, gain=SMALL))  # type: ignore[assignment]
        return actor.to(self.device)
