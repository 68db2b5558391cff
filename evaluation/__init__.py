"""Measuring policies: rollouts, scores, run folders, reports. Knows policies and vectorised environments only."""

from evaluation.rollout import Episodes, rollout
from evaluation.scores import Interval, bootstrap_interval, student_interval, wilson_interval

__all__ = ["Episodes", "Interval", "bootstrap_interval", "rollout", "student_interval", "wilson_interval"]
