from __future__ import annotations

from pathlib import Path

import pytest

from tests.weights import fuzz, layouts

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_mutated_weights_are_sound_or_refused_in_one_line(tmp_path: Path, layout: str) -> None:
    """The script does 2,000."""
    outcomes = fuzz.run(layout, 50, seed=1, folder=tmp_path)
    assert outcomes.total() == 50
    assert outcomes["damaged"] + outcomes["refused"] >= 5
