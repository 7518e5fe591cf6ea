"""Every option of every command, looked at together."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from inceptioncli.cli.program import cli


def commands(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, *path, name)


@pytest.mark.parametrize(("path", "command"), list(commands(cli)))
def test_options_are_named_for_their_environment_variables(
    path: tuple[str, ...], command: click.Command
) -> None:
    """Click derives INCEPTIONCLI_<COMMAND>_<OPTION> from the parameter's name.

    Where the option's name is a Python keyword, the variable has to be given.
    """
    for parameter in command.params:
        long = [option for option in parameter.opts if option.startswith("--")]
        if isinstance(parameter, click.Option) and long:
            option = long[0][2:].replace("-", "_")
            variable = "_".join(["INCEPTIONCLI", *path, option]).upper()
            assert parameter.name == option or parameter.envvar == variable, path
            assert parameter.help, path


def test_the_graphs_options_are_the_same_everywhere() -> None:
    shared = {"weights", "labels", "device", "precision", "crop", "offline"}
    (classify,) = (command for path, command in commands(cli) if path == ("classify",))
    names = {parameter.name for parameter in classify.params}
    assert shared <= names


@pytest.mark.parametrize("value", ["1", "0.1.0"])
@pytest.mark.parametrize("name", ["VERSION", "HELP", "MODEL_VERSION", "MODEL_HELP"])
def test_version_and_help_take_no_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"INCEPTIONCLI_{name}", value)
    shown = CliRunner().invoke(cli, ["model"])
    assert (shown.exit_code, shown.output.split()[:2]) == (0, ["END", "POINT"])
