"""Nested data with arrays in two files: `<name>.json`, and `<name>.safetensors`, which holds the arrays.

    {"steps": 3, "square": array} -> {"mapping": {"steps": 3, "square": {"array": "0", "axes": [0]}}} and tensor "0"

Leaves are None, truths, numbers, texts, NumPy arrays and NumPy scalars. They come back with the type and the bits that
they had, arrays also with the order of axes in memory, on which the rounding of a convolution depends. Tuples come back
as lists.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from storage.manifest import read_checked
from storage.plain import from_json
from storage.reading import ReadError

LARGEST = 2**40  # bytes of a file


def write_tree(folder: Path, name: str, tree: Any) -> None:
    """Write nested data into a folder.

    Raises:
        TypeError: a leaf of another type.
    """
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_encoded(tree, arrays), allow_nan=False)
    (folder / f"{name}.json").write_text(text)
    (folder / f"{name}.safetensors").write_bytes(save(arrays))


def read_tree(folder: Path, name: str) -> Any:
    """Read nested data that `write_tree` wrote.

    Raises:
        FileNotFoundError: it is not there.
        ReadError: it is damaged.
    """
    try:
        files = [folder / f"{name}.json", folder / f"{name}.safetensors"]
        text, tensors = (read_checked(folder, file.name, min(file.stat().st_size, LARGEST)) for file in files)
        data, arrays = from_json(text), load(tensors)
        return _decoded(data, arrays)
    except (FileNotFoundError, ReadError):
        raise
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ReadError(f"{folder / name} is damaged: {error}") from error


def _encoded(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"number": repr(value)}
    if isinstance(value, (np.ndarray, np.generic)):
        key = str(len(arrays))
        array = np.asarray(value)
        axes = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])  # as they lie in memory
        arrays[key] = np.array(array.transpose(axes), order="C")
        return {"scalar": key} if isinstance(value, np.generic) else {"array": key, "axes": axes}
    if isinstance(value, dict):
        return {"mapping": {key: _encoded(part, arrays) for key, part in value.items()}}
    if isinstance(value, (list, tuple)):
        return [_encoded(part, arrays) for part in value]
    raise TypeError(f"{type(value).__name__} is not plain data")


def _decoded(data: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(data, list):
        return [_decoded(part, arrays) for part in data]
    if not isinstance(data, dict):
        return data
    (kind, content), *others = data.items()
    if kind == "mapping":
        return {key: _decoded(part, arrays) for key, part in content.items()}
    if kind == "number":
        return float(content)
    if kind == "scalar":
        return arrays[content][()]
    if kind == "array":
        return arrays[content].transpose(np.argsort(dict(others)["axes"]))
    raise ValueError(f"it names {kind[:60]!r}, which is no kind of data")
