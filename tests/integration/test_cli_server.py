"""Starting and stopping a server with the command: real processes, each with a data directory of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from caxton.cli.process import find_running
from caxton.core.errors.server import ServerNotRunning
from tests.cli_runner import caxton

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli_runner import CliRunner

__all__ = ["caxton"]

_DEADLINE_S = 30.0


@pytest.fixture
def data_dir(caxton: CliRunner) -> Iterator[Path]:
    """A data directory; the server on it is ended with the test."""
    path = caxton.home / "data" / "caxton"
    yield path
    caxton("server", "stop", "--data-dir", path, "--timeout", "10s", "--force")


def is_serving(data_dir: Path) -> bool:
    try:
        find_running(data_dir)
    except ServerNotRunning:
        return False
    return True


def test_server_starts_is_found_and_stops(caxton: CliRunner, data_dir: Path) -> None:
    started = caxton("server", "start", "--port", "0", "-o", "json")
    assert started.code == 0
    port = started.json()["url"].rpartition(":")[2]
    assert caxton("status").out.startswith(f"✓ Server running at http://localhost:{port}\n")
    assert stat.S_IMODE(caxton.contexts_path.stat().st_mode) == 0o600
    assert stat.S_IMODE((data_dir / "server.log").stat().st_mode) == 0o600
    stopped = caxton("server", "stop")
    assert (stopped.code, stopped.out) == (0, "✓ Server stopped\n")
    assert not is_serving(data_dir)
    assert caxton("status").code == 7
    assert caxton("server", "stop").code == 7


def test_second_server_on_the_same_data_is_refused_and_the_first_goes_on(caxton: CliRunner, data_dir: Path) -> None:
    first = caxton("server", "start", "--port", "0", "-o", "json").json()
    second = caxton("server", "start", "--port", "0", "-o", "json")
    assert (second.code, second.problem()["code"]) == (5, "DATA_DIR_IN_USE")
    assert caxton("status", "-o", "json").json()["server"]["pid"] == first["pid"]


def test_taken_port_is_told_and_nothing_is_left_running(caxton: CliRunner, data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        outcome = caxton("server", "start", "--port", str(other.getsockname()[1]))
    assert outcome.code == 5
    assert "code: PORT_IN_USE" in outcome.err
    assert not is_serving(data_dir)


def test_data_directory_that_cannot_be_is_told(caxton: CliRunner) -> None:
    (caxton.home / "file").write_text("")
    for command in (["server", "start"], ["serve"]):
        outcome = caxton(*command, "--data-dir", caxton.home / "file" / "below", "--port", "0")
        assert outcome.code == 74
        assert "code: DATA_DIR_UNUSABLE" in outcome.err


@pytest.mark.parametrize("command", [["server", "start"], ["serve"], ["config", "show"]])
def test_typo_in_the_settings_is_answered_with_the_nearest_key(caxton: CliRunner, command: list[str]) -> None:
    (caxton.home / "config.toml").write_text("[server]\nprot = 9000\n")
    outcome = caxton(*command, "--config", "config.toml")
    assert outcome.code == 4
    assert "did you mean server.port?" in outcome.err


def test_server_that_is_not_ready_in_time_is_stopped_again(caxton: CliRunner, data_dir: Path) -> None:
    outcome = caxton("server", "start", "--port", "0", "--timeout", "0s")
    assert outcome.code == 1
    assert "code: SERVER_START_FAILED" in outcome.err
    assert not is_serving(data_dir)


def test_restart_keeps_options_and_takes_new_ones(caxton: CliRunner, data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    first = caxton("server", "start", "--port", port, "-o", "json").json()
    second = caxton("server", "restart", "-o", "json").json()
    assert second["url"] == first["url"]
    assert second["pid"] != first["pid"]
    third = caxton("server", "restart", "--port", "0", "-o", "json").json()
    assert third["url"] != first["url"]


def test_restart_of_a_stopped_server_starts_it(caxton: CliRunner, data_dir: Path) -> None:
    assert caxton("server", "restart", "--port", "0").code == 0
    assert is_serving(data_dir)


def test_stale_process_id_is_not_believed(caxton: CliRunner, data_dir: Path) -> None:
    """After a crash the number may belong to any other program."""
    data_dir.mkdir(parents=True)
    (data_dir / "lock").write_text("")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        (data_dir / "server.json").write_text(json.dumps({"pid": other.pid, "url": "http://127.0.0.1:1"}))
        assert caxton("server", "stop").code == 7
        assert caxton("server", "restart", "--port", "0").code == 0
        assert other.poll() is None
        other.communicate(b"\n", timeout=_DEADLINE_S)
        assert other.returncode == 0


def test_stop_that_takes_too_long_is_a_timeout_until_forced(caxton: CliRunner, data_dir: Path) -> None:
    pid = caxton("server", "start", "--port", "0", "-o", "json").json()["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        outcome = caxton("server", "stop", "--timeout", "100ms")
        assert outcome.code == 8
        assert "code: SERVER_STOP_TIMEOUT" in outcome.err
        assert caxton("server", "stop", "--timeout", "100ms", "--force").code == 0
    finally:
        if is_serving(data_dir):
            os.kill(pid, signal.SIGCONT)
    assert not is_serving(data_dir)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server_in_the_foreground_says_where_it_runs_and_ends_well(
    caxton: CliRunner, data_dir: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "caxton", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("✓ Server running at http://localhost:")
        assert caxton("server", "status").code == 0
        process.send_signal(number)
        assert process.wait(_DEADLINE_S) == 0
    assert not is_serving(data_dir)


def test_contexts_file_that_cannot_be_written_is_only_a_warning(
    caxton: CliRunner, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (caxton.home / "blocked").write_text("")
    monkeypatch.setenv("CAXTON_CONTEXTS", str(caxton.home / "blocked" / "contexts.json"))
    assert caxton("server", "start", "--port", "0").code == 0
    assert "contexts file was not written" in (data_dir / "server.log").read_text()


def test_effective_settings_come_with_their_places(caxton: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAXTON_PORT", "9001")
    (caxton.home / "config.toml").write_text('[log]\nlevel = "error"\n')
    outcome = caxton("config", "show", "--config", "config.toml", "--data-dir", "here", "-o", "json")
    found = {setting["key"]: (setting["value"], setting["source"]) for setting in outcome.json()["settings"]}
    assert found == {
        "server.port": (9001, "CAXTON_PORT"),
        "server.data_dir": (str(caxton.home / "here"), "flag"),
        "log.level": ("error", str(caxton.home / "config.toml")),
    }
    everything = caxton("config", "show", "--effective").out
    assert "server.host" in everything
    assert "default" in everything


def test_second_server_that_stops_gives_commands_back_to_the_first(caxton: CliRunner, tmp_path: Path) -> None:
    first = caxton("server", "start", "--port", "0", "--data-dir", tmp_path / "a", "-o", "json").json()
    caxton("server", "start", "--port", "0", "--data-dir", tmp_path / "b", "-o", "json")
    try:
        assert caxton("server", "stop", "--data-dir", tmp_path / "b").code == 0
        assert caxton("status", "-o", "json").json()["server"]["pid"] == first["pid"]
    finally:
        caxton("server", "stop", "--data-dir", tmp_path / "a", "--force")
        caxton("server", "stop", "--data-dir", tmp_path / "b", "--force")


def test_header_is_not_shown_by_the_command(caxton: CliRunner) -> None:
    file = caxton.home / "config.toml"
    file.write_text("[telemetry]\nheaders = { authorization = 'Bearer s3cret' }\n", encoding="utf-8")
    for form in ("table", "json"):
        outcome = caxton("config", "show", "--config", file, "-o", form)
        assert (outcome.code, "authorization=***" in outcome.out, "s3cret" in outcome.out) == (0, True, False)
