from __future__ import annotations

import os
import random
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from inceptioncli.records import FileStamp, utc


def test_times_are_numpys() -> None:
    rng = random.Random(0)
    times = [0, -1, 2**63 - 1, 1 - 2**63, 951_782_400 * 10**9]
    for time in [*times, *(rng.randrange(1 - 2**63, 2**63) for _ in range(2000))]:
        assert utc(time) == f"{np.datetime64(time, 'ns')}Z"


def test_times_beyond_every_other_calendar() -> None:
    assert utc(253_402_300_800 * 10**9) == "10000-01-01T00:00:00.000000000Z"
    assert utc(2**63 * 10**9).startswith("292277026596-12-04T15:30:08.")
    assert utc(-(2**63) * 10**9).startswith("-292277022657-01-27T08:29:52.")


def test_a_stamp_is_the_files(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    when = datetime(2026, 11, 24, 8, 45, 19, tzinfo=timezone.utc)
    nanoseconds = int(when.timestamp()) * 10**9 + 123_456_789
    os.utime(path, ns=(0, nanoseconds))
    assert FileStamp.of(path.stat()) == (3, "2026-11-24T08:45:19.123456789Z")
