from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from inceptioncli.errors import DataError
from inceptioncli.labels import Label
from inceptioncli.training import data
from inceptioncli.training.data import Example, Labelled, Skipped


def test_folders_are_classes_and_wordnet_ids_have_names(renders: Path, tmp_path: Path) -> None:
    shutil.copytree(renders, tmp_path / "data")
    (tmp_path / "data" / "my cat").mkdir()
    for name in ("x", "y"):
        shutil.copy(next((renders / "n07749582").iterdir()), tmp_path / "data" / "my cat" / name)
    (tmp_path / "data" / "README.txt").write_text("not a class")
    (tmp_path / "data" / ".hidden").mkdir()
    labelled = data.from_folders(tmp_path / "data")
    assert labelled.labels == (
        Label(None, "my cat"),
        Label("n02708093", "analog clock"),
        Label("n04146614", "school bus"),
        Label("n04254680", "soccer ball"),
        Label("n07749582", "lemon"),
    )
    assert len(labelled.examples) == 2 + 4 * 12
    assert labelled.examples[0] == Example(str(tmp_path / "data" / "my cat" / "x"), 0)


def test_linked_folders_can_be_left_out(renders: Path, tmp_path: Path) -> None:
    classes = tmp_path / "data"
    shutil.copytree(renders, classes)
    (classes / "linked class").symlink_to(renders / "n07749582")
    (classes / "n02708093" / "below").symlink_to(renders / "n04146614")
    assert len(data.from_folders(classes).examples) == 4 * 12 + 2 * 12
    without = data.from_folders(classes, follow=False)
    assert (len(without.labels), len(without.examples)) == (4, 4 * 12)


def test_tables(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(
        "label,path,more\ndog,b.jpg,1\ncat,a.jpg,2\ndog,sub/c.jpg,3\ncat,d.jpg,4\ncat,./d.jpg,5\n"
    )
    labelled = data.from_csv(table, tmp_path)
    assert labelled.labels == (Label(None, "cat"), Label(None, "dog"))
    assert [(Path(e.path).name, e.class_index) for e in labelled.examples] == [
        ("b.jpg", 1), ("a.jpg", 0), ("c.jpg", 1), ("d.jpg", 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,label\nx,y\n", "column 'path' is missing"),
        ("path,label\na.jpg,cat\n./a.jpg,dog\n", r"a\.jpg is labelled 'cat' and 'dog'"),
        ("path,label\na.jpg,cat\nb.jpg,dog\nc.jpg,dog\n", "class 'cat' has 1 usable images"),
        ("path,label\na.jpg,cat\n", "only one class, 'cat'"),
        ("path,label\na.jpg\n", "a row lacks its path or label"),
        ("path,label\n", "no rows"),
    ],
)
def test_bad_tables(tmp_path: Path, content: str, message: str) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(content)
    with pytest.raises(DataError, match=message):
        data.from_csv(table, tmp_path)


def test_bad_folders(tmp_path: Path, renders: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        data.from_folders(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is a file"):
        data.from_folders(next((renders / "n07749582").iterdir()))
    (tmp_path / "flat").mkdir()
    with pytest.raises(DataError, match="no class folders"):
        data.from_folders(tmp_path / "flat")
    (tmp_path / "flat" / "one").mkdir()
    with pytest.raises(DataError, match="only one class, 'one'"):
        data.from_folders(tmp_path / "flat")
    (tmp_path / "clash" / "n07749582").mkdir(parents=True)
    (tmp_path / "clash" / "lemon").mkdir()
    with pytest.raises(DataError, match="both called 'lemon'"):
        data.from_folders(tmp_path / "clash")
    with pytest.raises(DataError, match="cannot be read"):
        data.from_folders(Path("x" * 300))


def test_imagenets_two_cranes_are_two_classes(renders: Path, tmp_path: Path) -> None:
    for wordnet_id in ("n02012849", "n03126707"):
        shutil.copytree(renders / "n07749582", tmp_path / wordnet_id)
    assert data.from_folders(tmp_path).labels == (
        Label("n02012849", "crane"),
        Label("n03126707", "crane"),
    )


def many(*counts: int) -> Labelled:
    labels = tuple(Label(None, f"class {index}") for index in range(len(counts)))
    examples = tuple(
        Example(f"{index}/{number}", index)
        for index, count in enumerate(counts)
        for number in range(count)
    )
    return Labelled(labels, examples)


def test_the_split_keeps_proportions_and_shares_nothing() -> None:
    labelled = many(100, 10, 2)
    split = data.split(labelled, 0.1, seed=0, origin="data")
    assert not set(split.training) & set(split.validation)
    assert {*split.training, *split.validation} == set(labelled.examples)
    counts = [sum(e.class_index == index for e in split.validation) for index in range(3)]
    assert counts == [10, 1, 1]
    assert split == data.split(labelled, 0.1, seed=0, origin="data")
    assert split != data.split(labelled, 0.1, seed=1, origin="data")


def test_too_few_images() -> None:
    with pytest.raises(DataError, match="class 'class 1' has 1 usable images; expected at least 2"):
        data.split(many(5, 1), 0.1, seed=0, origin="data")


def test_the_fingerprint_sees_changed_images(renders: Path, tmp_path: Path) -> None:
    shutil.copytree(renders, tmp_path / "data")
    labelled = data.from_folders(tmp_path / "data")
    before = data.fingerprint(labelled)
    assert data.fingerprint(data.from_folders(tmp_path / "data")) == before
    image = Path(labelled.examples[5].path)
    image.write_bytes(image.read_bytes() + b"x")
    assert data.fingerprint(labelled) != before


def test_more_than_half_unusable_is_an_error() -> None:
    labelled = many(2, 2)
    half = [Skipped("0/0", "bad"), Skipped("1/0", "bad")]
    assert len(data.without_unusable(labelled, half, "data").examples) == 2
    with pytest.raises(DataError, match=r"3 of 4 images can't be read \(0/0: bad\)"):
        data.without_unusable(labelled, [*half, Skipped("1/1", "bad")], "data")
