"""A broken or ill-meant zip or statistics file is one clear error; nothing in it is executed, nothing written."""

from __future__ import annotations

import base64
import io
import os
import pickle
import re
import shutil
import struct
import zipfile
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from saved_models import CANARY, Acts, Canary, changed, members, refused, saved, saying, weighing, written
from sb3_contrib import TQC
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch import nn

from agents import import_sb3
from evaluate import evaluate


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """Zips to be damaged, and statistics."""
    folder = tmp_path_factory.mktemp("intact")
    for name, algorithm, env in (("ppo", PPO, "CartPole-v1"), ("sac", SAC, "Pendulum-v1")):
        saved(folder, algorithm, gymnasium.make(env), policy_kwargs={"net_arch": [8]}).rename(folder / f"{name}.zip")
    normalizer = VecNormalize(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]))
    normalizer.save(str(folder / "statistics.pkl"))
    return folder


def torch_zip(content: bytes, **parts: bytes) -> bytes:
    """The zip that torch wrote, with members replaced: data_pkl="data.pkl", data_0="data/0"."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        inner = {name: archive.read(name) for name in archive.namelist()}
    folder = next(iter(inner)).split("/")[0]
    for name, part in parts.items():
        inner[f"{folder}/{name.replace('_', '.' if 'pkl' in name else '/')}"] = part
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, part in inner.items():
            archive.writestr(name, part)
    return buffer.getvalue()


def without(name: str):
    return lambda file: written(file, {key: part for key, part in members(file).items() if key != name})


def beside(name: str, content: bytes = b""):
    return lambda file: written(file, {**members(file), name: content})


def storages(old: bytes, new: bytes):
    """Changes what the pickle of torch's file says."""

    def change(content: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            said = next(archive.read(name) for name in archive.namelist() if name.endswith("data.pkl"))
        assert old in said
        return torch_zip(content, data_pkl=said.replace(old, new))

    return lambda file: changed(file, policy=change)


def data(**fields):
    return lambda file: changed(file, data=saying(**fields))


def tensors(change):
    return lambda file: changed(file, policy=weighing(change))


def policy(content):
    return lambda file: changed(file, policy=lambda old: content(old) if callable(content) else content)


def set_bits(offset: int, bits: int):
    """Sets bits of every entry of the zip's directory, at an offset from its beginning."""

    def change(file: Path) -> None:
        content = bytearray(file.read_bytes())
        for found in re.finditer(re.escape(b"PK\x01\x02"), bytes(content)):
            content[found.start() + offset] |= bits
        file.write_bytes(content)

    return change


def doubled(file: Path) -> None:
    content = members(file)
    with zipfile.ZipFile(file, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for name, part in [*content.items(), ("data", b"{}")]:
            archive.writestr(name, part)


def many_members(file: Path) -> None:
    """A directory of a million members in 47 MB, without the members."""
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 1) + bytes(16) + b"x"
    end = b"PK\x05\x06" + bytes(4) + struct.pack("<HHIIH", 0xFFFF, 0xFFFF, len(entry) * 1_000_000, 0, 0)
    file.write_bytes(entry * 1_000_000 + end)


def as_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def as_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def as_loop(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


CORPUS = {
    "no file": (Path.unlink, "there is no|No such file"),
    "a folder": (as_folder, "not a regular file"),
    "a pipe": (as_pipe, "not a regular file"),
    "a link to itself": (as_loop, "No such file|not a regular file|cannot be read"),
    "an empty file": (lambda file: file.write_bytes(b""), "not a zip file"),
    "text": (lambda file: file.write_text("a policy"), "not a zip file"),
    "a zip of something else": (
        lambda file: written(file, {"readme": b""}),
        "not a model .*: it has no member 'data'",
    ),
    "no parameters": (without("policy.pth"), "it has no member 'policy.pth'"),
    "compressed members": (lambda file: written(file, members(file), zipfile.ZIP_DEFLATED), "data is compressed"),
    "a name above the folder": (beside("../canary"), r"'\.\./canary' leaves the folder"),
    "an absolute name": (beside("/tmp/canary"), "leaves the folder"),
    "a name of another system": (beside("..\\canary"), "leaves the folder"),
    "a drive": (beside("C:canary"), "leaves the folder"),
    "two members of one name": (doubled, "two of its members have one name"),
    "a million members": (many_members, "more than 20,000 members"),
    "a file of 200 MB": (lambda file: os.truncate(file, 200_000_000), "at most 134,217,728 are read"),
    "encrypted members": (set_bits(8, 1), "is encrypted"),
    "members said to be huge": (set_bits(27, 0x7F), "is compressed|is damaged"),
    "members that begin beyond the end": (set_bits(45, 0x7F), "damaged"),
    "data that is no JSON": (lambda file: changed(file, data=lambda _: b"{"), "data is not JSON"),
    "data that is no text": (lambda file: changed(file, data=lambda _: b"\xff\xfe{}\xff"), "data is not JSON"),
    "data too deep": (lambda file: changed(file, data=lambda _: b"[" * 100_000), "data is not JSON"),
    "data of millions of values": (
        lambda file: changed(file, data=lambda _: b"[" + b"[]," * 5_000_000 + b"[]]"),
        "data has more than 200,000 values",
    ),
    "data that is a list": (lambda file: changed(file, data=lambda _: b"[]"), "not a JSON object"),
    "no data": (lambda file: changed(file, data=lambda _: b"{}"), "its observation space is not a space"),
    "a policy of one's own": (data(policy_class={"__module__": "os"}), "its policy is of 'os'; those of PPO, A2C"),
    "a policy class of another kind": (data(policy_class=[]), "its policy is of None"),
    "no policy_kwargs": (data(policy_kwargs=None), "policy_kwargs are damaged"),
    "an encoder of one's own": (
        data(policy_kwargs={"features_extractor_class": "<class '__main__.Mine'>"}),
        "its features extractor is <class '__main__.Mine'>; FlattenExtractor and NatureCNN",
    ),
    "an unknown activation": (data(policy_kwargs={"activation_fn": "<class 'os.system'>"}), "its activation is .*Tanh"),
    "an unknown option": (data(policy_kwargs={"sde_net_arch": [8]}), "has the option 'sde_net_arch'"),
    "an option of another type": (data(policy_kwargs={"squash_output": "yes"}), "option squash_output is damaged"),
    "use_sde of another type": (data(use_sde=3), "option use_sde is damaged: 3"),
    "squashed without a noise to squash": (data(policy_kwargs={"squash_output": True}), "cannot be built"),
    "a space of another kind": (
        data(observation_space={":type:": "<class 'gymnasium.spaces.dict.Dict'>"}),
        "observation space is Dict; policies of Box, Discrete",
    ),
    "a class for a space": (data(action_space={":type:": "<class 'os.system'>"}), "action space is not a space of Gym"),
    "a space that is text": (data(action_space="Discrete(2)"), "action space is not a space"),
    "an observation of a billion numbers": (
        data(observation_space={"_shape": [10**9]}),
        "observation space is damaged",
    ),
    "a shape of text": (data(observation_space={"_shape": ["4"]}), "observation space is damaged"),
    "a negative shape": (data(observation_space={"_shape": [-4]}), "observation space is damaged"),
    "an unknown dtype": (data(observation_space={"dtype": "O"}), "observation space is damaged"),
    "bounds that are no numbers": (data(observation_space={"low": "[a b c d]"}), "observation space is damaged"),
    "other bounds than numbers": (data(observation_space={"low": "[1 2]"}), "observation space is damaged"),
    "a billion actions": (data(action_space={"n": "1000000000"}), "action space is damaged"),
    "actions that do not count from 0": (data(action_space={"start": "1"}), "action space is damaged"),
    "half an action": (data(action_space={"n": "1.5"}), "action space is damaged"),
    "another number of actions": (
        data(action_space={"n": "3"}),
        r"action_net.weight has shape \(2, 8\), .* need \(3, 8\)",
    ),
    "another number of observations": (
        data(observation_space={"_shape": [5], "low": "[0]", "high": "[1]"}),
        "policy_net.0",
    ),
    "four million observations": (
        data(observation_space={"_shape": [4_000_000], "low": "0", "high": "1"}),
        "memory|policy_net.0",
    ),
    "parameters that are no file of torch": (policy(b"parameters"), "policy.pth cannot be read"),
    "a zip in place of parameters": (policy(lambda old: old[:2] + b"no"), "policy.pth cannot be read"),
    "parameters that are a list": (tensors(lambda all: list(all.values())), "not a dict of tensors"),
    "parameters that are numbers": (tensors(lambda all: {name: 1.0 for name in all}), "is not a tensor"),
    "whole numbers as parameters": (
        tensors(lambda all: {name: part.long() for name, part in all.items()}),
        "would import torch.LongStorage",
    ),
    "NaN": (
        tensors(lambda all: all["value_net.bias"].fill_(np.nan) and None),
        "value_net.bias is not finite",
    ),
    "infinity": (tensors(lambda all: all["value_net.bias"].fill_(np.inf) and None), "is not finite"),
    "a parameter too few": (tensors(lambda all: all.pop("value_net.bias") and None), "value_net.bias is missing"),
    "a parameter too many": (tensors(lambda all: all.update(more=torch.ones(1))), "more is not one of theirs"),
    "a name that cannot be printed": (
        tensors(lambda all: all.update({"\n\x1b[31m" + "x" * 10_000: torch.ones(1)})),
        r"policies: \?\[31mx{10,100} is not one of theirs",
    ),
    "another shape": (tensors(lambda all: all.update({"value_net.bias": torch.ones(2)})), r"has shape \(2,\)"),
    "a layer without a width": (
        tensors(lambda all: all.update({"mlp_extractor.policy_net.0.weight": torch.ones(())})),
        "not one of theirs",
    ),
    "a tensor of subclasses": (
        tensors(lambda all: {name: nn.Parameter(part) for name, part in all.items()}),
        "would import torch._utils._rebuild_parameter",
    ),
    "one number seen as a million": (
        tensors(lambda all: all.update({"value_net.bias": torch.ones(1).expand(1_000_000)})),
        "does not fit its numbers",
    ),
    "a storage that is missing": (storages(b"X\x01\x00\x00\x000", b"X\x01\x00\x00\x009"), "cannot be read"),
    "a storage that leaves the folder": (storages(b"X\x01\x00\x00\x000", b"X\x05\x00\x00\x00../.."), "cannot be read"),
    "a tensor that begins beyond its storage": (storages(b"QK\x00", b"QK\x09"), "does not fit its numbers"),
    "a storage of fewer numbers": (policy(lambda old: torch_zip(old, data_0=b"\x00" * 8)), "does not fit its numbers"),
    "a storage of half a number": (policy(lambda old: torch_zip(old, data_0=b"\x00" * 7)), "missing or damaged"),
    "numbers in the other order": (policy(lambda old: torch_zip(old, byteorder=b"big")), "big-endian"),
    "a member of torch's that leaves the folder": (
        policy(lambda old: torch_zip(old).replace(b"byteorder", b"../../../")),
        "leaves the folder",
    ),
    "a canary for parameters": (policy(pickle.dumps(Canary(), 2)), "would import \\w+.mkdir"),
    "a canary in torch's zip": (
        policy(lambda old: torch_zip(old, data_pkl=pickle.dumps(Canary(), 2))),
        "would import \\w+.mkdir",
    ),
    "a canary among the parameters": (
        tensors(lambda all: {**all, "canary": Canary()}),
        "would import \\w+.mkdir",
    ),
    "a canary for a name of torch": (
        policy(lambda old: torch_zip(old, data_pkl=b"\x80\x02cposix\nsystem\nX\x0c\x00\x00\x00touch canary\x85R.")),
        "would import posix.system",
    ),
}


@pytest.mark.parametrize("case", CORPUS)
def test_a_broken_model_is_one_clear_error_and_nothing_of_it_is_executed(case, intact, tmp_path):
    damage, message = CORPUS[case]
    file = Path(shutil.copy(intact / "ppo.zip", tmp_path / "model.zip"))
    damage(file)
    assert re.search(message, refused(file))
    assert [path.name for path in tmp_path.iterdir()] in ([], ["model.zip"])


def test_pickles_beside_the_parameters_are_not_read(intact, tmp_path):
    """Those within `data`, the other members, and statistics of a space or a random generator."""
    canary = pickle.dumps(Canary())
    pickle.loads(canary)
    os.rmdir(CANARY)  # which shows that it would have sung
    file = Path(shutil.copy(intact / "sac.zip", tmp_path / "model.zip"))
    text = base64.b64encode(canary).decode()

    def plant(content: bytes) -> bytes:
        return re.sub(rb'":serialized:": "[^"]*"', b'":serialized:": "%s"' % text.encode(), content)

    changed(file, data=plant)
    others = {name: canary for name in members(file) if name.endswith(".pth") and name != "policy.pth"}
    written(file, {**members(file), **others})
    assert text in members(file)["data"].decode() and others
    seen = np.zeros((2, 3), np.float32)
    found = (import_sb3(each).predict(seen, deterministic=True)[0] for each in (file, intact / "sac.zip"))
    np.testing.assert_array_equal(*found)
    assert not Path(CANARY).exists()


def test_a_model_cut_off_anywhere_is_one_clear_error(intact, tmp_path):
    content, file = (intact / "ppo.zip").read_bytes(), tmp_path / "model.zip"
    for length in range(0, len(content), 1024):
        file.write_bytes(content[:length])
        # torch's own zip lies within, and may be all that is found
        assert re.search("not a zip file, or is damaged|is damaged|no member 'data'", refused(file))


def test_a_flipped_bit_of_what_is_read_is_noticed(intact, tmp_path):
    content, file = (intact / "ppo.zip").read_bytes(), tmp_path / "model.zip"
    with zipfile.ZipFile(intact / "ppo.zip") as archive:
        member = archive.getinfo("policy.pth")
    lengths = struct.unpack("<HH", content[member.header_offset + 26 : member.header_offset + 30])  # name, extra
    begin = member.header_offset + 30 + sum(lengths)
    for place in np.random.default_rng(0).integers(begin, begin + member.file_size, 30):
        file.write_bytes(content[:place] + bytes([content[place] ^ 8]) + content[place + 1 :])
        assert "policy.pth is damaged" in refused(file)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ppo", {"action_space": spaces.Discrete(3)}, r"action space is Discrete\(2\), that of the .* Discrete\(3\)"),
        (
            "ppo",
            {"observation_space": spaces.Box(-1, 1, (5,))},
            r"space is Box\(\(4,\), float32\), that of",
        ),
        (
            "ppo",
            {"action_space": spaces.Box(-1, 1, (2,))},
            r"Discrete\(2\), that of .* Box\(-1, 1, \(2,\)",
        ),
        ("sac", {"action_space": spaces.Box(-1, 1, (1,))}, r"Box\(-2, 2, \(1,\), float32\), that of .* Box\(-1, 1"),
        ("sac", {"action_space": spaces.Discrete(2)}, r"that of the environment Discrete\(2\)"),
    ],
)
def test_an_environment_of_other_spaces_is_refused(name, options, message, intact):
    assert re.search(message, refused(intact / f"{name}.zip", **options))


@pytest.mark.parametrize("clip", [float("nan"), -1.0, True, "2"])
def test_a_mean_is_clipped_at_a_number(clip, intact, tmp_path):
    file = Path(shutil.copy(intact / "sac.zip", tmp_path / "model.zip"))
    assert "option clip_mean is damaged" in refused(changed(file, data=saying(policy_kwargs={"clip_mean": clip})))


def test_an_algorithm_that_cannot_be_imported_is_named(tmp_path):
    file = saved(tmp_path, TQC, gymnasium.make("Pendulum-v1"), policy_kwargs={"net_arch": [8]})
    assert "its policy is of 'sb3_contrib.tqc.policies'; those of PPO, A2C" in refused(file)
    parts = spaces.Dict({"x": spaces.Box(-1, 1, (2,))})
    file = saved(tmp_path, PPO, Acts(parts, spaces.Discrete(2)), "MultiInputPolicy")
    assert "its observation space is Dict" in refused(file)


def test_what_is_missing_is_said(intact):
    with pytest.raises(ValueError, match="which environment it was trained in; give env=<id>"):
        evaluate({"policy": str(intact / "ppo.zip")})
    with pytest.raises(ValueError, match=r"belongs to the \.zip of a Stable-Baselines3 model"):
        evaluate({"policy": "pretrained/CartPole-homomorphic", "normalization": "statistics.pkl"})
    with pytest.raises(ValueError, match=r"observation space is Box\(\(4,\), float32\), that of the environment Box"):
        evaluate({"policy": str(intact / "ppo.zip"), "env": "Pendulum"})
