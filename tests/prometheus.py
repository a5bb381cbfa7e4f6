"""A real Prometheus beside a real server: Debian's, with the configuration and the alarms of `ops/prometheus`."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import yaml

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

ROOT = Path(__file__).resolve().parents[1]
OPS = ROOT / "ops"

FETCH_S = 300
"""To have the package: 20 MB, once for a machine."""

PATIENCE_S = 40.0
"""For what must come; only a failing test waits so long."""

_TESTED_SERVER = "127.0.0.1:8080"
"""The address in ops/prometheus/prometheus.yml."""


@cache
def tools() -> Path:
    """The directory of `prometheus` and `promtool`. Who cannot have them is told what to do."""
    found = subprocess.run(
        [ROOT / "scripts" / "get-prometheus"], capture_output=True, encoding="utf-8", timeout=FETCH_S, check=False
    )
    assert found.returncode == 0, found.stderr
    return Path(found.stdout.strip())


def promtool(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run it; its output has both streams."""
    return subprocess.run(
        [tools() / "promtool", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", cwd=cwd, timeout=60, check=False,
    )  # fmt: skip


class Prometheus:
    """One that runs, asked over its own API."""

    def __init__(self, http: httpx.AsyncClient, process: subprocess.Popen[bytes], log: Path) -> None:
        self._http, self._process, self._log = http, process, log

    async def values(self, query: str) -> dict[str, float]:
        """What a query finds now: the label values of each series, joined with spaces, → its value."""
        found = (await self._get("query", query=query))["result"]
        return {
            " ".join(value for label, value in sorted(one["metric"].items()) if label != "__name__"): float(
                one["value"][1]
            )
            for one in found
        }

    async def names(self) -> set[str]:
        """Of all metrics that it has ever read."""
        return set(await self._get("label/__name__/values"))

    async def firing(self) -> dict[str, list[dict[str, Any]]]:
        """The alarms that are on, by name."""
        firing: dict[str, list[dict[str, Any]]] = {}
        for alarm in (await self._get("alerts"))["alerts"]:
            if alarm["state"] == "firing":
                firing.setdefault(alarm["labels"]["alertname"], []).append(alarm)
        return firing

    async def wait_for_alarm(self, name: str) -> dict[str, Any]:
        """Wait until the alarm is on; returns it, with its `labels` and `annotations`."""
        with anyio.fail_after(PATIENCE_S):
            while not (found := (await self.firing()).get(name)):  # noqa: ASYNC110 - another process
                await anyio.sleep(0.1)
        return found[0]

    async def wait_until(self, query: str, is_so: float) -> None:
        """Wait until a query that finds one series gives this value."""
        with anyio.fail_after(PATIENCE_S):
            while list((await self.values(query)).values()) != [is_so]:  # noqa: ASYNC110 - another process
                await anyio.sleep(0.1)

    async def _get(self, what: str, **parameters: str) -> Any:
        assert self._process.poll() is None, self._log.read_text(errors="replace")
        answer = await self._http.get(f"/api/v1/{what}", params=parameters)
        return answer.raise_for_status().json()["data"]


@asynccontextmanager
async def prometheus(place: Path, server: str, token: str) -> AsyncGenerator[Prometheus]:
    """Run one that watches the Caxton server at the address `server`, ten times as fast as in `ops/prometheus`.

    Alarms go off as soon as their condition holds: the `for` of each is left out.
    """
    directory = place / "prometheus"
    configure(directory, server, token)
    port = _free_port()
    log = place / "prometheus.log"
    with log.open("wb") as out, subprocess.Popen(  # noqa: ASYNC220 - it starts at once
        [
            tools() / "prometheus", f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={place / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
        ],
        stdout=out, stderr=subprocess.STDOUT, env={"PATH": os.environ["PATH"]},
    ) as process:  # fmt: skip
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as http:
                await _wait_ready(http, process)
                yield Prometheus(http, process, log)
        finally:
            process.kill()


def configure(directory: Path, server: str, token: str) -> None:
    """A copy of `ops/prometheus` for this server, with a faster pace."""
    shutil.copytree(OPS / "prometheus", directory)
    (directory / "caxton.token").write_text(token)
    config = directory / "prometheus.yml"
    text = config.read_text().replace(_TESTED_SERVER, server)
    config.write_text(
        re.sub(r"(?m)^(\s*(?:scrape_interval|evaluation_interval|refresh_interval):) .*$", r"\1 1s", text)
    )
    rules = directory / "rules.yml"
    rules.write_text(re.sub(r"(?m)^\s+for: .*\n", "", rules.read_text()))


async def _wait_ready(http: httpx.AsyncClient, process: subprocess.Popen[bytes]) -> None:
    with anyio.fail_after(PATIENCE_S):
        while process.poll() is None and not await _is_ready(http):  # noqa: ASYNC110 - another process
            await anyio.sleep(0.05)


async def _is_ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/-/ready")).status_code == 200
    except httpx.TransportError:
        return False


def boards() -> dict[str, dict[str, Any]]:
    """The boards for Grafana, by the names of their files."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((OPS / "grafana").glob("*.json"))}


def queries(board: dict[str, Any]) -> list[str]:
    """All that a board asks, as it asks for all servers."""
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return [query.replace("$__rate_interval", "1m").replace("$instance", ".*") for query in asked]


def rules() -> list[dict[str, Any]]:
    """The alarms."""
    groups = yaml.safe_load((OPS / "prometheus" / "rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


_SERIES = re.compile(r"\b((?:caxton|process)_[a-z_]+)(?:\{([^}]*)\})?")
_SUFFIX = re.compile(r"(_seconds|_messages)_(?:bucket|count|sum)$")


def metrics_in(query: str) -> dict[str, str]:
    """Names of our metrics in a query → what stands in braces behind the last of each."""
    return {_SUFFIX.sub(r"\1", name): braces for name, braces in _SERIES.findall(query)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
