"""The note: which runs are the same, and what of an older one is still understood."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inceptioncli.errors import ForeignOutputError
from inceptioncli.output import note as notes

RUN: dict[str, Any] = {
    "version": "0.1.0",
    "results_version": 1,
    "weights": {"name": "demo", "sha256": "0"},
    "options": {"command": "classify", "top_k": 5},
}


def check(note: dict[str, Any], fingerprint: dict[str, Any]) -> None:
    progress = {"status": "unfinished", "committed": {}}
    notes.check_same_run(Path("out.csv.run.json"), {**note, **progress}, fingerprint)


def test_a_new_version_of_the_program_goes_on() -> None:
    check(RUN, {**RUN, "version": "0.1.1"})
    unsaid = {name: value for name, value in RUN.items() if name != "results_version"}
    check(unsaid, RUN)  # as the first notes were


def test_another_version_of_the_results_does_not() -> None:
    with pytest.raises(ForeignOutputError, match="results_version is 1 there and 2 here"):
        check(RUN, {**RUN, "results_version": 2})
    unsaid = {name: value for name, value in RUN.items() if name != "results_version"}
    with pytest.raises(ForeignOutputError, match="results_version is 1 there and 2 here"):
        check(unsaid, {**RUN, "results_version": 2})


def test_weights_may_have_another_name_and_no_other_content() -> None:
    check(RUN, {**RUN, "weights": {"name": "moved", "sha256": "0"}})
    with pytest.raises(ForeignOutputError, match="weights sha256"):
        check(RUN, {**RUN, "weights": {"name": "demo", "sha256": "1"}})
