"""The 15 tasks of "Neural Networks and the Chomsky Hierarchy" (Delétang et al. 2023), as data and as environments.

TASKS[name].sample(generator, batch, length) -> strings, answers
make_env("chomsky", kwargs={"task": name}) shows a string token by token, then asks for the answer
"""

from __future__ import annotations

from envs.chomsky import binary, modular, strings
from envs.chomsky.task import CONTEXT_FREE, CONTEXT_SENSITIVE, LEVELS, REGULAR, Task

__all__ = ["LEVELS", "TASKS", "Task"]

_TASKS = (
    Task("even_pairs", REGULAR, 2, 2, strings.even_pairs),
    Task("parity_check", REGULAR, 2, 2, strings.parity_check),
    Task("cycle_navigation", REGULAR, 3, 5, strings.cycle_navigation, chance=0.2),
    Task("modular_arithmetic", REGULAR, 9, 5, modular.modular_arithmetic, chance=0.2, odd=True),
    Task("modular_arithmetic_brackets", CONTEXT_FREE, 11, 5, modular.modular_arithmetic_brackets, chance=0.2),
    Task("reverse_string", CONTEXT_FREE, 2, 2, strings.reverse_string, lambda n: n),
    Task("stack_manipulation", CONTEXT_FREE, 5, 3, strings.stack_manipulation, lambda n: n + 1, ends=True),
    Task("solve_equation", CONTEXT_FREE, 11, 5, modular.solve_equation, chance=0.2),
    Task("duplicate_string", CONTEXT_SENSITIVE, 2, 2, strings.duplicate_string, lambda n: 2 * n),
    Task("missing_duplicate", CONTEXT_SENSITIVE, 4, 2, strings.missing_duplicate),
    Task("odds_first", CONTEXT_SENSITIVE, 2, 2, strings.odds_first, lambda n: n),
    Task("binary_addition", CONTEXT_SENSITIVE, 3, 3, binary.binary_addition, lambda n: n + 1, ends=True),
    Task("binary_multiplication", CONTEXT_SENSITIVE, 3, 3, binary.binary_multiplication, lambda n: n, ends=True),
    Task("compute_sqrt", CONTEXT_SENSITIVE, 2, 2, binary.compute_sqrt, lambda n: (n + 1) // 2),
    Task("bucket_sort", CONTEXT_SENSITIVE, 5, 5, strings.bucket_sort, lambda n: n, chance=0.2),
)
TASKS = {task.name: task for task in _TASKS}
