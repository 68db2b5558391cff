"""The tensors of a file that `torch.save` wrote, in either of its formats, without torch's unpickler.

A zip file (since torch 1.6): a pickle of names and shapes, and one member of raw numbers for each storage. Before that:
five pickles one after another, followed by the storages.
https://docs.pytorch.org/docs/stable/notes/serialization.html
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import torch
from torch import Tensor

from agents.imported.archive import Archive
from agents.imported.pickles import Call, Name, Reference, Refused, read_pickle

STORAGES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
}
REBUILD = "torch._utils._rebuild_tensor_v2"
ALLOWED = {REBUILD, "collections.OrderedDict", *STORAGES}
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the older format
SHARED = 4  # tensors may lie in one storage; together they are at most so many times as large as the file


def read_weights(content: bytes) -> dict[str, Tensor]:
    """Name -> tensor.

    Raises:
        ValueError: the file holds anything but floating-point tensors by name, is damaged, or a tensor reaches beyond
            the numbers that are there, or is NaN or infinite.
    """
    try:
        found = _zipped(content) if content[:2] == b"PK" else _legacy(content)
    except Refused as error:
        raise ValueError(f"its policy.pth cannot be read: {error}") from error
    if sum(tensor.numel() * tensor.element_size() for tensor in found.values()) > SHARED * len(content):
        raise ValueError("its policy.pth cannot be read: its tensors are larger than the file")
    for name, tensor in found.items():
        if not tensor.isfinite().all():
            raise ValueError(f"its parameter {name} is not finite")
    return found


def _zipped(content: bytes) -> dict[str, Tensor]:
    try:
        archive = Archive(content)
        pickles = [name for name in archive.members if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError(f"it has {len(pickles)} members data.pkl")
        folder = pickles[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in archive and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("its numbers are big-endian")
        tree = read_pickle(BytesIO(archive.read(pickles[0])), ALLOWED)
        return _tensors(tree, lambda key: archive.read(f"{folder}data/{key}"))
    except ValueError as error:
        raise Refused(str(error)) from error


def _legacy(content: bytes) -> dict[str, Tensor]:
    file = BytesIO(content)
    magic, protocol, system, tree, keys = (read_pickle(file, ALLOWED) for _ in range(5))
    if (magic, protocol) != (MAGIC, PROTOCOL) or not isinstance(system, dict) or not isinstance(keys, list):
        raise Refused("it is not a file of torch.save")
    if system.get("little_endian") is not True:
        raise Refused("its numbers are big-endian")
    sizes = {parts[2]: STORAGES[parts[1].path].itemsize for parts in _storages(tree)}
    stored = {}
    for key in keys:
        if key not in sizes:
            raise Refused("it has a storage that no tensor uses")
        count = int.from_bytes(file.read(8), "little")
        if count * sizes[key] > len(content):
            raise Refused("a storage declares more numbers than there are")
        stored[key] = file.read(count * sizes[key])
    return _tensors(tree, lambda key: stored.get(key, b""))


def _storages(tree: Any) -> list[tuple[Any, ...]]:
    """How a tree of tensors names the storage of each.

    Raises:
        Refused: the tree is not a dict of tensors, or has a storage of another kind.
    """
    if not isinstance(tree, dict):
        raise Refused("it is not a dict of tensors")
    found = []
    for name, call in tree.items():
        if not isinstance(name, str) or not isinstance(call, Call) or call.path != REBUILD or len(call.arguments) < 4:
            raise Refused(f"{name!r:.100} is not a tensor")
        of = call.arguments[0]
        parts = of.id if isinstance(of, Reference) and isinstance(of.id, tuple) else ()
        # ("storage", type, key, device, size); before torch 1.6 also None, or which part of another storage it is
        if len(parts) not in (5, 6) or parts[0] != "storage" or parts[5:] not in ((), (None,)):
            raise Refused(f"{name!r:.100} has no storage of its own")
        if not isinstance(parts[1], Name) or parts[1].path not in STORAGES or not isinstance(parts[2], str):
            raise Refused(f"{name!r:.100} has a storage of another kind")
        found.append(parts)
    return found


def _tensors(tree: Any, stored: Callable[[str], bytes]) -> dict[str, Tensor]:
    """The tensors of a tree, as views of their storages."""
    flat: dict[str, Tensor] = {}
    found = {}
    for parts, (name, call) in zip(_storages(tree), tree.items(), strict=True):
        key, dtype = parts[2], STORAGES[parts[1].path]
        if key not in flat:
            content = stored(key)
            if not content or len(content) % dtype.itemsize:
                raise Refused(f"the numbers of {name!r:.100} are missing or damaged")
            flat[key] = torch.frombuffer(bytearray(content), dtype=dtype)
        _, offset, shape, strides = call.arguments[:4]
        if not _within(flat[key].numel(), offset, shape, strides) or flat[key].dtype != dtype:
            raise Refused(f"the shape of {name!r:.100} does not fit its numbers")
        found[name] = flat[key].as_strided(shape, strides, offset)
    return found


def _within(count: int, offset: Any, shape: Any, strides: Any) -> bool:
    """Whether a tensor's numbers are among the `count` numbers of its storage, each used once."""
    if not isinstance(shape, tuple) or not isinstance(strides, tuple) or len(shape) != len(strides) or len(shape) > 8:
        return False
    if not all(type(n) is int and 0 <= n <= count for n in (offset, *shape, *strides)) or 0 in shape:
        return False
    last, numbers = offset, 1
    for size, stride in zip(shape, strides, strict=True):
        last, numbers = last + (size - 1) * stride, numbers * size
    return last < count and numbers <= count
