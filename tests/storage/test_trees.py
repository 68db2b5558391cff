"""Nested data with arrays: what is written is read back, bit for bit."""

from __future__ import annotations

import json
import math
from functools import partial

import numpy as np
import pytest
from killed import killed, needs_fork

from storage.durable import newest, replacing
from storage.reading import ReadError
from storage.trees import read_tree, write_tree

TREE = {
    "none": None,
    "numbers": [True, 3, 2**100, -0.0, 0.1, math.inf, -math.inf],
    "text": "ψ(g)",
    "scalars": [np.float32(0.1), np.float64(0.1), np.int64(-1), np.bool_(True)],
    "arrays": {
        "image": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        "transposed": np.arange(24.0).reshape(2, 3, 4).transpose(0, 2, 1),
        "empty": np.zeros((3, 0), np.int16),
        "single": np.array(7, np.uint64),
    },
}


def check_same(one, other):
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert [*one] == [*other]
        for key in one:
            check_same(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            check_same(mine, theirs)
    elif isinstance(one, (np.ndarray, np.generic)):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
        assert one.size == 0 or one.strides == other.strides
    else:
        assert repr(one) == repr(other)


def test_data_come_back_with_their_types_bits_and_layout(tmp_path):
    write_tree(tmp_path, "state", TREE)
    check_same(TREE, read_tree(tmp_path, "state"))
    with pytest.raises(TypeError, match="object is not plain data"):
        write_tree(tmp_path, "state", {"model": object()})


@pytest.mark.parametrize(
    "content",
    [b"{", b'{"array": "9", "axes": [0]}', b'{"code": "x"}', b"{}", b'{"array": "0", "axes": [0, 0, 7]}', b"\xff"],
)
def test_damaged_data_are_an_error_that_names_the_file(tmp_path, content):
    write_tree(tmp_path, "state", TREE)
    (tmp_path / "state.json").write_bytes(content)
    with pytest.raises(ReadError, match=r"state.* is damaged"):
        read_tree(tmp_path, "state")
    write_tree(tmp_path, "state", TREE)
    arrays = (tmp_path / "state.safetensors").read_bytes()
    (tmp_path / "state.safetensors").write_bytes(arrays[: len(arrays) // 2])
    with pytest.raises(ReadError, match=r"state.* is damaged"):
        read_tree(tmp_path, "state")


@needs_fork
@pytest.mark.slow
def test_a_writer_killed_at_any_step_leaves_the_old_data_or_the_new(tmp_path):
    def write(version: int) -> None:
        with replacing(tmp_path / "snapshot") as folder:
            write_tree(folder, "state", {"version": version, "array": np.full(1000, version)})

    write(0)
    version, at = 1, 0
    while killed(partial(write, version), at):
        found = read_tree(newest(tmp_path / "snapshot"), "state")
        assert found["version"] in (version - 1, version) and (found["array"] == found["version"]).all()
        write(version)
        version, at = version + 1, at + 1
    assert at > 10
    assert json.loads((tmp_path / "snapshot" / "manifest.json").read_text())["files"].keys() == {
        "state.json",
        "state.safetensors",
    }
