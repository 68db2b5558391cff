"""A mistake gets one clear message that says what to type next, exit code 2 or 1, no traceback, and loses nothing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import PROJECT, command

from agents import make_agent
from compare import compare_runs
from envs import make_vec_env
from evaluate import evaluate
from evaluation.scores import student_interval, wilson_interval
from train import train

FAST = ["total_timesteps=256", "evaluation.every=128", "evaluation.episodes=2", "evaluation.final_episodes=4"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["env=DoorKey-5x6"], "no environment is called 'DoorKey-5x6'; did you mean DoorKey-6x6 or DoorKey-5x5"),
        (["encoder=transformr"], "no encoder is called 'transformr'; did you mean transformer?"),
        (["agent=poo"], "no agent is called 'poo'; did you mean ppo?"),
        (["experiment=van-der-poll"], "did you mean van-der-pol-2020"),
        (["symmetry=averaged"], "no symmetry is called 'averaged'; did you mean average"),
        (["env=MountainCar", "symmetry=average"], "declares no symmetry, which symmetry=average needs; .*: CartPole"),
        (["encoder=homomorphic", "symmetry=augment"], "encoder=homomorphic obeys the symmetry by construction"),
        (
            ["agent=recurrent_ppo", "symmetry=loss"],
            "agent=recurrent_ppo, whose memory .* use agent=ppo",
        ),
        (["symmetry=loss", "symmetry.weight=-1"], "symmetry.weight is a positive number; got -1"),
        (["symmetry=augment", "symmetry.weight=1"], "no option is called 'symmetry.weight'"),
        (["agent.learningrate=1"], "no option is called 'agent.learningrate'; did you mean agent.learning_rate"),
        (["total_timestep=1"], "did you mean total_timesteps"),
        (["encodr=mlp"], "no option is called 'encodr'; did you mean encoder or"),
        (["encoder=lstm", "encoder.attention=true"], "no option is called 'encoder.attention'"),
        (["encoder=lstm", "encoder.cell=peephole"], "encoder.cell is lstm, gru or rnn"),
        (["encoder=gnn", "env=DoorKey-5x5", "encoder.relations=b4"], "encoder.relations"),
        (["total_timesteps=-5"], "total_timesteps is a whole number, at least 1; got -5"),
        (["total_timesteps=0"], "at least 1; got 0"),
        (["total_timesteps=many"], "got 'many'"),
        (["total_timesteps=1.5"], "at least 1; got 1.5"),
        (["snapshot.every=1e30"], "snapshot.every is .* from 1 to 1,000,000,000,000, or minutes like 10min, .*got 1"),
        (["snapshot.every=0"], "snapshot.every is a whole number of steps from 1"),
        (["snapshot.every=10080.5min"], "at most 10080min; got '10080.5min'"),
        (["snapshot.every=0min"], "minutes like 10min"),
        (["snapshot.every=an hour"], "minutes like 10min.* got 'an hour'"),
        (["n_envs=0"], "n_envs is a whole number"),
        (["agent.n_steps=abc"], "agent.n_steps is a whole number, at least 1; got 'abc'"),
        (["agent.gamma=abc"], "agent.gamma is a number from 0 to 1; got 'abc'"),
        (["agent.use_sde=maybe"], "agent.use_sde is true or false; got 'maybe'"),
        (["agent.learning_rate=0"], "agent.learning_rate is a positive number; got 0"),
        (["encoder.width=0"], "encoder.width is a whole number"),
        (["seed=-1"], "seed is a whole number, at least 0"),
        (["evaluation.episodes=0"], "evaluation.episodes is a whole number"),
        (["threads=none"], "threads is a whole number"),
        (["device=tpu"], "device is auto, cpu or cuda"),
        (
            ["encoder=gnn"],
            "encoder GNN reads grids .* Encoders that read it: homomorphic, hypernetwork, mlp, transformer",
        ),
        (["agent=sac"], "agent=sac cannot act in Discrete.*; these can: ppo, a2c, dqn, qrdqn"),
        (["env=Pendulum", "agent=dqn"], "agent=dqn cannot act in Box"),
        (["env=MountainCar", "encoder=homomorphic"], "MountainCar declares no symmetry.*: CartPole, Acrobot, Pendulum"),
        (["encoder=homomorphic", "symmetry=none"], "use symmetry=auto, or encoder=mlp"),
        (["encoder=mlp", "symmetry=hard"], "promises nothing; use encoder=homomorphic, symmetry=average"),
        (["encoder=homomorphic", "agent=recurrent_ppo"], "LSTM behind the encoder"),
        (["env=DoorKey-5x5", "env.normalize=true"], "standardises vector observations"),
        (["encoder=lstm", "env.history=0"], "env.history=4"),
        (["env=DoorKey-5x5", "env.view=top"], "env.view is one of partial, full, rgb"),
        (["env=DoorKey-5x5", "env.engine=fast"], "env.engine is one of gymnasium, batched, auto, got 'fast'"),
        (
            ["env=DoorKey-5x5", "env.engine=batched", "env.kwargs.agent_view_size=5"],
            "cannot step .*DoorKey-5x5.*sees 5x5 cells.* It steps MiniGrid .*use env.engine=auto or env.engine=gym",
        ),
        (["env=LavaGapS7", "env.engine=batched", "env.kwargs.size=3"], "LavaGapEnv cannot make level 0"),
        (["env=DoorKey-5x5", "env.bank=-1"], "env.bank is a whole number, at least 0; got -1"),
        (["env=DoorKey-5x5", "env.bank=0.5"], "env.bank is a whole number"),
        (["env=DoorKey-5x5", "env.bank=all"], "env.bank is a whole number"),
        (["env=DoorKey-5x5", "env.bank=2147483649"], "env.bank is at most 2147483648: evaluations"),
        (["env=DoorKey-5x5", "env.levels=0"], "env.levels is all, or a whole number, at least 1; got 0"),
        (["env=DoorKey-5x5", "env.levels=-3"], "env.levels is all, or a whole number, at least 1; got -3"),
        (["env=DoorKey-5x5", "env.levels=many"], "env.levels is all, or a whole number, at least 1; got 'many'"),
        (["env=DoorKey-5x5", "env.levels=1.5"], "env.levels is all, or a whole number, at least 1; got 1.5"),
        (["env=DoorKey-5x5", "env.levels=20", "env.bank=50"], "env.levels=20 .* leave env.bank=50 out"),
        (
            ["env=DoorKey-5x5", "env.levels=200"],
            r"env.levels=200: MiniGrid-DoorKey-5x5-v0 has at most 48 distinct levels \(in [\d,]+ seeds\); give fewer",
        ),
        (
            ["env=DoorKey-5x5", "env.levels=20", "env.kwargs.agent_view_size=5"],
            "env.levels=20: the levels of .*DoorKey-5x5-v0 cannot be compared: it sees 5x5 .*; use env.levels=all",
        ),
        (
            ["env=CartPole", "env.levels=5"],
            "no option is called 'env.levels' here: only MiniGrid's environments have levels",
        ),
        (["env=CartPole", "env.bank=5"], "no option is called 'env.bank'"),
        (["env=DoorKey-5x5", "n_envs=1000000000"], "n_envs=1000000000 .* need .* GB of memory .* are free"),
        (["env=minigrid"], "env.id is missing"),
        (["agent.implementation=fast"], "agent.implementation is auto, sb3, eager, compiled; got 'fast'"),
        (["env=Pendulum", "agent.implementation=eager", "agent.use_sde=true"], "cannot do agent.use_sde=true; use sb3"),
        (["agent.distinct=true"], "agent.distinct=true is not possible here: observations are not dicts of bytes"),
        (["precision=fp8"], "precision is float32 or bf16; got 'fp8'"),
        (["precision=bf16", "device=cpu"], "precision=bf16 needs a CUDA device .*; this is cpu"),
        (["precision=bf16", "agent=dqn"], "precision=bf16 is not an option of"),
        (["precision=bf16", "agent=a2c"], "precision=bf16 is not an option of"),
        (["agent.n_steps=100000000", "n_envs=10000", "total_timesteps=1e13"], "takes at most .* are free; take fewer"),
        (["encoder.width=1000000"], r"1,000,009,000,003 parameters takes .* 28,\d{3}\.\d GB .*, and .*encoder.width="),
        (["env=DoorKey-5x5", "encoder=gnn", "encoder.width=300000"], r"takes at least .* GB .* free; .*encoder.width="),
        (["agent=sac", "env=Pendulum", "encoder.width=300000"], r"takes at least .* GB .* free; .*encoder.width="),
        (["encoder=homomorphic", "encoder.channels=1000000"], r"set up .* GB, and .* are free; .*encoder.channels="),
        (["agent=recurrent_ppo", "agent.policy_kwargs.lstm_hidden_size=1000000"], "GB .* free.* agent.policy_kwargs="),
        (["env=gym"], "env.id is missing: give env.id=<value>"),
        (["env=gym", "env.id=1e-400"], "env.id is the id of an environment, like CartPole-v1; got 0.0"),
        (["env=gym", "env.id=[CartPole]"], r"env.id is the id of an environment, like CartPole-v1; got \['CartPole'\]"),
        (["env=gym", "env.id=Nowhere-v0"], "no environment is called 'Nowhere-v0'"),
        (["encoder=custom"], "encoder.class is missing"),
        (["encoder=custom", "encoder.class=os.system"], r"add trust=\[os\]"),
        (["encoder=custom", "encoder.class=os.system", "trust=[os]"], "is not an encoder"),
        (["encoder=cnn,gnn"], "needs -m"),
        (["CartPole"], "not of the form option=value"),
        (["agent.policy_kwargs.net_arch=[64]"], "decided by the encoder"),
        (["env.kwargs.max_episode_steps=1000000000000"], r"can be read again: environment\.kwargs\.max_episode_steps"),
    ],
)
def test_a_mistake_is_named_before_anything_is_written(overrides, message):
    with pytest.raises(ValueError, match=message):
        train(overrides)
    assert not Path("runs").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_device():
    with pytest.raises(ValueError, match="device=cuda, but PyTorch sees no CUDA device here; use device=cpu"):
        train(["device=cuda"])


NOTICES = ("engine=auto: ", "compiling the batched engine")  # what is said on the way


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["train.py", "env=CartPol"], 2),
        pytest.param(["train.py", "encoder=gnn"], 2, marks=pytest.mark.slow),
        (["train.py", "-m", "encoder=mlp,cnnn"], 2),
        (["evaluate.py", "policy=nowhere"], 2),
        pytest.param(["evaluate.py", "episodes=3"], 2, marks=pytest.mark.slow),
        pytest.param(["compare.py", "runs=nowhere"], 2, marks=pytest.mark.slow),
        pytest.param(["compare.py", "runs/a", "runs/b"], 2, marks=pytest.mark.slow),
        (["train.py", *FAST, "run_dir=/proc/inductive"], 1),
    ],
)
def test_from_the_shell_it_is_one_line_and_an_exit_code(arguments, code):
    done = command(*arguments)
    assert done.returncode == code, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line and not line.startswith(NOTICES)]
    assert line.startswith("error: ") and not Path("runs").exists()


def test_a_run_dir_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("precious")
    with pytest.raises(ValueError, match="exists and is not a run folder; give another run_dir"):
        train([*FAST, "run_dir=thesis"])
    train([*FAST, "run_dir=mine"])
    with pytest.raises(
        ValueError, match=r"mine holds a run with another configuration \(encoder.name was mlp, now trans"
    ):
        train([*FAST, "run_dir=mine", "encoder=transformer"])
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "precious"
    assert (tmp_path / "mine" / "result.json").exists()
    done = command("train.py", "-m", "seed=0,1", "run_dir=elsewhere", *FAST)
    assert done.returncode == 2 and "run_dir is the folder of one run" in done.stderr


@pytest.mark.slow
def test_a_full_disk_is_said():
    """A limit on the size of files stands for the full disk: the same OSError from the same calls."""
    program = f"""
import resource, runpy, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.argv = ['train.py', 'run_dir=full', *{FAST}]
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
runpy.run_path({str(PROJECT / "train.py")!r}, run_name='__main__')
"""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    lines = [line for line in done.stderr.splitlines() if line]
    assert done.returncode == 1 and lines[-1].startswith("error: ") and "Traceback" not in done.stderr, done.stderr


def test_evaluating_and_comparing_what_cannot_be(capsys):
    train([*FAST, "run_dir=mine"])
    for options, message in [
        ({"policy": "mine", "episodes": 0}, "episodes is a whole number, at least 1"),
        ({"policy": "mine", "video": "replay.mov"}, "a .gif or .mp4 file"),
        ({"policy": "mine", "env": "Pendulum"}, "the policy acts in"),
        ({"policy": "mine", "env": "CartPool"}, "did you mean CartPole"),
        ({"policy": "mine", "device": "tpu"}, "device is auto"),
        ({"policy": "mine", "episods": 3}, "no option is called 'episods'; did you mean episodes"),
        ({"episods": 3}, "no option is called 'episods'; did you mean episodes"),
        ({"episodes": 3}, "policy is missing"),
        ({"policy": "mine", "env.view": "full"}, "env.view is the policy's own"),
    ]:
        with pytest.raises(ValueError, match=message):
            evaluate(options)
    with pytest.raises(FileNotFoundError, match="there is no policy in nowhere"):
        evaluate(policy="nowhere")
    with pytest.raises(ValueError, match="figures is true or false; got 3"):
        compare_runs(runs="mine", figures=3)
    Path("mine/result.json").unlink()
    with pytest.raises(ValueError, match="no finished run"):
        compare_runs(runs="mine")
    Path("mine/config.yaml").write_text("a: [")
    with pytest.raises(ValueError, match="no finished run"):
        compare_runs(runs="mine")
    assert "warning: left out: mine/config.yaml is damaged: " in capsys.readouterr().err


def test_an_option_that_a_class_does_not_have_is_named_with_those_it_has():
    env = make_vec_env("DoorKey-5x5", n_envs=2, seed=0)
    for encoder, options, message in [
        ("gnn", {"learing_rate": 1}, "PPO has no option 'learing_rate'; it has: learning_rate, n_steps"),
        ("gn", {}, "no encoder is called 'gn'; there is: cnn, gnn"),
    ]:
        with pytest.raises(ValueError, match=message):
            make_agent(env, encoder, "ppo", **options)


def test_help_shows_what_the_options_of_a_choice_can_be():
    shown = command("train.py", "--help", "encoder=gnn")
    assert shown.returncode == 0
    assert re.search(r"encoder.layer=rgcn +gcn: one matrix for all neighbours", shown.stdout)


def test_intervals_are_those_of_the_textbooks():
    # Wilson (1927) for 8 of 10, and Student's for three seeds: mean ± 4.303 s/√3
    proportion = wilson_interval(np.array([1] * 8 + [0] * 2))
    assert proportion == pytest.approx((0.8, 0.4901625, 0.9433178), abs=1e-6)
    assert student_interval(np.array([1.0, 2.0, 3.0])) == pytest.approx((2, 2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5))
    assert student_interval(np.array([0.0, 1.0, 1.0]), within=(0, 1))[1:] == (0, 1)
    assert wilson_interval(np.ones(10)).high == 1 and student_interval(np.array([5.0])) == (5, 5, 5)


def test_a_zip_that_is_not_there_is_said_in_plain_words():
    with pytest.raises(FileNotFoundError, match=r"^there is no file nowhere\.zip$"):
        evaluate(policy="nowhere.zip", env="CartPole")


def test_a_policy_of_grids_in_another_kind_of_environment_is_not_told_of_options_that_nobody_gave():
    with pytest.raises(ValueError, match=r"^the policy acts in Discrete\(7\), CartPole-v1 in Discrete\(2\)$"):
        evaluate(policy="pretrained/DoorKey-6x6-gnn", env="CartPole")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGPIPE")
def test_a_reader_that_leaves_ends_the_program_without_a_word():
    reading, writing = os.pipe()
    os.close(reading)
    program = [sys.executable, str(PROJECT / "train.py"), "--help", "encoder=gnn"]
    done = subprocess.run(program, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert done.stderr == "" and done.returncode == -signal.SIGPIPE


def test_a_policy_file_asks_for_no_enormous_grid_under_a_short_name_either(tmp_path):
    shutil.copytree(PROJECT / "pretrained" / "DoorKey-6x6-gnn", tmp_path / "huge")
    (tmp_path / "huge" / "manifest.json").unlink()
    written = yaml.safe_load((tmp_path / "huge" / "policy.yaml").read_text())
    written["environment"] |= {"id": "Empty-8x8", "kwargs": {"size": 10**9}}
    (tmp_path / "huge" / "policy.yaml").write_text(yaml.safe_dump(written))
    with pytest.raises(ValueError, match=r"environment.kwargs.size is at most 1,000 in MiniGrid"):
        evaluate(policy=str(tmp_path / "huge"), episodes=1)
