from __future__ import annotations

from typing import Any

import pytest

from caxton.core.errors.server import InvalidConfig
from caxton.tools.settings import BreakerSettings, Directory, ToolSettings
from caxton.tools.tables import MAX_SOURCES, read_tool, read_tools

STDIO: dict[str, Any] = {"type": "stdio", "command": "web-search"}
BUILTIN: dict[str, Any] = {"type": "builtin", "builtin": "time"}


def test_what_is_not_written_is_not_granted() -> None:
    found = read_tool("web", STDIO, "config.toml")
    assert found == ToolSettings(name="web", kind="stdio", command="web-search")
    assert (found.env, found.allowed_hosts, found.allowed_dirs, found.secrets) == ({}, (), (), {})


def test_everything_that_is_written_is_read() -> None:
    table = {
        "type": "wasm", "module": "/srv/t.wasm", "interface": "guest", "args": ["-v"], "env": {"LANG": "C"},
        "allowed_hosts": ["api.example.com:443"], "allowed_dirs": [{"path": "/srv/data", "mode": "rw"}, {"path": "/a"}],
        "secrets": {"KEY": "env:API_KEY", "OTHER": "file:/run/key"}, "memory": "16MiB", "cpu_time": "2s",
        "timeout": "5s", "concurrency": 0, "rate": "30/m", "max_result": "2MiB", "idle_timeout": 0, "retries": 1,
        "breaker": {"threshold": 0}, "approval": "first-use", "approval_timeout": "1h", "approve": "manual",
        "tools": ["read_*"], "idempotent": ["read_one"], "trust_annotations": True, "cost": {"read_one": 0.5},
    }  # fmt: skip
    assert read_tool("data", table, "config.toml") == ToolSettings(
        name="data", kind="wasm", module="/srv/t.wasm", interface="guest", args=("-v",), env={"LANG": "C"},
        allowed_hosts=("api.example.com:443",), allowed_dirs=(Directory("/srv/data", "rw"), Directory("/a", "ro")),
        secrets={"KEY": "env:API_KEY", "OTHER": "file:/run/key"}, memory_bytes=16 << 20, cpu_time_s=2.0, timeout_s=5.0,
        concurrency=0, rate_per_s=0.5, max_result_bytes=2 << 20, idle_timeout_s=0, retries=1,
        breaker=BreakerSettings(threshold=0), approval="first-use", approval_timeout_s=3600.0, approve="manual",
        tools=("read_*",), idempotent=("read_one",), trust_annotations=True, costs={"read_one": 0.5},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("x", "must be a table"),
        ({}, "type must be"),
        ({"type": "socket"}, "type must be"),
        ({"type": "stdio"}, "needs command"),
        ({"type": "http"}, "needs url"),
        ({"type": "wasm"}, "needs module"),
        ({"type": "builtin"}, "needs builtin"),
        ({"type": "builtin", "builtin": "shell"}, "builtin: it must be"),
        ({**STDIO, "comand": "x"}, "did you mean command?"),
        ({**STDIO, "url": "http://x"}, "url is for type = 'http', and this is 'stdio'"),
        ({**STDIO, "allowed_dirs": []}, "allowed_dirs is for"),
        ({**STDIO, "command": ""}, "command: it must be text"),
        ({**STDIO, "args": "-v"}, "args: it must be a list"),
        ({**STDIO, "env": {"A=B": "x"}}, "env: 'A=B' is no name of a variable"),
        ({**STDIO, "env": {"A": 1}}, "env: A must be text"),
        ({**STDIO, "secrets": {"KEY": "hunter2-is-long"}}, "secrets: KEY must say where it is"),
        ({**STDIO, "secrets": {"KEY": "file:relative"}}, "secrets: KEY must say where it is"),
        ({**STDIO, "timeout": 0}, "timeout: it must be from"),
        ({**STDIO, "timeout": "soon"}, "timeout: duration"),
        ({**STDIO, "concurrency": True}, "concurrency: it must be a number"),
        ({**STDIO, "concurrency": -1}, "concurrency: it must be a number"),
        ({**STDIO, "rate": 10}, "rate: write it like"),
        ({**STDIO, "rate": "0/s"}, "rate: write it like"),
        ({**STDIO, "max_result": "1GiB"}, "max_result: it must be from"),
        ({**STDIO, "retries": 2}, "retries: it must be a number from 0 to 1"),
        ({**STDIO, "breaker": {"treshold": 1}}, "breaker: it has threshold"),
        ({**STDIO, "approval": "sometimes"}, "approval: it must be 'never', 'first-use' or 'always'"),
        ({**STDIO, "trust_annotations": "yes"}, "trust_annotations: it must be true or false"),
        ({**STDIO, "cost": -1}, "cost: it must be a number"),
        ({**STDIO, "cost": float("nan")}, "cost: it must be a number"),
        ({"type": "wasm", "module": "x", "allowed_dirs": [{"path": "data"}]}, "whole paths"),
        ({"type": "wasm", "module": "x", "allowed_dirs": [{"path": "/x", "mode": "w"}]}, "'ro' or 'rw'"),
        ({"type": "http", "url": "http://x", "headers": {"a": "x\r\nb: c"}}, "must be text on one line"),
        ({"type": "http", "url": "http://x", "headers": {"a b": "x"}}, "is no name of a header"),
        ({"type": "http", "url": "http://x", "headers": {"a": "{{secret:KEY}}"}}, "a secret that is not in secrets"),
    ],
)
def test_slip_is_named_with_its_place(table: object, said: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        read_tool("web", table, "config.toml")
    assert said in str(caught.value)
    assert str(caught.value).startswith("config.toml: ")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a.b", "a b", "-a", "x" * 65, "é"])
def test_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InvalidConfig, match="a name has 1 to 64"):
        read_tool(name, STDIO, "config.toml")


def test_too_many_sources_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="are allowed"):
        read_tools({f"s{n}": BUILTIN for n in range(MAX_SOURCES + 1)}, "config.toml")
    assert len(read_tools({f"s{n}": BUILTIN for n in range(MAX_SOURCES)}, "config.toml")) == MAX_SOURCES
