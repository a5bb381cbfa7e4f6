"""What doctor measures."""

from __future__ import annotations

import resource
import time
from itertools import count
from typing import TYPE_CHECKING

import pytest

from caxton.cli.checks import Verdict
from caxton.cli.machine_checks import (
    SYNCS,
    check_disk_speed,
    check_keys,
    check_memory,
    check_recorder,
    check_time,
    file_system_of,
)
from caxton.recorder.recorder import VERSION
from caxton.recorder.ring import Ring

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_800_000_000.0


# --- disk --------------------------------------------------------------------------------------------------------


def test_each_sync_is_really_asked_for_and_nothing_is_left_behind(tmp_path: Path) -> None:
    synced: list[int] = []
    assert check_disk_speed(tmp_path, synced.append).verdict is not Verdict.FAIL
    assert (len(synced), list(tmp_path.iterdir())) == (SYNCS, [])


def test_slow_disk_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caxton.cli.machine_checks.file_system_of", lambda _place: "ext4")  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    ticks = count()
    slow = check_disk_speed(tmp_path, lambda _fd: None, lambda: next(ticks) * 0.05)
    assert (slow.verdict, "50.0 ms" in slow.finding) == (Verdict.WARN, True)
    fast = check_disk_speed(tmp_path, lambda _fd: None, lambda: next(ticks) * 0.001)
    assert fast.verdict is Verdict.OK


def test_disk_that_does_not_sync_fails(tmp_path: Path) -> None:
    def broken(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    assert check_disk_speed(tmp_path, broken).verdict is Verdict.FAIL


def test_directory_in_memory_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\ntmpfs {tmp_path} tmpfs rw 0 0\n")
    assert file_system_of(tmp_path / "data", mounts) == "tmpfs"
    assert file_system_of(tmp_path.parent, mounts) == "ext4"
    assert file_system_of(tmp_path, tmp_path / "none") is None
    monkeypatch.setattr("caxton.cli.machine_checks.file_system_of", lambda _place: "tmpfs")  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    assert check_disk_speed(tmp_path).verdict is Verdict.WARN


# --- time --------------------------------------------------------------------------------------------------------


def test_clock_that_was_never_set_fails() -> None:
    steady = count(0, 0.2)
    assert check_time(lambda: 0.0, lambda: next(steady), lambda _s: None).verdict is Verdict.FAIL


def test_clock_that_jumps_is_warned_of_and_the_time_zone_is_of_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    times = iter([NOW, NOW + 0.5, NOW + 0.5])
    steady = count(0, 0.2)
    jumped = check_time(lambda: next(times), lambda: next(steady), lambda _s: None)
    assert (jumped.verdict, "300 ms" in jumped.finding) == (Verdict.WARN, True)
    times, steady = iter([NOW, NOW + 0.2, NOW + 0.2]), count(0, 0.2)
    assert check_time(lambda: next(times), lambda: next(steady), lambda _s: None).finding.startswith(
        "2027-01-15T08:00:00+00:00"
    )
    monkeypatch.undo()
    time.tzset()


def test_steady_clock_that_stands_still_fails() -> None:
    assert check_time(lambda: NOW, lambda: 1.0, lambda _s: None).verdict is Verdict.FAIL


# --- memory ------------------------------------------------------------------------------------------------------


def test_limit_on_address_space_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (1 << 32, 1 << 32))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    found = check_memory()
    assert (found.verdict, found.advice) == (Verdict.FAIL, "ulimit -v unlimited (LimitAS=infinity)")


@pytest.mark.parametrize(
    ("available_kb", "cgroup", "verdict"),
    [
        (8 << 20, "max", Verdict.OK), (100 << 10, "max", Verdict.WARN), (8 << 20, str(64 << 20), Verdict.WARN),
        (None, "max", Verdict.OK),
    ],
)  # fmt: skip
def test_little_memory_is_warned_of(tmp_path: Path, available_kb: int | None, cgroup: str, verdict: Verdict) -> None:
    if available_kb is not None:
        (tmp_path / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable:   {available_kb} kB\n")
    (tmp_path / "max").write_text(cgroup + "\n")
    assert check_memory(tmp_path / "meminfo", tmp_path / "max").verdict is verdict


# --- files -------------------------------------------------------------------------------------------------------


def test_key_file_open_to_others_fails_with_the_way_to_close_it(tmp_path: Path) -> None:
    assert check_keys(tmp_path).verdict is Verdict.OK
    key = tmp_path / "keys" / "cache.key"
    key.parent.mkdir()
    key.write_bytes(b"x")
    key.chmod(0o640)
    found = check_keys(tmp_path)
    assert (found.verdict, found.advice) == (Verdict.FAIL, f"chmod 600 {key}")
    key.chmod(0o600)
    assert check_keys(tmp_path).verdict is Verdict.OK
    (tmp_path / "admin.token").symlink_to(key)
    assert check_keys(tmp_path).verdict is Verdict.FAIL


def test_recorder_that_is_off_foreign_or_of_another_version_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "recorder" / "facts.ring"
    assert check_recorder(tmp_path, 0).verdict is Verdict.WARN
    assert check_recorder(tmp_path, 1 << 26).verdict is Verdict.OK
    path.parent.mkdir()
    path.write_bytes(b"something else")
    assert check_recorder(tmp_path, 1 << 26).verdict is Verdict.WARN
    path.unlink()
    Ring(path, 2 << 20, version=VERSION + 1).close()
    assert check_recorder(tmp_path, 1 << 26).verdict is Verdict.WARN
    path.unlink()
    Ring(path, 2 << 20, version=VERSION).close()
    assert check_recorder(tmp_path, 1 << 26).verdict is Verdict.OK
