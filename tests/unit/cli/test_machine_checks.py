"""What doctor measures."""

from __future__ import annotations

import resource
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from caxton.cli.checks import Verdict
from caxton.cli.machine_checks import (
    SYNCS,
    check_certificate,
    check_disk_speed,
    check_keys,
    check_memory,
    check_recorder,
    check_time,
    file_system_of,
)
from caxton.recorder.recorder import VERSION
from caxton.recorder.ring import Ring
from tests.zone import time_zone

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


def test_clock_that_jumps_is_warned_of_and_the_time_zone_is_of_no_matter() -> None:
    with time_zone("Asia/Kathmandu"):
        times, steady = iter([NOW, NOW + 0.5, NOW + 0.5]), count(0, 0.2)
        jumped = check_time(lambda: next(times), lambda: next(steady), lambda _s: None)
        times, steady = iter([NOW, NOW + 0.2, NOW + 0.2]), count(0, 0.2)
        steadily = check_time(lambda: next(times), lambda: next(steady), lambda _s: None)
    assert (jumped.verdict, "300 ms" in jumped.finding) == (Verdict.WARN, True)
    assert steadily.finding.startswith("2027-01-15T08:00:00+00:00")


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


def test_recorder_has_the_size_of_its_file_and_is_on_if_the_server_says_so(tmp_path: Path) -> None:
    (tmp_path / "recorder").mkdir()
    Ring(tmp_path / "recorder" / "facts.ring", 4 << 20, version=VERSION).close()
    assert "of 4.0 MiB in use" in check_recorder(tmp_path, 4 << 20).finding
    assert "begins one of 64.0 MiB" in check_recorder(tmp_path, 64 << 20).finding
    running = check_recorder(tmp_path, 0, is_on=True)
    assert (running.verdict, running.finding.endswith("of 4.0 MiB in use")) == (Verdict.OK, True)
    assert check_recorder(tmp_path, 4 << 20, is_on=False).verdict is Verdict.WARN


# --- the certificate ---------------------------------------------------------------------------------------------

BEGINS, ENDS = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
DURING = datetime(2026, 2, 1, tzinfo=UTC)


def made(folder: Path, name: str, *, password: bytes | None = None) -> tuple[Path, Path]:
    """A certificate for a key, and that key."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signed = (
        x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key()).serial_number(7)
        .not_valid_before(BEGINS).not_valid_after(ENDS).sign(key, hashes.SHA256())
    )  # fmt: skip
    cert_path, key_path = folder / f"{name}.pem", folder / f"{name}.key"
    cert_path.write_bytes(signed.public_bytes(Encoding.PEM))
    how = NoEncryption() if password is None else BestAvailableEncryption(password)
    key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    return cert_path, key_path


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        (DURING, Verdict.OK), (BEGINS - timedelta(seconds=1), Verdict.FAIL),
        (ENDS + timedelta(seconds=1), Verdict.FAIL), (ENDS - timedelta(days=13), Verdict.WARN),
    ],
)  # fmt: skip
def test_certificate_out_of_its_time_fails_and_shortly_before_its_end_is_warned_of(
    tmp_path: Path, now: datetime, verdict: Verdict
) -> None:
    assert check_certificate(*made(tmp_path, "a"), now).verdict is verdict


def test_certificate_that_cannot_be_used_with_its_key_fails(tmp_path: Path) -> None:
    cert, key = made(tmp_path, "a")
    _, other = made(tmp_path, "b")
    _, locked = made(tmp_path, "c", password=b"hush")
    nothing = tmp_path / "nothing"
    nothing.write_text("nothing")
    for pair in ((cert, other), (cert, locked), (cert, nothing), (nothing, key), (key, key), (cert, None), (None, key)):
        assert check_certificate(*pair, DURING).verdict is Verdict.FAIL, pair
    missing = check_certificate(tmp_path / "missing.pem", key, DURING)
    assert (missing.verdict, "missing.pem cannot be read" in missing.finding) == (Verdict.FAIL, True)
