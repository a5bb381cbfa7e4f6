"""No packet leaves for an address that is not allowed: counted by the kernel, in a network where all would arrive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.egress_world import GOOD, GOOD6, LAST, METADATA, PORT, URLS

if TYPE_CHECKING:
    from pathlib import Path

_ENTER = ("unshare", "--user", "--map-root-user", "--net", "--mount", "sh", "-c")
_SET_UP = (
    "ip link set lo up && ip route add local 0.0.0.0/0 dev lo && ip -6 route add local ::/0 dev lo && "
    'mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/nsswitch.conf && shift 2 && exec "$@"'
)
_MARKER = f"{LAST} {PORT}"


def in_a_world_of_its_own(tmp_path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    resolver, switch = tmp_path / "resolv.conf", tmp_path / "nsswitch.conf"
    resolver.write_text("nameserver 127.0.0.53\n")
    switch.write_text("hosts: files dns\n")
    return subprocess.run(
        [*_ENTER, _SET_UP, "sh", str(resolver), str(switch), *command],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Path:
    try:
        entered = in_a_world_of_its_own(tmp_path, "true")
    except FileNotFoundError as error:
        pytest.skip(f"NO PACKETS WERE COUNTED: {error}; install util-linux and iproute2")
    if entered.returncode != 0:
        pytest.skip(f"NO PACKETS WERE COUNTED: no network namespace can be made here: {entered.stderr.strip()}")
    return tmp_path


def attacked(world: Path, mode: str) -> dict[str, Any]:
    done = in_a_world_of_its_own(world, sys.executable, "-m", "tests.integration.egress_world", mode)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["seen"].pop(_MARKER) == 1
    return said


def test_the_counter_counts_what_it_should_never_see(world: Path) -> None:
    seen = attacked(world, "control")["seen"]
    assert seen == {f"{METADATA} {PORT}": 1, f"127.0.0.1 {PORT}": 1, f"fd00::1 {PORT}": 1}


def test_no_packet_of_a_fetch_goes_where_it_must_not(world: Path) -> None:
    said = attacked(world, "fetch")
    assert len(said["tried"]) == len(URLS)
    assert set(said["seen"]) == {f"{GOOD} {PORT}", f"{GOOD6} {PORT}"}
    outcomes = list(said["tried"].values())
    assert outcomes[:3] == ["200", "200", "200"]
    assert {"url", "host", "address"} <= set(outcomes)
    rebound = [outcome for url, outcome in said["tried"].items() if " http://rebind.test" in url]
    assert {"200", "address"} == set(rebound)


def test_no_packet_of_an_mcp_client_goes_where_it_must_not(world: Path) -> None:
    said = attacked(world, "mcp")
    assert len(said["tried"]) == len(URLS)
    assert set(said["seen"]) == {f"{GOOD} {PORT}", f"{GOOD6} {PORT}"}
    assert list(said["tried"].values())[:3] == ["200", "200", "200"]
