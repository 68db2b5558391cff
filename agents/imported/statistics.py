"""The running statistics in a file of SB3's `VecNormalize.save`, read without unpickling it.

Beside them such a file holds spaces and random generators. Their names may occur in it; they are skipped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np

from agents.imported.pickles import Call, Refused, read_pickle

NORMALIZER = "stable_baselines3.common.vec_env.vec_normalize.VecNormalize"
RUNNING = "stable_baselines3.common.running_mean_std.RunningMeanStd"
CORES = ("numpy.core", "numpy._core")  # before and since NumPy 2
ARRAYS = {f"{core}.multiarray._reconstruct" for core in CORES}
BUFFERS = {f"{core}.numeric._frombuffer" for core in CORES}  # arrays in pickles of protocol 5
SCALARS = {f"{core}.multiarray.scalar" for core in CORES}
SPACES = ("box.Box", "discrete.Discrete", "multi_discrete.MultiDiscrete", "multi_binary.MultiBinary", "dict.Dict")
ALLOWED = {
    *(NORMALIZER, RUNNING, "numpy.dtype", "numpy.ndarray", *ARRAYS, *BUFFERS, *SCALARS),
    *("collections.OrderedDict", "builtins.set"),
    *(f"{library}.spaces.{space}" for library in ("gym", "gymnasium") for space in (*SPACES, "tuple.Tuple")),
    *(f"numpy.random._pickle.__{made}_ctor" for made in ("randomstate", "generator", "bit_generator")),
    *("numpy.random._pcg64.PCG64", "numpy.random._mt19937.MT19937"),
    *(f"numpy.random.bit_generator.{name}" for name in ("SeedSequence", "__pyx_unpickle_SeedSequence")),
    *("numpy.float32", "numpy.float64", "numpy.int64", "numpy.uint8"),  # dtypes of spaces
}
DTYPES = ("f4", "f8", "i8", "i4")


@dataclass(frozen=True)
class Statistics:
    """What `VecNormalize` does to observations: clip((x - mean) / √(variance + epsilon), -clip, clip).

    Attributes:
        mean, variance: of the observations, in their shape.
        count: of the observations they were taken from.
    """

    mean: np.ndarray
    variance: np.ndarray
    count: float
    epsilon: float
    clip: float

    def to_data(self) -> dict[str, Any]:
        """As `policy.yaml` has it."""
        mean, variance = self.mean.tolist(), self.variance.tolist()
        return {"mean": mean, "variance": variance, "epsilon": self.epsilon, "clip": self.clip}


def read_statistics(content: bytes) -> Statistics | None:
    """The statistics of the observations; None if the file says that only rewards were normalized.

    Raises:
        ValueError: it is not a file of `VecNormalize.save`, is damaged, or normalizes the parts of a Dict.
    """
    tree = read_pickle(BytesIO(content), ALLOWED)
    if not isinstance(tree, Call) or tree.path != NORMALIZER or not isinstance(tree.state, dict):
        raise ValueError("it is not a file of VecNormalize.save")
    state = tree.state
    if state.get("norm_obs") is False:
        return None
    running = state.get("obs_rms")
    if isinstance(running, dict):
        raise ValueError("it normalizes the parts of a Dict, and only one array of numbers can be")
    if not isinstance(running, Call) or running.path != RUNNING or not isinstance(running.state, dict):
        raise ValueError("it has no statistics of observations (obs_rms)")
    mean, variance = (_array(running.state.get(key), key) for key in ("mean", "var"))
    count, epsilon, clip = (
        _number(values.get(key), key)
        for values, key in ((running.state, "count"), (state, "epsilon"), (state, "clip_obs"))
    )
    if mean.shape != variance.shape or (variance < 0).any() or epsilon <= 0 or clip <= 0 or count < 0:
        raise ValueError("its statistics are damaged")
    return Statistics(mean, variance, count, epsilon, clip)


def _array(value: Any, key: str) -> np.ndarray:
    """The numbers of an array that a pickle describes, as float64."""
    if isinstance(value, Call) and value.path in ARRAYS and isinstance(value.state, tuple) and len(value.state) == 5:
        _, shape, dtype, fortran, content = value.state
    elif isinstance(value, Call) and value.path in BUFFERS and len(value.arguments) == 4:
        content, dtype, shape, order = value.arguments
        fortran = order == "F"
    else:
        raise Refused(f"its {key} is not an array of numbers")
    numbers = _numbers(content, dtype, key)
    sizes = shape if isinstance(shape, tuple) and len(shape) <= 8 else (-1,)
    if not all(type(n) is int and n >= 0 for n in sizes) or math.prod(sizes) != numbers.size:
        raise Refused(f"the shape of its {key} does not fit its numbers")
    shaped = numbers.reshape(sizes[::-1]).T if fortran else numbers.reshape(sizes)
    return shaped.astype(np.float64)


def _number(value: Any, key: str) -> float:
    """A finite number, plain or as a NumPy scalar."""
    if isinstance(value, Call) and value.path in SCALARS and len(value.arguments) == 2:
        numbers = _numbers(value.arguments[1], value.arguments[0], key)
        value = numbers[0].item() if numbers.size == 1 else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e300 or value != value:
        raise Refused(f"its {key} is not a number")
    return float(value)


def _numbers(content: Any, dtype: Any, key: str) -> np.ndarray:
    """The finite numbers that bytes stand for."""
    kind = dtype.arguments[:1] if isinstance(dtype, Call) and dtype.path == "numpy.dtype" else ()
    order = dtype.state[1] if kind and isinstance(dtype.state, tuple) and len(dtype.state) > 1 else None
    if kind not in {(name,) for name in DTYPES} or order != "<" or not isinstance(content, (bytes, bytearray)):
        raise Refused(f"its {key} is not of little-endian numbers")
    if len(content) % np.dtype(kind[0]).itemsize:
        raise Refused(f"its {key} is damaged")
    numbers = np.frombuffer(bytes(content), np.dtype(kind[0]))
    if not np.isfinite(numbers).all():
        raise Refused(f"its {key} is not finite")
    return numbers
