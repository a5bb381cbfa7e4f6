"""The server's own log: one line an event, readable by programs, whatever is in it."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from caxton.observe import context
from caxton.observe.log import INSTANCE_ID, set_up_logging

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "s3cr3t-Value.42"  # noqa: S105


def lines(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_line_has_the_names_of_telemetry_for_time_severity_text_and_facts(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info", readable=False)
    facts = {
        "action": "bus.redelivered", "n": 2, "workspace": "default", "agent": "ping", "message_id": "m-1",
        "conversation_id": "c-1", "attempt": 3, "trace_id": "ab" * 16, "absent": None,
    }  # fmt: skip
    logging.getLogger("caxton.bus").warning("message %s", "redelivered", extra=facts)
    (line,) = lines(capsys)
    assert datetime.fromisoformat(line.pop("timestamp")).utcoffset() is not None
    assert line == {
        "severity_text": "WARN", "body": "message redelivered", "logger": "caxton.bus",
        "service.instance.id": INSTANCE_ID, "event.name": "bus.redelivered", "n": 2,
        "caxton.workspace.id": "default", "caxton.agent.id": "ping", "messaging.message.id": "m-1",
        "messaging.message.conversation_id": "c-1", "caxton.delivery.attempt": 3, "trace_id": "ab" * 16,
    }  # fmt: skip


@pytest.mark.parametrize(("level", "word"), [(10, "DEBUG"), (20, "INFO"), (30, "WARN"), (40, "ERROR"), (50, "FATAL")])
def test_severities_are_those_of_telemetry(level: int, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("debug", readable=False)
    logging.getLogger("x").log(level, "said")
    assert [line["severity_text"] for line in lines(capsys)] == [word]


def test_error_comes_with_its_type_and_traceback_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info", readable=False)
    try:
        raise OSError("disk\nfull")
    except OSError as exc:
        logging.getLogger("x").critical("commit failed", exc_info=exc)
    (line,) = lines(capsys)
    assert (line["body"], line["error.type"]) == ("commit failed", "OSError")
    assert line["exception.stacktrace"].endswith("OSError: disk\nfull")
    assert line["exception.stacktrace"].startswith("Traceback")


def test_text_of_strangers_makes_neither_lines_nor_colours(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info", readable=False)
    logging.getLogger("x").info("said", extra={"text": 'a\n{"body": "forged"}\x1b[31m', "odd": object()})
    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert "\x1b" not in written
    assert json.loads(written)["text"] == 'a\n{"body": "forged"}\x1b[31m'


def test_text_of_strangers_cannot_steer_a_terminal_or_make_lines_on_it(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info", readable=True)
    logging.getLogger("x").warning("one\ntwo \x1b]0;title\x07", extra={"text": "\x9b31m \u202e reversed\x1b[2J"})
    written = capsys.readouterr().err
    for wicked in ("\x1b]0;", "\x07", "\x9b", "\u202e", "\x1b[2J"):
        assert wicked not in written
    assert written.count("\n") == 1
    assert "one\\ntwo" in written


def test_facts_cannot_replace_what_every_line_has(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info", readable=False)
    forged = {
        "body": "false",
        "severity_text": "DEBUG",
        "timestamp": "never",
        "logger": "y",
        "service.instance.id": "z",
    }
    logging.getLogger("x").info("true", extra=forged)
    (line,) = lines(capsys)
    assert (line["body"], line["severity_text"], line["logger"]) == ("true", "INFO", "x")
    assert line["timestamp"] != "never"
    assert line["service.instance.id"] == INSTANCE_ID


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


# --- secrets -----------------------------------------------------------------------------------------------------


def raised_with_a_secret() -> BaseException:
    try:
        try:
            raise ValueError(f"refused: Authorization: Bearer {SECRET}")
        except ValueError as exc:
            raise RuntimeError(f"GET https://user:{SECRET}@example.org/x?api_key={SECRET}&n=1") from exc
    except RuntimeError as exc:
        return exc


def plainly() -> None:
    logging.getLogger("x").error("login with password=%s failed", SECRET)


def as_a_fact() -> None:
    logging.getLogger("x").error("said", extra={"api_key": SECRET, "headers": {"Authorization": SECRET, "n": 1}})


def in_a_traceback() -> None:
    logging.getLogger("x").error("unexpected", exc_info=raised_with_a_secret())


def in_broken_arguments() -> None:
    logging.getLogger("x").error("%d said", f"token={SECRET}")


@pytest.mark.parametrize("readable", [False, True], ids=["json", "terminal"])
@pytest.mark.parametrize("say", [plainly, as_a_fact, in_a_traceback, in_broken_arguments])
def test_secrets_do_not_reach_the_log(
    say: Callable[[], None], readable: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("info", readable=readable)
    say()
    written = capsys.readouterr().err
    assert SECRET not in written
    assert written


def test_traceback_keeps_all_but_the_secret(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info", readable=False)
    in_a_traceback()
    (line,) = lines(capsys)
    assert "GET https://[removed]@example.org/x?api_key=[removed]&n=1" in line["exception.stacktrace"]
    assert "Authorization: [removed]" in line["exception.stacktrace"]
    assert "in raised_with_a_secret" in line["exception.stacktrace"]


def test_line_that_cannot_be_written_is_told_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info", readable=False)
    in_broken_arguments()
    (line,) = lines(capsys)
    assert (line["event.name"], line["error.type"], line["severity_text"]) == ("log.broken", "TypeError", "ERROR")
    assert line["place"].startswith(__file__)


# --- whose work it is --------------------------------------------------------------------------------------------


async def test_lines_of_a_request_have_its_ids_and_those_of_others_do_not(capsys: pytest.CaptureFixture[str]) -> None:
    import asyncio

    set_up_logging("info", readable=False)
    log = logging.getLogger("x")
    loop = asyncio.get_running_loop()
    called = asyncio.Event()

    def callback() -> None:
        log.info("callback")
        called.set()

    async def inherits() -> None:
        log.info("task")

    work = context.begin(lambda: {"request_id": "r-1", "trace_id": "cd" * 16})
    log.info("request")
    log.info("knows better", extra={"trace_id": "ef" * 16})
    loop.call_soon(callback)
    await called.wait()
    await asyncio.create_task(inherits())
    await asyncio.to_thread(log.info, "thread")
    work.end()
    log.info("later")
    found = {line["body"]: (line.get("request_id"), line.get("trace_id")) for line in lines(capsys)}
    assert found == {
        "request": ("r-1", "cd" * 16), "knows better": ("r-1", "ef" * 16), "callback": (None, None),
        "task": (None, None), "thread": (None, None), "later": (None, None),
    }  # fmt: skip
