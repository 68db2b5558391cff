"""The same levels and actions in the engine and in Farama's environments, every result compared."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence

import gymnasium
import numpy as np
from minigrid.core.constants import COLOR_TO_IDX, DIR_TO_VEC, OBJECT_TO_IDX
from minigrid.wrappers import FullyObsWrapper, RGBImgPartialObsWrapper

from envs.engine import Batch
from envs.engine.kernel import LAST, NOW, TILE
from envs.missions import missions_vary, word_ids

LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE, DONE = range(7)
# what to try on arriving before something, most likely first
TRIES = {
    "door": ([TOGGLE, FORWARD, FORWARD], [DONE], [TOGGLE]),
    "key": ([PICKUP], [PICKUP], [DONE], [TOGGLE]),
    "ball": ([PICKUP], [PICKUP], [DONE], [TOGGLE]),
    "box": ([TOGGLE, PICKUP], [PICKUP], [DONE]),
    "goal": ([FORWARD],),
    "lava": ([FORWARD],),
    None: ([FORWARD], [DROP], [DROP], [DONE]),
}


class Player:
    """Goes up to random things and does something to them, so doors open, objects are carried, goals reached."""

    def __init__(self, env: gymnasium.Env, seed: int):
        self.env = env.unwrapped
        self.random = np.random.default_rng(seed)
        self.plan: list[int] = []

    def action(self) -> int:
        if self.random.random() < 0.12:
            self.plan = []
            return int(self.random.integers(7))
        if not self.plan:
            self.plan = self._plan()
        return self.plan.pop(0)

    def _plan(self) -> list[int]:
        env, grid = self.env, self.env.grid
        cells = [(x, y) for x in range(grid.width) for y in range(grid.height)]
        things = [cell for cell in cells if grid.get(*cell) is not None and grid.get(*cell).type != "wall"]
        places = [cell for cell in cells if grid.get(*cell) is None]
        beside = [(x + dx, y + dy) for x, y in things for dx, dy in ((1, 0), (0, 1), (-1, 0), (0, -1))]
        beside = [cell for cell in beside if cell in places]
        choices = [things, things, beside if env.carrying else things, places]
        wanted = choices[self.random.integers(4)] or places
        goal = wanted[self.random.integers(len(wanted))]
        turns = self._way(goal)
        if turns is None:
            return self.random.integers(0, 7, 4).tolist()
        there = grid.get(*goal)
        tries = TRIES.get(there.type if there else None, TRIES[None])
        return turns + list(tries[self.random.integers(len(tries))])

    def _way(self, goal: tuple[int, int]) -> list[int] | None:
        """Turns and steps until the agent faces the goal."""
        start = (*(int(v) for v in self.env.agent_pos), int(self.env.agent_dir))
        ways: dict[tuple[int, int, int], list[int]] = {start: []}
        queue = deque([start])
        while queue:
            x, y, d = queue.popleft()
            way = ways[x, y, d]
            ahead = (x + int(DIR_TO_VEC[d][0]), y + int(DIR_TO_VEC[d][1]))
            if ahead == goal:
                return way
            nexts = [((x, y, (d - 1) % 4), LEFT), ((x, y, (d + 1) % 4), RIGHT)]
            if 0 <= ahead[0] < self.env.grid.width and 0 <= ahead[1] < self.env.grid.height:
                cell = self.env.grid.get(*ahead)
                if cell is None or (cell.can_overlap() and cell.type != "lava"):
                    nexts.append(((*ahead, d), FORWARD))
            for place, action in nexts:
                if place not in ways:
                    ways[place] = [*way, action]
                    queue.append(place)
        return None


def play(
    env_id: str,
    steps: int,
    seed: int = 0,
    n: int = 4,
    bank: int = 32,
    first_level: int = 0,
    views: Sequence[str] = ("partial", "full"),
    moves: Sequence[int] = (DONE + 1,),
    alter: Callable[[Batch], None] | None = None,
) -> Counter:
    """Counts of what happened in `steps` steps (over all n environments).

    Args:
        seed, n, bank, first_level, views: of the engine; it plays in each of the views.
        moves: taken in turn, over and over; one that is no action is a `Player`'s.
        alter: damages the engine first.

    Raises:
        AssertionError: the engine and Farama differ; the message says where.
    """
    batches = {view: Batch(gymnasium.make(env_id), n, view, bank, first_level) for view in views}
    for batch in batches.values():
        if alter:
            if batch.bank is not None:
                batch.bank.rows(batch.bank.seeds)
            alter(batch)
        batch.reset(seed)
    reals = [gymnasium.make(env_id) for _ in range(n)]
    players = [Player(real, seed + i) for i, real in enumerate(reals)]
    one = batches[views[0]]
    turn = 0

    def same(what: str, mine: object, theirs: object) -> None:
        assert np.array_equal(mine, theirs), f"{env_id}: {what} is {mine}, Farama's {theirs}"  # type: ignore[arg-type]

    def observed(when: int, i: int, observation: dict) -> None:
        env = reals[i].unwrapped
        held = env.carrying
        code = (OBJECT_TO_IDX[held.type], COLOR_TO_IDX[held.color]) if held else (1, 0)
        words = word_ids(observation["mission"]) if missions_vary(env) else np.zeros(0)
        for view, batch in batches.items():
            seen = observation
            if view == "full":
                seen = FullyObsWrapper(reals[i]).observation(observation)
                same("carrying", batch.out.carrying[when, i], code)
            if view == "rgb":
                seen = RGBImgPartialObsWrapper(reals[i], tile_size=TILE).observation(observation)
            same(f"the {view} image", batch.out.image[when, i], seen["image"])
            same("the direction", batch.out.direction[when, i, 0], observation["direction"])
            same("the mission", batch.out.mission[when, i], words)

    def start(i: int) -> None:
        players[i].plan = []
        observed(NOW, i, reals[i].unwrapped.reset(seed=int(one.level_seed[i]))[0])

    for i in range(n):
        start(i)
    seen: Counter = Counter()
    returns = [0.0] * n
    for _ in range(steps // n):
        chosen = [moves[(turn + i) % len(moves)] for i in range(n)]
        turn += n
        actions = np.array([c if c <= DONE else p.action() for c, p in zip(chosen, players, strict=True)])
        results = [real.unwrapped.step(action) for real, action in zip(reals, actions.tolist(), strict=True)]
        for batch in batches.values():
            for i, real in enumerate(reals):
                # Farama's draws, fed in
                for k in range(batch.state.obstacles.shape[1]):
                    x, y = real.unwrapped.obstacles[k].cur_pos
                    batch.state.moves[i, k] = 6 + (y + 6) * (real.unwrapped.width + 6) + x
            batch.step(actions)
        for i, (observation, reward, terminated, truncated, _) in enumerate(results):
            result = one.out.result[i]
            same("the reward", np.float32(result["reward"]), np.float32(reward))
            same("terminated", result["terminated"], terminated)
            same("truncated", result["truncated"], truncated)
            returns[i] += float(reward)
            if terminated or truncated:
                observed(LAST, i, observation)
                same("the return", result["episode_return"], returns[i])
                same("the length", result["episode_length"], reals[i].unwrapped.step_count)
                seen["success" if terminated and reward > 0 else "failure" if terminated else "timeout"] += 1
                returns[i] = 0.0
                start(i)
            else:
                observed(NOW, i, observation)
    seen["steps"] = steps // n * n
    return seen
