"""Parameters in `policy.safetensors`: what the file's head says, and the tensors once that is known to be right.

A file is 8 bytes, the length n of the head; n bytes of JSON, {name: {dtype, shape, data_offsets}}; the tensors' bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load as deserialize
from torch import Tensor

from storage.manifest import read_checked
from storage.plain import from_json
from storage.reading import ReadError, open_regular, size_of
from storage.schema import Check, mapping, record, several, text, whole

FILE = "policy.safetensors"
LARGEST_HEAD = 1_000_000  # bytes
MOST = 10_000  # tensors
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
OFFSET = whole(0, 2**50)
ENTRY: Check = record({"dtype": text(10), "shape": several(whole(0, 2**40), 16), "data_offsets": several(OFFSET, 2, 2)})


class Described(NamedTuple):
    """A tensor as a head describes it."""

    dtype: torch.dtype
    shape: tuple[int, ...]


def read_head(folder: Path) -> dict[str, Described]:
    """What the file says that it holds, the sum of the sizes compared with its own size.

    Raises:
        ValueError: it is missing, damaged, or larger than a policy's.
    """
    file = folder / FILE
    try:
        with open_regular(file) as stream:
            size = size_of(stream)
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > size - 8:
                raise ReadError(f"{file} is damaged: it ends within its head")
            if length > LARGEST_HEAD:
                raise ReadError(f"{file} is damaged: its head has {length:,} bytes; at most {LARGEST_HEAD:,} are read")
            head = stream.read(length)
    except FileNotFoundError as error:
        raise ValueError(f"{file}, the parameters of the policy, is missing") from error
    try:
        data = from_json(head)
        mapping(lambda value, name: None, MOST + 1)(data, "the head")
        data.pop("__metadata__", None)
        found, at = {}, 0
        for name, entry in data.items():
            ENTRY(entry, name)
            if entry["dtype"] not in DTYPES:
                raise ValueError(f"{name} has the dtype {entry['dtype']}, which no policy has")
            found[name] = Described(DTYPES[entry["dtype"]], tuple(entry["shape"]))
        for begin, end, name in sorted((*data[each]["data_offsets"], each) for each in found):
            if begin != at or end - begin != nbytes(found[name]):
                raise ValueError(f"{name} is not where the tensors before it end, or has another size than its shape")
            at = end
        if 8 + length + at != size:
            raise ValueError(f"its tensors take {at:,} bytes, and it has {size - 8 - length:,} for them")
    except ValueError as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    return found


def nbytes(tensor: Described) -> int:
    """How many bytes a tensor takes."""
    return math.prod(tensor.shape) * tensor.dtype.itemsize


def read_tensors(folder: Path, head: Mapping[str, Described]) -> dict[str, Tensor]:
    """The tensors of a file whose head was read and compared with the network.

    Raises:
        ValueError: it is damaged, or a number in it is not finite.
    """
    file = folder / FILE
    most = LARGEST_HEAD + 8 + sum(map(nbytes, head.values()))
    try:
        tensors: dict[str, Any] = deserialize(read_checked(folder, FILE, most))
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"{file}: {name} holds NaN or infinity")
    return tensors
