"""Where a live screen can be drawn."""

from __future__ import annotations

import io
import sys

import pytest

from caxton.cli.command import Cli, OutputFormat
from caxton.cli.top import Sort, need_terminal
from caxton.core.errors.command_line import InvalidUsage
from caxton.core.views.stats import SORTS


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said by each test itself: pytest has streams of its own for each phase."""
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("stdin", "stdout", "__stderr__"):
        monkeypatch.setattr(sys, name, Terminal())


def test_terminal_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    need_terminal(Cli(), "caxton top", "use that")


@pytest.mark.parametrize("name", ["stdin", "stdout", "__stderr__"])
@pytest.mark.parametrize("stream", [io.StringIO(), None])
def test_stream_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, name: str, stream: io.StringIO | None) -> None:
    on_a_terminal(monkeypatch)
    monkeypatch.setattr(sys, name, stream)
    with pytest.raises(InvalidUsage, match=r"needs a terminal.*use that"):
        need_terminal(Cli(), "caxton top", "use that")


def test_terminal_that_can_draw_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    with pytest.raises(InvalidUsage):
        need_terminal(Cli(), "caxton top", "use that")


def test_json_is_no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    with pytest.raises(InvalidUsage, match=r"no JSON.*use that"):
        need_terminal(Cli(output=OutputFormat.JSON), "caxton top", "use that")


def test_command_knows_every_order_of_the_server() -> None:
    assert [sort.value for sort in Sort] == [*SORTS]
