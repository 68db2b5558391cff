"""The old name of `agents.export`."""

from agents.export import save_plain, to_plain

__all__ = ["save_plain", "to_plain"]
