"""The grammar of filters and orders: what is refused, and at which character."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backpropd.spec.search import BadSearch, Comparison, read_filter, read_order
from backpropd.store.searchable import DATASET_FIELDS, JOB_FIELDS, NETWORK_FIELDS

PIECES = (
    *("(", ")", "not ", "and ", "or ", "name ", "= ", '"a" ', "in ", ",", "like ", "1 ", "<"),
    *("\\", "'", "%", "tags.", "null"),
)


@pytest.mark.parametrize(
    ("words", "position", "said"),
    [
        ("", 1, "Expected a field"),
        ("status", 7, "Expected one of ="),
        ('status = "failed" and', 22, "this is the end"),
        ('status = "failed" adn name = "x"', 19, "this is 'adn'"),
        ('(status = "failed"', 19, "Expected )"),
        ('status = "failed")', 18, "this is ')'"),
        ('statos = "failed"', 1, "Did you mean 'status'?"),
        ("status = 3", 10, "status is a text"),
        ('priority = "3"', 12, "priority is a number"),
        ("priority like 3", 15, "like compares a text"),
        ("training.shuffle < true", 20, "have no order"),
        ("status = true", 10, "have no order"),
        ('created_at > "yesterday"', 14, "A time is written"),
        ('created_at > "9999-12-31T23:59:59-23:00"', 14, "A time is written"),
        ("name < null", 8, "by = and != alone"),
        ("metrics.loss < 1", 1, "metrics.NAME.STATISTIC"),
        ("metrics.loss.median < 1", 1, "metrics.NAME.STATISTIC"),
        ('tags = "a"', 1, "A tag is tags.KEY"),
        ("training = 1", 1, "say which"),
        ("training.optimiser.name = 1", 1, "Did you mean 'optimizer'?"),
        ("final." + ".".join("abcdefghij") + " = 1", 1, "at most 8 steps"),
        ('final."a b" = 1', 1, "letters and digits"),
        ("priority = 1e999", 12, "too large"),
        ("priority = 1.2.3", 12, "Expected a value"),
        (r'name = "\ud800"', 8, "Escapes are those of JSON"),
        (r'name = "\x"', 8, "Escapes are those of JSON"),
        ('name = "a', 8, "Expected a value"),
        (r'name = "\u0000"', 8, "NUL"),
        ('name = "\0"', 9, "NUL"),
        ('name like "' + "%a" * 17 + '"', 11, "at most 16 %"),
        ("(" * 21 + "priority = 1" + ")" * 21, 1, "nested deeper than 20"),
        ("not " * 21 + "priority = 1", 1, "nested deeper than 20"),
        (" or ".join(["priority = 1"] * 51), 1, "more than 50"),
        ("priority = 1" + " " * 2000, 2001, "longer than 2000"),
        ("(" * 1900, 1901, "Expected a field"),
        ("priority = 1; DROP TABLE job", 13, "this is ';'"),
        ("priority = 1 -- ", 14, "this is '-'"),
    ],
)
def test_a_bad_filter_is_told_by_its_character(words: str, position: int, said: str) -> None:
    with pytest.raises(BadSearch, match=re.escape(said)) as refused:
        read_filter(words, JOB_FIELDS)

    assert position == refused.value.position


@pytest.mark.parametrize(
    ("words", "position", "said"),
    [
        ("", 1, "Expected a field"),
        ("name up", 6, "asc or desc"),
        ("name, name desc", 7, "there already"),
        ("name, priority, status, id, created_at", 29, "At most 4"),
        ("nmae", 1, "Did you mean 'name'?"),
    ],
)
def test_a_bad_order_is_told_by_its_character(words: str, position: int, said: str) -> None:
    with pytest.raises(BadSearch, match=re.escape(said)) as refused:
        read_order(words, JOB_FIELDS)

    assert position == refused.value.position


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_no_text_does_more_than_be_refused(words: str) -> None:
    for vocabulary in (JOB_FIELDS, NETWORK_FIELDS, DATASET_FIELDS):
        for read in (read_filter, read_order):
            position = 1
            try:
                read(words, vocabulary)
            except BadSearch as error:
                position = error.position

            assert 1 <= position <= len(words) + 1


def test_single_quotes_are_quotes_too() -> None:
    tree = read_filter(r"""name = 'it\'s "x" \\ \n'""", JOB_FIELDS)

    assert isinstance(tree, Comparison)
    assert ('it\'s "x" \\ \n',) == tree.values
