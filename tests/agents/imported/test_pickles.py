"""Pickles are read as data: trees of names and calls, in bounded time and memory."""

from __future__ import annotations

import io
import pickle
from datetime import timedelta

import pytest
from torch import nn

from agents.imported.pickles import Call, Name, Refused, read_pickle

GREEDY = {
    "two gigabytes of bytes": b"\x80\x03B\xff\xff\xff\x7f.",
    "a petabyte of bytes": b"\x80\x05\x96\x00\x00\x00\x00\x00\x00\x04\x00.",
    "a million operations": b"\x80\x02" + b"N0" * 500_000 + b"N.",
    "lists in lists": b"\x80\x02" + b"(" * 150_000 + b"l" * 150_000 + b".",
    "a key that takes for ever to hash": b"\x80\x02)" + b"2\x86" * 100 + b"}" + b"h\x00NN" + b"s.",
    "a key of tuples": b"\x80\x02})" + b"2\x86" * 100 + b"Ns.",
    "an object of an instance": b"\x80\x02(cposix\nsystem\no.",
    "an instance by name": b"(iposix\nsystem\n.",
    "an extension": b"\x80\x02\x82\x01.",
    "a name without an end": b"cposix",
    "a call of a call": b"\x80\x02ccollections\nOrderedDict\nN\x85R)R.",
    "a call without arguments": b"\x80\x02ccollections\nOrderedDict\nNR.",
    "a state for a number": b"\x80\x02K\x01K\x02b.",
    "a name made of numbers": b"\x80\x04K\x01K\x02\x93.",
    "nothing": b".",
    "two results": b"\x80\x02NN.",
    "a mark as a result": b"(.",
    "a mark in a tuple": b"\x80\x02(N\x86.",
    "what was never remembered": b"\x80\x02h\x05.",
    "an item of a number": b"\x80\x02K\x01K\x02a.",
}


@pytest.mark.parametrize("case", GREEDY)
def test_a_pickle_that_asks_for_more_than_data_is_refused(case):
    with pytest.raises(Refused, match="its pickle"):
        read_pickle(io.BytesIO(GREEDY[case]), {"collections.OrderedDict"})


def test_a_pickle_is_read_as_a_tree_of_names_and_calls():
    content = pickle.dumps({"day": timedelta(1), "type": nn.Linear, "rest": [1, (2.5, b"x"), {3}, None, True]})
    tree = read_pickle(io.BytesIO(content), {"datetime.timedelta", "torch.nn.modules.linear.Linear"})
    assert tree["type"] == Name("torch.nn.modules.linear.Linear")
    assert tree["day"] == Call("datetime.timedelta", (1, 0, 0))
    assert tree["rest"] == [1, (2.5, b"x"), [3], None, True]
    assert read_pickle(io.BytesIO(b"\x80\x02Nr\xff\xff\xff\x7f."), ()) is None  # remembered at place 2^31
