from __future__ import annotations

from typing import NamedTuple

import pytest

from inceptioncli.output.ledger import Ledger
from inceptioncli.records import Failure, FileStamp

OLD, NEW = FileStamp(1, "then"), FileStamp(1, "now")


class Source(NamedTuple):
    """An input; its file is as it was, has changed, or is none."""

    path: str
    file: FileStamp | None = OLD
    failure: Failure | None = None

    def stamp(self) -> FileStamp | None:
        return self.file

    def unreadable(self) -> Failure | None:
        return self.failure


def ledger(there: str, **options: bool) -> Ledger:
    """One with a record of each letter; capitals are failures (of the small letter)."""
    found = Ledger(**options)
    for letter in there:
        found.add(letter.lower(), "truncated" if letter.isupper() else None, OLD)
    return found


def went_on(found: Ledger, *inputs: Source, all_come: bool = True) -> tuple[str, list[int]]:
    """Which inputs were new, and the final order; a capital among them fails."""
    new = []
    for source in found.new(inputs, all_come=all_come):
        new.append(source.path)
    for _ in new:
        found.append(None)
    order = found.final_order()
    if order is None:
        return "".join(new), [*range(len(found.codes))]
    found.keep(order)
    return "".join(new), order


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
        ("aBc", "ac", "", "ac"),  # a failure that is gone goes
        ("Abc", "bc", "", "bc"),
        ("abC", "ab", "", "ab"),
        ("aBBc", "abc", "", "abc"),
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
    found = ledger("aBcD", retry_errors=True)
    assert [source.path for source in found.new(map(Source, "abcd"))] == ["b", "d"]
    assert found.counts == {None: 2}
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


def test_a_failure_whose_file_has_changed_is_tried_again() -> None:
    found = ledger("aBC")
    new, order = went_on(found, Source("a"), Source("b", NEW), Source("c"))
    assert (new, order) == ("b", [0, 3, 2])
    assert (found.before, found.fresh) == ({None: 1, "truncated": 1}, {None: 1})


def test_a_size_is_a_change_and_a_time_that_was_not_kept_is_none() -> None:
    found = Ledger()
    for name in "ab":
        found.add(name, "truncated", FileStamp(1, ""))
    new, _ = went_on(found, Source("a", FileStamp(1, "any")), Source("b", FileStamp(2, "any")))
    assert new == "b"


def test_a_result_whose_file_has_changed_is_kept_and_counted() -> None:
    inputs = Source("a"), Source("b", NEW), Source("c", None)
    found = ledger("abc")
    assert went_on(found, *inputs) == ("", [0, 1, 2])
    assert found.changed == 1
    found = ledger("abc", retry_changed=True)
    assert went_on(found, *inputs) == ("b", [0, 3, 2])
    assert (found.before, found.fresh, found.changed) == ({None: 2}, {None: 1}, 0)


def test_an_interrupted_retry_of_changed_files_goes_on() -> None:
    for retry, changed in ((True, 0), (False, 0)):
        found = Ledger(retry_changed=retry)
        found.add("a", None, OLD)
        found.add("b", "truncated", OLD)
        found.add("a", None, NEW)
        found.add("b", None, NEW)
        assert went_on(found, Source("a", NEW), Source("b", NEW)) == ("", [2, 3])
        assert found.changed == changed
        assert found.before == {None: 2}


@pytest.mark.parametrize("code", ["not_found", "permission_denied"])
def test_what_passes_is_looked_at_in_every_run(code: str) -> None:
    still, other = Failure(code, "as before"), Failure("decode_error", "")
    for failure, new in ((still, ""), (None, "a"), (other, "a")):
        found = Ledger()
        found.add("a", code, None)
        assert went_on(found, Source("a", None, failure))[0] == new
    found = Ledger()
    found.add("a", "timeout", None)
    assert went_on(found, Source("a", None)) == ("", [0])


def test_failures_of_an_earlier_list_stay() -> None:
    for options in ({}, {"retry_errors": True}):
        found = ledger("aB", **options)
        assert went_on(found, Source("c"), all_come=False) == ("c", [0, 1, 2])


def test_failures_in_folders_are_looked_into_to_see_what_they_are() -> None:
    assert [ledger("aB").knows(name) for name in "abc"] == [True, False, False]
    assert not ledger("a", retry_changed=True).knows("a")
