"""A run that met something that is not finite goes back to its last snapshot, and on in another way.

It would meet the same again if it went on in the same way. So it draws other random numbers, a function of the seed and
of how often it went back; and if learning was the cause, the learning rate is half of what it was. Both are decided by
the run alone: one that is killed after it went back, and started again, ends like one that was not.
"""

from __future__ import annotations

from typing import Any

from learning.watch import NotFinite

MOST = 3  # rollbacks of a run


def with_one_more(error: NotFinite) -> list[dict[str, Any]]:
    """The rollbacks of a run with the one that an error asks for, which is printed.

    Raises:
        NotFinite: there is no snapshot to go back to, or the run has gone back often enough.
    """
    if not error.taken or len(error.rollbacks) >= MOST:
        why = f"it went back {MOST} times already" if error.taken else "there is nothing to go back to"
        error.args = (f"{error}; on_nonfinite=rollback ends here: {why}",)
        raise error
    count = len(error.rollbacks) + 1
    change = "other random numbers" + " and half the learning rate" * error.learned
    print(f"{error.reason}\n  goes back to {error.taken:,} steps with {change} (rollback {count} of at most {MOST})")
    one = {"after": error.steps, "to": error.taken, "learned": error.learned, "reason": error.reason}
    return [*map(dict, error.rollbacks), one]
