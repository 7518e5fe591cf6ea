from __future__ import annotations

import json
from pathlib import Path

import pytest

from inceptioncli.errors import LabelsError
from inceptioncli.labels import Label, check_count, default_labels, imagenet_labels, read_labels


def test_imagenet_labels_are_sorted_by_wordnet_id() -> None:
    labels = imagenet_labels()
    assert len(labels) == 1000
    ids = [label.id for label in labels]
    assert ids == sorted(ids)
    assert len(set(ids)) == 1000
    assert labels[409] == Label("n02708093", "analog clock")
    assert labels[134].name == labels[517].name == "crane"


def test_default_labels_depend_on_the_number_of_classes() -> None:
    assert default_labels(1000) == imagenet_labels()
    assert default_labels(1001) == (Label(None, "background"), *imagenet_labels())
    assert default_labels(20)[17] == Label(None, "class 17")


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ("cat\ndog, hot\n\n", [(None, "cat"), (None, "dog, hot")]),
        ("\ufeffcat\r\ndog\r\n", [(None, "cat"), (None, "dog")]),
        ("n02708093 analog clock\nn1 x", [("n02708093", "analog clock"), (None, "n1 x")]),
        ("[unused]\n{odd}\n", [(None, "[unused]"), (None, "{odd}")]),
        ("n02708093\tanalog clock\n", [("n02708093", "analog clock")]),
        (json.dumps(["cat", "dog"]), [(None, "cat"), (None, "dog")]),
        (json.dumps([["n1", "cat"], [None, "dog"]]), [("n1", "cat"), (None, "dog")]),
        (json.dumps({"1": ["n2", "b"], "0": ["n1", "a"]}), [("n1", "a"), ("n2", "b")]),
    ],
)
def test_label_files(tmp_path: Path, content: str, labels: list[tuple[str | None, str]]) -> None:
    path = tmp_path / "labels"
    path.write_text(content, encoding="utf-8")
    assert list(read_labels(path)) == [Label(*label) for label in labels]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no labels"),
        (b"caf\xe9\n", "not UTF-8"),
        (b"[1, 2]", "class 0"),
        (b'["\\ud800bad", "x"]', "class 0: not valid Unicode"),
        (b'{"0": "a", "2": "b"}', "class '1' is missing"),
        (b"[]", "expected a list"),
    ],
)
def test_bad_label_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(LabelsError, match=message) as caught:
        read_labels(path)
    assert str(path) in str(caught.value)


def test_missing_label_file(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="cannot read labels"):
        read_labels(tmp_path / "nowhere.txt")


def test_counts_must_agree() -> None:
    with pytest.raises(LabelsError, match=r"2 labels, but the model has 3.*background"):
        check_count(default_labels(2), 3, "labels.txt")
    with pytest.raises(LabelsError, match=r"2 labels, but the model has 1 class;"):
        check_count(default_labels(2), 1, "labels.txt")
    with pytest.raises(LabelsError, match=r"1 label, but the model has 7 classes;"):
        check_count(default_labels(1), 7, "labels.txt")


def test_json_that_is_nested_too_deeply(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(LabelsError, match="not valid JSON: maximum recursion"):
        read_labels(path)
