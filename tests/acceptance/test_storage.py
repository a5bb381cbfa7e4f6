"""A real server process on a disk that fails, fills up, or is taken away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from caxton.client import ApiProblem, CaxtonClient
from caxton.core.errors.error import CaxtonError
from caxton.core.views.agents import AgentSpec
from caxton.messages.message import AclMessage
from caxton.testing.guests import guest
from tests.acceptance.served import client_of, environment
from tests.patience import until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

WAIT_S = 30.0
EXIT_STORAGE = 74
SERVE = (sys.executable, "-m", "caxton")
FAULT_CHILD = Path(__file__).parents[1] / "integration" / "fault_child.py"


@contextmanager
def served(
    place: Path,
    command: Sequence[str] = SERVE,
    *,
    data: Path | None = None,
    seen_at: Callable[[int], Path] | None = None,
) -> Generator[tuple[subprocess.Popen[str], CaxtonClient]]:
    """A server on a free port, and a client of it. `seen_at` says by its pid where its data directory is for us."""
    data = place / "data" if data is None else data
    arguments = [*command, "serve", "--port", "0", "--data-dir", str(data)]
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, env=environment(place), encoding="utf-8", stdout=pipe, stderr=pipe) as process:
        try:
            with client_of(process, data if seen_at is None else seen_at(process.pid)) as client:
                yield process, client
        finally:
            process.kill()


def post(client: CaxtonClient, receiver: str = "waits", pad: int = 0) -> str:
    message = AclMessage(performative="inform", receiver=receiver, ontology="x" * min(pad, 1000))
    return client.send(message).message_id


def deploy_stopped(client: CaxtonClient) -> None:
    client.deploy(AgentSpec(name="waits"), guest("sink"))
    client.stop("waits")


def pending(path: Path) -> set[str]:
    connection: Any = apsw.Connection(str(path))
    with closing(connection):
        return {row[0] for row in connection.execute("SELECT message_id FROM messages WHERE settled_us IS NULL")}


def test_failed_fsync_ends_the_server_with_74_and_a_restart_has_all_that_was_acknowledged(tmp_path: Path) -> None:
    fail = tmp_path / "fail"
    with served(tmp_path, (sys.executable, str(FAULT_CHILD), str(fail))) as (process, client):
        deploy_stopped(client)
        acknowledged = {post(client) for _ in range(10)}
        fail.touch()
        with pytest.raises(CaxtonError):
            post(client)
        _, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == EXIT_STORAGE
    assert '"server.storage_failed"' in errors
    with served(tmp_path) as (process, client):
        assert client.health().status == "ready"
        assert client.agent("waits").mailbox_messages >= len(acknowledged)
        assert client.verify_storage().ok
        process.terminate()
        process.communicate(timeout=WAIT_S)
        assert process.returncode == 0
    assert acknowledged <= pending(tmp_path / "data" / "journal.db")


@pytest.mark.parametrize("file", ["journal.db", "journal.db-wal"])
def test_server_whose_journal_is_removed_acknowledges_nothing_more_and_ends_with_74(tmp_path: Path, file: str) -> None:
    with served(tmp_path) as (process, client):
        deploy_stopped(client)
        post(client)
        (tmp_path / "data" / file).unlink()
        with pytest.raises(CaxtonError):
            post(client)
        _, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == EXIT_STORAGE
    assert f"{file} was removed or replaced while the server ran" in errors


def run(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SERVE, *arguments], env=environment(place), capture_output=True, encoding="utf-8", timeout=WAIT_S, check=False
    )


def test_journal_of_a_later_version_is_refused_with_both_versions(tmp_path: Path) -> None:
    with served(tmp_path) as (process, _client):
        process.terminate()
        process.communicate(timeout=WAIT_S)
    connection: Any = apsw.Connection(str(tmp_path / "data" / "journal.db"))
    known = connection.pragma("user_version")
    connection.pragma("user_version", known + 1)
    connection.close()
    refused = run(tmp_path, "serve", "--port", "0", "--data-dir", str(tmp_path / "data"))
    assert refused.returncode == EXIT_STORAGE
    assert f"schema version {known + 1}, this Caxton knows up to {known}" in refused.stderr


def test_second_server_on_a_directory_is_refused_and_so_is_verifying_it_offline(tmp_path: Path) -> None:
    with served(tmp_path) as (process, client):
        for arguments in (("serve", "--port", "0"), ("storage", "verify")):
            refused = run(tmp_path, *arguments, "--data-dir", str(tmp_path / "data"))
            assert refused.returncode == 5
            assert str(process.pid) in refused.stderr
        deploy_stopped(client)
        assert client.storage().status == "writable"
        process.terminate()
        process.communicate(timeout=WAIT_S)
    sound = run(tmp_path, "storage", "verify", "--data-dir", str(tmp_path / "data"))
    assert sound.returncode == 0
    assert "Journal is sound: 1 agents, 1 modules" in sound.stdout


# --- a real disk that is full --------------------------------------------------------------------------------------

CAN_MOUNT = (
    shutil.which("unshare") is not None
    and subprocess.run(
        ["unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
    ).returncode
    == 0
)


@pytest.mark.skipif(not CAN_MOUNT, reason="LOUD: no file system can be mounted here, so no real disk was full")
def test_server_on_a_full_disk_settles_refuses_and_goes_on_by_itself(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    script = f'mount -t tmpfs -o size=160m tmpfs {disk} && exec "$@"'
    command = ("unshare", "-Urm", "sh", "-c", script, "sh", *SERVE)

    def from_outside(pid: int) -> Path:
        return Path(f"/proc/{pid}/root{disk}/data")

    with served(tmp_path, command, data=disk / "data", seen_at=from_outside) as (process, client):
        there = from_outside(process.pid)
        deploy_sink(client)
        acknowledged = {post_large(client) for _ in range(150)}
        filler, ballast = there / "filler", there / "ballast"
        assert ballast.stat().st_blocks * 512 >= 32 << 20
        fill(filler)
        client.start("sink")  # its settlements need more room than there is
        until(lambda: client.agent("sink").mailbox_messages == 0)
        assert client.health().status == "read-only"
        assert not client.ready()
        assert not ballast.exists()
        with pytest.raises(ApiProblem) as refused:
            post_large(client)
        assert (refused.value.code, refused.value.status) == ("STORAGE_FULL", 507)
        assert str(disk / "data") in str(refused.value)
        view = client.storage()
        assert (view.status, view.causes, view.ballast_bytes) == ("read-only", ["disk-full"], 0)
        assert view.failures["full"] >= 1
        until(lambda: client.storage().rows["kept"] >= 150)  # with the ballast's room
        assert client.storage().rows["pending"] == 0
        filler.unlink()
        until(client.ready)
        assert ballast.exists()
        acknowledged.add(post_large(client))
        until(lambda: client.agent("sink").messages_handled == len(acknowledged))
        assert client.verify_storage().ok
        os.kill(process.pid, 15)
        process.communicate(timeout=WAIT_S)
        assert process.returncode == 0


def deploy_sink(client: CaxtonClient) -> None:
    client.deploy(AgentSpec(name="sink"), guest("sink"))
    client.stop("sink")


def post_large(client: CaxtonClient) -> str:
    import msgspec

    content = msgspec.Raw(msgspec.json.encode({"add": 1, "pad": "x" * 100_000}))
    return client.send(AclMessage(performative="request", receiver="sink", content=content)).message_id


def fill(filler: Path) -> None:
    """Take all the room there is."""
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    os.posix_fallocate(file.fileno(), file.seek(0, 2), size)
            except OSError:
                pass
