"""Missions as word ids, and the vocabulary of the ids; missions as letters.

An id below `len(WORDS)` means the same word in every environment and every policy file. The words of one environment
follow after them: those of its mission space, or those of the option `env.words`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice, product
from textwrap import shorten
from typing import Any

import numpy as np
from minigrid.envs.babyai.core.roomgrid_level import RoomGridLevel
from minigrid.minigrid_env import MiniGridEnv

from envs.codes import tables_of

log = logging.getLogger(__name__)

MISSION_LENGTH = 72  # the longest sentence of BabyAI's grammar
LETTERS = "abcdefghijklmnopqrstuvwxyz ,"
LETTERS_OF_A_MISSION = 96
LARGEST_VOCABULARY = 256  # ids are bytes
ENUMERATED = 1_000  # combinations of placeholders that are read for their words

# Every word of every MiniGrid and BabyAI mission. 0 pads, 1 stands for a word outside the vocabulary. The order is part
# of the policy format: new words go to the end.
WORDS = """
<pad> <unknown> , a after and at avoid ball behind blue box door end fetch find from front get go goal green
grey hallway in key lava left matching must near next object of on open opening pick purple put reach red
right room rooms square the then to traverse unlock up use yellow you your
""".split()
UNKNOWN = 1

_named: set[str] = set()  # unknown words that have been logged


def missions_vary(env: Any) -> bool:
    """Whether an environment's missions depend on the level: BabyAI, or a mission with placeholders."""
    assert isinstance(env, MiniGridEnv)
    return isinstance(env, RoomGridLevel) or bool(env.observation_space["mission"].ordered_placeholders)  # type: ignore


def words_beyond(env: Any) -> tuple[str, ...]:
    """The words outside `WORDS` that an environment's missions may contain, in a fixed order.

    They come from the missions of its mission space and from the names of the objects and colours that it may show,
    which BabyAI's sentences use. Words that do not fit into a vocabulary of 256 are left out.
    """
    if not missions_vary(env):
        return ()
    space = env.observation_space["mission"]
    said = [space.mission_func(*chosen) for chosen in _choices(space.ordered_placeholders or [])]
    objects, colours = tables_of(env)
    named = [
        name for name, code in objects.items() if code > objects["agent"]
    ]  # Farama's own are in WORDS if missions use them
    found = (word for text in (*said, *named, *colours) for word in split(text))
    return tuple(dict.fromkeys(word for word in found if word not in WORDS))[: LARGEST_VOCABULARY - len(WORDS)]


def checked_words(words: Sequence[str]) -> tuple[str, ...]:
    """The option `env.words` without duplicates and without the words of `WORDS`.

    Raises:
        ValueError: `words` is not a list of single words, or has too many.
    """
    if not isinstance(words, (list, tuple)) or not all(
        isinstance(word, str) and split(word) == [word] for word in words
    ):
        raise ValueError(f"env.words is a list of words in lower case, like env.words=[zebra]; got {words!r}")
    beyond = tuple(dict.fromkeys(word for word in words if word not in WORDS))
    if len(WORDS) + len(beyond) > LARGEST_VOCABULARY:
        most = LARGEST_VOCABULARY - len(WORDS)
        raise ValueError(f"env.words has at most {most} words besides MiniGrid's own, got {len(beyond)}")
    return beyond


def word_ids(mission: str, beyond: tuple[str, ...] = ()) -> np.ndarray:
    """A mission as MISSION_LENGTH word ids (uint8); words outside the vocabulary are named in the log, once each.

    Args:
        mission: the sentence.
        beyond: the words that follow `WORDS` in the vocabulary.

    Raises:
        ValueError: the mission has more than MISSION_LENGTH words.
    """
    words = split(mission)
    if len(words) > MISSION_LENGTH:
        shown = shorten(mission, 60, placeholder=" ...")
        raise ValueError(f"missions have at most {MISSION_LENGTH} words, got {len(words)}; shorten {shown!r}")
    known = _numbered(beyond)
    ids = np.zeros(MISSION_LENGTH, np.uint8)
    ids[: len(words)] = [known.get(word, UNKNOWN) for word in words]
    if UNKNOWN in ids:
        _name([word for word in words if word not in known], beyond)
    return ids


def letters(mission: str) -> np.ndarray:
    """A mission letter by letter, one-hot, as Farama's FlatObsWrapper has it: bytes (96 * 28,).

    Raises:
        ValueError: the mission is longer, or has other characters than a to z, space and comma.
    """
    places = [LETTERS.find(letter) for letter in mission.lower()]
    if len(places) > LETTERS_OF_A_MISSION or -1 in places:
        shown = shorten(mission, 60, placeholder=" ...")
        raise ValueError(
            f"env.view=flat spells missions of at most {LETTERS_OF_A_MISSION} letters, spaces and commas, got {shown!r}"
        )
    spelt = np.zeros((LETTERS_OF_A_MISSION, len(LETTERS)), np.uint8)
    spelt[np.arange(len(places)), places] = 1
    return spelt.ravel()


def split(text: str) -> list[str]:
    """The words of a text in lower case; every character that is not a letter is a word of its own."""
    return re.findall(r"[a-z]+|[^a-z\s]", text.lower())


@cache
def _numbered(beyond: tuple[str, ...]) -> dict[str, int]:
    return {word: index for index, word in enumerate((*WORDS, *beyond))}


def _choices(placeholders: Sequence[Sequence[str]]) -> Iterable[tuple[str, ...]]:
    """The first ENUMERATED combinations of placeholders, then each value with the first values of the others."""
    yield from islice(product(*placeholders), ENUMERATED)
    for place, values in enumerate(placeholders):
        for value in values:
            yield tuple(value if i == place else others[0] for i, others in enumerate(placeholders))


def _name(unknown: Iterable[str], beyond: tuple[str, ...]) -> None:
    """Log the unknown words that have not been named yet, and the option that adds them to the vocabulary."""
    new = [word for word in dict.fromkeys(unknown) if word not in _named]
    if not new:
        return
    _named.update(new)
    listed = ",".join(word if word.isalpha() else f"'{word}'" for word in dict.fromkeys((*beyond, *sorted(_named))))
    log.warning(
        "missions say %s, outside the vocabulary: encoders cannot tell these words apart. To add them: env.words=[%s]",
        ", ".join(map(repr, new)),
        listed,
    )
