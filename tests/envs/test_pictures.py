"""Pictures of levels: what they show, and what is asked for in vain."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from envs import oracle
from envs.arguments import run_command
from envs.pictures import main, pictures, steps_of


def asked(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["levels.py", *words])
    main()


def test_a_level_is_drawn_as_farama_draws_it_with_its_seed_and_fewest_steps():
    seeds = [2**31 + 3, 3]
    drawn = [*pictures("GoToDoor-5x5", seeds, steps_of("GoToDoor-5x5", seeds))]
    env = gymnasium.make("MiniGrid-GoToDoor-5x5-v0", render_mode="rgb_array")
    for seed, level in zip(seeds, drawn, strict=True):
        env.reset(seed=seed)
        assert np.array_equal(level.pixels, env.render())
        steps = oracle("GoToDoor-5x5", seed).steps
        assert level.caption == f"seed {seed}, {steps} step{'s' * (steps > 1)}\n{env.unwrapped.mission}"
    assert steps == 1


def test_training_and_test_levels_are_side_by_side(monkeypatch, capsys):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, file, **_: figures.append((figure, file)))
    asked(monkeypatch, "env=LavaGapS7", "count=3", "levels.png")
    ((figure, file),) = figures
    assert str(file) == "levels.png"
    training, test = figure.subfigs
    for part, title, first in ((training, "training", 0), (test, "test", 2**31)):
        assert part.get_suptitle() == f"LavaGapS7: {title} levels"
        titles = [axis.get_title() for axis in part.axes if axis.get_title()]
        assert [text.split(",")[0] for text in titles] == [f"seed {first + i}" for i in range(3)]
    assert "levels.png: 3 training and 3 test levels of LavaGapS7" in capsys.readouterr().out


def test_levels_of_a_split_are_drawn_as_far_as_there_are_any(monkeypatch, capsys):
    drawn = []
    monkeypatch.setattr("envs.pictures.draw", lambda name, panels, file: drawn.append([*panels.values()]))
    asked(monkeypatch, "env=LavaGapS7", "count=8", "levels=9", "levels.png")
    ((training, test),) = drawn
    assert len({content("MiniGrid-LavaGapS7-v0", seed) for seed in (*training, *test)}) == len(training) + len(test)
    assert max(training) < 2**31 <= min(test)
    assert "levels.png: 8 training and 6 test levels of LavaGapS7" in capsys.readouterr().out


def test_levels_that_a_property_leaves_for_tests_are_drawn(monkeypatch, capsys):
    drawn = []
    monkeypatch.setattr("envs.pictures.steps_of", lambda name, seeds: dict.fromkeys(seeds, "not looked for"))
    monkeypatch.setattr(
        "envs.pictures.pictures", lambda name, seeds, known: drawn.append(seeds) or pictures(name, seeds, known)
    )
    asked(monkeypatch, "env=GoToDoor-5x5", "count=4", "held_out=right", "levels.png")
    env, columns = gymnasium.make("MiniGrid-GoToDoor-5x5-v0").unwrapped, []
    for seed in (*drawn[0], *drawn[1]):
        env.reset(seed=seed)
        columns.append(env.target_pos[0])
    assert max(columns[:4]) < 2 < min(columns[4:]) and len(columns) == 8
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == [
        "looking for levels of GoToDoor-5x5",
        "looking for the fewest steps in 8 levels of GoToDoor-5x5",
    ]


def test_help_is_printed_and_a_mistake_ends_with_2(monkeypatch, capsys):
    for words, code in ((["--help"], None), (["env=DorKey-8x8"], 2)):
        monkeypatch.setattr("sys.argv", ["levels.py", *words])
        with pytest.raises(SystemExit) as end:
            run_command(main)
        assert end.value.code == code
    shown = capsys.readouterr()
    assert "held_out   as in env.held_out=right" in shown.out and "the arguments are: env=... count=16" in shown.out
    assert shown.err.startswith("error: no environment is called 'DorKey-8x8'; did you mean")


def content(id, seed):
    env = gymnasium.make(id)
    env.reset(seed=seed)
    return env.unwrapped.grid.encode().tobytes()


def test_a_picture_without_optima_says_why(monkeypatch, capsys):
    asked(monkeypatch, "env=DynamicObstacles-5x5", "count=1", "few.png")
    assert "where they are not known: its obstacles move at random" in capsys.readouterr().out
    with Image.open("few.png") as picture:
        assert picture.width > 1.5 * picture.height


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "env is missing: python -m envs.levels env=DoorKey-8x8 count=16 levels.png"),
        (["env=DorKey-8x8"], "no environment is called 'DorKey-8x8'; did you mean DoorKey-8x8"),
        (["env=CartPole"], "CartPole has no levels that could be drawn"),
        (["env=CartPole", "levels=3"], "CartPole has no levels"),
        (["env=DoorKey-8x8", "levels=0"], "levels is all, or a whole number, at least 1; got 0"),
        (["env=DoorKey-8x8", "levels=-3"], "levels is all, or a whole number, at least 1; got '-3'"),
        (["env=DoorKey-5x5", "levels=200"], "has at most 48 distinct levels"),
        (["env=DoorKey-8x8", "count=0"], "count is a whole number from 1 to 256; got 0"),
        (["env=DoorKey-8x8", "count=many"], "count is a number like 16, got 'many'"),
        (["env=DoorKey-8x8", "levels.txt"], r"pictures are .png, .pdf, .svg, .jpg files; got levels.txt"),
        (["env=DoorKey-8x8", "nowhere/levels.png"], "there is no folder nowhere"),
        (
            ["env=DoorKey-8x8", "size=3"],
            "cannot read 'size=3'; the arguments are: env=... count=16 levels=all held_out=... file=levels.png",
        ),
    ],
)
def test_what_cannot_be_drawn_is_one_line(words, message, monkeypatch):
    with pytest.raises(ValueError, match=message):
        asked(monkeypatch, *words)
