"""Agents: an encoder, heads and a Stable-Baselines3 algorithm put together; policies saved as data and loaded again."""

from agents.make import AGENTS, make_agent
from agents.saved.policy import Policy, load_policy, save_policy

__all__ = ["AGENTS", "Policy", "load_policy", "make_agent", "save_policy"]
