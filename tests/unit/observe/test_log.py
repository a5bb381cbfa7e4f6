"""The server's own log: one line an event, readable by programs, whatever is in it."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from caxton.observe.log import set_up_logging

if TYPE_CHECKING:
    import pytest


def lines(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_line_has_time_level_text_and_the_extra_facts(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info", readable=False)
    logging.getLogger("caxton.bus").warning("message %s", "redelivered", extra={"action": "bus.redelivered", "n": 2})
    (line,) = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "message redelivered", "level": "warning", "action": "bus.redelivered", "n": 2}


def test_error_comes_with_its_traceback_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info", readable=False)
    try:
        raise OSError("disk\nfull")
    except OSError as exc:
        logging.getLogger("x").critical("commit failed", exc_info=exc)
    (line,) = lines(capsys)
    assert line["event"] == "commit failed"
    assert "OSError: disk\nfull" in line["exception"]
    assert "Traceback" in line["exception"]


def test_text_of_strangers_makes_neither_lines_nor_colours(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info", readable=False)
    logging.getLogger("x").info("said", extra={"text": 'a\n{"event": "forged"}\x1b[31m', "odd": object()})
    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert "\x1b" not in written
    assert json.loads(written)["text"] == 'a\n{"event": "forged"}\x1b[31m'


def test_facts_cannot_replace_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info", readable=False)
    logging.getLogger("x").info("true", extra={"event": "false", "level": "debug", "timestamp": "never"})
    (line,) = lines(capsys)
    assert (line["event"], line["level"]) == ("true", "info")
    assert line["timestamp"] != "never"


def test_what_is_less_grave_than_asked_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("warning", readable=False)
    logging.getLogger("caxton").info("left out")
    logging.getLogger("httpx").info("left out")
    assert lines(capsys) == []


def test_setting_up_twice_does_not_double_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info", readable=False)
    set_up_logging("info", readable=False)
    logging.getLogger("caxton").info("once")
    assert len(lines(capsys)) == 1
