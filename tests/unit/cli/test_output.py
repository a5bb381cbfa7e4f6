from __future__ import annotations

import io
import os
import subprocess
import sys
import threading

import pytest

from caxton.cli.logs import View, print_line
from caxton.cli.output import Mark, Screen, printable
from caxton.core.views.logs import LogLine


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def write(self, text: str) -> int:
        self.written.set()
        return super().write(text)

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    stream = Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return stream


def line(text: str, *, agent: str = "ping", source: str = "guest", level: str = "info") -> LogLine:
    return LogLine(seq=1, at="2026-01-01T00:00:00Z", agent=agent, replica=0, level=level, source=source, text=text)


def view(*, timestamps: bool = False) -> View:
    return View(agents=None, since=None, level=None, limit=10, timestamps=timestamps)


def test_marks_have_colours_on_a_terminal(terminal: Terminal) -> None:
    Screen(out=terminal).done("it is done")
    assert terminal.getvalue() == "\x1b[32m✓\x1b[0m it is done\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_are_left_out_when_they_are_not_wanted(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    screen = Screen(out=terminal)
    screen.done("it is done")
    screen.table(("a", "b"), [("1", "2")], total="1 row")
    assert terminal.getvalue() == "✓ it is done\nA  B\n1  2\n1 row\n"


def test_slow_work_shows_a_spinner_on_a_terminal_and_leaves_no_trace_of_it(terminal: Terminal) -> None:
    with Screen(err=terminal).busy("Fetching [all]"):
        assert terminal.written.wait(10)
    assert "Fetching [all]" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")


def test_quick_work_shows_nothing() -> None:
    terminal = Terminal()
    with Screen(err=terminal).busy("Fetching"):
        pass
    assert terminal.getvalue() == ""


def test_pipe_gets_neither_colours_nor_broken_lines(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.done("it is done")
    screen.table(("name", "text"), [("ping", "x" * 500)])
    assert capsys.readouterr().out == f"✓ it is done\nNAME  TEXT\nping  {'x' * 500}\n"


def test_mark_that_the_stream_cannot_write_becomes_a_word() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="latin-1")
    Screen(out=stream).done("done")
    assert raw.getvalue() == b"OK done\n"


def test_table_has_bold_heads_on_a_terminal(terminal: Terminal) -> None:
    Screen(out=terminal).table(("a",), [("1",)])
    assert terminal.getvalue() == "\x1b[1mA\x1b[0m\n1\n"


def test_quiet_leaves_answers_and_drops_remarks(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(quiet=True)
    screen.done("done")
    screen.warn("careful")
    screen.hint("try this")
    screen.line("the answer")
    screen.error("it failed")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("the answer\n", "✗ it failed\n")


@pytest.mark.parametrize("text", ["\x1b[2J", "\x9b2J", "\x07", "a\rb", "a\nb", "\u202e", "\u2028", "\x7f", "\x00"])
def test_text_that_would_steer_a_terminal_is_written_out(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert "\\" in shown


def test_ordinary_text_is_printed_as_it_is() -> None:
    assert printable("größe\t日本 ✓ [ping]") == "größe\t日本 ✓ [ping]"


def test_log_line_has_its_agent_in_front(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(Screen(), line("Sending ping to pong"), view())
    assert capsys.readouterr().out == "[ping] Sending ping to pong\n"


def test_line_of_the_host_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(Screen(), line("restarted", source="host"), view())
    print_line(Screen(), line("trapped", source="host", level="error"), view())
    assert capsys.readouterr().out == f"[ping] {Mark.INFO.value[0]} restarted\n[ping] ✗ trapped\n"


def test_guest_cannot_write_lines_in_the_name_of_another(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(Screen(), line("one\n[pong] two\r[pong] three\x1b[2K"), view())
    assert capsys.readouterr().out == "[ping] one\n[ping] [pong] two\\r[pong] three\\x1b[2K\n"


def test_timestamps_stand_first(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(Screen(), line("x"), view(timestamps=True))
    assert capsys.readouterr().out == "2026-01-01T00:00:00Z [ping] x\n"


def test_json_log_has_one_object_in_each_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(Screen(as_json=True), line("a\nb"), view())
    assert capsys.readouterr().out.count("\n") == 1


def test_reader_that_leaves_early_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        command = [sys.executable, "-m", "caxton", "version"]
        outcome = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, timeout=30, check=False)
    assert (outcome.returncode, outcome.stderr) == (0, b"")
