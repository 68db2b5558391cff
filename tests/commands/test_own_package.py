"""An encoder and an environment of one's own, in a package outside this project: what a newcomer meets."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys

import gymnasium
import pytest
from conftest import PROJECT

from configs import compose
from envs import make_env, names
from evaluate import evaluate
from train import train

QUICK = ["total_timesteps=64", "evaluation.every=64", "evaluation.episodes=2", "evaluation.final_episodes=2"]
QUICK += ["n_envs=2", "agent.n_steps=32", "progress=false"]
ENVS = """
import gymnasium
import numpy as np


class Corridor(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.zeros(2, np.float32), float(action), self.steps == 4, False, {}


class Filmed(Corridor):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def render(self):
        return np.zeros((8, 8, 3), np.uint8)


gymnasium.register("Corridor-v0", Corridor)
gymnasium.register("Filmed-v0", Filmed)
"""
ENCODERS = """
from torch import nn

from encoders.base import Encoder, Flatten


class Own(Encoder):
    reads = ("vector",)

    def __init__(self, observation_space, width=8, heads=2):
        super().__init__(observation_space, width)
        self.layers = nn.Sequential(Flatten(observation_space), nn.Linear(2, width))

    def forward(self, obs):
        return self.layers(obs)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The folder of `my_pkg`, which can be imported while the test runs."""
    folder = tmp_path / "own" / "my_pkg"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "envs.py").write_text(ENVS)
    (folder / "encoders.py").write_text(ENCODERS)
    monkeypatch.syspath_prepend(folder.parent)
    yield folder
    for module in [name for name in sys.modules if name.split(".")[0] == "my_pkg"]:
        del sys.modules[module]
    for env_id in ("Corridor-v0", "Filmed-v0"):
        gymnasium.registry.pop(env_id, None)


ENV = ["env=gym", "env.id=my_pkg.envs:Filmed-v0"]
OWN = [*ENV, "encoder=custom", "encoder.class=my_pkg.encoders.Own", "trust=[my_pkg]"]


def test_a_yaml_with_only_an_id_takes_the_defaults_of_every_environment(package, tmp_path, monkeypatch):
    configs = tmp_path / "configs"
    shutil.copytree(PROJECT / "configs", configs)
    (configs / "env" / "Corridor.yaml").write_text("id: my_pkg.envs:Corridor-v0\n")
    monkeypatch.setattr(compose, "FOLDER", configs)
    monkeypatch.setattr(names, "CONFIGS", configs / "env")
    names.short_names.cache_clear()
    try:
        result = train([*QUICK, "env=Corridor", "env.reward_scale=0.5"])
        assert result.config["env"]["name"] == "Corridor" and result.config["env"]["reward_scale"] == 0.5
        assert (result.config["env"]["history"], result.config["env"]["normalize"]) == (0, False)
    finally:
        names.short_names.cache_clear()


def test_a_sweep_over_custom_and_another_encoder_is_answered_with_what_to_type():
    for option in ([], ["encoder.class=my_pkg.encoders.Own", "encoder.width=64"]):
        with pytest.raises(ValueError, match=r"custom only.* two commands.* encoder=cnn\. .*class>,<class>") as refusal:
            compose.settle("train", ["encoder=custom,cnn", *option])
        assert "\n" not in str(refusal.value)
    assert compose.settle("train", ["encoder=custom", "encoder.class=a.B,c.D"])[1] == "++encoder.class=a.B,c.D"


def test_trust_in_a_package_covers_the_modules_of_environments_as_it_covers_encoders(package):
    run = train([*QUICK, *OWN])
    assert evaluate(policy=str(run.folder), trust=["my_pkg"], episodes=2)["env"].endswith("Filmed-v0")
    with pytest.raises(ValueError, match=r"my_pkg\.envs.*trust=\[my_pkg"):
        evaluate(policy=str(run.folder), trust=["my_pkg.encoders"], episodes=2)


@pytest.mark.parametrize("start", ["file", "module", "script"])
def test_the_line_printed_for_the_replay_works_when_it_is_pasted(start, package, tmp_path, monkeypatch):
    words = [*QUICK, *(OWN if start == "file" else ENV)]
    (tmp_path / "script.py").write_text(f"from train import train\ntrain({words})\n")
    monkeypatch.setenv("PYTHONPATH", f"{package.parent}" if start == "file" else f"{PROJECT}:{package.parent}")
    started = {"file": [str(PROJECT / "train.py"), *words], "module": ["-m", "train", *words], "script": ["script.py"]}
    done = subprocess.run([sys.executable, *started[start]], capture_output=True, text=True)
    (line,) = [line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if line.strip().startswith("replay ")]
    assert line.startswith("python ")
    pasted = subprocess.run([sys.executable, *shlex.split(line)[1:]], capture_output=True, text=True)
    assert pasted.returncode == 0 and (tmp_path / "replay.gif").exists(), (line, pasted.stderr)


@pytest.mark.filterwarnings("ignore:.*render_mode")  # Gymnasium says it too
@pytest.mark.parametrize("constructor", ["", "def __init__(self, size=3):\n        self.size = size"])
def test_an_environment_that_takes_no_render_mode_is_evaluated_and_its_film_refused(constructor, package):
    text = ENVS.replace("    def reset", f"    {constructor}\n\n    def reset", 1)
    (package / "envs.py").write_text(text)
    run = train([*QUICK, "env=gym", "env.id=my_pkg.envs:Corridor-v0"])
    playing = {"policy": str(run.folder), "trust": ["my_pkg"], "episodes": 2}
    assert evaluate(playing)["sampled"]["length"]["mean"] == 4
    with pytest.raises(
        ValueError, match=r"cannot be filmed: its class takes no render_mode.*without video="
    ) as refusal:
        evaluate(playing, video="film.gif")
    assert "\n" not in str(refusal.value)
    assert make_env("my_pkg.envs:Filmed-v0", render_mode="rgb_array").render_mode == "rgb_array"


def test_an_environment_of_minigrid_s_classes_without_a_symmetry_is_told_how_to_declare_one():
    gymnasium.register("OwnRoom-v0", "minigrid.envs:EmptyEnv")
    try:
        with pytest.raises(
            ValueError, match=r"OwnRoom-v0 declares no symmetry.*register_symmetry \(docs/symmetry.md\)"
        ):
            train([*QUICK, "env=minigrid", "env.id=OwnRoom-v0", "encoder=homomorphic"])
    finally:
        del gymnasium.registry["OwnRoom-v0"]


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("DoorKey-6x6-gnn", r"not constrained: its outputs differ by up to [\d.]+ between symmetric states"),
        ("CartPole-homomorphic", r"equivariance error [\d.]+e-\d+"),
    ],
)
def test_a_policy_that_need_not_obey_a_symmetry_is_not_reported_as_a_defect(policy, said, capsys):
    evaluate(policy=f"pretrained/{policy}", episodes=1, output="scores.json")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("symmetry ")]
    assert re.search(f"{said}$", line)


def test_the_progress_of_training_says_over_how_many_episodes_its_means_are(package, capsys):
    train([*QUICK, "progress=true", *ENV])
    first, *_, last = re.findall(r"return [\d.]+ +\((\d+) episodes?\)", capsys.readouterr().out)
    assert 0 < int(first) < int(last) <= 64 // 4  # each has 4 steps
