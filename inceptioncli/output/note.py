"""The note: what an output was made with, how far it is, and whose it is.

It is ``run.json`` in a folder, and ``<file>.run.json`` beside a file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from inceptioncli.errors import ForeignOutputError, OutputError
from inceptioncli.files import replacing

_Check = Callable[[Any], bool]

NAME = "run.json"
# What may differ between a run and its continuation: a moved weight file is the same weights, and
# of versions that of the results counts.
_INFORMATION = ("version", "weights name")
_PROGRESS = ("output", "status", "counts", "committed", "renaming", "replaced", "adding")
# A folder's arrays may become more.
_MAY_GROW = "options end_points"
# Apart from what else makes a run's identity: it counts where both runs have one.
_WORKING_FOLDER = "working_folder"
# What notes do not say that were written before it was said.
_UNSAID = {"results_version": 1}


def read(path: Path) -> dict[str, Any] | None:
    """The note, None if there is none.

    Raises:
        ForeignOutputError: it is not one of ours.
        OutputError: it can't be read.
    """
    try:
        note = json.loads(path.read_bytes())
        if _is_object(note, _FIELDS, _ALWAYS):
            return dict(note)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError):
        pass
    raise ForeignOutputError(
        f"{path} is in the way: it was not written by inceptioncli, or is damaged; --overwrite "
        "replaces it, or choose another -o"
    )


def write(path: Path, note: Mapping[str, Any]) -> None:
    """Puts the note in place of the one before, for good.

    Raises:
        OutputError: it can't be.
    """
    with replacing(path) as beside:
        beside.write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")


def misnamed_table(note: Mapping[str, Any]) -> str | None:
    """The file of records that a note in a ``run.json`` is of; None if the note is the folder's.

    So were notes named before they said a version of the results: ``run.json`` was the first
    output's in a folder, a file's or the folder's own.
    """
    options = note.get("options", {})
    if "results_version" in note or options.get("command") != "classify":
        return None
    arrays, output = options.get("dump_dir"), note.get("output")
    return None if arrays is not None and Path(arrays).name == output else output


def check_same_run(path: Path, note: Mapping[str, Any], fingerprint: Mapping[str, Any]) -> None:
    """Raises ForeignOutputError, naming what differs, unless a note is of a run like this one."""
    apart = {*_INFORMATION, _WORKING_FOLDER}
    # Through JSON, as the note went: tuples are lists there.
    ours = _flat({**_UNSAID, **json.loads(json.dumps(fingerprint))})
    theirs = _flat({**_UNSAID, **{key: note[key] for key in note if key not in _PROGRESS}})
    if {*theirs.get(_MAY_GROW, ())} < {*ours.get(_MAY_GROW, ())}:
        apart.add(_MAY_GROW)
    names = [
        name
        for name in dict.fromkeys((*theirs, *ours))
        if name not in apart and theirs.get(name) != ours.get(name)
    ]
    if "options command" in names:  # All the others follow from it.
        names = ["options command"]
    differences = [
        f"{name} is {_short(theirs.get(name))} there and {_short(ours.get(name))} here"
        for name in names
    ]
    if differences:
        raise ForeignOutputError(
            f"the output belongs to another run ({path}): {'; '.join(differences)}; give the same "
            "options to continue it, --overwrite to start anew, or another -o"
        )
    check_same_folder(path, theirs.get(_WORKING_FOLDER), ours.get(_WORKING_FOLDER))


def check_same_folder(path: Path, theirs: str | None, ours: str | None) -> None:
    """Raises ForeignOutputError where relative inputs of a note's run lead elsewhere than ours.

    None stands for a run that has met no relative input, or whose note does not say.
    """
    if None not in (theirs, ours) and theirs != ours:
        raise ForeignOutputError(
            f"the output belongs to another run ({path}): its inputs are relative to {theirs}, and "
            f"here they would be to {ours}; continue it there, or give --overwrite to start anew, "
            "or another -o"
        )


def _is_object(value: Any, fields: Mapping[str, _Check], always: Iterable[str] = ()) -> bool:
    """Whether it has some fields, and of those that it may have none is of another kind."""
    return (
        isinstance(value, dict)
        and {*always} <= {*value}
        and all(is_sound(value[name]) for name, is_sound in fields.items() if name in value)
    )


def _is_path(value: Any) -> bool:
    # What the system takes for no path at all is a ValueError here.
    return isinstance(value, str) and b"\0" not in os.fsencode(value)


def _is_name(value: Any) -> bool:
    return _is_path(value) and Path(value).name == value


def _one_of(*kinds: type) -> _Check:
    return lambda value: type(value) in kinds  # A bool is no int.


def _list_of(is_sound: _Check) -> _Check:
    return lambda value: isinstance(value, list) and all(map(is_sound, value))


def _lengths_of(is_sound: _Check) -> _Check:
    return lambda value: (
        isinstance(value, dict)
        and all(map(is_sound, value))
        and all(type(length) is int and length >= 0 for length in value.values())
    )


# What is read of a note, and of what kind it is. All else is only compared.
_FIELDS: Mapping[str, _Check] = {
    "output": _is_name,
    "engine": _one_of(str),
    "options": lambda value: _is_object(value, _OPTIONS),
    "working_folder": _one_of(str, type(None)),
    "status": _one_of(str),
    "counts": lambda value: _is_object(value, {"ok": _one_of(int)}, ["ok"]),
    "committed": _lengths_of(_is_path),
    "renaming": _one_of(bool),
    "replaced": _list_of(_is_path),
    "adding": _lengths_of(_is_name),
}
_OPTIONS: Mapping[str, _Check] = {
    "command": _one_of(str),
    "dump_dir": _one_of(str, type(None)),
    "end_points": _list_of(_is_name),
}
_ALWAYS = ("status", "counts", "committed", "renaming")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _flat(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name} ")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
