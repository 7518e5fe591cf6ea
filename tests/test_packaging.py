"""The package as it is built: its README, licence and requirements."""

from __future__ import annotations

import email
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def metadata(folder: Path, code: str = "") -> email.message.Message:
    """What a package index is told, of the package as it is or with other code in setup.py."""
    for name in ("setup.cfg", "README.md", "LICENSE"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    package = folder / "inceptioncli"
    package.mkdir()
    for name in ("__init__.py", "version.py"):
        (package / name).write_bytes((ROOT / "inceptioncli" / name).read_bytes())
    script = (ROOT / "setup.py").read_text(encoding="utf-8")
    (folder / "setup.py").write_text(
        script.replace('REPOSITORY = ""', f'REPOSITORY = "{code}"'), encoding="utf-8"
    )
    command = [sys.executable, "setup.py", "-q", "egg_info"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    text = (folder / "inceptioncli.egg-info" / "PKG-INFO").read_text(encoding="utf-8")
    return email.message_from_string(text)


def readme(message: email.message.Message) -> str:
    return str(message.get_payload() or message["Description"])


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)]+)\)", text)


def test_it_is_licensed_and_nobody_invented_an_address(tmp_path: Path) -> None:
    told = metadata(tmp_path)
    assert told["Author"] == "inceptioncli maintainers"
    assert "Apache" in (told["License-Expression"] or told["License"])
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert not [value for name, value in told.items() if "http" in value and name != "Description"]


def test_links_become_absolute_once_there_is_a_repository(tmp_path: Path) -> None:
    relative = links((ROOT / "README.md").read_text(encoding="utf-8"))
    assert not [link for link in relative if link.startswith("/")]
    told = metadata(tmp_path, "https://example.org/inceptioncli")
    expected = [
        link if link.startswith("http") else f"https://example.org/inceptioncli/blob/main/{link}"
        for link in relative
    ]
    assert links(readme(told)) == expected
    assert len(expected) > 5
