from __future__ import annotations

from typing import NamedTuple

import pytest

from inceptioncli.output.ledger import Ledger


class Source(NamedTuple):
    path: str


def ledger(there: str, *, retry: bool = False) -> Ledger:
    """One with a record of each letter; capitals are failures (of the small letter)."""
    found = Ledger()
    for letter in there:
        code = "truncated" if letter.isupper() else None
        found.add(letter.lower(), code, again=retry and code is not None)
    return found


@pytest.mark.parametrize(
    ("there", "inputs", "new", "final"),
    [
        ("", "", "", ""),
        ("", "abc", "abc", "abc"),
        ("abc", "abc", "", "abc"),
        ("ab", "abcd", "cd", "abcd"),
        ("bd", "abcde", "ace", "abcde"),
        ("abc", "cab", "", "cab"),
        ("aba", "aba", "", "aba"),
        ("ab", "aabb", "ab", "aabb"),  # the same file twice
        ("aab", "ab", "", "ab"),
        ("abc", "ac", "", "abc"),  # the record of a file that is gone stays
        ("abc", "adc", "d", "abdc"),
        ("abcd", "xd", "x", "abcxd"),
        ("aBc", "abc", "", "abc"),
    ],
)
def test_new_inputs_and_final_order(there: str, inputs: str, new: str, final: str) -> None:
    found = ledger(there)
    came = []
    for source in found.new(map(Source, inputs)):
        came.append(source.path)
    for _ in came:
        found.append(None)
    assert "".join(came) == new
    order = found.final_order()
    letters = there.lower() + new
    if order is None:
        assert letters == final
    else:
        assert "".join(letters[number] for number in order) == final
        found.keep(order)
    assert len(found.codes) == len(final) == found.counts.total()


def test_failures_are_tried_again_in_their_places() -> None:
    found = ledger("aBcD", retry=True)
    assert found.counts == {None: 2}
    assert [source.path for source in found.new(map(Source, "abcd"))] == ["b", "d"]
    found.append(None)
    found.append("truncated")
    assert found.final_order() == [0, 4, 2, 5]


def test_of_an_interrupted_retry_the_later_record_counts() -> None:
    found = ledger("aBcb")
    assert list(found.new(map(Source, "abc"))) == []
    assert found.final_order() == [0, 3, 2]
    found = ledger("aBcb")  # its file is gone now
    assert list(found.new(map(Source, "ac"))) == []
    assert found.final_order() == [0, 2, 3]


def test_known_until_taken() -> None:
    found = ledger("aab")
    assert found.knows("a")
    assert not found.knows("c")
    list(found.new(map(Source, "ab")))
    assert found.knows("a")
    assert not found.knows("b")


def test_the_same_files_twice_stay_as_they_are() -> None:
    found = ledger("abab")
    assert list(found.new(map(Source, "abab"))) == []
    assert found.final_order() is None
