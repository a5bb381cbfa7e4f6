from __future__ import annotations

import base64
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from caxton.core.errors.values import InvalidValue
from caxton.tools.builtin import files
from caxton.tools.builtin.files import FilesSettings, files_source
from tests.tool_calls import asked, outcome, said, trouble

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from caxton.tools.builtin.source import BuiltinSource


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "outside.txt").write_text("secret")
    return folder


@pytest.fixture
async def source(folder: Path) -> AsyncGenerator[BuiltinSource]:
    source = open_folder(folder)
    yield source
    await source.close()


def open_folder(folder: Path, **options: Any) -> BuiltinSource:
    return files_source("files", FilesSettings.parse({"path": str(folder), "mode": "rw", **options}))


async def test_what_was_written_is_read_and_listed_with_its_directories(source: BuiltinSource) -> None:
    assert await asked(source, "write", path="a/b/c.txt", content="grüß") == {"path": "a/b/c.txt", "size": 6}
    assert await asked(source, "read", path="a/b/c.txt") == {
        "path": "a/b/c.txt", "size": 6, "content": "grüß", "encoding": "utf-8", "offset": 0, "end": 6,
    }  # fmt: skip
    assert await asked(source, "list") == {"entries": [{"name": "a", "kind": "directory"}], "more": False}
    (entry,) = (await asked(source, "list", path="a/b"))["entries"]
    assert (entry["name"], entry["kind"], entry["size"]) == ("c.txt", "file", 6)


async def test_bytes_go_as_base64(source: BuiltinSource) -> None:
    data = bytes(range(256))
    await asked(source, "write", path="x", content=base64.b64encode(data).decode(), encoding="base64")
    assert base64.b64decode((await asked(source, "read", path="x", encoding="base64"))["content"]) == data
    assert "not UTF-8" in await said(source, "read", path="x")
    assert "not base64" in await said(source, "write", path="x", content="?", encoding="base64")


async def test_file_is_read_in_parts_that_do_not_cut_a_character(source: BuiltinSource) -> None:
    await asked(source, "write", path="x", content="aäb")
    first = await asked(source, "read", path="x", limit=2)
    assert (first["content"], first["end"]) == ("a", 1)
    second = await asked(source, "read", path="x", offset=first["end"], limit=10)
    assert (second["content"], second["end"]) == ("äb", 4)
    assert (await asked(source, "read", path="x", offset=100))["content"] == ""


async def test_file_too_large_for_an_answer_is_an_error_that_says_what_to_do(
    source: BuiltinSource, folder: Path
) -> None:
    (folder / "x").write_bytes(b"x" * (files.MAX_READ_BYTES + 1))
    assert "use offset and limit" in await said(source, "read", path="x")
    assert len((await asked(source, "read", path="x", limit=files.MAX_READ_BYTES))["content"]) == files.MAX_READ_BYTES
    assert (await asked(source, "read", path="x", offset=files.MAX_READ_BYTES))["content"] == "x"


async def test_list_goes_on_where_it_ended_and_hides_what_cannot_be_named(source: BuiltinSource, folder: Path) -> None:
    for name in ("c", "a", "b"):
        (folder / name).write_text("")
    (folder / ".caxton-tmp-1").write_text("")
    os.close(os.open(os.fsencode(folder) + b"/\xff", os.O_CREAT, 0o600))
    first = await asked(source, "list", limit=2)
    assert ([entry["name"] for entry in first["entries"]], first["more"]) == (["a", "b"], True)
    rest = await asked(source, "list", limit=2, after="b")
    assert ([entry["name"] for entry in rest["entries"]], rest["more"]) == (["c"], False)


async def test_delete_takes_a_file_or_an_empty_directory(source: BuiltinSource, folder: Path) -> None:
    await asked(source, "write", path="a/x", content="")
    assert "something in it" in await said(source, "delete", path="a")
    await asked(source, "delete", path="a/x")
    await asked(source, "delete", path="a")
    assert os.listdir(folder) == []
    assert "not there" in await said(source, "delete", path="a")


async def test_what_is_not_there_is_an_error(source: BuiltinSource) -> None:
    assert "not there" in await said(source, "read", path="x")
    assert "not there" in await said(source, "list", path="x/y")


async def test_file_and_directory_are_not_taken_for_each_other(source: BuiltinSource) -> None:
    await asked(source, "write", path="a/x", content="")
    assert "is a directory" in await said(source, "read", path="a")
    assert "is a directory" in await said(source, "write", path="a", content="")
    assert "no directory" in await said(source, "read", path="a/x/y")
    assert "no directory" in await said(source, "write", path="a/x/y", content="")
    assert "no directory" in await said(source, "list", path="a/x")


async def test_write_replaces_unless_it_may_not(source: BuiltinSource, folder: Path) -> None:
    await asked(source, "write", path="x", content="1", if_exists="fail")
    (folder / "x").chmod(0o640)
    assert "already" in await said(source, "write", path="x", content="2", if_exists="fail")
    await asked(source, "write", path="x", content="3")
    assert (folder / "x").read_text() == "3"
    assert (folder / "x").stat().st_mode & 0o777 == 0o640
    assert os.listdir(folder) == ["x"]


async def test_file_with_another_name_outside_is_not_written_through(source: BuiltinSource, folder: Path) -> None:
    os.link(folder.parent / "outside.txt", folder / "x")
    await asked(source, "write", path="x", content="mine")
    assert (folder.parent / "outside.txt").read_text() == "secret"


@pytest.mark.parametrize(
    "path",
    ["../outside.txt", "a/../../outside.txt", "/etc/passwd", "a//b", "./x", "a/.", "a/", "x\0y", ".caxton-tmp-1"],
)
@pytest.mark.parametrize("tool", ["read", "write", "delete", "list"])
async def test_path_that_is_not_inside_by_its_looks_is_refused(source: BuiltinSource, tool: str, path: str) -> None:
    content = {"content": "x"} if tool == "write" else {}
    assert await trouble(source, tool, path=path, **content) == "refused"


@pytest.mark.parametrize("target", ["../outside.txt", "/etc/passwd", "inside.txt", "nowhere"])
async def test_symbolic_link_is_never_followed(source: BuiltinSource, folder: Path, target: str) -> None:
    (folder / "inside.txt").write_text("in")
    (folder / "link").symlink_to(target)
    assert await trouble(source, "read", path="link") == "refused"
    assert await trouble(source, "write", path="link", content="x") == "refused"
    assert await trouble(source, "delete", path="link") == "refused"
    assert (folder.parent / "outside.txt").read_text() == "secret"
    assert (folder / "link").is_symlink()
    kinds = {entry["name"]: entry["kind"] for entry in (await asked(source, "list"))["entries"]}
    assert kinds == {"inside.txt": "file", "link": "other"}


@pytest.mark.parametrize("target", ["..", "/etc", "inside"])
async def test_directory_that_is_a_symbolic_link_is_never_entered(
    source: BuiltinSource, folder: Path, target: str
) -> None:
    (folder / "inside").mkdir()
    (folder / "link").symlink_to(target)
    assert await trouble(source, "read", path="link/outside.txt") == "refused"
    assert await trouble(source, "list", path="link") == "refused"
    assert await trouble(source, "write", path="link/new/x", content="x") == "refused"
    assert await trouble(source, "delete", path="link/outside.txt") == "refused"
    assert (folder.parent / "outside.txt").read_text() == "secret"


async def test_pipe_socket_or_device_is_neither_opened_nor_written(source: BuiltinSource, folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        for name in ("fifo", "socket"):
            assert await trouble(source, "read", path=name) == "refused"
            assert await trouble(source, "write", path=name, content="x") == "refused"
            assert await trouble(source, "delete", path=name) == "refused"


async def test_no_more_bytes_or_files_than_the_folder_may_have(folder: Path) -> None:
    source = open_folder(folder, max_file=10, max_total=15, max_entries=3)
    assert "more than a file may have" in await said(source, "write", path="x", content="x" * 11)
    await asked(source, "write", path="x", content="x" * 10)
    assert "no room" in await said(source, "write", path="y", content="y" * 6)
    await asked(source, "write", path="x", content="x" * 9)
    await asked(source, "write", path="y", content="y" * 6)
    assert "delete some" in await said(source, "write", path="a/b", content="")
    await asked(source, "write", path="z", content="")
    assert "delete some" in await said(source, "write", path="z2", content="")
    await asked(source, "write", path="x", content="")
    await source.close()


async def test_folder_that_is_read_only_has_no_tools_that_write(folder: Path) -> None:
    source = open_folder(folder, mode="ro")
    assert [info.name for info in await source.list_tools()] == ["list", "read"]
    assert all(info.is_read_only for info in await source.list_tools())
    await source.close()


async def test_folder_that_is_gone_is_unavailable_and_its_place_is_only_for_the_operator(
    source: BuiltinSource, folder: Path
) -> None:
    os.rmdir(folder)
    found = await outcome(source, "list")
    assert str(folder) not in repr(found)
    assert await trouble(source, "list") == "unavailable"
    assert str(folder) in source.view()["last_error"]


async def test_what_an_interrupted_write_left_goes_after_a_while(source: BuiltinSource, folder: Path) -> None:
    for name, age_s in ((".caxton-tmp-old", files.STALE_S + 10), (".caxton-tmp-new", 0)):
        (folder / name).write_text("half")
        at = (folder / name).stat().st_mtime - age_s
        os.utime(folder / name, (at, at))
    await asked(source, "write", path="x", content="")
    assert sorted(os.listdir(folder)) == [".caxton-tmp-new", "x"]


async def test_path_too_long_or_too_deep_is_an_error(source: BuiltinSource) -> None:
    assert "255" in await said(source, "read", path="x" * 256)
    assert "parts" in await said(source, "write", path="/".join("x" * 40), content="")


@pytest.mark.parametrize(
    "options", [{}, {"path": ""}, {"path": "x", "mode": "w"}, {"path": "x", "max_file": 0}, {"path": "x", "typo": 1}]
)
def test_options_that_will_not_do_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        FilesSettings.parse(options)
