"""README and docs say what the program does."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

from benchmarks import report
from inceptioncli.choices import PRECISIONS
from inceptioncli.records import FAILURE_CODES
from inceptioncli.weights.registry import NAMED
from tests.conftest import Run

ROOT = Path(__file__).parents[1]


def test_the_commands_page_is_what_help_says() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    page = generate.TARGET.read_text(encoding="utf-8")
    assert page == generate.commands_page(), "run `python docs/generate.py`"


def test_the_readme_names_every_contract() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for word in (*FAILURE_CODES, *PRECISIONS, *NAMED):
        assert f"`{word}`" in readme, word


def test_the_readmes_table_of_end_points_is_true(run: Run) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```\n\$ inceptioncli model(.*?)\n(.*?)```", readme, re.DOTALL)
    assert block is not None
    assert run("model", *block[1].split()).stdout == block[2]


def test_the_readmes_example_is_true(run: Run) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```\n\$ inceptioncli classify (.*?)\n(.*?)```", readme, re.DOTALL)
    assert block is not None
    done = run("classify", *block[1].split(), cwd=ROOT)
    digits = re.compile(r"\d+\.\d+%")  # The last ones differ from one processor to the next.
    assert digits.sub("", done.stdout) == digits.sub("", block[2])


def test_links_in_the_docs_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page.name, target)


def test_the_figures_are_those_of_the_benchmarks() -> None:
    found = json.loads(report.RESULTS.read_text(encoding="utf-8"))
    hint = "run `python -m benchmarks.report`"
    assert report.PAGE.read_text(encoding="utf-8") == report.page(found), hint
    assert report.README.read_text(encoding="utf-8") == report.readme(found), hint
    assert report.table(found) in report.readme(found)
