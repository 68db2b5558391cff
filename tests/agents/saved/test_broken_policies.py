"""A broken or ill-meant policy folder is one clear error: nothing in it is executed, waited for or allocated.

The files are harmless: what a file would execute is the making of a canary, and sizes are too large for the check only.
"""

from __future__ import annotations

import inspect
import json
import os
import pickle
import re
import resource
import shutil
import struct
import time

import numpy as np
import pytest
import torch
import yaml
from conftest import PROJECT
from safetensors.torch import load_file, save_file
from stable_baselines3.common.vec_env import VecNormalize

from agents import load_policy, make_agent, save_policy
from agents.make import AGENTS, FIXED_POLICY_KEYS
from agents.saved.schema import HEAD
from envs import make_vec_env

SECONDS, BYTES = 2, 200e6
CANARY = "canary"
WIDTH = "width|memory|Type-check"  # the last is beartype's, which tests have
NAMES = ("policy.yaml", "policy.safetensors", "manifest.json")


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """Four policies: of an MLP with normalized observations, a symmetric one, one that lifts, and a graph network."""
    root = tmp_path_factory.mktemp("intact")
    for name, env_id, encoder, options in (
        ("vector", "CartPole", "mlp", {}),
        ("symmetric", "CartPole", "homomorphic", {}),
        ("average", "CartPole", "mlp", {"method": "average"}),
        ("grid", "DoorKey-5x5", "gnn", {}),
    ):
        env = make_vec_env(env_id, n_envs=2, seed=0)
        made = VecNormalize(env, norm_reward=False) if name == "vector" else env
        model = make_agent(made, encoder, seed=0, device="cpu", n_steps=8, batch_size=16, **options)
        save_policy(model, root / name, environment={"id": env_id, "history": 0, "reward_scale": 1.0, "kwargs": {}})
    return root


def say(where, value):
    """Change a field of policy.yaml, named by its keys with dots between."""

    def damage(folder):
        file = folder / "policy.yaml"
        spec = yaml.safe_load(file.read_text())
        *way, last = where.split(".")
        inner = spec
        for key in way:
            inner = inner[int(key)] if isinstance(inner, list) else inner[key]
        inner[last] = value
        file.write_text(yaml.safe_dump(spec))

    return damage


def write(name, content):
    """Replace a file."""

    def damage(folder):
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return damage


def append(text):
    """Write more at the end of policy.yaml."""
    return lambda folder: (folder / "policy.yaml").write_text((folder / "policy.yaml").read_text() + text)


def tensors(change):
    """Change the parameters."""

    def damage(folder):
        found = load_file(folder / "policy.safetensors")
        name = next(name for name in sorted(found) if found[name].dim() == 2)
        change(found, name)
        save_file(found, folder / "policy.safetensors")

    return damage


def replaced(convert):
    """Replace a matrix of the parameters."""

    def change(found, name):
        found[name] = convert(found[name])

    return tensors(change)


def head(change):
    """Change the head of policy.safetensors and leave the rest."""

    def damage(folder):
        file = folder / "policy.safetensors"
        content = file.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        written = json.dumps(change(json.loads(content[8 : 8 + length]))).encode()
        file.write_bytes(struct.pack("<Q", len(written)) + written + content[8 + length :])

    return damage


def first(**changes):
    """Change the entry of a tensor in the head."""

    def change(entries):
        name = next(name for name in entries if name != "__metadata__")
        return {**entries, name: {**entries[name], **changes}}

    return head(change)


def instead(name, make):
    """Replace a file by something that is none."""

    def damage(folder):
        (folder / name).unlink()
        make(folder / name)

    return damage


def link(target):
    return lambda file: file.symlink_to(target)


class Touch:
    """Unpickled, it makes the canary."""

    def __reduce__(self):
        return os.system, (f"touch {CANARY}",)


LAUGHS = "a: &a0 [x, x]\n" + "".join(f"b{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9))
BOX = {"type": "Box", "low": -1.0, "high": 1.0, "shape": [4], "dtype": "float32"}
CYCLES = [[1, 0, *range(2, 20)], [*range(1, 20), 0]]  # together 20! elements

# name: (policy, what is done to it, what the error says)
CORPUS = {
    # what YAML can do
    "a tag that executes": (
        "vector",
        append(f"x: !!python/object/apply:os.system ['touch {CANARY}']\n"),
        "names the type",
    ),
    "a tag that makes": (
        "vector",
        append("x: !!python/object/new:subprocess.Popen [[touch, canary]]\n"),
        "names the type",
    ),
    "a tag that imports": ("vector", append("x: !!python/module:antigravity ''\n"), "names the type"),
    "a tag that names": ("vector", append("x: !!python/name:os.system ''\n"), "names the type"),
    "only a tag": (
        "vector",
        write("policy.yaml", f"!!python/object/apply:os.system ['touch {CANARY}']"),
        "names the type",
    ),
    "a tag of one's own": ("vector", append("x: !Thing {a: 1}\n"), "names the type"),
    "deep lists": ("vector", append(f"x: {'[' * 300}{']' * 300}\n"), "more than 40 levels deep"),
    "deeper lists": ("vector", append(f"x: {'[' * 20_000}"), "nesting depth|levels deep"),
    "deep blocks": ("vector", append("x:\n" + "".join(" " * i + "a:\n" for i in range(1, 100))), "more than 40 levels"),
    "a list in itself": ("vector", append("x: &x [*x]\n"), r"\*x stands within what it means"),
    "a mapping in itself": ("vector", append("x: &x {y: *x}\n"), r"\*x stands within what it means"),
    "aliases that multiply": ("vector", append(LAUGHS), "more than 200,000 values"),
    "merges that multiply": (
        "vector",
        append(LAUGHS.replace("[x, x]", "{k: x}").replace("[*", "{<<: [*").replace("]\n", "]}\n")),
        "more than 200,000 values",
    ),
    "an alias of nothing": ("vector", append("x: *nothing\n"), "for nothing"),
    "many values": ("vector", append(f"x: [{'1,' * 300_000}]\n"), "more than 200,000 values"),
    "a large file": ("vector", append(f"x: {'a' * 2_100_000}\n"), "at most 2,000,000 are read"),
    "a number of many digits": ("vector", append(f"x: 1{'0' * 6000}\n"), "digits"),
    "no date": ("vector", append("x: 2001-99-99\n"), "month must be"),
    "no text": ("vector", write("policy.yaml", b"\xff\xfe\x00"), "it is no YAML"),
    "control characters": ("vector", append("x: \x07\n"), "not allowed"),
    "half a list": ("vector", write("policy.yaml", "format: [1"), "did not find expected|expected ',' or"),
    "a list as a key": ("vector", append("? [a, b]\n: 1\n"), "unhashable"),
    "nothing": ("vector", write("policy.yaml", ""), "states no format"),
    "a list": ("vector", write("policy.yaml", "[]"), "states no format"),
    # formats
    **{
        f"format {value}": ("vector", say("format", value), "states no format")
        for value in (-1, 0, True, 1.0, "1", None, [1])
    },
    "a newer format": ("vector", say("format", 2), r"policy format 2, this version reads up to 1; update"),
    # agent, encoder and head
    "another agent": ("vector", say("agent", "muzero"), "names the agent 'muzero'"),
    "a list of agents": ("vector", say("agent", ["ppo"]), "agent is a text"),
    "no agent": ("vector", say("agent", None), "agent is a text"),
    "an agent that acts otherwise": ("vector", say("agent", "sac"), "cannot be rebuilt|do not fit|lacks|is missing"),
    "a class outside": ("vector", say("encoder.class", "os.system"), r"was not imported.*trust=\[os\]"),
    "a class that is no encoder": ("vector", say("encoder.class", "encoders.resolve.importlib"), "is not an encoder"),
    "a class above": ("vector", say("encoder.class", "encoders...os.system"), "not of the form"),
    "a class that is a list": ("vector", say("encoder.class", ["encoders.mlp.MLP"]), "encoder.class is a text"),
    "no class": ("vector", say("encoder", {"options": {}}), "encoder lacks class"),
    "options that are a list": ("vector", say("encoder.options", [1]), "encoder.options"),
    "an unknown option": ("vector", say("encoder.options.colour", 1), "colour"),
    "an option that is a key": ("vector", say("encoder.options", {1: 2}), "a name in encoder.options"),
    **{
        f"a width of {value}": (
            "vector",
            say("encoder.options.width", value),
            "width|memory|Type-check",
        )  # the last: of beartype, in tests
        for value in (1.5, float("nan"), float("inf"), 10**9, 10**30, -1, 0, "64", None, True, [64], 5000)
    },
    **{
        f"{value} layers": ("vector", say("encoder.options.layers", value), "layers|Type-check")
        for value in (1.5, 10**6, 10**9, -1, 600)
    },
    "another width": ("vector", say("encoder.options.width", 8), "has shape"),
    "another activation": ("vector", say("encoder.options.activation", "os.system"), "encoder.activation"),
    "a width of a lifted encoder": ("average", say("encoder.options.encoder.options.width", 10**8), r"options\.width"),
    "a lifted encoder that is a text": (
        "average",
        say("encoder.options.encoder", "encoders.mlp.MLP"),
        "encoder.options.encoder",
    ),
    "channels of a graph network": ("grid", say("encoder.options.channels", 90_000), "memory"),
    "channels of a symmetric one": ("symmetric", say("encoder.options.channels", 8_000), "memory"),
    "an unknown keyword": ("vector", say("head", {"no_such": 1}), "head has no entry 'no_such'"),
    "a list of keywords": ("vector", say("head", [1]), "head is a mapping"),
    "a class in the head": ("vector", say("head", {"features_extractor_class": "os.system"}), "head has no entry"),
    "an activation in the head": ("vector", say("head", {"activation_fn": "os.system"}), "head has no entry"),
    "a large layer in the head": ("vector", say("head", {"net_arch": [10**9]}), "head has no entry"),
    "a scale of text": ("vector", say("head", {"log_std_init": "one"}), "head.log_std_init"),
    "a scale of infinity": ("vector", say("head", {"log_std_init": float("inf")}), "head.log_std_init"),
    # spaces
    "no space": ("vector", say("observation_space", None), "not a space"),
    "half a space": ("vector", say("observation_space", {"type": "Box"}), "observation_space lacks low"),
    "an unknown space": ("vector", say("observation_space.type", "Graph"), "not a space"),
    "a list of types": ("vector", say("observation_space.type", ["Box"]), "not a space"),
    "a large space": ("vector", say("observation_space", {**BOX, "shape": [10**9]}), "observation_space.shape"),
    "a large product": ("vector", say("observation_space", {**BOX, "shape": [10**5, 10**5]}), "at most 4,000,000"),
    "many axes": ("vector", say("observation_space", {**BOX, "shape": [1] * 100}), "observation_space.shape"),
    "a size below zero": ("vector", say("observation_space", {**BOX, "shape": [-4]}), "observation_space.shape"),
    "half a size": ("vector", say("observation_space", {**BOX, "shape": [4.5]}), "observation_space.shape"),
    "a dtype of objects": ("vector", say("observation_space", {**BOX, "dtype": "object"}), "observation_space.dtype"),
    "a bound that is none": ("vector", say("observation_space", {**BOX, "low": float("nan")}), "observation_space.low"),
    "a bound of text": ("vector", say("observation_space", {**BOX, "low": "low"}), "observation_space.low"),
    "bounds the wrong way round": ("vector", say("observation_space", {**BOX, "low": 2.0}), "lower bound is above"),
    "bounds of another shape": ("vector", say("observation_space", {**BOX, "low": [1.0, 2.0]}), "not a space"),
    "a bound below a byte": ("vector", say("observation_space", {**BOX, "dtype": "uint8", "low": -1}), "not a space"),
    "a space within spaces": (
        "vector",
        say(
            "observation_space",
            {
                "type": "Dict",
                "spaces": {
                    "a": {
                        "type": "Dict",
                        "spaces": {"a": {"type": "Dict", "spaces": {"a": {"type": "Dict", "spaces": {}}}}},
                    }
                },
            },
        ),
        "too deep",
    ),
    "a larger observation": ("vector", say("observation_space.shape", [1_000_000]), "normalization|memory|not a space"),
    "many actions": ("vector", say("action_space.n", 10**9), "action_space.n"),
    "more actions": ("vector", say("action_space.n", 4_000_000), "memory"),
    "no actions": ("vector", say("action_space.n", 0), "action_space.n"),
    "half an action": ("vector", say("action_space.n", 2.5), "action_space.n"),
    "actions of many kinds": (
        "vector",
        say("action_space", {"type": "MultiDiscrete", "nvec": [10**6] * 100}),
        "at most 4,000,000",
    ),
    "binary actions": ("vector", say("action_space", {"type": "MultiBinary", "n": 10**12}), "action_space.n"),
    # symmetry
    "no symmetry": ("symmetric", say("symmetry", {"group": 1}), "symmetry lacks observation"),
    "no group": ("symmetric", say("symmetry.group", 1), "symmetry.group"),
    "no generator": ("symmetric", say("symmetry.group.generators", []), "symmetry.group.generators"),
    "no permutation": ("symmetric", say("symmetry.group.generators", [[0, 0]]), "not a permutation"),
    "a generator of texts": ("symmetric", say("symmetry.group.generators", [["a"]]), "symmetry.group.generators"),
    "a group of 20! elements": ("symmetric", say("symmetry.group.generators", CYCLES), "more than 1024 elements"),
    "a group of many points": ("symmetric", say("symmetry.group.generators", [[*range(5000)]]), "list of 1 to 1,024"),
    "many generators": ("symmetric", say("symmetry.group.generators", [[1, 0]] * 1000), "list of 1 to 16"),
    "a sign of 2": ("symmetric", say("symmetry.action.0.signs", [2, 1]), "symmetry.action"),
    "a permutation of texts": ("symmetric", say("symmetry.action.0.permutation", ["a", "b"]), "symmetry.action"),
    "a permutation of another size": ("symmetric", say("symmetry.action.0.permutation", [1, 0, 2]), "symmetry|signs"),
    "no action": ("symmetric", say("symmetry.action", []), "symmetry.action"),
    # normalization
    "a mean of nothing": ("vector", say("normalization.mean", []), "normalization.mean"),
    "a mean of text": ("vector", say("normalization.mean", "zero"), "normalization.mean"),
    "a mean of NaN": ("vector", say("normalization.mean", [float("nan")] * 4), "normalization.mean"),
    "an uneven mean": ("vector", say("normalization.mean", [[0.0], [0.0, 0.0]]), "normalization.mean"),
    "a negative variance": ("vector", say("normalization.variance", [-1.0] * 4), "normalization.variance"),
    "a variance of another size": ("vector", say("normalization.variance", [1.0] * 5), "normalization.variance"),
    "a clip range of 0": ("vector", say("normalization.clip", 0), "normalization.clip"),
    "an epsilon below 0": ("vector", say("normalization.epsilon", -1), "normalization.epsilon"),
    "a normalization that is a list": ("vector", say("normalization", [1]), "normalization"),
    # environment
    "an environment that is a text": ("vector", say("environment", "CartPole-v1"), "environment"),
    "an id that is a number": ("vector", say("environment.id", 5), "environment.id"),
    "an id of many lines": ("vector", say("environment.id", "a\nb"), "environment.id"),
    "a long id": ("vector", say("environment.id", "a" * 1000), "environment.id"),
    "an unknown option of it": (
        "vector",
        say("environment.wrapper", "os.system"),
        "environment has no entry 'wrapper'",
    ),
    "a reward scale of NaN": ("vector", say("environment.reward_scale", float("nan")), "environment.reward_scale"),
    "a reward scale of 0": ("vector", say("environment.reward_scale", 0), "environment.reward_scale"),
    "a long history": ("vector", say("environment.history", 10**9), "environment.history"),
    "a history of another length": ("vector", say("environment.history", 1000), "environment.history"),
    "a history of a text": ("vector", say("environment.history", "4"), "environment.history"),
    "many steps": ("vector", say("environment.kwargs", {"max_steps": 10**30}), "environment.kwargs.max_steps"),
    "arguments that are a list": ("vector", say("environment.kwargs", [1]), "environment.kwargs"),
    "a large grid": (
        "grid",
        say("environment", {"id": "MiniGrid-Empty-8x8-v0", "kwargs": {"size": 10**5}}),
        "environment.kwargs.size",
    ),
    "many rooms": (
        "grid",
        say("environment", {"id": "BabyAI-GoTo-v0", "kwargs": {"num_rows": 900, "num_cols": 900, "room_size": 900}}),
        "too large a grid: num_cols, num_rows, room_size",
    ),
    "words of numbers": ("grid", say("environment.words", [1, 2]), "environment.words"),
    # parameters
    "no parameters": ("vector", lambda folder: (folder / "policy.safetensors").unlink(), "is missing"),
    "empty parameters": ("vector", write("policy.safetensors", b""), "ends within its head"),
    "a pickle": ("vector", lambda folder: write("policy.safetensors", pickle.dumps(Touch()))(folder), "damaged"),
    "a pickle of torch": (
        "vector",
        lambda folder: torch.save({"a": Touch()}, folder / "policy.safetensors"),
        "damaged",
    ),
    "a long head": ("vector", write("policy.safetensors", struct.pack("<Q", 2**40) + b"{}"), "ends within its head"),
    "a large head": (
        "vector",
        write("policy.safetensors", struct.pack("<Q", 2_000_000) + b" " * 2_000_000),
        "at most 1,000,000",
    ),
    "a deep head": ("vector", write("policy.safetensors", struct.pack("<Q", 200_000) + b"[" * 200_000), "too deep"),
    "a head that is a list": ("vector", write("policy.safetensors", struct.pack("<Q", 2) + b"[]"), "mapping"),
    "a head that is no JSON": ("vector", write("policy.safetensors", struct.pack("<Q", 2) + b"{]"), "damaged"),
    "many tensors": (
        "vector",
        head(lambda entries: {str(i): next(iter(entries.values())) for i in range(9_000)}),
        "damaged",
    ),
    "a large tensor": ("vector", first(shape=[10**9, 10**9]), "another size than its shape"),
    "a shape below 0": ("vector", first(shape=[-1, 4]), "shape"),
    "half a shape": ("vector", first(shape=[1.5]), "shape"),
    "an unknown dtype": ("vector", first(dtype="OBJECT"), "dtype"),
    "offsets outside": ("vector", first(data_offsets=[0, 10**15]), "damaged"),
    "offsets below 0": ("vector", first(data_offsets=[-4, 4]), "data_offsets"),
    "a missing tensor": ("vector", tensors(lambda found, name: found.pop(name)), "is missing"),
    "another tensor": (
        "vector",
        tensors(lambda found, name: found.update({"../up": torch.zeros(1)})),
        r"network has no \.\./up",
    ),
    "another name": ("vector", tensors(lambda found, name: found.update({"a\nb": found.pop(name)})), "printable"),
    "another shape": ("vector", replaced(lambda tensor: tensor[:, :-1].contiguous()), "has shape"),
    "a transposed tensor": ("vector", replaced(lambda tensor: tensor.T.contiguous()), "has shape|NaN"),
    "parameters of int8": ("vector", replaced(lambda tensor: tensor.to(torch.int8)), "has dtype torch.int8"),
    "parameters of bool": ("vector", replaced(lambda tensor: tensor > 0), "has dtype torch.bool"),
    "parameters of float64": ("vector", replaced(lambda tensor: tensor.double()), "has dtype torch.float64"),
    "parameters of NaN": ("vector", replaced(lambda tensor: tensor * float("nan")), "holds NaN or infinity"),
    "parameters of infinity": ("vector", replaced(lambda tensor: tensor + float("inf")), "holds NaN or infinity"),
    "one NaN": ("vector", tensors(lambda found, name: found[name].view(-1)[-1:].fill_(float("nan"))), "holds NaN"),
    "a sparse file": ("vector", lambda folder: os.truncate(folder / "policy.safetensors", 10**12), "and it has"),
    # files that are none
    "a description that is a folder": (
        "vector",
        instead("policy.yaml", lambda file: file.mkdir()),
        "there is no policy",
    ),
    "parameters that are a folder": (
        "vector",
        instead("policy.safetensors", lambda file: file.mkdir()),
        "not a regular file",
    ),
    "parameters that are a pipe": ("vector", instead("policy.safetensors", os.mkfifo), "not a regular file"),
    "a description that is a pipe": ("vector", instead("policy.yaml", os.mkfifo), "there is no policy"),
    "a manifest that is a pipe": ("vector", lambda folder: os.mkfifo(folder / "manifest.json"), "not a regular file"),
    "endless parameters": ("vector", instead("policy.safetensors", link("/dev/zero")), "a link to elsewhere"),
    "parameters elsewhere": ("vector", instead("policy.safetensors", link("../secret")), "a link to elsewhere"),
    "a description elsewhere": ("vector", instead("policy.yaml", link("../secret")), "a link to elsewhere"),
    "a link to itself": ("vector", instead("policy.safetensors", link("policy.safetensors")), "cannot be read"),
}


def refused(folder):
    """The message with which a folder is refused, in bounded time and memory."""
    begin, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        load_policy(folder)
    assert time.process_time() - begin < SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < BYTES
    message = str(error.value)
    assert "\n" not in message and len(message) < 1000
    assert any(name in message for name in (*NAMES, str(folder)))
    return message


@pytest.mark.parametrize("case", CORPUS)
def test_a_broken_policy_is_one_clear_error_and_nothing_of_it_is_executed(case, intact, tmp_path):
    policy, damage, message = CORPUS[case]
    folder = tmp_path / "policies" / "policy"
    shutil.copytree(intact / policy, folder)
    (folder / "manifest.json").unlink()  # as whoever wrote this folder would have it
    (folder.parent / "secret").write_text("format: 1\n")
    damage(folder)
    assert re.search(message, refused(folder))
    assert [path.name for path in tmp_path.iterdir()] == ["policies"] and not list(tmp_path.rglob(CANARY))
    assert sorted(path.name for path in folder.parent.iterdir()) == ["policy", "secret"]


def test_a_policy_cut_off_anywhere_is_one_clear_error(intact, tmp_path):
    for manifest in (True, False):
        folder = tmp_path / str(manifest)
        shutil.copytree(intact / "grid", folder)
        if not manifest:
            (folder / "manifest.json").unlink()
        for name in NAMES[: 2 + manifest]:
            content = (folder / name).read_bytes()
            for length in range(0, len(content), max(1024, len(content) // 20)):
                (folder / name).write_bytes(content[:length])
                assert "damaged" in refused(folder)
            (folder / name).write_bytes(content)
        load_policy(folder)


def test_whichever_bit_of_a_policy_is_flipped_it_is_noticed(intact, tmp_path):
    folder, random = tmp_path / "policy", np.random.default_rng(0)
    shutil.copytree(intact / "vector", folder)
    for name in NAMES:
        content = (folder / name).read_bytes()
        for place in random.integers(0, len(content), 30):
            flipped = bytearray(content)
            flipped[place] ^= 1 << random.integers(8)
            (folder / name).write_bytes(bytes(flipped))
            if name == "manifest.json":  # of itself there is no checksum: at worst it says nothing of the others
                try:
                    load_policy(folder)
                except ValueError as error:
                    assert "\n" not in str(error)
            else:
                assert "damaged" in refused(folder)
        (folder / name).write_bytes(content)


def test_a_flipped_bit_without_a_manifest_loads_or_is_one_clear_error(intact, tmp_path):
    folder, random = tmp_path / "policy", np.random.default_rng(0)
    shutil.copytree(intact / "vector", folder)
    (folder / "manifest.json").unlink()
    for name in NAMES[:2]:
        content = (folder / name).read_bytes()
        for place in random.integers(0, min(len(content), 2000), 30):  # of the head, most of it
            flipped = bytearray(content)
            flipped[place] ^= 1 << random.integers(8)
            (folder / name).write_bytes(bytes(flipped))
            try:
                load_policy(folder)
            except ValueError as error:
                assert "\n" not in str(error)
        (folder / name).write_bytes(content)


def test_whatever_the_policy_of_an_agent_takes_as_data_may_be_written(intact):
    fixed = (*FIXED_POLICY_KEYS, "weight_decay", "features_extractor", "optimizer_kwargs")  # not of the network
    classes = {base for agent in AGENTS.values() for base in agent.policy.__mro__ if "__init__" in vars(base)}
    defaults = {
        name: parameter.default
        for each in classes
        for name, parameter in inspect.signature(each.__init__).parameters.items()
        if name not in fixed and isinstance(parameter.default, (bool, int, float, type(None)))
    }
    assert {"n_quantiles", "log_std_init", "critic_hidden", "lstm_hidden_size"} < defaults.keys()
    HEAD(defaults, "head")


@pytest.mark.parametrize("policy", ["CartPole-homomorphic", "DoorKey-6x6-gnn"])
@pytest.mark.parametrize("manifest", [True, False])
def test_the_policies_that_are_shipped_load_with_their_manifest_and_without_as_earlier_ones(policy, manifest, tmp_path):
    folder = tmp_path / policy
    shutil.copytree(PROJECT / "pretrained" / policy, folder)
    if not manifest:
        (folder / "manifest.json").unlink()
    loaded = load_policy(folder)
    assert loaded.spec["format"] == 1 and loaded.predict(loaded.observation_space.sample())[0].shape == ()
