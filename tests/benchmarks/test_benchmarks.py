"""The benchmarks run as commands and write what they promise; what they measure is never asserted."""

from __future__ import annotations

import math
import re

import pytest
from benchmark_runs import positive, run
from conftest import command
from PIL import Image


@pytest.mark.slow
def test_training_compares_every_form_and_draws_it():
    forms = ("sb3", "engine", "eager")  # not compiled, which takes its time
    options = ("--cases", "CartPole mlp", "--steps", "256", "--repeats", "1", "--picture", "forms.png")
    written = run("training", *options, "--forms", *forms)
    assert {"torch", "stable-baselines3", "python"} <= written["machine"].keys()
    assert len(written["training"]) == 1
    for rows in written["training"].values():
        assert tuple(rows) == forms
        assert all(positive(row.values()) for row in rows.values())
        assert rows["sb3"]["ratio"] == 1
    with Image.open("forms.png") as picture:
        assert min(picture.size) > 200  # a case is a row


@pytest.mark.slow
def test_profile_tells_where_all_of_the_time_goes():
    written = run("training", "--profile", "--cases", "CartPole mlp", "--forms", "eager", "--steps", "256")
    (parts,) = written["microseconds_per_step"].values()
    assert set(parts) == {"minibatch step", "environment step", "acting", "storage", "rest"}
    assert positive(parts.values())


@pytest.mark.slow
def test_wall_keeps_the_time_of_every_seed():
    limits = ("--seeds", "2", "--cap-seconds", "0.5", "--cap-ratio", "1", "--agent", "ppo")
    written = run("training", "--wall", "--cases", "CartPole", *limits, "--overrides", "agent.n_epochs=1")
    forms = written["time_to_learn"]["CartPole"]
    for columns in (forms["stock"], forms["ours"]):
        assert columns["reached"] == [False, False] and len(columns["seconds"]) == 2
        assert positive([*columns["seconds"], *columns["steps"]])


@pytest.mark.slow
def test_engine_compares_grows_and_draws():
    options = ("--sizes", "8", "256", "--seconds", "0.02", "--repeats", "1", "--picture", "engine.png")
    written = run("engine", *options, "CartPole")
    rates = written["steps_per_cpu_second"]["CartPole"]
    assert rates.keys() >= {"bare 1", "gymnasium 8", "gymnasium 256", "batched 8", "batched 256"}
    assert positive(rates.values()) and positive(written["grids"].values()) and len(written["grids"]) == 3
    assert written["cost_by_environments"] == {"CartPole": {"256": 1.0}}
    with Image.open("engine.png") as picture:
        assert min(picture.size) > 300


@pytest.mark.slow
def test_symmetry_cost_compares_with_ordinary_networks():
    written = run("symmetry_cost", "--groups", "C2", "--rounds", "1")
    assert written["ratios"].keys() == {f"{kind} C2 {n}" for kind in ("vectors", "grids") for n in (1, 64, 256, 1024)}
    assert all(row.keys() == {"acting", "forward", "learning", "step"} for row in written["ratios"].values())
    assert all(positive(row.values()) for row in written["ratios"].values())
    assert {"CartPole", "Pendulum", "DoorKey-8x8 full"} <= written["building_ms"].keys()


@pytest.mark.slow
def test_encoders_are_compared_with_convolutions_and_layers_with_those_of_others():
    options = ("--grids", "5", "6", "--batches", "1", "128", "--rounds", "1", "--width", "8", "--picture", "ratios.png")
    written = run("encoders", "--encoders", "mlp", "gnn relations=local", *options)
    names = {"3x3 convolutions", "mlp", "gnn relations=local"}
    assert written["encoders"].keys() == {"5 1", "5 128", "6 1", "6 128"}
    for rows in written["encoders"].values():
        assert rows.keys() == names and all(positive(row.values()) for row in rows.values())
        assert all(rows["3x3 convolutions"][kind] == 1 for kind in ("forward", "learning", "memory"))
    assert written["growth"].keys() == names
    assert all(
        row.keys() == {"5", "6"} and row["5"] == 1 and positive(row.values()) for row in written["growth"].values()
    )
    assert {"one call", "sb3-contrib"} == written["layers"]["an LSTM over 128 steps 128"].keys()
    assert {"HyperLinear, grouped", "a matrix a sample"} < written["layers"]["a generated layer, 28 contexts 1"].keys()
    with Image.open("ratios.png") as picture:
        assert min(picture.size) > 300


@pytest.mark.slow
def test_what_would_exceed_the_memory_is_skipped_and_said():
    options = ("--grids", "5", "--batches", "64", "--rounds", "1", "--width", "8", "--memory", "0.0005")
    done = command("benchmarks/encoders.py", "--encoders", "transformer", *options)
    assert done.returncode == 0, done.stderr
    assert re.search(r"transformer: skipped, about 0\.00\d* GB are more than --memory 0\.0005", done.stdout)


@pytest.mark.slow
def test_an_option_that_an_encoder_has_not_is_refused():
    done = command("benchmarks/encoders.py", "--encoders", "gnn heads=2")
    assert done.returncode == 2 and "encoder.heads" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_cartpole_symmetry_gives_every_method_its_own_learning_rate():
    options = ("--setting", "own", "--methods", "homomorphic", "--seeds", "3", "--choosing", "1")
    written = run("cartpole_symmetry", *options, "--picture", "solved.png")
    (row,) = written["cartpole"]["own"].values()
    assert len(row["steps"]) == 3 and row["chosen_from"].keys() == {"0.0025", "0.005", "0.01"}
    assert str(row["learning_rate"]) == min(row["chosen_from"], key=lambda rate: row["chosen_from"][rate] or math.inf)
    assert all(step % 400 == 0 for step in row["steps"] if step is not None)
    with Image.open("solved.png") as picture:
        assert min(picture.size) > 300


@pytest.mark.slow
def test_minigrid_symmetry_keeps_the_steps_of_every_seed():
    options = ("--environments", "DoorKey-5x5", "--methods", "hard", "none", "--seeds", "2", "--steps", "2048")
    written = run("minigrid_symmetry", *options, "--picture", "shares.png")
    rows = written["minigrid"]["DoorKey-5x5"]
    assert rows.keys() == {"hard", "none"}
    assert all(row["steps"] == [None, None] and row["median"] is None for row in rows.values())
    with Image.open("shares.png") as picture:
        assert min(picture.size) > 300


DRY = ("--device", "cpu", "--env", "DoorKey-5x5", "--encoders", "mlp", "--environments", "8", "--steps", "8")


@pytest.mark.slow
def test_gpu_measures_every_form_in_a_dry_run():
    written = run("gpu", *DRY, "--seconds", "0.1", "--tests", "0")
    assert written["tests"] is None and written["machine"]["device"] == "the CPU"
    rows = written["training"]["mlp"]
    assert rows.keys() == {"eager", "cpu", "sb3"}
    for row in rows.values():
        assert row["environments"] == 8 and positive([row["steps_per_second"], row["warm_up_seconds"]])
        assert row["shares"].keys() == {"environment", "transfer", "acting", "learning", "rest"}
        assert math.isclose(sum(row["shares"].values()), 1)
        assert min(row["shares"][part] for part in ("environment", "acting", "learning")) > 0


@pytest.mark.slow
def test_gpu_runs_its_tests_and_leaves_out_what_it_has_no_time_for():
    written = run("gpu", *DRY, "--seconds", "0.1", "--select", "is_noticed", "--forms", "eager", "sb3")
    assert written["tests"]["status"] == 0 and "1 passed" in written["tests"]["said"][-1]
    late = run("gpu", *DRY, "--minutes", "0.01", "--tests", "0", "--forms", "eager")["training"]["mlp"]["eager"]
    assert "not done in the" in late["failed"]


@pytest.mark.slow
def test_gpu_says_where_there_is_none():
    done = command("benchmarks/gpu.py", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "error: PyTorch sees no CUDA device here; --device cpu makes a dry run at small sizes\n"
