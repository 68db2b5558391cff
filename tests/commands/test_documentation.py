"""What README and docs show is what happens: their Python runs, and every command in them is one that works."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest
from conftest import PROJECT, command

import lab
from configs.compose import compose, settle
from configs.grid import grid_of, jobs, parted

PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
SNIPPETS = [
    pytest.param(code, id=f"{page.name}-{number}")
    for page in PAGES
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL))
]
PROGRAMS = ("python", "pip", "pytest", "mkdocs", "make", "tensorboard", "bash")
SHORT = [
    "n_envs=2",
    "total_timesteps=64",
    "evaluation.every=64",
    "evaluation.episodes=1",
    "evaluation.final_episodes=1",
]


def commands_of(text: str) -> list[str]:
    """The commands in a page: lines of code blocks, and code in a line, that begin with a program's name."""
    found = re.findall(rf"(?:^ {{4}}|`|^)((?:{'|'.join(PROGRAMS)}) [^`\n]*)", text, flags=re.MULTILINE)
    return [part.partition("#")[0].strip() for line in found for part in line.split("&&")]


COMMANDS = sorted({each for page in PAGES for each in commands_of(page.read_text())})


class Read(Exception):
    """The arguments of a program were read, and it stopped there."""


def jobs_of(entry: str, words: list[str]) -> list[list[str]]:
    """The jobs of a command with these overrides."""
    settled = settle(entry, parted(entry, words)[1])
    return jobs(settle(entry, grid_of(settled)) + settled)


def each_choice_once(combinations: list[list[str]]) -> Iterator[list[str]]:
    """As many of a sweep's combinations as hold every choice."""
    met: set[str] = set()
    for job in combinations:
        if not met.issuperset(job):
            met.update(job)
            yield job


def check(text: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether a command of a page would be taken; returns what kind it is.

    Raises:
        Exception: it would not.
    """
    program, *words = shlex.split(text.replace("<run folder>", "run").replace("claim=<name>", "claim=reductions"))
    if program == "python" and words[0] in ("train.py", "tune.py", "evaluate.py", "compare.py"):
        entry, options = words[0].removesuffix(".py"), [word for word in words[1:] if not word.startswith("-")]
        needed = {"evaluate": ["policy=run"], "compare": ["runs=run"]}.get(entry, [])
        named = [word for word in options if "=" in word] if entry in ("train", "tune") else options
        for job in each_choice_once(jobs_of(entry, named)) if named or not needed else []:
            assert compose(entry, job)
        return entry
    if program == "python" and words[0] == "lab.py":
        lab.can_be_measured(words[1:])
        return "lab"
    if program == "python" and words[0] == "-m":
        assert importlib.util.find_spec(words[1])
        if words[2:]:
            monkeypatch.setattr(sys, "argv", words[1:])
            for module in (words[1], f"{words[1]}.__main__"):  # a snippet or a test may have imported it
                monkeypatch.delitem(sys.modules, module, raising=False)
            arguments = importlib.import_module("envs.arguments")
            only_read(monkeypatch, arguments, "read_arguments")
            only_read(monkeypatch, argparse.ArgumentParser, "parse_args")
            with pytest.raises(Read):
                runpy.run_module(words[1], run_name="__main__")
        return "module"
    if program == "python":
        assert words[0].startswith("benchmarks/"), text
        monkeypatch.setattr(sys, "argv", words)
        monkeypatch.syspath_prepend(PROJECT / "benchmarks")
        only_read(monkeypatch, argparse.ArgumentParser, "parse_args")
        with pytest.raises(Read):
            runpy.run_path(str(PROJECT / words[0]), run_name="__main__")
        return "benchmark"
    if program == "pip":
        extras = re.findall(r"\[(.*)\]", text)
        known = re.findall(r"^([\w]+) = \[\"", (PROJECT / "pyproject.toml").read_text(), flags=re.MULTILINE)
        assert {extra for each in extras for extra in each.split(",")} <= {*known}, known
    elif program == "make":
        assert re.search(rf"^{words[0]}:", (PROJECT / "Makefile").read_text(), flags=re.MULTILINE), text
    elif program in ("bash", "pytest"):
        assert all((PROJECT / word).exists() for word in words if "/" in word), text
    elif program == "mkdocs":
        assert words[0] in ("build", "serve") and (PROJECT / "mkdocs.yml").exists()
    return program


def only_read(monkeypatch, owner, name):
    """Make a function that reads the command line the last thing that a command does."""
    read = getattr(owner, name)

    def then_stop(*arguments, **options):
        read(*arguments, **options)
        raise Read

    monkeypatch.setattr(owner, name, then_stop)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippets_run(snippet):
    exec(compile(snippet, "snippet", "exec"), {"__name__": "snippet"})


def test_the_readme_puts_an_encoder_into_a_plain_sb3_script():
    code = (PROJECT / "README.md").read_text()
    assert "from encoders.gnn import GNN" in code and "from stable_baselines3 import PPO" in code


@pytest.mark.parametrize("text", COMMANDS)
def test_every_command_is_one_that_works(text, monkeypatch, tmp_path):
    (tmp_path / "docs").mkdir()
    assert check(text, monkeypatch)


def test_commands_of_every_kind_are_found():
    found = {tuple(text.split()[: 2 if text.startswith("python ") else 1]) for text in COMMANDS}
    entries = {("python", word) for word in ("train.py", "evaluate.py", "compare.py", "-m")}
    assert found >= entries | {(program,) for program in PROGRAMS if program != "python"}


@pytest.mark.parametrize(
    "text",
    [
        "python train.py env=DoorKey-6x6 encoder=gmn",
        "python train.py env=CartPole agent.learning_rat=1",
        "python evaluate.py policy=run episode=3",
        "python -m envs.check_symmetry env=CartPole step=3",
        "python benchmarks/overlap.py --no-such-option",
        "python lab.py claim=no_such_claim",
        'pip install -e ".[no-such-extra]"',
        "make no-such-target",
        "pytest tests/no_such_test.py",
    ],
)
def test_a_command_that_would_fail_is_noticed(text, monkeypatch):
    with pytest.raises((Exception, SystemExit)):
        check(text, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("text", [each for each in COMMANDS if each.startswith("python train.py -m")])
def test_every_combination_of_a_sweep_composes(text):
    combinations = jobs_of("train", shlex.split(text)[3:])
    for job in sorted({tuple(word for word in job if not word.startswith("seed=")) for job in combinations}):
        assert compose("train", job)


@pytest.mark.slow
@pytest.mark.parametrize("text", [each for each in COMMANDS if each.startswith("python train.py") and "=" in each])
def test_every_training_command_trains(text):
    words = [word for word in shlex.split(text)[1:] if word not in ("-m", "--help")]
    job = jobs_of("train", words[1:])[0]
    if "--help" in text:
        return
    done = command("train.py", *job, *SHORT)
    if "MuJoCo is not installed" in done.stderr:
        pytest.skip("MuJoCo is not installed")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_an_encoder_added_as_the_readme_says_meets_the_laws_of_all_others(tmp_path):
    for file in subprocess.check_output(["git", "ls-files"], cwd=PROJECT, text=True).split():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / file, tmp_path / file)
    readme = (PROJECT / "README.md").read_text()
    (code,) = [each for each in re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL) if "(Encoder)" in each]
    options = re.search(r"sine.yaml`:\n\n((?: {4}.*\n)+)", readme)
    assert options
    (tmp_path / "encoders" / "sine.py").write_text(code)
    yaml = tmp_path / "configs" / "encoder" / "sine.yaml"
    yaml.write_text(textwrap.dedent(options[1]))

    def run(*words):
        return subprocess.run([sys.executable, *words], cwd=tmp_path, env=own, capture_output=True, text=True)

    own = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = run("train.py", "env=CartPole", "encoder=sine", *SHORT)
    assert done.returncode == 0, done.stderr
    laws = ["-m", "slow or not slow", "-k", "sine or option", "tests/encoders/test_encoders.py"]
    for tests in (laws, ["tests/agents/test_cuda.py"]):
        done = run("-m", "pytest", "-n0", *tests)
        assert done.returncode == 0, done.stdout
    # and they see it: one whose constructor and YAML disagree is noticed
    yaml.write_text(yaml.read_text().replace("width: 64", "width: 32"))
    assert "sine" in run("-m", "pytest", "-n0", *laws).stdout


def test_the_site_has_every_page():
    listed = set(re.findall(r"(\w+\.md)$", (PROJECT / "mkdocs.yml").read_text(), flags=re.MULTILINE))
    assert listed == {page.name for page in (PROJECT / "docs").glob("*.md")}
