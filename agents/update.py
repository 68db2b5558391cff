"""One step of PPO on one minibatch (Schulman et al. 2017): loss, gradient, clipping, Adam.

    ratio  = π(a|s) / π_old(a|s)
    L      = -mean min(A·ratio, A·clamp(ratio, 1 - ε, 1 + ε)) + c_v · mean (R - V)² - c_e · mean H
    g      ← g · min(1, max_norm / ‖g‖),  then Adam (Kingma & Ba 2015), or AdamW (Loshchilov & Hutter 2019)

`Update` runs it operation by operation, with SB3's bits. The parameters and Adam's moments live in one vector each, of
which the policy's own tensors are views: clipping and Adam then cost a few operations, however many layers there are,
and `policy.optimizer` remains the torch.optim.Adam(W) it was, with the same state.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor, nn
from torch.nn import functional as F

from agents.distributions import Distribution
from agents.rollout import Minibatch
from encoders.layers.dropout import acting, dropouts

ALIGNED = 64  # bytes, as torch allocates: elsewhere, matrix products of some processors round differently
STATISTICS = ("policy_loss", "value_loss", "entropy_loss", "loss", "clip_fraction", "kl")


@dataclass(frozen=True)
class Loss:
    """The constants of the loss."""

    distribution: Distribution
    normalize_advantage: bool
    ent_coef: float
    vf_coef: float
    clips_values: bool

    def __call__(
        self,
        output: Tensor,
        values: Tensor,
        log_std: Tensor | None,
        batch: Minibatch,
        clip_range: Any,
        clip_range_vf: Any,
    ) -> tuple[Tensor, Tensor]:
        """-> the loss, and the `STATISTICS` of this minibatch as one tensor."""
        log_prob, entropy = self.distribution.measure(output, log_std, batch.actions)
        advantages = batch.advantages
        if self.normalize_advantage and len(advantages) > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        log_ratio = log_prob - batch.log_probs
        ratio = log_ratio.exp()
        clipped = torch.clamp(ratio, 1 - clip_range, 1 + clip_range)
        policy_loss = -torch.min(advantages * ratio, advantages * clipped).mean()
        if self.clips_values:
            values = batch.values + torch.clamp(values - batch.values, -clip_range_vf, clip_range_vf)
        value_loss = F.mse_loss(batch.returns, values)
        entropy_loss = -entropy.mean()
        loss = policy_loss + self.ent_coef * entropy_loss + self.vf_coef * value_loss
        with torch.no_grad():
            clip_fraction = ((ratio - 1).abs() > clip_range).float().mean()
            kl = ((log_ratio.exp() - 1) - log_ratio).mean()
            statistics = torch.stack([policy_loss, value_loss, entropy_loss, loss, clip_fraction, kl])
        return loss, statistics


def depends_on_more(network: nn.Module) -> bool:
    """Whether what it says of an observation depends on chance, the rest of the batch, or the mode it is in.

    Dropout and batch normalization of `encoders.layers` do not, as long as a rollout and its update last.
    """
    return any(
        isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd))
        or bool(getattr(module, "dropout", 0.0))  # of recurrent layers and attention, a number
        for module in network.modules()
    )


class ActorCritic(nn.Module):
    """Observations -> what the heads say: (the policy head's output, values (batch,)).

    Args:
        policy: one with an encoder and heads, nothing else between them than SB3 puts there.
        autocast: whether the encoder computes in bfloat16.
        learning: whether this is learned from, so that dropout drops in evaluation mode too.
        rows: which row of the observations each sample has, None if its own.
    """

    def __init__(self, policy: ActorCriticPolicy, autocast: bool = False, learning: bool = False):
        super().__init__()
        self.policy, self.autocast = policy, autocast
        self.dropouts = dropouts(policy) if learning else ()

    def forward(self, observations: Any, rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
        policy = self.policy
        with torch.autocast(policy.device.type, torch.bfloat16, enabled=self.autocast), acting(self.dropouts):
            features: Any = policy.extract_features(observations)
        actors, critics = (features, features) if policy.share_features_extractor else features
        if self.autocast:
            actors, critics = actors.float(), critics.float()
        latent_pi = policy.mlp_extractor.forward_actor(actors)
        latent_vf = policy.mlp_extractor.forward_critic(critics)
        output, values = policy.action_net(latent_pi), policy.value_net(latent_vf).flatten()
        # the heads come first: one row of their output is narrower than one of features
        return (output, values) if rows is None else (output[rows], values[rows])


class FlatAdam:
    """The state of a `torch.optim.Adam` or `AdamW` in three vectors: parameters, first and second moments.

    Args:
        optimizer: see above; its groups of parameters differ in their weight decay alone.
        order: all parameters, in the order in which the norm of the gradient adds them up; default: the optimizer's.

    Raises:
        ValueError: an optimizer that does more, or other, than that.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, order: Iterable[nn.Parameter] | None = None):
        reason = self.unsupported(optimizer)
        if reason:
            raise ValueError(reason)
        self.optimizer = optimizer
        self.groups, self.group = list(optimizer.param_groups), optimizer.param_groups[0]
        trained = {id(p): p for p in _trained(optimizer)}
        known = trained.values() if order is None else [p for p in dict.fromkeys(order) if id(p) in trained]
        self.parameters: list[nn.Parameter] = list(known)
        states = [optimizer.state.get(p) or {} for p in self.parameters]
        like = self.parameters[0]
        self.gaps = [like.new_zeros(-p.numel() % (ALIGNED // p.element_size())) for p in self.parameters]
        self.flat = self.joined([p.data for p in self.parameters])
        self.moments = [
            self.joined([s.get(key, torch.zeros_like(p)) for s, p in zip(states, self.parameters, strict=True)])
            for key in ("exp_avg", "exp_avg_sq")
        ]
        # memory asked for anew at every step costs more than what is computed in it
        self.gradient, self.scale = torch.empty_like(self.flat), torch.empty_like(self.flat)
        # one count for each parameter, as torch.optim.Adam has it: it adds to each of them
        self.steps = torch.full((len(states),), max(float(s.get("step", 0)) for s in states))
        for parameter, step, value, *moments in zip(
            self.parameters, self.steps, *map(self.views, (self.flat, *self.moments)), strict=True
        ):
            parameter.data = value
            optimizer.state[parameter] = {"step": step, "exp_avg": moments[0], "exp_avg_sq": moments[1]}
        decayed = {id(p) for group in self.groups if group["weight_decay"] for p in group["params"]}
        self.decayed = [
            value for p, value in zip(self.parameters, self.views(self.flat), strict=True) if id(p) in decayed
        ]
        self.decays = self.joined([torch.full_like(p, id(p) in decayed) for p in self.parameters]).bool()

    @staticmethod
    def unsupported(optimizer: torch.optim.Optimizer) -> str | None:
        """Why an optimizer is not plain Adam or AdamW; None if it is."""
        if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW):
            return f"the optimizer is {type(optimizer).__name__}, not Adam or AdamW"
        groups = optimizer.param_groups
        if len({(group["lr"], group["betas"], group["eps"]) for group in groups}) != 1:
            return "the optimizer's groups of parameters have other options each"
        decays = {group["weight_decay"] for group in groups if group["weight_decay"]}
        if len(decays) > 1 or (decays and type(optimizer) is torch.optim.Adam):
            return "the optimizer has several weight decays, or one that is not decoupled (AdamW's)"
        if any(group["amsgrad"] or group["maximize"] or group["capturable"] for group in groups):
            return "the optimizer has options beyond lr, betas, eps and weight_decay"
        if len({(p.dtype, p.device) for p in _trained(optimizer)}) != 1:
            return "the parameters are not all of one type on one device"
        return None

    @property
    def kept(self) -> float:
        """1 - η λ, what a step's decay leaves of a weight."""
        return 1 - self.group["lr"] * max(group["weight_decay"] for group in self.groups)

    def joined(self, tensors: Sequence[Tensor], out: Tensor | None = None) -> Tensor:
        """One tensor for each parameter as one vector, zeros between them up to the next aligned address."""
        pieces = [part for t, gap in zip(tensors, self.gaps, strict=True) for part in (t.detach().flatten(), gap)]
        return torch.cat(pieces, out=out)

    def views(self, flat: Tensor) -> list[Tensor]:
        """The pieces of a vector that belong to each parameter."""
        pieces = flat.split(
            [size for p, gap in zip(self.parameters, self.gaps, strict=True) for size in (p.numel(), len(gap))]
        )
        return [piece.view(p.shape) for piece, p in zip(pieces[::2], self.parameters, strict=True)]

    def holds(self, optimizer: torch.optim.Optimizer) -> bool:
        """Whether the parameters are still views of these vectors (they are not after `.to(device)`, or `load`)."""
        if optimizer is not self.optimizer or [id(g) for g in optimizer.param_groups] != [id(g) for g in self.groups]:
            return False
        if {id(p) for p in _trained(optimizer)} != {id(p) for p in self.parameters}:
            return False
        vectors = zip(self.parameters, *map(self.views, (self.flat, *self.moments)), strict=True)
        return all(
            _same(parameter, value) and self._remembers(parameter, *moments) for parameter, value, *moments in vectors
        )

    def _remembers(self, parameter: nn.Parameter, *moments: Tensor) -> bool:
        state = self.optimizer.state.get(parameter) or {}
        return "exp_avg" in state and all(map(_same, (state["exp_avg"], state["exp_avg_sq"]), moments))

    def step(self, gradients: Sequence[Tensor | None], max_norm: float) -> Tensor:
        """Clips the gradients (one for each parameter) and makes Adam's step, in SB3's and torch's order of operations.

        Parameters that the loss does not depend on have none; it counts as 0. Returns the norm before clipping.
        """
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients if g is not None]))
        every = [torch.zeros_like(p) if g is None else g for g, p in zip(gradients, self.parameters, strict=True)]
        gradient = self.joined(every, out=self.gradient)
        gradient.mul_(torch.clamp(max_norm / (norm + 1e-6), max=1.0))
        (beta1, beta2), mean, square = self.group["betas"], *self.moments
        self.steps += 1
        steps = self.steps[0].item()
        if self.decayed:
            torch._foreach_mul_(self.decayed, self.kept)
        mean.lerp_(gradient, 1 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        scale = torch.sqrt(square, out=self.scale).div_(math.sqrt(1 - beta2**steps)).add_(self.group["eps"])
        self.flat.addcdiv_(mean, scale, value=-(self.group["lr"] / (1 - beta1**steps)))
        return norm


def _trained(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]


def _same(tensor: Tensor, view: Tensor) -> bool:
    return tensor.data_ptr() == view.data_ptr() and tensor.dtype == view.dtype


@dataclass(frozen=True)
class Settings:
    """What an update is made for.

    Attributes:
        policy: what is trained; its `optimizer` is Adam or AdamW.
        loss: the loss.
        max_grad_norm: gradients longer than this are shortened to it.
        target_kl: a minibatch whose KL divergence exceeds 1.5 times this changes nothing; None: no limit.
        autocast: whether the encoder computes in bfloat16.
    """

    policy: ActorCriticPolicy
    loss: Loss
    max_grad_norm: float
    target_kl: float | None
    autocast: bool = False


class Update:
    """The step, operation by operation."""

    def __init__(self, settings: Settings):
        self.settings, self.policy, self.loss = settings, settings.policy, settings.loss
        self.max_grad_norm, self.target_kl = settings.max_grad_norm, settings.target_kl
        self.network = ActorCritic(settings.policy, settings.autocast, learning=True)
        self.adam = FlatAdam(settings.policy.optimizer, settings.policy.parameters())

    def act(self, observations: Any) -> tuple[Tensor, Tensor, Tensor]:
        """-> actions drawn for a batch of observations, values, log probabilities."""
        output, values = self.network(observations)
        actions, log_probs = self.draw(output)
        return actions, values, log_probs

    def draw(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """-> actions drawn for what the policy head said, their log probabilities."""
        distribution = self.loss.distribution
        return distribution.sample(output, getattr(self.policy, "log_std", None), distribution.noise(output))

    def __call__(self, batch: Minibatch, clip_range: float, clip_range_vf: float = 0.0) -> tuple[Tensor, Tensor | None]:
        """-> the `STATISTICS`, and the gradient's norm before clipping: None if the KL divergence forbade the step."""
        output, values = self.network(batch.observations, batch.rows)
        log_std = getattr(self.policy, "log_std", None)
        loss, statistics = self.loss(output, values, log_std, batch, clip_range, clip_range_vf)
        if self.target_kl is not None and statistics[-1].item() > 1.5 * self.target_kl:
            return statistics, None
        parameters = self.adam.parameters
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        with torch.no_grad():
            return statistics, self.adam.step(gradients, self.max_grad_norm)
