"""The table of docs/global_minimum.md, in a hurry."""

import json

import pytest

from validation import ways_down


def test_every_way_is_a_row(capsys):
    ways_down.main(["xor", "--seconds", "0.2", "--particles", "20", "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert [row["way"] for row in rows] == [*ways_down.WAYS, "polish the start", "polish the flow"]
    for row in rows:
        assert -1e-9 <= row["energy_gap"] <= row["certified_gap"] / (1 - row["certified_gap"]) + 1e-8
    for row in rows[-2:]:
        assert row["certified_gap"] <= 1e-8
        assert row["energy_gap"] <= 1e-8


def test_problems_have_names(capsys):
    with pytest.raises(SystemExit):
        ways_down.main(["or"])
    assert "no problem 'or'; valid: teacher" in capsys.readouterr().err


def test_tables():
    lines = list(ways_down.table([{"a_b": 1, "c": 0.123456}, {"a_b": "x", "c": None}]))
    assert lines == ["| a b | c |", "|---|---|", "| 1 | 0.12 |", "| x | — |"]


def test_polishing_everywhere():
    found = list(ways_down.polish_everywhere(instances=2))
    assert [row["start"] for row in found] == list(ways_down.STARTS)
    assert all(row["largest_certified_gap"] <= 1e-8 for row in found)
