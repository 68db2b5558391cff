"""Training, evaluating and comparing as a user does it: commands, folders, files, signals."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import PROJECT, command
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents import load_policy
from compare import compare_runs
from configs.compose import compose, compose_defaults, existing
from envs import make_env, make_vec_env
from evaluate import evaluate, record
from evaluation.rollout import rollout
from evaluation.runs import find_runs, run_folder
from learning.snapshot import read_snapshot
from storage.lock import holding
from train import train

# two updates of CartPole: in the last one a learning rate that falls to zero has arrived there
TINY = {"total_timesteps": 512, "evaluation": {"every": 128, "episodes": 2, "final_episodes": 4}, "progress": False}
FAST = ["total_timesteps=256", "evaluation.every=128", "evaluation.episodes=2", "evaluation.final_episodes=4"]


def test_a_run_leaves_everything_it_promises():
    result = train(TINY, env="DoorKey-5x5", encoder="mlp", seed=3)
    assert result.folder == Path("runs/DoorKey-5x5/ppo-mlp/default/seed=3")
    names = {path.name for path in result.folder.iterdir()}
    assert names > {"config.yaml", "log.txt", "progress.csv", "evaluations.csv", "result.json", "timing.json"}
    assert names > {"learning_curve.png", "policy", "best"}
    assert size_of(result.folder / "learning_curve.png")[0] > 500
    config = yaml.safe_load((result.folder / "config.yaml").read_text())
    assert (config["threads"], config["symmetry"]["method"], config["evaluation"]["every"]) == (1, "none", 128)
    assert "auto" not in (config["device"], config["threads"], config["symmetry"]["method"])
    written = json.loads((result.folder / "result.json").read_text())
    assert written == result.scores and written["episodes"] == 4 and 0 <= written["success"]["mean"] <= 1
    assert "second" not in (result.folder / "result.json").read_text()  # no clocks: the same run gives the same file


def size_of(picture):
    with Image.open(picture) as image:
        return image.size


def test_tensorboard_holds_curves_and_the_configuration():
    folder = train(TINY, env="DoorKey-5x5", encoder="mlp", **{"agent.n_steps": 32, "env.kwargs.max_steps": 20}).folder
    events = EventAccumulator(str(folder)).Reload()
    scalars = set(events.Tags()["scalars"])
    assert scalars >= {"evaluation/return", "evaluation/success", "evaluation/length", "final/return", "final/success"}
    assert scalars >= {"rollout/ep_rew_mean", "rollout/success_rate", "train/loss", "train/gradient_norm", "time/fps"}
    assert "config/text_summary" in events.Tags()["tensors"]
    # before clipping, so it may exceed max_grad_norm; and it is one: recorded and finite
    assert all(np.isfinite(event.value) and event.value > 0 for event in events.Scalars("train/gradient_norm"))


def test_the_same_command_gives_the_same_files():
    first, second = (train(TINY, env="CartPole", encoder="homomorphic", run_dir=name).folder for name in ("a", "b"))
    for name in ("result.json", "evaluations.csv", "policy/policy.safetensors"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_finished_run_is_read_an_unfinished_one_kept_aside_and_another_configuration_refused(capsys):
    first = train(TINY, env="CartPole")
    stamp = (first.folder / "result.json").stat().st_mtime_ns
    assert train(TINY, env="CartPole").scores == first.scores
    assert "is finished: nothing to train" in capsys.readouterr().out
    assert (first.folder / "result.json").stat().st_mtime_ns == stamp
    with pytest.raises(ValueError, match=r"evaluation.final_episodes was \d+, now 11.*overwrite=true"):
        train(TINY, env="CartPole", **{"evaluation.final_episodes": 11})

    (first.folder / "result.json").unlink()
    shutil.rmtree(first.folder / "snapshot")
    train(TINY, env="CartPole")
    assert "an unfinished run was kept aside as" in capsys.readouterr().out
    train(TINY, env="CartPole", overwrite=True)
    aside = sorted(path.name for path in first.folder.parent.iterdir())
    assert aside == ["seed=0", "seed=0.old-1", "seed=0.old-2"]
    assert [run.folder.name for run in find_runs(Path("runs"))] == ["seed=0"]
    # device, threads and the like do not make it another run
    assert train(TINY, env="CartPole", device="cpu", threads=2).scores is not None


def test_a_second_process_in_a_run_folder_says_so_and_stops(tmp_path):
    with holding(tmp_path / "run"):
        second = command("train.py", "env=CartPole", "run_dir=run", *FAST)
    assert second.returncode == 2 and second.stderr.count("\n") == 1
    assert second.stderr.startswith(f"error: {tmp_path / 'run'} is in use: process {os.getpid()} is writing to it")
    assert not (tmp_path / "run").exists()
    assert train(TINY, env="CartPole", run_dir="run").scores is not None


def test_after_a_crash_in_a_save_the_policy_before_is_evaluated_and_that_is_said(caplog):
    run = train(TINY, env="CartPole", run_dir="run").folder
    (run / "policy").rename(run / ".policy.old")  # as between the two renames
    assert evaluate(policy=run, episodes=2)["sampled"]
    assert "run/policy cannot be read (it is missing); the version before it is read instead" in caplog.text
    assert [path.name for path in run.glob("evaluation-*.json")] == ["evaluation-CartPole-0.json"]


@pytest.mark.slow
def test_the_engine_is_decided_and_changes_no_number(capsys):
    mine = train(TINY, env="DoorKey-5x5", run_dir="mine").folder
    assert "8 environments in the batched engine, 10,000 levels" in capsys.readouterr().out.splitlines()[0]
    theirs = train(TINY, env={"name": "DoorKey-5x5", "engine": "gymnasium"}, run_dir="theirs").folder
    assert "8 environments in Gymnasium, 10,000 levels" in capsys.readouterr().out.splitlines()[0]
    configs = [yaml.safe_load((folder / "config.yaml").read_text())["env"] for folder in (mine, theirs)]
    assert [(config["engine"], config["bank"]) for config in configs] == [("batched", 10_000), ("gymnasium", 10_000)]
    for name in ("result.json", "evaluations.csv", "policy/policy.safetensors"):
        assert (mine / name).read_bytes() == (theirs / name).read_bytes()
    # so it is the same run, and the policy belongs to none of them
    assert train(TINY, env={"name": "DoorKey-5x5", "engine": "batched"}, run_dir="theirs").scores is not None
    assert "is finished" in capsys.readouterr().out
    environment = load_policy(mine).spec["environment"]
    assert environment.keys() == {"id", "view", "shuffle", "history", "reward_scale", "kwargs", "bank"}
    with pytest.raises(ValueError, match=r"env.bank was 10000, now 5"):
        train(TINY, env={"name": "DoorKey-5x5", "bank": 5}, run_dir="theirs")
    other = train(TINY, env={"name": "DoorKey-5x5", "bank": 5}, run_dir="other").folder
    assert (mine / name).read_bytes() != (other / name).read_bytes()


@pytest.mark.parametrize(
    ("engine", "bank"),
    [
        ("batched", 0),
        ("gymnasium", 30),
        pytest.param("batched", 30, marks=pytest.mark.slow),
        pytest.param("gymnasium", 0, marks=pytest.mark.slow),
    ],
)
def test_evaluations_play_levels_that_training_never_draws(engine, bank, monkeypatch):
    made = []

    def watched(*arguments, **options):
        env = make_vec_env(*arguments, **options)
        levels, reset, step = set(), env.reset, env.step_wait
        made.append(levels)

        def remembered(result):
            levels.update(info["level_seed"] for info in env.reset_infos)
            return result

        monkeypatch.setattr(env, "reset", lambda: remembered(reset()))
        monkeypatch.setattr(env, "step_wait", lambda: remembered(step()))
        return env

    monkeypatch.setattr("learning.build.make_vec_env", watched)
    monkeypatch.setattr("envs.make_vec_env", watched, raising=False)
    env = {"name": "GoToDoor-5x5", "engine": engine, "bank": bank}
    folder = train(TINY, env=env).folder
    trained, evaluated, known, unknown = made
    for levels in (trained, known):
        assert len(levels) > 3 and max(levels) < (bank or 2**31)
    for levels in (evaluated, unknown):
        assert len(levels) > 3 and min(levels) >= 2**31 and max(levels) < 2**32
    evaluate(policy=str(folder), episodes=3)
    assert min(made[4]) >= 2**31


@pytest.mark.parametrize("seed", [0, 3])
def test_a_film_shows_what_an_evaluation_plays(seed, monkeypatch):
    filmed = []
    monkeypatch.setattr("playing.show.as_gif", lambda pictures, _: filmed.append(pictures) or (b"", (0, 0)))
    policy = load_policy("pretrained/DoorKey-6x6-gnn", device="cpu")
    options = policy.spec["environment"]
    line = record(policy, options, seed, Path("film.gif"))
    played = make_vec_env(**options, n_envs=1, engine="batched", bank=0, first_level=2**31)
    episode = rollout(policy, played, 1, seed=seed)
    assert line.endswith(f"one episode of {episode.lengths[0]} steps, return {episode.returns[0]:.2f}")
    assert len(filmed[0]) == episode.lengths[0] + 1
    played.seed(seed)
    played.reset()
    real = make_env(**options, render_mode="rgb_array")
    real.reset(seed=played.reset_infos[0]["level_seed"])
    assert np.array_equal(filmed[0][0], real.render())
    another = rollout(policy, played, 1, seed=seed + 1)
    assert another.returns[0] != episode.returns[0]


@pytest.mark.slow
def test_what_gymnasium_steps_is_said_in_one_line_with_the_reason():
    done = command("train.py", "env=DoorKey-5x5", "env.kwargs.agent_view_size=5", "agent.n_steps=16", *FAST)
    said = [line for line in done.stderr.splitlines() if line]
    assert said == ["engine=auto: MiniGrid-DoorKey-5x5-v0 runs in Gymnasium: it sees 5x5 cells, not 7x7"]
    assert done.returncode == 0 and "8 environments in Gymnasium, 10,000 levels" in done.stdout


def test_a_run_folder_of_many_differences_has_a_name_that_file_systems_take():
    choices = {"env": "CartPole", "agent": "ppo", "encoder": "mlp", "symmetry": "auto"}
    config = {"seed": 0, **{group: {"name": name} for group, name in choices.items()}}
    first, other = (
        run_folder({**config, "options": dict.fromkeys(map(str, range(99)), value)}, {}).parent.name for value in (1, 2)
    )
    assert max(len(first), len(other)) <= 255 and first != other


def test_run_folders_are_named_by_what_differs_from_the_defaults():
    for overrides, expected in [
        (["env=DoorKey-5x5"], "runs/DoorKey-5x5/ppo-mlp/default/seed=0"),
        (["env=MiniGrid-DoorKey-5x5-v0", "seed=2"], "runs/DoorKey-5x5/ppo-mlp/default/seed=2"),
        (["env=gym", "env.id=CartPole-v1"], "runs/CartPole/ppo-mlp/default/seed=0"),
        (["encoder=lstm", "total_timesteps=9", "device=cpu"], "runs/CartPole/ppo-lstm/default/seed=0"),
        (["agent.gamma=0.9", "agent=dqn"], "runs/CartPole/dqn-mlp/agent.gamma=0.9/seed=0"),
        (["encoder=homomorphic", "symmetry=hard"], "runs/CartPole/ppo-homomorphic-hard/default/seed=0"),
        (["n_envs=2", "encoder.width=8"], "runs/CartPole/ppo-mlp/encoder.width=8,n_envs=2/seed=0"),
        (["env=DoorKey-5x5", "env.engine=gymnasium"], "runs/DoorKey-5x5/ppo-mlp/default/seed=0"),
        (["env=DoorKey-5x5", "env.bank=7"], "runs/DoorKey-5x5/ppo-mlp/env.bank=7/seed=0"),
        (["env=DoorKey-5x5", "env.levels=20"], "runs/DoorKey-5x5/ppo-mlp/env.levels=20/seed=0"),
        (["env=minigrid", "env.id=my_pkg:Room-v0"], "runs/my_pkg_Room-v0/ppo-mlp/default/seed=0"),
        (["env=minigrid", "env.id=MiniGrid-DoorKey-5x5-v0"], "runs/DoorKey-5x5/ppo-mlp/default/seed=0"),
        (["env=MiniGrid-DoorKey-6x6-v0"], "runs/DoorKey-6x6/ppo-mlp/default/seed=0"),  # and not DoorKey-6x6-full
        (["experiment=van-der-pol-2020"], "runs/CartPole/ppo-mlp/experiment=van-der-pol-2020/seed=0"),
        (
            ["env=DoorKey-5x5", "encoder=gnn", "encoder.relations=[right,under]"],
            "runs/DoorKey-5x5/ppo-gnn/encoder.relations=right+under/seed=0",
        ),
        (["env=gym", "env.id=ALE/Pong-v5"], "runs/ALE_Pong-v5/ppo-mlp/default/seed=0"),
    ]:
        assert str(run_folder(compose("train", overrides), compose_defaults(overrides))) == expected


@pytest.mark.slow
def test_a_rollout_needs_neither_the_compiler_nor_matplotlib():
    Path("start.py").write_text(
        "import sys\n"
        "from agents.ppo.algorithm import FastPPO\n"
        "from train import train\n"
        "FastPPO.train = lambda self: sys.exit(str({'torch._dynamo', 'matplotlib.pyplot'} & {*sys.modules}))\n"
        "train(env='DoorKey-5x5', total_timesteps=1024, progress=False)\n"
    )
    assert command(str(Path("start.py").resolve())).stderr.endswith("set()\n")


def test_settings_win_in_the_documented_order():
    assert compose("train", ["env=DoorKey-5x5"])["agent"]["n_steps"] == 128  # tuned, over agent
    assert compose("train", ["env=BabyAI-GoToLocal-v0"])["agent"]["n_steps"] == 128  # its family's
    assert compose("train", ["encoder=lstm"])["env"]["history"] == 4  # encoder, over env
    assert compose("train", ["encoder=lstm", "env.history=2"])["env"]["history"] == 2  # command line, over all
    assert compose("train", ["env=CartPole", "agent=dqn"])["agent"]["batch_size"] == 64
    assert compose("train", ["experiment=van-der-pol-2020"])["agent"]["batch_size"] == 20


@pytest.mark.parametrize("group", ["env", "encoder", "agent", "symmetry", "experiment"])
def test_every_choice_composes(group):
    for choice in sorted(set(existing(group)) - {"gym", "minigrid", "custom"}):  # these need an id or a class
        assert compose("train", [f"{group}={choice}"])


def test_all_settings_of_a_pair_or_a_triple_compose():
    for file in (PROJECT / "configs" / "tuned").rglob("*.yaml"):
        env, agent, *encoder = file.stem.rsplit("-", 2 if file.parent.name == "encoder" else 1)
        chosen = [f"agent={agent}", *(f"encoder={name}" for name in encoder)]
        assert compose("train", [f"env={'Unlock' if env == 'minigrid' else env}", *chosen])


def test_a_sweep_trains_the_grid_and_compare_reports_it():
    sweep = ["train.py", "-m", "env=DoorKey-5x5", "agent.n_steps=16", "encoder=mlp,cnn", "seed=0,1", *FAST]
    done = command(*sweep)
    assert done.returncode == 0, done.stderr
    assert command(*sweep).stdout.count("was finished") == 4
    (compared,) = compare_runs(runs="runs/DoorKey-5x5", measure="return").environments
    assert [(one.label, one.seeds) for one in compared.contenders] == [("cnn", (0, 1)), ("mlp", (0, 1))]
    finals = [
        json.loads(f.read_text())["return"]["mean"] for f in Path("runs/DoorKey-5x5/ppo-mlp").rglob("result.json")
    ]
    assert compared.contenders[1].score.value == pytest.approx(np.mean(finals))
    report = Path("runs/DoorKey-5x5/report")
    assert (report / "results.csv").read_text().count(",return,") == 4
    assert size_of(report / "learning_curves.png")[0] > 500
    assert "cnn and mlp on DoorKey-5x5" in (report / "report.html").read_text()


@pytest.mark.slow
def test_a_failing_run_does_not_stop_the_sweep():
    done = command("train.py", "-m", "env=CartPole", "agent.learning_rate=1e30,1e-3", *FAST)
    assert done.returncode == 1 and "1 of 2 runs failed" in done.stderr and "diverged" in done.stderr
    assert len([*Path("runs").glob("**/result.json")]) == 1


def test_evaluating_writes_scores_and_a_replay(capsys):
    small = {"env.view": "full", "encoder.width": 16, "encoder.channels": 8}
    folder = train(TINY, env="DoorKey-5x5", encoder="gnn", **small).folder
    scores = evaluate(policy=str(folder), episodes=2, seed=5, video="replay.gif")
    assert json.loads((folder / "evaluation-DoorKey-5x5-5.json").read_text()) == scores
    assert {"return", "success", "length"} == set(scores["sampled"]) == set(scores["greedy"])
    with Image.open("replay.gif") as replay:
        assert replay.n_frames > 1
    assert scores == evaluate(policy=str(folder / "policy"), episodes=2, seed=5) | {"policy": str(folder)}

    larger = evaluate(policy=str(folder), env="DoorKey-6x6", episodes=2, output="there.json")
    assert larger["env"] == "DoorKey-6x6" and json.loads(Path("there.json").read_text()) == larger
    with pytest.raises(ValueError, match=r"acts in Discrete\(7\), CartPole"):
        evaluate(policy=str(folder), env="CartPole")


def test_evaluation_leaves_the_random_state_and_the_training_environments_alone():
    """Training with more evaluations gives the same parameters."""
    few = train(TINY, env="CartPole", run_dir="few", **{"evaluation.every": 512})
    many = train(TINY, env="CartPole", run_dir="many", **{"evaluation.every": 64})
    same = "policy/policy.safetensors"
    assert (few.folder / same).read_bytes() == (many.folder / same).read_bytes()


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_an_interruption_saves_what_was_learned_and_says_where(number):
    program = [sys.executable, str(PROJECT / "train.py"), "env=CartPole", "encoder=mlp", "total_timesteps=300000"]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    folder = Path("runs/CartPole/ppo-mlp/default/seed=0")
    while not (folder / "progress.csv").exists() or not (folder / "progress.csv").stat().st_size:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.2)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number and "Traceback" not in err
    assert f"{number.name}: stopping after this rollout; a second signal stops at once\n" in err
    assert "the same command goes on from" in out.splitlines()[-1] and (folder / "snapshot").exists()
    taken = read_snapshot(folder)["steps"]  # one number: learning stops at the step after its snapshot
    assert f"interrupted after {taken:,} steps; the same command goes on from there" in out
    assert out.splitlines()[-1].startswith("interrupted after") and out.splitlines()[-1].endswith(
        str(folder / "policy")
    )
    assert load_policy(folder).predict(np.zeros(4, np.float32)) and not (folder / "result.json").exists()
    assert (folder / "learning_curve.png").exists()
    with pytest.raises(FileNotFoundError, match=f"is not a policy, but it holds some: {re.escape(str(folder))}"):
        load_policy(folder.parent)


def test_diverged_learning_is_an_error_and_not_a_result():
    with pytest.raises(FloatingPointError, match="learning diverged"):
        train(TINY, env="CartPole", **{"agent.learning_rate": 1e30})
    assert not Path("runs/CartPole/ppo-mlp/agent.learning_rate=1e+30/seed=0/result.json").exists()


OUTSIDE = '''
import gymnasium, numpy as np
from gymnasium import spaces
from torch import nn
from encoders.base import Encoder, Flatten

class Corridor(gymnasium.Env):
    """Walk to the right end of five cells."""
    observation_space = spaces.Box(0, 1, (5,), np.float32)
    action_space = spaces.Discrete(2)
    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.at, self.time = 0, 0
        return self.see(), {}
    def see(self):
        return np.eye(5, dtype=np.float32)[self.at]
    def step(self, action):
        self.at, self.time = max(0, min(4, self.at + 2 * int(action) - 1)), self.time + 1
        return self.see(), float(self.at == 4), self.at == 4, self.time == 20, {}

gymnasium.register("Corridor-v0", Corridor)

class MyEncoder(Encoder):
    reads = ("vector",)
    def __init__(self, observation_space, units=8):
        super().__init__(observation_space, units)
        self.layers = nn.Sequential(Flatten(observation_space), nn.Linear(5, units), nn.Tanh())
    def forward(self, obs):
        return self.layers(obs)
'''


@pytest.mark.slow
def test_an_environment_and_an_encoder_of_one_s_own_train_and_play(tmp_path):
    (tmp_path / "my_pkg.py").write_text(OUTSIDE)
    own = [
        "env=gym",
        "env.id=my_pkg:Corridor-v0",
        "encoder=custom",
        "encoder.class=my_pkg.MyEncoder",
        "encoder.units=6",
    ]
    own += ["agent.n_steps=64", "agent.learning_rate=1e-2", *FAST, "total_timesteps=4000"]
    refused = command("train.py", *own, PYTHONPATH=str(tmp_path))
    assert refused.returncode == 2 and "trust=[my_pkg]" in refused.stderr and not Path("runs").exists()
    done = command("train.py", *own, "trust=[my_pkg]", PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    (folder,) = (path.parent for path in Path("runs").rglob("result.json"))
    assert json.loads((folder / "result.json").read_text())["return"]["mean"] == 1  # learned
    policy = f"policy={folder}"
    refused = command("evaluate.py", policy, "episodes=2", PYTHONPATH=str(tmp_path))
    assert refused.returncode == 2 and "trust=[my_pkg]" in refused.stderr
    assert command("evaluate.py", policy, "episodes=2", "trust=[my_pkg]", PYTHONPATH=str(tmp_path)).returncode == 0


ROOM = """
import gymnasium
from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.core.world_object import Goal
from minigrid.minigrid_env import MiniGridEnv

class Room(MiniGridEnv):
    def __init__(self, **kwargs):
        super().__init__(MissionSpace(lambda: "go"), grid_size=5, max_steps=20, **kwargs)
    def _gen_grid(self, width, height):
        self.grid = Grid(width, height)
        self.grid.wall_rect(0, 0, width, height)
        self.place_obj(Goal())
        self.place_agent()
        self.mission = "go"

gymnasium.register("Room-v0", Room)
"""


@pytest.mark.parametrize(
    ("choice", "bank"),
    [
        (["env=gym"], 10_000),
        (["env=minigrid", "env.bank=50", "env.view=full"], 50),
    ],
)
@pytest.mark.slow
def test_a_minigrid_environment_of_one_s_own_runs_in_the_engine(choice, bank, tmp_path):
    (tmp_path / "rooms.py").write_text(ROOM)
    own = ["train.py", *choice, "env.id=rooms:Room-v0", "agent.n_steps=32", *FAST]
    done = command(*own, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert f"8 environments in the batched engine, {bank:,} levels" in done.stdout
    (folder,) = (path.parent for path in Path("runs").rglob("result.json"))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert (config["env"]["engine"], config["env"]["bank"]) == ("batched", bank)
    assert "is finished" in command(*own, PYTHONPATH=str(tmp_path)).stdout
    again = command("evaluate.py", f"policy={folder}", "trust=[rooms]", "episodes=2", PYTHONPATH=str(tmp_path))
    assert again.returncode == 0 and "Gymnasium" not in again.stderr


def test_help_needs_neither_torch_nor_sb3():
    program = "import sys, runpy; sys.argv = ['train.py', '--help']\ntry: runpy.run_path(r'%s', run_name='__main__')\n"
    program += "except SystemExit: pass\nprint(sorted({'torch', 'stable_baselines3'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program % (PROJECT / "train.py")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert done.stdout.strip().endswith("[]") and "encoder: cnn, custom, gnn" in done.stdout, done.stderr


def test_ppo_fast_is_ppo_with_other_hyperparameters():
    result = train(TINY, env="DoorKey-5x5", encoder="mlp", agent={"name": "ppo_fast", "n_steps": 32})
    assert result.scores["agent"] == "ppo_fast" and "ppo_fast-mlp" in str(result.folder)
    assert result.config["agent"]["distinct"] and result.config["agent"]["implementation"] == "eager"
    assert load_policy(result.folder).spec["agent"] == "ppo"


def test_implementation_and_distinct_are_recorded_as_decided_and_auto_finds_its_run_again():
    config = {"env": "DoorKey-5x5", "encoder": "mlp", "agent": {"n_steps": 32}, **TINY}
    first = train(config)
    recorded = yaml.safe_load((first.folder / "config.yaml").read_text())["agent"]
    assert (recorded["implementation"], recorded["distinct"]) == ("eager", True)
    assert train(config).scores == first.scores
    other = train({**config, "agent": {"n_steps": 32, "implementation": "sb3"}})
    assert other.folder != first.folder and other.config["agent"]["distinct"] is False
