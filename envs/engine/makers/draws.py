"""The random draws of Gymnasium's `np_random`, compiled: the same numbers in the same order.

`env.reset(seed=s)` makes `numpy.random.Generator(PCG64(SeedSequence(s)))`. The generator is kept in the fields
state, step, has_half and half of a `world.WORLD`.

Sources: O'Neill 2014 (PCG XSL-RR 128/64); Lemire 2019 (bounded integers); NumPy's SeedSequence after O'Neill's
`seed_seq_fe128`.
"""

from __future__ import annotations

import numpy as np

from envs.engine.compiled import njit

LOW = np.uint64(0xFFFFFFFF)  # the lower half of a word
HALF = np.uint64(32)
ONE = np.uint64(1)
FAILED, REJECTED = 1, 2  # why a level could not be made: Farama raises an error, or makes another attempt
MULTIPLIER_HIGH = np.uint64(0x2360ED051FC65DA4)
MULTIPLIER_LOW = np.uint64(0x4385DF649FCCF645)


@njit
def high_word(a, b):
    """The upper 64 of the 128 bits of a product of two uint64."""
    a_low, a_high, b_low, b_high = a & LOW, a >> HALF, b & LOW, b >> HALF
    cross = a_high * b_low + (a_low * b_low >> HALF) + (a_low * b_high & LOW)
    return a_high * b_high + (cross >> HALF) + (a_low * b_high >> HALF)


@njit
def advance(w):
    """One step of the generator: state <- state * multiplier + step, modulo 2^128."""
    high, low = w.state[0], w.state[1]
    high = high_word(low, MULTIPLIER_LOW) + low * MULTIPLIER_HIGH + high * MULTIPLIER_LOW + w.step[0]
    low = low * MULTIPLIER_LOW + w.step[1]
    if low < w.step[1]:
        high += ONE
    w.state[0], w.state[1] = high, low


@njit
def next64(w):
    """The next 64 random bits."""
    advance(w)
    word, turn = w.state[0] ^ w.state[1], w.state[0] >> np.uint64(58)
    return (word >> turn) | (word << ((np.uint64(64) - turn) & np.uint64(63)))


@njit
def next32(w):
    """The next 32 random bits: the lower half of a word, then its upper half."""
    if w.has_half:
        w.has_half = 0
        return w.half
    word = next64(w)
    w.has_half, w.half = 1, word >> HALF
    return word & LOW


@njit
def seeded(w, seed):
    """Make the generator of this seed, from 0 to 2^63 - 1: `SeedSequence(seed)` fills the state and the step."""
    pool = np.empty(4, np.uint64)
    constant = np.uint64(0x43B0D7E5)
    for i in range(4):
        word = np.uint64(0)
        if i < 2:
            word = (np.uint64(seed) >> np.uint64(32 * i)) & LOW
        pool[i], constant = scrambled(word, constant)
    for source in range(4):
        for target in range(4):
            if source != target:
                word, constant = scrambled(pool[source], constant)
                mixed = (pool[target] * np.uint64(0xCA01F9DD) - word * np.uint64(0x4973F715)) & LOW
                pool[target] = mixed ^ (mixed >> np.uint64(16))
    constant = np.uint64(0x8B51F9DD)
    words = np.empty(4, np.uint64)
    for i in range(8):
        word = pool[i % 4] ^ constant
        constant = constant * np.uint64(0x58F38DED) & LOW
        word = word * constant & LOW
        word ^= word >> np.uint64(16)
        if i % 2:
            words[i // 2] |= word << HALF
        else:
            words[i // 2] = word
    w.step[0], w.step[1] = words[2] << ONE | words[3] >> np.uint64(63), words[3] << ONE | ONE
    w.state[0], w.state[1] = np.uint64(0), np.uint64(0)
    advance(w)
    low = w.state[1] + words[1]
    w.state[0] += words[0]
    if low < words[1]:
        w.state[0] += ONE
    w.state[1] = low
    advance(w)
    w.has_half = 0


@njit
def scrambled(word, constant):
    """SeedSequence's `hashmix` -> (the word, the next constant)."""
    word ^= constant
    constant = constant * np.uint64(0x931E8875) & LOW
    word = word * constant & LOW
    return word ^ (word >> np.uint64(16)), constant


@njit
def integer(w, low, high):
    """`integers(low, high)`: uniform in low ... high - 1. A range of one number draws nothing."""
    span = np.uint64(high - low)
    if high - low <= 1:
        if high <= low:
            w.failed = FAILED  # NumPy raises ValueError
        return np.int64(low)
    product = next32(w) * span
    if product & LOW < span:
        threshold = (np.uint64(1 << 32) - span) % span
        while product & LOW < threshold:
            product = next32(w) * span
    return np.int64(low) + np.int64(product >> HALF)


@njit
def is_heads(w):
    """`_rand_bool`."""
    return integer(w, 0, 2) == 0


@njit
def fraction(w):
    """`uniform(0, 1)`: 53 bits."""
    return np.float64(next64(w) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit
def shuffle(w, array, count):
    """`shuffle` of the first `count` entries: Fisher-Yates from the end, with draws below the next power of two."""
    for i in range(count - 1, 0, -1):
        mask = np.uint64(i)
        mask |= mask >> np.uint64(1)
        mask |= mask >> np.uint64(2)
        mask |= mask >> np.uint64(4)
        mask |= mask >> np.uint64(8)
        j = np.int64(next32(w) & mask)
        while j > i:
            j = np.int64(next32(w) & mask)
        array[i], array[j] = array[j], array[i]


@njit
def subset(w, count, wanted):
    """`_rand_subset`: which ones of `count` things, in the order in which they are drawn."""
    remaining, drawn = np.arange(count), np.zeros(wanted, np.int64)
    for n in range(wanted):
        chosen = integer(w, 0, count - n)
        drawn[n] = remaining[chosen]
        for k in range(chosen, count - n - 1):
            remaining[k] = remaining[k + 1]
    return drawn


@njit
def reject(w):
    """RejectSampling and RecursionError: the level is given up, and the stream is remembered where it stands."""
    if not w.failed:
        w.failed = REJECTED
        w.kept_state[0], w.kept_state[1] = w.state[0], w.state[1]
        w.kept_has_half, w.kept_half = w.has_half, w.half


@njit
def resume(w):
    """Go on drawing where `reject` was called."""
    w.failed = 0
    w.state[0], w.state[1] = w.kept_state[0], w.kept_state[1]
    w.has_half, w.half = w.kept_has_half, w.kept_half
