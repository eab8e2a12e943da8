"""Ids: what they say, and that everybody else sees plain text."""

from __future__ import annotations

import json
import pickle
import sqlite3
from contextlib import closing

import pytest
from drawn_network import eq, ts

from afir.errors import InputError
from networks.records.ids import Id


def test_an_id_says_what_it_names() -> None:
    channel, arranged = Id("DC12"), Id("EQ3").arranged(1)
    assert (channel.kind, channel.number, channel.arrangement) == ("DC", 12, None)
    assert (arranged.kind, arranged.number, arranged.arrangement) == ("EQ", 3, 1)
    assert arranged == "EQ3.1"
    assert arranged.arranged(10) == "EQ3.10"
    assert Id.of("TS", 7) == "TS7"


def test_ids_are_ordered_by_number_not_by_text() -> None:
    texts = ["DC0", "EQ10", "TS2", "EQ2", "EQ2.10", "EQ2.9", "TS10"]
    ordered = sorted(map(Id, texts), key=Id.order)
    assert ordered == ["EQ2", "EQ2.9", "EQ2.10", "EQ10", "TS2", "TS10", "DC0"]


def test_files_databases_and_workers_see_plain_text() -> None:
    id = Id("EQ3")
    assert json.dumps({id: id}) == '{"EQ3": "EQ3"}'
    with closing(sqlite3.connect(":memory:")) as database:
        assert database.execute("select ?, typeof(?)", (id, id)).fetchone() == ("EQ3", "text")
    assert {"EQ3": 1}[id] == 1
    sent = pickle.loads(pickle.dumps(id))
    assert (type(sent), sent) == (Id, "EQ3")


@pytest.mark.parametrize(
    "text", ["", "EQ", "EQ-1", "EQ01", "eq3", "XX3", "EQ3.", "EQ3 ", "EQ²", "EQ3\n", "DC1–EQ2", 3]
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^`id` must be like EQ3, TS0 or DC12, got "):
        Id(text)


def test_records_made_from_text_hold_ids() -> None:
    saddle = ts(4, 300.0, "EQ0", "DC1")
    assert (eq(3, 0.0).number, saddle.id.number) == (3, 4)
    assert [end.kind for end in saddle.ends] == ["EQ", "DC"]
