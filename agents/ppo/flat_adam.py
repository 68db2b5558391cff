"""Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019) on one flat vector, with torch's bits.

Parameters and Adam's moments are stored in one vector each; the policy's own tensors are views of them. Clipping and
Adam then cost a few operations, however many layers there are. `policy.optimizer` stays a torch.optim.Adam or AdamW
with the same state.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from encoders.parts import PARTS, parts_of
from encoders.torch_internals import scale_all

ALIGNED = 64  # bytes, as torch allocates: elsewhere, matrix products of some processors round differently


class FlatAdam:
    """The state of a `torch.optim.Adam` or `AdamW` in three vectors: parameters, first and second moments.

    Args:
        optimizer: see above; its groups of parameters may differ only in their weight decay.
        order: all parameters, in the order in which the norm of the gradient adds them up; default: the optimizer's.

    Raises:
        ValueError: another optimizer, or one with other options.
    """

    averages: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")  # torch's names of the moments

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
            for key in self.averages
        ]
        # to allocate these at every step would take longer than to compute them
        self.gradient, self.scale = torch.empty_like(self.flat), torch.empty_like(self.flat)
        self.shrunk: Tensor | float = 1.0  # the factor that clipped the last gradient
        # one count for each parameter, as torch.optim.Adam has it: it adds to each of them
        self.steps = torch.full((len(states),), max(float(s.get("step", 0)) for s in states))
        for parameter, step, value, *moments in zip(
            self.parameters, self.steps, *map(self.views, (self.flat, *self.moments)), strict=True
        ):
            parameter.data = value
            optimizer.state[parameter] = {"step": step, **dict(zip(self.averages, moments, strict=True))}
        self.places = self._places()
        decayed = {id(p) for group in self.groups if group["weight_decay"] for p in group["params"]}
        self.decayed = [
            value for p, value in zip(self.parameters, self.views(self.flat), strict=True) if id(p) in decayed
        ]
        self.decays = self.joined([torch.full_like(p, id(p) in decayed) for p in self.parameters]).bool()

    @classmethod
    def unsupported(cls, optimizer: torch.optim.Optimizer) -> str | None:
        """Why an optimizer is not plain Adam or AdamW; None if it is."""
        if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW):
            return f"the optimizer is {type(optimizer).__name__}, not Adam or AdamW"
        groups = optimizer.param_groups
        if len({(group["lr"], group["betas"], group["eps"]) for group in groups}) != 1:
            return "the optimizer's groups of parameters differ in lr, betas or eps"
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
        return self._places() == self.places

    def _places(self) -> list[tuple[int, torch.dtype] | None]:
        """Where the parameters and their moments are; None for those that have none."""
        states = [self.optimizer.state.get(p) or {} for p in self.parameters]
        tensors = [*self.parameters, *(state.get(key) for state in states for key in self.averages)]
        return [None if tensor is None else (tensor.data_ptr(), tensor.dtype) for tensor in tensors]

    def step(self, gradients: Sequence[Tensor | None], max_norm: float | None = None) -> Tensor | None:
        """Clips the gradients (one for each parameter) and makes the step, in SB3's and torch's order of operations.

        Parameters that the loss does not depend on have none; it counts as 0. Returns the norm before clipping; None,
        and nothing is clipped, without `max_norm`.
        """
        every = [torch.zeros_like(p) if g is None else g for g, p in zip(gradients, self.parameters, strict=True)]
        gradient, norm = self.joined(every, out=self.gradient), None
        if max_norm is not None:
            norms = [torch.linalg.vector_norm(g) for g in gradients if g is not None]
            norm = torch.linalg.vector_norm(torch.stack(norms))
            self.shrunk = torch.clamp(max_norm / (norm + 1e-6), max=1.0)
            gradient.mul_(self.shrunk)
        self.steps += 1
        self.advance(gradient)
        return norm

    def advance(self, gradient: Tensor) -> None:
        """Adam's step with a gradient."""
        (beta1, beta2), mean, square = self.group["betas"], *self.moments
        steps = self.steps[0].item()
        if self.decayed:
            scale_all(self.decayed, self.kept)
        mean.lerp_(gradient, 1 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        scale = torch.sqrt(square, out=self.scale).div_(math.sqrt(1 - beta2**steps)).add_(self.group["eps"])
        self.flat.addcdiv_(mean, scale, value=-(self.group["lr"] / (1 - beta1**steps)))

    def numbers(self) -> list[float]:
        """What changes from step to step in `stepped`, for the next step: η / (1 - β₁ᵗ), √(1 - β₂ᵗ), 1 - η λ."""
        (beta1, beta2), steps = self.group["betas"], self.steps[0].item() + 1
        return [self.group["lr"] / (1 - beta1**steps), math.sqrt(1 - beta2**steps), self.kept]

    def stepped(self, gradient: Tensor, vectors: Sequence[Tensor], numbers: Sequence[Tensor]) -> list[Tensor]:
        """Adam's step as a function, for a graph: the vectors (parameters, first and second moments) after it."""
        (flat, mean, square), (step_size, scale_by, kept) = vectors, numbers
        beta1, beta2 = self.group["betas"]
        new_mean = mean.lerp(gradient, 1 - beta1)
        new_square = square * beta2 + gradient * gradient * (1 - beta2)
        decayed = torch.where(self.decays, flat * kept, flat) if self.decayed else flat
        new_flat = decayed - step_size * new_mean / (new_square.sqrt() / scale_by + self.group["eps"])
        return [new_flat, new_mean, new_square]


class PartNorms:
    """The norm of the gradient in each part of a policy (encoders/parts.py), read from slices of flat vectors.

    Args:
        policy: the policy.
        adams: what trains it.

    Attributes:
        names: the parts that are trained.
    """

    def __init__(self, policy: nn.Module, adams: Sequence[FlatAdam]):
        self.adams = adams
        part_of, parts = {id(parameter): name for name, parameter in policy.named_parameters()}, parts_of(policy)
        self.slices: list[list[Any]] = []  # the number of the adam, part, begin, end: neighbours of a part share one
        for number, adam in enumerate(adams):
            end = 0
            for parameter, gap in zip(adam.parameters, adam.gaps, strict=True):
                begin, end = end, end + parameter.numel() + len(gap)
                part = parts.get(part_of.get(id(parameter), ""))
                if self.slices and self.slices[-1][:2] == [number, part]:
                    self.slices[-1][3] = end
                else:
                    self.slices.append([number, part, begin, end])
        self.names = [name for name in PARTS if name in {each[1] for each in self.slices}]

    def __call__(self, gradients: Sequence[Tensor]) -> Tensor:
        """-> (parts,) norms of flat gradients, one for each of the adams."""
        norms = [(part, torch.linalg.vector_norm(gradients[i][begin:end])) for i, part, begin, end in self.slices]
        grouped = ([norm for part, norm in norms if part == name] for name in self.names)
        return torch.stack([torch.linalg.vector_norm(torch.stack(each)) for each in grouped])

    def last(self) -> Tensor:
        """-> (parts,) norms of the gradients of the last steps, before clipping."""
        return self([adam.gradient / adam.shrunk for adam in self.adams])

    def log(self, logger: Any, norms: Tensor) -> None:
        """Record norms as `train/gradient_norm/<part>`."""
        for name, norm in zip(self.names, norms.tolist(), strict=True):
            logger.record(f"train/gradient_norm/{name}", norm)


def _trained(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
