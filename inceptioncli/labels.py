"""Class names: what a model's output index stands for."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import NamedTuple

from inceptioncli.errors import LabelsError

_WORDNET_ID = re.compile(r"(n\d{8})\s+(\S.*)")


class Label(NamedTuple):
    """A class: its WordNet id, or None where it has none, and its name."""

    id: str | None
    name: str


BACKGROUND = Label(None, "background")


def default_labels(classes: int) -> tuple[Label, ...]:
    """Labels of a model that brings none.

    ImageNet's for 1000 outputs, "background" before them for 1001 (slim's convention), and
    ``class 17`` for any other number.
    """
    if classes == 1000:
        return imagenet_labels()
    if classes == 1001:
        return (BACKGROUND, *imagenet_labels())
    return tuple(Label(None, f"class {index}") for index in range(classes))


def imagenet_labels() -> tuple[Label, ...]:
    """The 1000 ImageNet (ILSVRC 2012) classes, sorted by WordNet id.

    Names are not unique ("crane", "maillot"); ids are.
    """
    table = Path(__file__).with_name("data") / "imagenet_classes.tsv"
    rows = table.read_text(encoding="utf-8").splitlines()
    return tuple(Label(*row.split("\t", 1)) for row in rows)


def read_labels(path: Path) -> tuple[Label, ...]:
    """Reads class names in output order.

    Text: one class a line, ``name`` or ``n02708093 name``. JSON: a list of names or of
    ``[id, name]`` pairs, or Keras's class index ``{"0": [id, name], ...}``.

    Raises:
        LabelsError: the file can't be read, or is neither of these.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise LabelsError(f"{path}: cannot read labels: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise LabelsError(f"{path}: labels are not UTF-8 text ({error.reason})") from error
    if path.suffix.lower() == ".json":
        return _from_json(text, path)
    if text.lstrip().startswith(("[", "{")):
        with contextlib.suppress(json.JSONDecodeError, RecursionError):  # A name may begin so, too.
            json.loads(text)
            return _from_json(text, path)
    labels = [_from_line(line) for line in text.splitlines() if line.strip()]
    if not labels:
        raise LabelsError(f"{path}: no labels in this file; expected one class name a line")
    return tuple(labels)


def check_text(labels: tuple[Label, ...], origin: str) -> None:
    """Raises LabelsError for a label that is no text: half a surrogate pair, from JSON."""
    for index, label in enumerate(labels):
        try:
            f"{label.id}{label.name}".encode()
        except UnicodeEncodeError as error:
            raise LabelsError(f"{origin}: class {index}: not valid Unicode ({error})") from error


def check_count(labels: tuple[Label, ...], classes: int, origin: str) -> None:
    """Raises LabelsError unless there is one label for each class."""
    if len(labels) == classes:
        return
    hint = "give one label for each output of the model"
    if len(labels) == classes - 1:
        hint += ' (does the list lack a first line "background"?)'
    raise LabelsError(
        f"{origin}: {counted(len(labels), 'label', 'labels')}, "
        f"but the model has {counted(classes, 'class', 'classes')}; {hint}"
    )


def counted(number: int, one: str, many: str) -> str:
    """``1 class``, ``7 classes``."""
    return f"{number} {one if number == 1 else many}"


def _from_line(line: str) -> Label:
    line = line.strip()
    match = _WORDNET_ID.fullmatch(line)
    return Label(match[1], match[2]) if match else Label(None, line)


def _from_json(text: str, path: Path) -> tuple[Label, ...]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LabelsError(f"{path}: not valid JSON: {error}") from error
    if isinstance(data, dict):
        try:
            data = [data[str(index)] for index in range(len(data))]
        except KeyError as error:
            raise LabelsError(f"{path}: class {error} is missing; expected 0, 1, 2, ...") from None
    if not isinstance(data, list) or not data:
        raise LabelsError(f"{path}: expected a list of class names, or of [id, name] pairs")
    labels = []
    for index, entry in enumerate(data):
        match entry:
            case str(name):
                labels.append(Label(None, name))
            case [str() | None as wordnet_id, str(name)]:
                labels.append(Label(wordnet_id, name))
            case _:
                raise LabelsError(f"{path}: class {index}: expected a name or [id, name]")
    check_text(tuple(labels), str(path))
    return tuple(labels)
