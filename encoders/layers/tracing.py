"""Whether a computation is being traced; the one file of the encoders that uses a private part of PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor


def traced(tensor: Tensor) -> bool:
    """Whether the computation is being traced rather than run: shapes are known then, values are not."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing() or isinstance(tensor, FakeTensor)
