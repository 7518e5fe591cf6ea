"""What `python -m benchmarks` has measured, as text and as Markdown.

    python -m benchmarks.report

writes docs/benchmarks.md and the table in README.md from docs/benchmarks.json.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "benchmarks.json"
PAGE = ROOT / "docs" / "benchmarks.md"
README = ROOT / "README.md"
MARKS = "<!-- from docs/benchmarks.json -->\n", "<!-- end -->\n"


def ratios(seconds: dict[str, list[float]], ours: str, peer: str) -> list[float]:
    """How many times as fast, in each round, so that the machine's drift cancels out."""
    return [theirs / mine for theirs, mine in zip(seconds[peer], seconds[ours], strict=True)]


def case_text(name: str, case: dict[str, Any]) -> str:
    """A case for a terminal: medians with their spread, then the ratios."""
    lines = ["", _title(name, case)]
    for command, seconds in case["seconds"].items():
        total, each = _figures(seconds, case["images"])
        lines.append(f"  {command:28}{total} s{f', {each} ms an image' if each else ''}")
    for goal in case["goals"]:
        found = ratios(case["seconds"], goal["ours"], goal["peer"])
        mark = "" if statistics.median(found) >= goal["at_least"] else "   MISSED"
        lines.append(
            f"  {goal['ours']} against {goal['peer']}: {_spread(found)} times as fast "
            f"(at least {goal['at_least']}){mark}"
        )
    return "\n".join(lines)


def page(found: dict[str, Any]) -> str:
    """Everything, as a page."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    parts = [
        "# Benchmarks\n\nMade by `python -m benchmarks --json docs/benchmarks.json` and "
        "`python -m benchmarks.report`; don't edit.\n\nMedians of interleaved rounds, the least "
        "and the most in brackets; ratios are medians of the rounds' ratios,\nand differences of "
        'a few hundredths are noise. "At least" is the goal that the project has set itself.\n'
        "How they come about: [performance.md](performance.md).\n\n"
        f"{found['taken']}, {found['machine']}, {found['cores']} cores;\n{versions}.\n"
    ]
    for name, case in found["cases"].items():
        parts.append(
            f"\n## {_title(name, case)}\n\n| command | seconds | ms an image |\n|---|---|---|\n"
        )
        for command, seconds in case["seconds"].items():
            parts.append(f"| {command} | {' | '.join(_figures(seconds, case['images']))} |\n")
        if case["goals"]:
            parts.append("\n| ratio | times as fast | at least |\n|---|---|---|\n")
        for goal in case["goals"]:
            times = _spread(ratios(case["seconds"], goal["ours"], goal["peer"]))
            parts.append(
                f"| {goal['ours']} against {goal['peer']} | {times} | {goal['at_least']} |\n"
            )
    parts.append("\n## One process\n\n| what | float32 | int8 |\n|---|---|---|\n")
    for title, key, form in (
        ("first use of weights: read, write, pack, classify", "first use", "{:.1f} s"),
        ("peak memory", "memory", "{:.0f} MB"),
    ):
        cells = " | ".join(form.format(found[key][name]) for name in ("float32", "int8"))
        parts.append(f"| {title} | {cells} |\n")
    return "".join(parts)


def table(found: dict[str, Any]) -> str:
    """The ratios alone, for the README."""
    lines = ["| what | seconds | against | seconds | times as fast |\n|---|---|---|---|---|\n"]
    for name, case in found["cases"].items():
        for goal in case["goals"]:
            ours, peer = (case["seconds"][goal[key]] for key in ("ours", "peer"))
            times = statistics.median(ratios(case["seconds"], goal["ours"], goal["peer"]))
            lines.append(
                f"| {name}, {goal['ours']} | {_seconds(ours)} | {goal['peer']} | "
                f"{_seconds(peer)} | {times:.2f} |\n"
            )
    return "".join(lines)


def readme(found: dict[str, Any]) -> str:
    """README.md with the table that belongs there; raises ValueError if it has no place for it."""
    before, begin, rest = README.read_text(encoding="utf-8").partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not end:
        raise ValueError(f"{README}: no lines {MARKS}")
    return f"{before}{begin}\n{table(found)}\n{end}{after}"


def _figures(seconds: list[float], images: int) -> tuple[str, str]:
    each = f"{statistics.median(seconds) / images * 1000:.1f}" if images > 1 else ""
    return _spread(seconds), each


def _seconds(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f}"


def _title(name: str, case: dict[str, Any]) -> str:
    rounds = max(map(len, case["seconds"].values()))
    return f"{name} ({rounds} round{'' if rounds == 1 else 's'})"


def _spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    PAGE.write_text(page(results), encoding="utf-8")
    README.write_text(readme(results), encoding="utf-8")
