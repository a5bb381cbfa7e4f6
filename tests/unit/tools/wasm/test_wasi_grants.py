"""What a command may touch: what was granted, and nothing that leads out of it."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from caxton.sandbox import wasi_files
from caxton.sandbox.wasi_command import Allowed
from caxton.sandbox.wasi_files import Granted
from caxton.tools.source import SourceDown
from tests.unit.tools.wasm.conftest import WORD_COUNT, a_call, text

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.tools.wasm.wasi_source import WasiSource
    from tests.unit.tools.wasm.conftest import Tools

NOTHING_THERE = ("No such file or directory", "Bad file descriptor", "Capabilities insufficient")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`in/` with things in it, beside a secret that is outside."""
    inside = tmp_path / "in"
    (inside / "sub").mkdir(parents=True)
    (inside / "note.txt").write_text("hello", encoding="utf-8")
    (inside / "sub" / "deep.txt").write_text("deep", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("SECRET", encoding="utf-8")
    (inside / "link").symlink_to("../secret.txt")
    (inside / "absolute").symlink_to(tmp_path / "secret.txt")
    (inside / "up").symlink_to("..")
    (inside / "harmless").symlink_to("note.txt")
    return inside


def granting(tools: Tools, folder: Path, *, is_writable: bool = False) -> WasiSource:
    return tools.new(allowed=Allowed(directories=(Granted(path=folder, name="/data", is_writable=is_writable),)))


async def do(source: WasiSource, what: str, a: str, b: str = "") -> str:
    return text(await source.call(a_call(what, a=a, b=b)))


async def test_without_a_grant_no_file_opens(tools: Tools, folder: Path) -> None:
    source = tools.new()
    for path in ("/etc/passwd", str(folder / "note.txt"), "note.txt", ".", "/"):
        assert await do(source, "read", path) != "ok"
        assert await do(source, "list", path) in (
            "No such file or directory",
            "Bad file descriptor",
            "Capabilities insufficient",
        )


async def test_files_of_a_granted_directory_are_read_and_listed(tools: Tools, folder: Path) -> None:
    source = granting(tools, folder)
    assert await do(source, "read", "/data/note.txt") == "hello"
    assert await do(source, "read", "/data/sub/../sub/./deep.txt") == "deep"
    names = set((await do(source, "list", "/data")).split())
    assert names == {"note.txt", "sub", "link", "absolute", "up", "harmless"}
    counted = await tools.new(WORD_COUNT, allowed=Allowed(directories=(Granted(path=folder, name="/data"),))).call(
        a_call("count_file", path="/data/note.txt")
    )
    assert text(counted) == "0 lines, 1 words, 5 bytes"


@pytest.mark.parametrize(
    "path",
    [
        "/data/link",
        "/data/absolute",
        "/data/up/secret.txt",
        "/data/../secret.txt",
        "/data/sub/../../secret.txt",
        "/data/sub/../../in/../secret.txt",
        "/data/harmless",
    ],
)
async def test_no_way_leads_out_and_no_link_is_followed(tools: Tools, folder: Path, path: str) -> None:
    source = granting(tools, folder, is_writable=True)
    for what in ("read", "write", "append"):
        said = await do(source, what, path, "OVERWRITTEN")
        assert "SECRET" not in said
        assert said not in ("ok", "hello")
    assert (folder.parent / "secret.txt").read_text(encoding="utf-8") == "SECRET"
    assert (folder / "note.txt").read_text(encoding="utf-8") == "hello"


async def test_links_out_are_neither_made_nor_gone_through_by_other_calls(tools: Tools, folder: Path) -> None:
    source = granting(tools, folder, is_writable=True)
    assert await do(source, "link", "/etc/passwd", "/data/mine") != "ok"
    for what in ("mkdir", "remove", "truncate"):
        assert await do(source, what, "/data/up/other") != "ok"
    assert await do(source, "rename", "/data/note.txt", "/data/up/stolen.txt") != "ok"
    assert await do(source, "rename", "/data/up/secret.txt", "/data/mine") != "ok"
    assert sorted(os.listdir(folder.parent)) == ["in", "secret.txt"]


async def test_read_only_directory_stays_as_it_is(tools: Tools, folder: Path) -> None:
    source = granting(tools, folder)
    before = sorted(os.listdir(folder))
    assert await do(source, "write", "/data/note.txt", "x") != "ok"
    assert await do(source, "write", "/data/new.txt", "x") != "ok"
    assert await do(source, "append", "/data/sub/deep.txt", "x") != "ok"
    assert await do(source, "mkdir", "/data/new") != "ok"
    assert await do(source, "remove", "/data/note.txt") != "ok"
    assert await do(source, "rename", "/data/note.txt", "/data/other.txt") != "ok"
    assert await do(source, "truncate", "/data/note.txt", "0") != "ok"
    assert sorted(os.listdir(folder)) == before
    assert (folder / "note.txt").read_text(encoding="utf-8") == "hello"
    assert (folder / "sub" / "deep.txt").read_text(encoding="utf-8") == "deep"


async def test_writable_directory_is_written(tools: Tools, folder: Path) -> None:
    source = granting(tools, folder, is_writable=True)
    assert await do(source, "write", "/data/sub/new.txt", "one") == "ok"
    assert await do(source, "append", "/data/sub/new.txt", " two") == "ok"
    assert (folder / "sub" / "new.txt").read_text(encoding="utf-8") == "one two"
    assert await do(source, "write", "/data/sub/new.txt", "1") == "ok"
    assert await do(source, "mkdir", "/data/more") == "ok"
    assert await do(source, "rename", "/data/sub/new.txt", "/data/more/moved.txt") == "ok"
    assert (folder / "more" / "moved.txt").read_text(encoding="utf-8") == "1"
    assert await do(source, "remove", "/data/more/moved.txt") == "ok"
    assert await do(source, "remove", "/data/more") == "ok"
    assert not (folder / "more").exists()


async def test_pipe_in_a_granted_directory_holds_nobody(tools: Tools, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    source = granting(tools, folder, is_writable=True)
    assert await do(source, "read", "/data/pipe") == "Permission denied"
    assert await do(source, "write", "/data/pipe", "x") != "ok"


async def test_files_are_no_longer_than_their_limit(tools: Tools, folder: Path) -> None:
    source = granting(tools, folder, is_writable=True)
    assert await do(source, "truncate", "/data/note.txt", str(wasi_files.MAX_FILE_BYTES + 1)) == "File too large"
    assert await do(source, "truncate", "/data/note.txt", "2") == "ok"
    assert (folder / "note.txt").read_text(encoding="utf-8") == "he"


async def test_open_files_are_counted_and_closed_with_the_instance(tools: Tools, folder: Path) -> None:
    source = granting(tools, folder)
    assert int(await do(source, "open_many", "/data/note.txt")) == wasi_files.MAX_OPEN_FILES - 1
    assert open_beneath(folder)
    await source.close()
    assert not open_beneath(folder)


def open_beneath(folder: Path) -> list[str]:
    """Files of this process that are in the folder, or are it."""
    opened: list[str] = []
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the listing's own
            opened.append(os.readlink(f"/proc/self/fd/{fd}"))
    return [path for path in opened if path.startswith(str(folder))]


async def test_directory_that_is_not_there_is_told(tools: Tools, folder: Path) -> None:
    with pytest.raises(SourceDown, match="missing"):
        await granting(tools, folder / "missing").list_tools()


async def test_environment_is_exactly_what_was_granted(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
    assert await do(tools.new(), "env", "") == ""
    assert await do(tools.new(allowed=Allowed(environment={"KEY": "v"})), "env", "") == "KEY=v "
