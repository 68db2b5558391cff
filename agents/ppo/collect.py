"""How the fast PPO collects a rollout: SB3's `collect_rollouts`, which stores tensors on the training device.

    in turn      the policy acts on all environments, then all of them step
    overlapped   one half of the environments steps in the background while the policy acts on the other (the double
                 buffering of Petrenko et al. 2020, "Sample Factory", with one policy that waits for both)

Overlapped, every environment makes as many steps as in turn, and callbacks, episodes and bootstrapping see whole steps
of all environments. But random numbers are drawn for each half separately, first half first, so the actions differ from
those in turn. They are a function of the seed all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn
from torch import Tensor

from agents.ppo.rollout import Rollout
from agents.ppo.update import Update
from symmetry import expanded


class Choice(NamedTuple):
    """What the policy chose for a batch of observations."""

    stored: Any  # what the rollout stores of them
    actions: Tensor
    values: Tensor
    log_probs: Tensor
    taken: np.ndarray  # the actions as environments take them


Choose = Callable[[Any, int], Choice]  # observations, and of which half they are (0 if in turn)
Step = tuple[Choice, VecEnvStepReturn]


def in_turn(env: VecEnv, observation: Any, choose: Choose, steps: int) -> Iterator[Step]:
    """Steps of all environments, from these observations on."""
    for _ in range(steps):
        choice = choose(observation, 0)
        stepped = env.step(choice.taken)
        yield choice, stepped
        observation = stepped[0]


def overlapped(env: Any, observation: Any, choose: Choose, steps: int) -> Iterator[Step]:
    """The same, in halves; while the caller looks at a step, nothing runs in the background."""
    choice, other = choose(_half(observation, 0), 0), _half(observation, 1)
    for left in reversed(range(steps)):
        env.step_half_async(0, choice.taken)
        second = choose(other, 1)
        stepped = env.step_half_wait(0)
        env.step_half_async(1, second.taken)
        following = choose(stepped[0], 0) if left else choice
        both = stepped, env.step_half_wait(1)
        yield Choice(*_joined(choice, second)), _joined(*both)
        choice, other = following, both[1][0]


def not_overlapped(env: VecEnv) -> str | None:
    """Why the policy cannot act on one half of the environments while the other steps; None if it can."""
    # on the class: a wrapper passes on the attributes of what it wraps, which would then step without the wrapper
    if not hasattr(type(env), "step_half_async"):
        return f"{type(env).__name__} does not step halves of its environments, as the batched engine of MiniGrid does"
    return env.no_halves()  # type: ignore[attr-defined]


class Pinned:
    """Copies observations to a device through page-locked memory, which the device reads while the CPU goes on.

    The memory of a half is overwritten at its next step. Its content has arrived by then, because the actions chosen
    from it have come back.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.memory: dict[Any, Tensor] = {}

    def __call__(self, observation: Any, half: int) -> Any:
        if isinstance(observation, Mapping):
            return {key: self._copied(array, (key, half)) for key, array in observation.items()}
        return self._copied(observation, half)

    def _copied(self, array: np.ndarray, place: Any) -> Tensor:
        given = torch.as_tensor(array)
        memory = self.memory.get(place)
        if memory is None or (memory.shape, memory.dtype) != (given.shape, given.dtype):
            memory = torch.empty(given.shape, dtype=given.dtype, pin_memory=self.device.type == "cuda")
            self.memory[place] = memory
        return memory.copy_(given).to(self.device, non_blocking=True, copy=True)


def _half(observation: Any, half: int) -> Any:
    if isinstance(observation, Mapping):
        return {key: _half(part, half) for key, part in observation.items()}
    middle = len(observation) // 2
    return observation[middle:] if half else observation[:middle]


def _joined(first: Any, second: Any) -> Any:
    """Two halves of anything with a row for each environment, put together."""
    if isinstance(first, tuple):
        return tuple(map(_joined, first, second))
    if isinstance(first, Mapping):
        return {key: _joined(part, second[key]) for key, part in first.items()}
    if isinstance(first, Tensor):
        return torch.cat([first, second])
    return first + second if isinstance(first, list) else np.concatenate([first, second])


def stacked(observations: Sequence[Any]) -> Any:
    """A batch of these observations."""
    first = observations[0]
    if isinstance(first, Mapping):
        return {key: np.stack([one[key] for one in observations]) for key in first}
    return np.stack(observations)


class Collecting(OnPolicyAlgorithm):
    """The part of an on-policy algorithm that fills a rollout; `agents.ppo.learning.Learning` learns from it."""

    rollout_buffer: Rollout  # type: ignore[assignment]
    overlapping = False
    memoryless = True  # V is a function of the observation
    pinned: Pinned | None = None

    def ready(self) -> Update:
        """The update on the present parameters, whose network acts."""
        raise NotImplementedError

    def act(self, observation: Any, update: Update, half: int = 0) -> tuple[Any, Tensor, Tensor, Tensor]:
        """-> what the rollout stores of the observation; actions, values, log probabilities."""
        if self.rollout_buffer.distinct is None:
            pinned = self.pinned
            observation = pinned(observation, half) if pinned else obs_as_tensor(observation, self.device)
            return observation, *update.act(observation)
        numbers, output, values = self.rollout_buffer.distinct.look_up(observation, update.network)
        actions, log_probs = update.draw(output)
        return numbers, actions, values, log_probs

    def values_of(self, observation: Any, update: Update) -> Tensor:
        """V of a batch of observations."""
        if self.rollout_buffer.distinct is None:
            return update.values(obs_as_tensor(observation, self.device))
        return self.rollout_buffer.distinct.look_up(observation, update.network)[2]

    @torch.no_grad()
    def collect_rollouts(self, env: VecEnv, callback: BaseCallback, rollout_buffer: Any, n_rollout_steps: int) -> bool:
        """SB3's, storing tensors on the training device; the parameters do not change meanwhile."""
        with expanded(self.policy):
            return self._collect(env, callback, rollout_buffer, n_rollout_steps)

    def _collect(self, env: VecEnv, callback: BaseCallback, rollout_buffer: Any, n_rollout_steps: int) -> bool:
        assert self._last_obs is not None and self._last_episode_starts is not None
        self.policy.set_training_mode(False)
        update, rollout = self.ready(), rollout_buffer
        rollout.reset()
        callback.on_rollout_start()
        dones = self._last_episode_starts
        cut_short: list[tuple[int, int, Any]] = []  # step, environment, last observation of an episode
        play = overlapped if self.overlapping else in_turn

        def choose(observation: Any, half: int) -> Choice:
            stored, actions, values, log_probs = self.act(observation, update, half)
            return Choice(stored, actions, values, log_probs, self._for_environments(actions))

        for choice, stepped in play(env, self._last_obs, choose, n_rollout_steps):
            (stored, actions, values, log_probs, taken), (new_obs, rewards, dones, infos) = choice, stepped
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            if dones.any():
                ended = np.flatnonzero(dones)
                self._update_info_buffer([infos[i] for i in ended], dones[ended])
                last = {i: infos[i]["terminal_observation"] for i in ended.tolist() if _cut_short(infos[i])}
                if self.pinned and self.memoryless:  # in one call at the end, since each call waits for the device
                    cut_short += [(rollout.position, i, observation) for i, observation in last.items()]
                elif last:
                    self._bootstrap(rewards, last, update)
            rollout.add(stored, actions, rewards, self._last_episode_starts, values, log_probs)
            self._last_obs, self._last_episode_starts = new_obs, dones  # type: ignore[assignment]
        if cut_short:
            steps, which, observations = zip(*cut_short, strict=True)
            values = self.values_of(stacked(observations), update)
            rollout.rewards[which, steps] += self.gamma * values.cpu().numpy()
        rollout.finish(self.values_of(self._last_obs, update), dones)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _for_environments(self, actions: Tensor) -> np.ndarray:
        """Actions as environments take them."""
        taken = actions.cpu().numpy()
        if isinstance(self.action_space, spaces.Box):
            taken = taken.reshape(-1, *self.action_space.shape)
            taken = np.clip(taken, self.action_space.low, self.action_space.high)
        return taken

    def _bootstrap(self, rewards: np.ndarray, last: Mapping[int, Any], update: Update) -> None:
        """An episode cut short by its time limit would have gone on: r ← r + γ V(s') (Pardo et al. 2018).

        Args:
            rewards: (environments,) of this step; those of the episodes that were cut short are changed.
            last: the last observation of each such episode, by environment.
        """
        for i, one in last.items():
            if self.rollout_buffer.distinct is None:
                # SB3's tensors, strides included: on them depends in which order a convolution adds up
                value = update.network(self.policy.obs_to_tensor(one)[0])[1]
            else:
                value = self.values_of({key: part[None] for key, part in one.items()}, update)
            rewards[i] += (self.gamma * value).item()


def _cut_short(info: Mapping[str, Any]) -> bool:
    """Whether a time limit ended the episode that this info ends."""
    return bool(info.get("TimeLimit.truncated")) and info.get("terminal_observation") is not None
