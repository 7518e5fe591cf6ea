"""Writes docs/commands.md from the commands' own help: `python docs/generate.py`."""

from __future__ import annotations

from pathlib import Path

import click

from inceptioncli.cli.program import cli

TARGET = Path(__file__).with_name("commands.md")
WIDTH = 100


def commands_page() -> str:
    """Every command's `--help`, as one Markdown page."""
    head = "# Commands\n\nMade by `python docs/generate.py` from `--help`; don't edit.\n"
    return head + "".join(_sections(cli, "inceptioncli"))


def _sections(command: click.Command, path: str) -> list[str]:
    context = click.Context(
        command, info_name=path, terminal_width=WIDTH, max_content_width=WIDTH, color=False,
        help_option_names=["-h", "--help"],
    )  # fmt: skip
    sections = [f"\n## {path}\n\n```\n{command.get_help(context)}\n```\n"]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            sections += _sections(below, f"{path} {name}")
    return sections


if __name__ == "__main__":
    TARGET.write_text(commands_page(), encoding="utf-8")
