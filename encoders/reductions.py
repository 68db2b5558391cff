"""The old name of `reductions`, which moved to the top level."""

from reductions import *  # noqa: F403
