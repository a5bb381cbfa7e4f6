"""Runs the tutorials: files they say to save are saved, commands they show are run, what they print must come out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"first-agent": 14, "contract-net": 18}
"""Page in docs/tutorial → commands on it."""

_BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
_SAVE_AS = re.compile(r"[Ss]ave (?:it|this) as `([\w.]+)`")
COMMAND_TIMEOUT_S = 60


@dataclass
class Step:
    """One command and the lines that must come out; `…` stands for anything."""

    command: str
    expected: list[str]


def steps_of(block: str) -> list[Step]:
    steps: list[Step] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            steps.append(Step(line[2:], []))
        elif line:
            steps[-1].expected.append(line)
    return steps


def as_pattern(lines: list[str]) -> str:
    return r"\s*".join(re.escape(line).replace("…", r"[\s\S]*?") for line in lines) + r"\s*"


@pytest.fixture
def place(tmp_path: Path) -> Generator[Path]:
    """A directory to work in; a server that was started there is stopped."""
    shutil.copy(ROOT / "sdk" / "c" / "caxton.h", tmp_path)
    for name in ("examples", "sdk"):
        (tmp_path / name).symlink_to(ROOT / name)
    yield tmp_path
    run("caxton server stop --force", tmp_path)


def run(command: str, place: Path) -> str:
    """What a command prints, and its exit code if it is not 0, as on the page."""
    environment = {
        "HOME": str(place),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "CAXTON_PORT": "0",
        "LANG": "C.UTF-8",
        "COLUMNS": "200",
    }
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    return done.stdout + (f"[exit code {done.returncode}]\n" if done.returncode else "")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_the_tutorial_does_what_the_page_says(place: Path, page: str) -> None:
    text = (ROOT / "docs" / "tutorial" / f"{page}.md").read_text(encoding="utf-8")
    ran, before = 0, 0
    for block in _BLOCK.finditer(text):
        kind, content = block.groups()
        if kind == "c":
            name = _SAVE_AS.findall(text[before : block.start()])[-1]
            (place / name).write_text(content, encoding="utf-8")
        elif kind == "console":
            for step in steps_of(content):
                printed = run(step.command, place)
                assert re.fullmatch(as_pattern(step.expected), printed), f"$ {step.command}\n{printed}"
                ran += 1
        before = block.start()
    assert ran == PAGES[page]


def test_every_tutorial_is_run() -> None:
    assert {path.stem for path in (ROOT / "docs" / "tutorial").glob("*.md")} == set(PAGES)
