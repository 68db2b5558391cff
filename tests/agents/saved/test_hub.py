"""Policies on the Hugging Face Hub, as a server of this machine has them: what is asked for, read and refused."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from conftest import PROJECT, command
from stand_in import serving

from agents import load_policy
from agents.saved.hub import LARGEST, download
from agents.saved.policy import parameters

constants = pytest.importorskip("huggingface_hub.constants")
SHIPPED = PROJECT / "pretrained" / "CartPole-homomorphic"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub with the repository me/cart, whose revisions are main and older; and an empty cache."""
    for revision in ("main", "older"):
        shutil.copytree(SHIPPED, tmp_path / "hub" / "me" / "cart" / revision)
    for name in ("weights.bin", "policy.pkl", "train.py"):
        (tmp_path / "hub" / "me" / "cart" / "main" / name).write_bytes(b"not to be read")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(tmp_path / "hub") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield server


def files_of(hub, repository="cart", revision="main") -> Path:
    return hub.root / "me" / repository / revision


def test_a_policy_on_the_hub_has_the_parameters_of_its_folder(hub):
    shipped = parameters(load_policy(SHIPPED, device="cpu").module)
    for source in ("hub:me/cart", "hub:me/cart@older"):
        found = parameters(load_policy(source, device="cpu").module)
        assert found.keys() == shipped.keys() and all(torch.equal(found[name], shipped[name]) for name in found)


def test_only_the_files_of_a_policy_are_asked_for(hub):
    load_policy("hub:me/cart", device="cpu")
    asked = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert asked == {"policy.yaml", "policy.safetensors", "manifest.json"}


@pytest.mark.parametrize("name", LARGEST)
def test_a_file_that_is_too_large_is_refused_before_it_is_downloaded(name, hub):
    hub.sizes[name] = LARGEST[name] + 1
    message = f"hub:me/cart: {name} has {LARGEST[name] + 1:,} bytes; at most {LARGEST[name]:,} are downloaded"
    with pytest.raises(ValueError, match=re.escape(message)):
        load_policy("hub:me/cart")
    assert not [path for path in hub.asked if "/resolve/" in path]


def test_a_file_that_is_larger_than_the_hub_says_is_not_read(hub):
    (files_of(hub) / "policy.yaml").write_bytes(b"#" * (LARGEST["policy.yaml"] + 1))
    hub.sizes["policy.yaml"] = 1000
    with pytest.raises(ValueError, match=r"has 2,000,001 bytes; at most 2,000,000 are read"):
        load_policy("hub:me/cart")


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("hub:me/other", FileNotFoundError, "hub:me/other: there is no such model repository, or it is private"),
        ("hub:me/cart@newer", FileNotFoundError, "hub:me/cart@newer: the repository has no revision newer"),
        ("hub:me", ValueError, "'hub:me' is not of the form hub:owner/name, or hub:owner/name@revision"),
        ("hub:me/cart@", ValueError, "'hub:me/cart@' is not of the form"),
        ("hub:../../etc", ValueError, "'hub:../../etc' is not of the form"),
        ("hub:me/empty", FileNotFoundError, "hub:me/empty holds no policy: it has no policy.yaml"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(source, error, message, hub):
    files_of(hub, "empty").mkdir(parents=True)
    with pytest.raises(error, match=f"^{re.escape(message)}.*$"):
        load_policy(source)


def test_without_a_network_the_cache_is_read_and_else_one_line_says_so(hub, monkeypatch):
    load_policy("hub:me/cart")
    with serving(hub.root) as gone:
        pass
    monkeypatch.setenv("HF_ENDPOINT", gone.url)
    assert load_policy("hub:me/cart").spec["agent"] == "ppo"
    message = r"^hub:me/cart@older: the Hub does not answer \(.*\), and its cache does not hold this policy$"
    with pytest.raises(ConnectionError, match=message):
        load_policy("hub:me/cart@older")


def test_without_the_library_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r'hub:me/cart needs the package huggingface_hub: pip install -e "\.\[hub\]"'):
        load_policy("hub:me/cart")


def test_an_ill_meant_repository_executes_nothing_and_is_refused_by_its_name(hub):
    folder = files_of(hub)
    (folder / "manifest.json").unlink()
    text = (folder / "policy.yaml").read_text()
    (folder / "policy.yaml").write_text(f"{text}more: !!python/object/apply:os.mkdir [canary]\n")
    with pytest.raises(ValueError, match=r"^hub:me/cart/policy\.yaml is damaged: .*names the type"):
        load_policy("hub:me/cart")
    (folder / "policy.yaml").write_text(text.replace("encoders.homomorphic.Homomorphic", "canary.Encoder"))
    with pytest.raises(ValueError, match=r"^hub:me/cart/policy\.yaml: .*canary\.Encoder is outside this project"):
        load_policy("hub:me/cart")
    assert not Path("canary").exists()


def test_the_files_in_the_cache_are_links_and_what_is_read_are_copies(hub, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    download("hub:me/cart", place)
    assert {file.name for file in place.iterdir()} == {*LARGEST}
    assert not any(file.is_symlink() for file in place.iterdir())
    assert all(file.read_bytes() == (SHIPPED / file.name).read_bytes() for file in place.iterdir())


@pytest.mark.slow
def test_the_commands_take_policies_from_the_hub(hub, tmp_path):
    places = {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(tmp_path / "cache"), "NO_PROXY": "127.0.0.1"}
    done = command("evaluate.py", "policy=hub:me/cart", "episodes=2", **places)
    assert done.returncode == 0, done.stderr
    assert "scores: me-cart-evaluation-CartPole-0.json" in done.stdout
    assert Path("me-cart-evaluation-CartPole-0.json").exists()
    short = ["total_timesteps=256", "evaluation.episodes=2", "evaluation.final_episodes=2"]
    done = command("train.py", "env=CartPole", "encoder=homomorphic", "initial=hub:me/cart", *short, **places)
    assert done.returncode == 0, done.stderr
    assert re.search(r"starts from hub:me/cart: (\d+) of \1 parameters", done.stdout)
    done = command("evaluate.py", "policy=hub:me/other", **places)
    assert done.returncode == 2 and done.stderr.startswith("error: hub:me/other: there is no such model repository")
