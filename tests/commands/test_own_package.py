"""An encoder and an environment of one's own, in a package outside this project: what a newcomer meets."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys

import gymnasium
import pytest
import torch
from conftest import PROJECT, command

from agents import features, make
from configs import compose
from envs import make_env, make_vec_env, names
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


@pytest.mark.slow
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


FORWARD = "return self.layers(obs)"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            FORWARD,
            "return self.layers(obs)[:, 1:]",
            r"my_pkg\.encoders\.Own promised 8 features.*gave an output of shape \(1, 7\).*should be \(1, 8\)",
        ),
        ('reads = ("vector",)', "", r"encoder Own does not say what it reads.*reads = \('vector',\)"),
        ("self.layers = ", 'if heads == 2: raise ValueError("8 % 3")\n        self.layers = ', "encoder Own: 8 % 3"),
        ("self.layers = ", "width / (heads - 2)\n        self.layers = ", "encoder Own: division by zero"),
        ("self.layers = ", "nn.Linear(1, -width)\n        self.layers = ", "encoder Own: Trying to create tensor with"),
    ],
)
def test_a_fault_of_one_s_own_encoder_is_one_line_with_its_name_before_anything_is_written(old, new, message, package):
    (package / "encoders.py").write_text(ENCODERS.replace(old, new))
    with pytest.raises(ValueError, match=message) as refusal:
        train([*QUICK, *OWN])
    assert "\n" not in str(refusal.value) and not (package.parents[1] / "runs").exists()


@pytest.mark.parametrize("agent", ["ppo", "dqn"])
def test_an_encoder_whose_first_output_is_not_finite_is_not_taken_for_learning_that_diverged(agent, package):
    (package / "encoders.py").write_text(ENCODERS.replace(FORWARD, "return self.layers(obs) * obs.norm() / obs.norm()"))
    options = [option for option in QUICK if agent == "ppo" or not option.startswith("agent.")]
    with pytest.raises(FloatingPointError, match=r"my_pkg\.encoders\.Own is not finite at the first obs") as raised:
        train([*options, *OWN, f"agent={agent}"])
    assert "learning rate" not in str(raised.value)


def test_checking_an_encoder_changes_no_number_and_no_mode(package):
    from my_pkg.encoders import Own

    env = make_vec_env(ENV[1].removeprefix("env.id="), n_envs=2, seed=0)
    policies = []
    for check in (lambda policy: None, features.check_size):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(make, "check_size", check)
            policies.append(make.make_agent(env, Own, "ppo", seed=0).policy)
            policies[-1].drawn = torch.rand(3)
    first, second = policies
    assert torch.equal(first.drawn, second.drawn) and first.training == second.training
    assert {module.training for module in first.modules()} == {module.training for module in second.modules()}
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.slow
def test_help_lists_the_options_of_one_s_own_class_with_their_defaults(package, monkeypatch):
    asked = ["train.py", "--help", "encoder=custom", "encoder.class=my_pkg.encoders.Own"]
    shown = command(*asked, "trust=[my_pkg]", PYTHONPATH=str(package.parent))
    assert shown.returncode == 0 and "encoder.width=8\nencoder.heads=2\n" in shown.stdout
    refused = command(*asked, PYTHONPATH=str(package.parent))
    assert "add trust=[my_pkg]" in refused.stdout and "encoder.width" not in refused.stdout


def test_a_finished_run_says_that_the_file_of_its_encoder_has_changed(package, capsys):
    words = [*QUICK, *OWN]
    train(words)
    capsys.readouterr()
    train(words)
    assert "nothing to train" in (same := capsys.readouterr().out) and "has changed" not in same
    (package / "encoders.py").write_text(ENCODERS + "\n# another law\n")
    train(words)
    assert "the file of my_pkg.encoders.Own has changed since this run was trained" in capsys.readouterr().out


@pytest.mark.slow
def test_an_observation_of_another_shape_than_declared_is_one_line_from_the_shell(package):
    (package / "envs.py").write_text(ENVS.replace("return np.zeros(2, np.float32), {}", "return np.zeros(3), {}"))
    done = command("train.py", *QUICK, *ENV, PYTHONPATH=str(package.parent))
    *_, line = done.stderr.splitlines()
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    shapes = "an observation of shape (3,), and its observation_space declares (2,), in the reset"
    assert f"environment Filmed-v0 returned {shapes}" in line
