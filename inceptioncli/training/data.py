"""Labelled images: which there are, which class each shows, and how they are split."""

from __future__ import annotations

import csv
import hashlib
import os
import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from inceptioncli.errors import DataError
from inceptioncli.images.walk import sources
from inceptioncli.labels import Label, check_text, imagenet_labels
from inceptioncli.terminal import printable

_WORDNET_ID = re.compile(r"n\d{8}")


class Example(NamedTuple):
    """An image's path and the index of its class."""

    path: str
    class_index: int


class Labelled(NamedTuple):
    """A labelled set of images, before it is split."""

    labels: tuple[Label, ...]
    examples: tuple[Example, ...]


class Skipped(NamedTuple):
    """An image that can't be used, and why."""

    path: str
    message: str


class Split(NamedTuple):
    """Examples to learn from and examples to measure on; they share none."""

    training: tuple[Example, ...]
    validation: tuple[Example, ...]


def from_folders(data: Path, *, follow: bool = True) -> Labelled:
    """One folder per class, sorted by name; images anywhere below it.

    A folder named by a WordNet id of ImageNet has ImageNet's name for it; any other folder's name
    is the class's name. Without ``follow`` no folder is entered that a link leads to, be it a
    class's or one below it.

    Raises:
        DataError: no such folder, no class folders, or only one.
    """
    try:
        if not data.exists():
            raise DataError(f"{data}: no such folder; expected a folder with one folder per class")
        if not data.is_dir():
            raise DataError(f"{data} is a file; expected a folder, or --labels-csv for a table")
        folders = sorted(
            entry
            for entry in data.iterdir()
            if entry.is_dir()
            and not entry.name.startswith(".")
            and (follow or not entry.is_symlink())
        )
    except OSError as error:
        raise DataError(f"{data}: cannot be read: {error.strerror or error}") from error
    if not folders:
        raise DataError(f"{data}: no class folders in it; expected one folder per class")
    names = {label.id: label for label in imagenet_labels()}
    labels = tuple(
        names.get(folder.name, Label(None, folder.name))
        if _WORDNET_ID.fullmatch(folder.name)
        else Label(None, folder.name)
        for folder in folders
    )
    examples = tuple(
        Example(source.path, index)
        for index, folder in enumerate(folders)
        for source in sources([str(folder)], follow=follow)
    )
    return _checked(Labelled(labels, examples), str(data))


def from_csv(table: Path, root: Path) -> Labelled:
    """A table with the columns ``path`` and ``label``; paths are relative to ``root``.

    Raises:
        DataError: unreadable, a column is missing, a path has two labels, or there is one class.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = {"path", "label"} - set(reader.fieldnames or ())
            if missing:
                raise DataError(f"{table}: column {min(missing)!r} is missing; expected path,label")
            rows = [(row["path"], row["label"]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: cannot be read: {error}") from error
    if not rows:
        raise DataError(f"{table}: no rows; expected one image in each")
    seen: dict[str, str] = {}
    for given, label in rows:
        if not given or not label:
            raise DataError(f"{table}: a row lacks its path or label")
        path = os.path.normpath(root / given)  # ./a.jpg and a.jpg are one image
        if seen.setdefault(path, label) != label:
            raise DataError(
                f"{table}: {printable(given)} is labelled {seen[path]!r} and {label!r}; "
                "expected one label for each image"
            )
    names = sorted(set(seen.values()))
    index = {name: number for number, name in enumerate(names)}
    examples = tuple(Example(path, index[label]) for path, label in seen.items())
    return _checked(Labelled(tuple(Label(None, name) for name in names), examples), str(table))


def without_unusable(labelled: Labelled, skipped: Sequence[Skipped], origin: str) -> Labelled:
    """What is left without the images that can't be used.

    Raises:
        DataError: they are more than half of all.
    """
    if 2 * len(skipped) > len(labelled.examples):
        raise DataError(
            f"{origin}: {len(skipped)} of {len(labelled.examples)} images can't be read "
            f"({printable(skipped[0].path)}: {skipped[0].message}); expected at least half"
        )
    paths = {skip.path for skip in skipped}
    kept = tuple(example for example in labelled.examples if example.path not in paths)
    return Labelled(labelled.labels, kept)


def split(labelled: Labelled, validation: float, seed: int, origin: str) -> Split:
    """Splits each class in the same proportion, by chance that ``seed`` fixes.

    At least one image of a class is validated on, and at least one learnt from.

    Raises:
        DataError: a class with fewer than two images.
    """
    check_counts(labelled, origin)
    rng = random.Random(seed)  # noqa: S311 - no secret
    learnt: list[Example] = []
    measured: list[Example] = []
    for index in range(len(labelled.labels)):
        examples = [example for example in labelled.examples if example.class_index == index]
        rng.shuffle(examples)
        count = min(max(1, round(len(examples) * validation)), len(examples) - 1)
        measured += examples[:count]
        learnt += examples[count:]
    return Split(tuple(learnt), tuple(measured))


def fingerprint(labelled: Labelled) -> str:
    """A hash of classes and images, by path, size and time of change."""
    digest = hashlib.sha256()
    for label in labelled.labels:
        digest.update(repr(tuple(label)).encode("utf-8", "surrogateescape") + b"\n")
    for example in labelled.examples:
        facts = (*example, *file_stamp(example.path))
        digest.update(repr(facts).encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()


def file_stamp(path: str) -> tuple[int, int]:
    """Size and time of change, which tell a replaced file; (-1, -1) for one that is gone."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)


def _checked(labelled: Labelled, origin: str) -> Labelled:
    """Refuses early what can't be trained on, before weights are fetched and images decoded."""
    check_text(labelled.labels, origin)
    # ImageNet itself has two cranes; their ids tell them apart.
    for name, count in Counter(label.name for label in labelled.labels).items():
        if count > 1 and any(label == Label(None, name) for label in labelled.labels):
            raise DataError(f"{origin}: two classes are both called {name!r}; rename one")
    if len(labelled.labels) < 2:
        raise DataError(
            f"{origin}: only one class, {labelled.labels[0].name!r}; expected two or more"
        )
    check_counts(labelled, origin)
    return labelled


def check_counts(labelled: Labelled, origin: str) -> None:
    """Raises DataError for a class that can't be split."""
    counts = Counter(example.class_index for example in labelled.examples)
    for index, label in enumerate(labelled.labels):
        if counts[index] < 2:
            raise DataError(
                f"{origin}: class {printable(label.name)!r} has {counts[index]} usable images; "
                "expected at least 2, one to learn from and one to validate on"
            )
