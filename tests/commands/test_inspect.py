"""`evaluate.py inspect=page.html`: a page for every encoder, that a reader can use, and what cannot be."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT

from agents import load_policy, make_agent
from agents.saved.policy import Policy
from envs import make_vec_env
from envs.shuffle import unshuffled
from evaluate import evaluate
from inspecting.images import UNSEEN
from inspecting.measures import Network, targets, units
from inspecting.page import inspect
from playing.choose import environment_options

sys.path.append(str(PROJECT / "tests" / "comparing"))
from browser import browser, chromium

POLICIES = {  # a policy -> the sections that its page has beside the first
    "DoorKey-8x8-cnn": {"units-of-its-convolutional-layers"},
    "LavaCrossingS9N1-homomorphic": {"units-of-its-convolutional-layers"},
    "MultiRoom-N2-S4-lstm": {"units-of-its-convolutional-layers"},
    "DoorKey-6x6-gnn": {"relations"},
    "GoToDoor-5x5-transformer": {"attention"},
    "LavaGapS7-hypernetwork": {"generated-weights"},
    "Acrobot-mlp": set(),
    "Pendulum-homomorphic": set(),
}
QUICK = ("Acrobot-mlp", "LavaGapS7-hypernetwork")
SHOWN = "[data-moment]:not([hidden])"
LARGEST = 3_000_000  # bytes
EVERY = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in POLICIES]


class Parsed(HTMLParser):
    """The sections of a page, and its pictures without an alternative text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sections: set[str] = set()
        self.unnamed: list[str] = []
        self.moments: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "section":
            self.sections.add(given["id"])
        if tag == "img" and "alt" not in given:
            self.unnamed.append(given.get("src", ""))
        if given.get("role") == "img" and not given.get("aria-label"):
            self.unnamed.append(str(given))
        if "data-moment" in given:
            self.moments.add(given["data-moment"])


def written(name: str) -> str:
    policy = load_policy(PROJECT / "pretrained" / name)
    options = environment_options(policy, {"trust": [], "policy": name})
    said = inspect(policy, options, 0, name, Path("page.html"))
    assert said.startswith("inspect: page.html, ")
    return Path("page.html").read_text()


@pytest.mark.parametrize("name", EVERY)
def test_a_page_has_what_the_encoder_has_and_says_what_it_has_not(name):
    page = written(name)
    found = Parsed(page)
    assert found.sections == {"what-it-does-and-why", "missing"} | POLICIES[name]
    assert found.unnamed == [] and 2 <= len(found.moments) <= 12
    for section, encoder in (("relations", "gnn"), ("attention", "transformer"), ("generated-weights", "hypernetwork")):
        assert (section in POLICIES[name]) != (f"encoder={encoder}" in page), encoder
    assert not re.search(r"https?://", page) and len(page) < LARGEST and "nan" not in re.findall(r">([^<]*)<", page)


@pytest.mark.parametrize("trunk", ["nature", "impala"])
@pytest.mark.slow
def test_a_page_of_pixels_shows_the_picture_that_a_unit_stands_for(trunk):
    env = make_vec_env("DoorKey-5x5", n_envs=1, seed=0, view="rgb")
    model = make_agent(env, "cnn", "ppo", encoder_options={"trunk": trunk}, seed=0, device="cpu")
    env.close()
    options = {"id": "DoorKey-5x5", "view": "rgb", "kwargs": {"max_steps": 5}}
    inspect(Policy.of(model), options, 0, trunk, Path("page.html"))
    page = Path("page.html").read_text()
    assert "pixels that channel" in page and "patch of 8 × 8 pixels" in page and len(page) < LARGEST
    assert page.count("<h3>Layer ") == 6 * {"nature": 3, "impala": 6}[trunk]


def test_in_a_shuffled_grid_what_is_said_of_a_cell_stands_where_the_cell_lies():
    shuffle = 3
    env = make_vec_env("DoorKey-5x5", n_envs=4, seed=0, shuffle=shuffle)
    model = make_agent(env, "cnn", "ppo", seed=0, device="cpu")
    states = env.reset()
    env.close()
    network = Network(Policy.of(model), states, shuffle)
    hidden = unshuffled(states["image"][..., 0] == UNSEEN, shuffle).swapaxes(1, 2)
    assert hidden.any() and not hidden.all()
    for target in targets(network):  # a hidden cell is replaced by itself
        assert ((target.occlusion == 0) == hidden).all()
    for unit in units(network, states)[0][0]:
        x, y = unit.cell
        around = np.zeros(hidden.shape[1:], bool)
        around[max(x - 1, 0) : x + 2, max(y - 1, 0) : y + 2] = True  # in the shuffled grid
        assert ((unit.strength > 0) == unshuffled(around, shuffle).T).all()


@pytest.mark.parametrize("agent", ["dqn", "qrdqn"])
@pytest.mark.slow
def test_a_policy_that_chooses_by_values_shows_them(agent):
    env = make_vec_env("CartPole", n_envs=1, seed=0)
    model = make_agent(env, "mlp", agent, seed=0, device="cpu")
    env.close()
    inspect(Policy.of(model), {"id": "CartPole"}, 0, agent, Path("page.html"))
    assert "value of its best action" in Path("page.html").read_text()


@pytest.mark.slow
def test_evaluating_writes_the_page_too(capsys):
    policy = str(PROJECT / "pretrained" / "CartPole-homomorphic")
    evaluate({"episodes": 1, "output": "scores.json", "inspect": "page.html"}, policy=policy)
    assert "inspect: page.html, 12 moments of one episode of 500 steps" in capsys.readouterr().out
    assert "pole angle" in Path("page.html").read_text()


@pytest.mark.skipif(chromium() is None, reason="no Chromium here: apt-get install chromium")
@pytest.mark.slow
def test_a_reader_moves_through_the_moments_and_the_page_asks_nobody_for_anything(tmp_path):
    written("DoorKey-8x8-cnn")
    with browser(tmp_path / "profile") as page:
        page.open(Path("page.html"))

        def shown() -> list[str]:
            return page.value(
                "[...document.querySelectorAll('[data-moment]:not([hidden])')].map(e => e.dataset.moment)"
            )

        def said() -> str:
            return page.value("document.getElementById('which').textContent")

        assert shown() == ["0", "0"] and said().startswith("moment 1 of 12, after 0 steps")
        assert page.value("document.getElementById('earlier').disabled")
        page.click("#later")
        page.click("#later")
        assert shown() == ["2", "2"] and said().startswith("moment 3 of 12")
        page.click("#earlier")
        assert shown() == ["1", "1"]
        page.click("#moment")  # its middle
        assert said().startswith(("moment 6", "moment 7"))
        assert page.value(f"[...document.querySelectorAll('{SHOWN} img')].every(e => e.naturalWidth > 0)")
        frame = f"getComputedStyle(document.querySelector('{SHOWN} .seen'))"
        assert page.value(f"{frame}.backgroundImage").startswith('url("data:image/png')
        assert page.value(f"parseFloat({frame}.height)") > 100
        page.open(Path("page.html"), width=390, scheme="dark")
        assert page.value("document.documentElement.scrollWidth") <= 390
        assert all(url.startswith(("data:", "file:")) for url in page.requests) and page.errors == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": str(PROJECT / "pretrained" / "MemoryS7-mlp")}, "inspect= needs a policy without memory"),
        ({"policy": "nowhere", "inspect": "page.pdf"}, r"inspect is the name of a \.html file; got page.pdf"),
        ({"policy": "nowhere", "inspect": "no/page.html"}, "inspect=no/page.html: there is no folder no"),
        ({"policy": "nowhere", "shift": "mirror"}, "inspect= draws levels as they are, and shift= changes them"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_played(options, message, capsys):
    with pytest.raises(ValueError, match=message):
        evaluate({"episodes": 1, "inspect": "page.html", **options})
    assert not capsys.readouterr().out
