"""The share of the best possible return: in evaluations, in results of runs, and in their tables."""

from __future__ import annotations

import json

import numpy as np
import pytest

from envs import make_vec_env, oracle
from evaluate import evaluate
from evaluation.report import result_table
from evaluation.rollout import Episodes, rollout
from evaluation.runs import read_run
from evaluation.scores import ratio_interval
from playing.optimum import best_of, of_optimal
from train import train

TINY = {"total_timesteps": 64, "evaluation": {"every": 64, "episodes": 2, "final_episodes": 4}, "progress": False}


class Shortest:
    """Plays a shortest way in every level, `late` steps of turning round first."""

    def __init__(self, env, id, late=0):
        self.env, self.id, self.late, self.ways = env, id, late, [[] for _ in range(env.num_envs)]

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        for i in np.flatnonzero(episode_start):
            actions = oracle(self.id, self.env.reset_infos[i]["level_seed"]).actions
            self.ways[i] = [0] * self.late + actions.tolist()
        return np.array([way.pop(0) for way in self.ways]), None


def test_the_shortest_ways_get_all_of_the_best_return():
    options = {"id": "DoorKey-5x5", "kwargs": {"max_steps": 40}}
    shares = []
    for late in (0, 4):
        env = make_vec_env(**options, n_envs=3, engine="batched", bank=0)
        played = rollout(Shortest(env, "DoorKey-5x5", late), env, 6, seed=1)
        assert played.successes.all()
        shares.append(of_optimal(played, best_of(played.levels, options))["of_optimal"])
    assert shares[0] == {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert shares[1]["mean"] == pytest.approx(1 - 0.9 * 4 / 40 / (played.returns.mean() + 0.9 * 4 / 40))


def test_the_share_is_a_ratio_of_sums():
    returns, best = np.array([0.0, 1.0, 0.5, 0.5]), np.array([0.5, 1.0, 1.0, 0.5])
    share = ratio_interval(returns, best)
    assert share.mean == 2 / 3 and 0 <= share.low < 2 / 3 < share.high <= 1


@pytest.mark.parametrize(
    ("id", "reason"),
    [
        ("DynamicObstacles-5x5", "its obstacles move at random"),
        ("Empty-8x8", "level 7 cannot be solved within its 2 steps"),
    ],
)
def test_the_share_is_left_out_with_the_reason(id, reason):
    levels = np.array([7])
    played = Episodes(np.zeros(1), np.ones(1), np.zeros(1), levels=levels)
    best = best_of(levels, {"id": id, "kwargs": {"max_steps": 2}})
    assert of_optimal(played, best) == {"of_optimal": None, "of_optimal_left_out": reason}
    assert of_optimal(Episodes(np.zeros(1), np.ones(1), None), best_of(None, {"id": "CartPole"})) == {}


def test_a_run_tells_its_share(capsys):
    folder = train(TINY, env={"name": "Empty-8x8", "kwargs": {"max_steps": 5}}, run_dir="run").folder
    reason = "cannot be solved within its 5 steps"
    assert reason in json.loads((folder / "result.json").read_text())["of_optimal_left_out"]
    assert "of optimal         left out: level" in capsys.readouterr().out
    told = {"of_optimal": {"mean": 0.5, "low": 0.25, "high": 0.75}}
    result = {key: value for key, value in read_run(folder).result.items() if not key.startswith("of_optimal")}
    for more, line in ((told, "of optimal         0.50 [0.25, 0.75]"), ({}, None)):  # {}: a run of an earlier version
        (folder / "result.json").write_text(json.dumps({**result, **more}))
        assert line is None or line in result_table(read_run(folder))
        assert line is not None or "of optimal" not in result_table(read_run(folder))
    damages = [({"mean": 1, "low": 1, "high": 1.5}, "of_optimal.high is a finite number from 0 to 1")]
    for damage, message in [*damages, (None, "of_optimal_left_out does not say why")]:
        (folder / "result.json").write_text(json.dumps({**result, "of_optimal": damage}))
        with pytest.raises(ValueError, match=message):
            read_run(folder)


def test_an_evaluation_tells_its_share(capsys):
    result = evaluate(policy="pretrained/DoorKey-5x5-transformer", episodes=4, output="scores.json")
    assert "of optimal" in capsys.readouterr().out
    for actions, share in result["of_optimal"].items():
        assert result[actions]["return"]["mean"] < share["mean"] <= 1
