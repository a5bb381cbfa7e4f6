"""docs/reference/cli.md has a line for every command, option and exit code, and none for what is not there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from caxton.cli.checks import check_disk
from caxton.cli.exits import ExitCode
from caxton.cli.main import app

PAGE = Path("docs/reference/cli.md").read_text(encoding="utf-8")
GLOBALS = {"--output", "--server", "--token", "--context", "--quiet"}


def walk(group: Any, above: str) -> dict[str, Any]:
    """Every command by its path, the root included."""
    context = typer.Context(group)
    found: dict[str, Any] = {above: group}
    for name in group.list_commands(context):
        below = group.get_command(context, name)
        path = f"{above} {name}"
        found |= walk(below, path) if hasattr(below, "list_commands") else {path: below}
    return found


COMMANDS = walk(get_command(app), "caxton")
VERBS = {path: command for path, command in COMMANDS.items() if not hasattr(command, "list_commands")}


def section(heading: str) -> str:
    """The text below a heading, up to the next one of its rank or above."""
    marks = heading.partition(" ")[0]
    _, _, rest = PAGE.partition(f"\n{heading}\n")
    return re.split(rf"(?m)^#{{1,{len(marks)}}} ", rest)[0]


def rows(text: str) -> set[str]:
    """All names in the first column of the tables in `text`."""
    cells = re.findall(r"(?m)^\| (`.*?) \| ", text)
    return {word.split()[0] for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


def options(command: Any, *, own: bool) -> set[str]:
    """What a command takes, with or without the global options."""
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    return {
        name
        for parameter in shown
        if own != bool(GLOBALS & {*parameter.opts})
        for name in ([parameter.metavar] if parameter.param_type_name == "argument" else parameter.opts)
    }


@pytest.mark.parametrize("path", VERBS)
def test_every_command_has_a_section_with_exactly_its_options(path: str) -> None:
    text = section(f"### `{path}`")
    assert f"$ {path}" in text or f"| {path}" in text
    listed = rows(text)
    if path == "caxton doctor":
        listed = {name for name in listed if name.startswith("-")}
    assert listed == options(VERBS[path], own=True)


def test_every_section_is_that_of_a_command() -> None:
    assert set(re.findall(r"(?m)^### `(.*)`$", PAGE)) == set(VERBS)


def test_every_global_option_has_a_line() -> None:
    root = COMMANDS["caxton"]
    assert rows(section("## Global options")) == options(root, own=True) | options(root, own=False) | {"--help"}


def test_every_exit_code_has_a_line() -> None:
    listed = {int(code) for code in re.findall(r"(?m)^\| (\d+) \| ", section("## Exit codes"))}
    assert listed == {code.value for code in ExitCode}


def test_every_check_of_doctor_has_a_line(tmp_path: Path) -> None:
    text = section("### `caxton doctor`")
    files = ("checks", "machine_checks")
    source = "".join(Path(f"src/caxton/cli/{file}.py").read_text(encoding="utf-8") for file in files)
    names = set(re.findall(r'(?:ok|warn|fail)\("([a-z ]+)"', source)) | set(
        re.findall(r'name(?:, path|, place)? = "([a-z ]+)"', source)
    )
    assert check_disk(tmp_path).name in names
    assert set(re.findall(r"(?m)^\| `([a-z ]+)` \| ", text)) == names
