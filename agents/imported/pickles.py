"""Pickles read as data: a tree of names, numbers and calls that are never made.

A pickle is a program for a stack machine, and Python's own machine imports and calls what the program names. This one
runs the operations that data needs and only writes down what would be imported (`Name`), called (`Call`) or looked up
elsewhere (`Reference`). Operations come from `pickletools`, which splits a pickle without running it.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from io import BytesIO
from typing import Any

OPERATIONS = 200_000  # more are refused; a policy has some hundreds, statistics of an image a few thousand


class Refused(ValueError):
    """A pickle that is damaged, or says something that data does not need."""


@dataclass(frozen=True)
class Name:
    """What Python would import."""

    path: str


@dataclass
class Call:
    """What Python would call, and the state that the result would be given."""

    path: str
    arguments: tuple[Any, ...]
    state: Any = None


@dataclass(frozen=True)
class Reference:
    """What Python would ask its caller for (a "persistent id")."""

    id: Any


MARK = object()  # where on the stack the parts of a list, tuple or dict begin
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"} | {
    *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_SET": list}
FIXED = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_pickle(file: BytesIO, allowed: Collection[str]) -> Any:
    """The tree that a pickle describes, read up to its end; sets are lists in it.

    Args:
        allowed: the names, like "collections.OrderedDict", that may occur in it.

    Raises:
        Refused: any other name or operation, a pickle that is damaged, or one of more than 200,000 operations.
    """
    machine = Machine(allowed)
    try:
        for count, (operation, argument, _) in enumerate(pickletools.genops(file)):
            if count > OPERATIONS:
                raise Refused(f"its pickle has more than {OPERATIONS:,} operations")
            if operation.name == "STOP":
                return machine.result()
            machine.run(operation.name, argument)
    except Refused:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise Refused(f"its pickle is damaged ({type(error).__name__})") from error
    raise Refused("its pickle has no end")


class Machine:
    """A stack, a memo, and the operations on them."""

    def __init__(self, allowed: Collection[str]):
        self.allowed = allowed
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def result(self) -> Any:
        """What is left at the end."""
        (tree,) = self.popped(len(self.stack))
        return tree

    def run(self, operation: str, argument: Any) -> None:
        """One operation of the pickle."""
        stack = self.stack
        if operation in LITERALS:
            stack.append(argument)
        elif operation in CONSTANTS:
            stack.append(CONSTANTS[operation])
        elif operation in EMPTY:
            stack.append(EMPTY[operation]())
        elif operation in FIXED:
            stack.append(tuple(self.popped(FIXED[operation])))
        elif operation == "MARK":
            stack.append(MARK)
        elif operation == "TUPLE":
            stack.append(tuple(self.since_mark()))
        elif operation in ("APPENDS", "ADDITEMS"):
            items = self.since_mark()
            stack[-1].extend(items)
        elif operation == "APPEND":
            (item,) = self.popped(1)
            stack[-1].append(item)
        elif operation in ("SETITEM", "SETITEMS"):
            self.set_items(self.popped(2) if operation == "SETITEM" else self.since_mark())
        elif operation in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if operation == "MEMOIZE" else argument] = stack[-1]
        elif operation in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif operation == "GLOBAL":
            stack.append(self.name(*argument.split(" ")))
        elif operation == "STACK_GLOBAL":
            stack.append(self.name(*self.popped(2)))
        elif operation in ("REDUCE", "NEWOBJ"):
            stack.append(self.call(*self.popped(2)))
        elif operation == "BUILD":
            (state,) = self.popped(1)
            self.give(state)
        elif operation == "BINPERSID":
            stack.append(Reference(*self.popped(1)))
        elif operation not in ("PROTO", "FRAME"):
            raise Refused(f"its pickle uses the operation {operation}, which data does not need")

    def popped(self, count: int) -> list[Any]:
        """The last `count` values of the stack, removed from it."""
        values = [self.stack.pop() for _ in range(count)][::-1]
        if any(value is MARK for value in values):
            raise Refused("its pickle is damaged (a mark in the wrong place)")
        return values

    def since_mark(self) -> list[Any]:
        """The values since the last mark, removed with it."""
        values = []
        while (value := self.stack.pop()) is not MARK:
            values.append(value)
        return values[::-1]

    def set_items(self, flat: list[Any]) -> None:
        """Key, value, key, value, ... into the dict on the stack; an OrderedDict is a dict here."""
        keys, values = flat[::2], flat[1::2]
        # hashing nested tuples can take for ever
        if not all(isinstance(key, (str, int)) for key in keys) or not isinstance(self.stack[-1], dict):
            raise Refused("its pickle has keys that are neither text nor whole numbers")
        self.stack[-1].update(zip(keys, values, strict=True))

    def give(self, state: Any) -> None:
        """A state for the value on the stack; an OrderedDict has attributes at most, which are left out."""
        value = self.stack[-1]
        if isinstance(value, Call) and value.state is None:
            value.state = state
        elif not isinstance(value, dict):
            raise Refused("its pickle gives a state to what has none")

    def name(self, module: Any, name: Any) -> Name:
        """A name, if it is allowed."""
        path = f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else "something unnamed"
        if path not in self.allowed:
            raise Refused(f"its pickle would import {path:.100}")
        return Name(path)

    def call(self, function: Any, arguments: Any) -> Any:
        """A call, noted; that of an OrderedDict is a dict."""
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise Refused("its pickle would call what has no name")
        if function.path == "collections.OrderedDict" and not arguments:
            return {}
        return Call(function.path, arguments)
