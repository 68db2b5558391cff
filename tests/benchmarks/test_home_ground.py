"""The home-ground comparison: networks of one size, one budget and one setting; what the table says and where from."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from conftest import PROJECT, command
from PIL import Image

from configs.compose import compose, existing
from encoders.resolve import resolve
from envs import make_env
from evaluation.runs import find_runs
from learning.build import encoder_options, env_options
from learning.decide import decide

ENCODERS = ["mlp", "cnn", "lstm", "gnn", "transformer", "hypernetwork"]
TINY = ["evaluation.every=256", "evaluation.episodes=1", "evaluation.final_episodes=2", "agent.n_steps=16"]
SHARED = ("learning_rate", "n_steps", "batch_size", "n_epochs", "gamma", "gae_lambda", "clip_range", "ent_coef")


@pytest.fixture
def benchmark(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    import home_ground

    return home_ground


def parameters(*overrides: str) -> int:
    """Of the encoder that a configuration builds."""
    config = compose("train", overrides)
    options = encoder_options(config)
    encoder = resolve(config["encoder"]["class"])(make_env(**env_options(config)).observation_space, **options)
    return sum(parameter.numel() for parameter in encoder.parameters())


def apart(counts: list[int]) -> float:
    return max(counts) / min(counts)


def test_networks_are_within_a_fifth_of_one_size():
    counts = [parameters("experiment=home-ground", "env=LavaCrossingS9N1", f"encoder={name}") for name in ENCODERS]
    assert apart(counts) < 1.2
    assert apart([parameters("env=LavaCrossingS9N1", f"encoder={name}") for name in ENCODERS]) > 1.2


def test_networks_that_fit_any_grid_are_too(benchmark):
    task = benchmark.TASKS["size-transfer"]
    counts = [parameters(*benchmark.overrides_of(task, column)) for column in task.columns]
    assert apart(counts) < 1.2
    larger = [benchmark.overrides_of(task, column, ["env.id=MiniGrid-DoorKey-8x8-v0"]) for column in task.columns]
    assert [parameters(*overrides) for overrides in larger] == counts


@pytest.mark.slow
def test_every_run_of_a_task_has_the_same_budget_and_setting(benchmark):
    for task in benchmark.TASKS.values():
        configs = [compose("train", benchmark.overrides_of(task, column)) for column in task.columns]
        settings = [
            [config["total_timesteps"], config["n_envs"], *map(config["agent"].get, SHARED)] for config in configs
        ]
        assert all(setting == settings[0] for setting in settings)
        assert {*task.favoured} <= {*task.columns}
    assert {*benchmark.ENCODERS} == {*ENCODERS} <= {*existing("encoder")}


@pytest.mark.slow
def test_a_sweep_lands_in_folders_that_say_so():
    chosen = ["experiment=home-ground", "env=LavaCrossingS9N1", "encoder=mlp,gnn", "seed=3"]
    done = command("train.py", "-m", *chosen, "total_timesteps=256", *TINY[:-1], "progress=false")
    assert done.returncode == 0, done.stderr
    runs = find_runs(Path("runs"))
    folders = {f"runs/LavaCrossingS9N1/ppo_fast-{encoder}/experiment=home-ground/seed=3" for encoder in ("mlp", "gnn")}
    assert {str(run.folder) for run in runs} == folders
    widths = {run.config["encoder"]["name"]: run.config["encoder"]["width"] for run in runs}
    assert widths == {"mlp": 80, "gnn": 128}


@pytest.mark.slow
def test_the_table_comes_from_run_folders_and_what_is_missing_is_trained():
    chosen = ["--tasks", "memory", "size-transfer", "--encoders", "cnn", "recurrent_ppo", "--seeds", "1"]
    chosen += ["--episodes", "2", "--overrides", *TINY, "--steps", "256"]
    none = command("benchmarks/home_ground.py", *chosen)
    assert none.returncode == 2 and "train them: benchmarks/home_ground.py --run" in none.stderr
    made = command("benchmarks/home_ground.py", "--run", *chosen, "--json", "first.json", "--picture", "tasks.png")
    assert made.returncode == 0, made.stderr
    assert "3 of 3 runs are missing" in made.stdout
    written = json.loads(Path("first.json").read_text())
    assert {"torch", "minigrid", "python"} <= written["machine"].keys()
    rows = written["home_ground"]
    assert {task: [*row] for task, row in rows.items()} == {
        "memory": ["cnn", "recurrent_ppo"],
        "size-transfer": ["cnn"],
    }
    with Image.open("tasks.png") as picture:
        assert min(picture.size) > 300

    (tested,) = Path("runs").rglob("evaluation-DoorKey-8x8-0.json")
    score = json.loads(tested.read_text())["sampled"]["success"]["mean"]
    assert rows["size-transfer"]["cnn"]["success"] == {"0": score}
    (trained,) = (run for run in find_runs(Path("runs/MemoryS7")) if run.config["agent"]["name"] == "recurrent_ppo")
    assert rows["memory"]["recurrent_ppo"]["success"] == {"0": trained.result["success"]["mean"]}

    shutil.rmtree("runs/MemoryS7/ppo_fast-cnn")
    again = command("benchmarks/home_ground.py", *chosen)
    assert again.returncode == 0 and "parameters: cnn" in again.stdout
    assert not list(Path("runs/MemoryS7").glob("ppo_fast-cnn"))  # without --run nothing is trained
    other = command("benchmarks/home_ground.py", "--run", *chosen[:-1], "512")
    assert other.returncode == 2 and "total_timesteps was 256, now 512" in other.stderr


def test_the_table_marks_theory_s_choice_and_the_highest(benchmark, capsys, tmp_path):
    for seed, (mlp, lstm) in enumerate([(0.5, 0.9), (0.4, 1.0), (0.6, None)]):
        for column, success in (("mlp", mlp), ("lstm", lstm)):
            (job,) = (job for job in benchmark.jobs_of(["memory"], [column], 3) if job.seed == seed)
            if success is not None:
                job.folder.mkdir(parents=True)
                config, _ = decide(compose("train", job.overrides))
                (job.folder / "config.yaml").write_text(yaml.safe_dump(config))
                measured = {"mean": success, "low": 0.0, "high": 1.0}
                result = {
                    **{key: config[key]["name"] for key in ("env", "agent", "encoder")},
                    **{"seed": seed, "steps": 256, "episodes": 2, "return": measured, "success": measured},
                    "parameters": {"encoder": 200, "head": 9},
                }
                (job.folder / "result.json").write_text(json.dumps(result))
    rows = benchmark.rows_of(benchmark.jobs_of(["memory"], ["mlp", "lstm"], 3))
    assert rows["memory"]["mlp"]["success"] == {0: 0.5, 1: 0.4, 2: 0.6}
    benchmark.print_table(rows, ["mlp", "lstm", "gnn"], 3)
    *_, header, line, sizes = capsys.readouterr().out.splitlines()
    assert header.split() == ["task", "mlp", "lstm", "highest"]
    # ± t(2)·0.1/√3, and of two seeds ± t(1)·0.0707/√2, cut at 1
    assert re.split("  +", line) == ["memory", "0.50 [0.25, 0.75]", "*0.95 [0.31, 1.00] (2)", "lstm"]
    assert sizes == "parameters: mlp 209, lstm 209"
