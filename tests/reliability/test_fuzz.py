from __future__ import annotations

import re
from pathlib import Path

import pytest

from inceptioncli.pipeline.worker import HEADROOM_BYTES
from tests.reliability import fuzz

pytestmark = pytest.mark.slow


def test_mutated_images_cost_one_record_each(tmp_path: Path) -> None:
    """The script does 10,000."""
    told = fuzz.run(700, seed=1, folder=tmp_path)
    assert all(format in told for format in fuzz.FORMATS)
    assert "'ok'" in told
    assert "decoder_crashed" not in told
    peaks = [int(peak) for peak in re.findall(r"(\d+)(?:,| MB)", told.partition("workers")[2])]
    assert max(peaks) < 100 + HEADROOM_BYTES / 2**20
