from __future__ import annotations

import json
from typing import TYPE_CHECKING

from caxton.tools import audit
from caxton.tools.audit import NAME, CallFiles, CallRecord, CallWriter

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def record(n: int) -> CallRecord:
    return CallRecord(n, "default", "a", "web.search", f"k{n}", "ok", 12, 1, 3, 4)


def test_each_call_is_a_line_of_json_in_a_file_of_its_owner_alone(tmp_path: Path) -> None:
    writer = CallWriter(CallFiles(tmp_path / "calls"))
    for n in range(3):
        writer.put(record(n))
    writer.close()
    path = tmp_path / "calls" / NAME
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line["key"] for line in lines] == ["k0", "k1", "k2"]
    assert lines[0]["caxton.agent.id"] == "a"
    assert path.stat().st_mode & 0o777 == 0o600
    assert writer.unwritten == 0


def test_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MAX_FILE_BYTES", 10)
    files = CallFiles(tmp_path)
    for n in range(10):
        files.write(b"%d" % n * 12)
    stem = NAME.removesuffix(".jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{stem}.{n}.jsonl" for n in (1, 2, 3)]
    assert (tmp_path / f"{stem}.1.jsonl").read_bytes() == b"9" * 12
    assert (tmp_path / f"{stem}.3.jsonl").read_bytes() == b"7" * 12


def test_disk_that_fails_is_counted_and_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "calls").write_text("no folder")
    writer = CallWriter(CallFiles(tmp_path / "calls"))
    writer.put(record(1))
    writer.put(record(2))
    writer.close()
    assert writer.unwritten == 2
    assert len(caplog.records) == 1


def test_records_after_the_end_or_beyond_the_bound_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MAX_UNWRITTEN", 0)
    writer = CallWriter(CallFiles(tmp_path))
    writer.put(record(1))
    writer.close()
    writer.put(record(2))
    assert writer.unwritten == 2
