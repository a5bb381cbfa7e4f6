"""What is configured of a source of tools: one table `[tools.NAME]`. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind: TypeAlias = Literal["stdio", "http", "wasm", "builtin"]
Approval: TypeAlias = Literal["never", "first-use", "always"]
Approve: TypeAlias = Literal["auto", "manual"]
Interface: TypeAlias = Literal["wasi", "guest"]
Mode: TypeAlias = Literal["ro", "rw"]


@dataclass(frozen=True, slots=True)
class Directory:
    """A folder of this machine that a sandboxed tool may use."""

    path: str
    mode: Mode = "ro"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """When a source that fails is left alone for a while."""

    threshold: int = 3
    """Failures in a row; 0: never."""
    timeout_s: float = 10.0
    probes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSettings:
    """One source of tools, checked. Nothing is granted that is not written."""

    name: str
    kind: Kind
    # --- stdio, http, wasm, builtin: each has its own -----------------------------------------------------------
    command: str = ""
    """stdio: the program; found by PATH unless it has a slash."""
    args: tuple[str, ...] = ()
    """stdio, wasm (WASI)."""
    cwd: str = ""
    """stdio; empty: the server's data directory."""
    url: str = ""
    """http: where the MCP server is."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """http; `{{secret:NAME}}` in a value stands for one of `secrets`."""
    module: str = ""
    """wasm: path of the module."""
    interface: Interface = "wasi"
    """wasm: an MCP server as a WASI command, or the exports `list_tools` and `call_tool`."""
    builtin: str = ""
    """builtin: which one."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """builtin: what it has of its own; checked by itself."""
    # --- what it may reach --------------------------------------------------------------------------------------
    allowed_hosts: tuple[str, ...] = ()
    """`HOST:PORT`; checked by `egress`."""
    allowed_dirs: tuple[Directory, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """All variables that it gets."""
    secrets: Mapping[str, str] = field(default_factory=dict[str, str])
    """Where they are: `env:VARIABLE` or `file:/PATH`. Their values are nowhere here."""
    memory_bytes: int = 64 << 20
    """wasm."""
    cpu_time_s: float = 5.0
    """wasm: of one call."""
    # --- what the broker holds it to ----------------------------------------------------------------------------
    timeout_s: float = 30.0
    """Of one call, its repetition included."""
    concurrency: int = 10
    """Calls under way at once; 0: any number."""
    rate_per_s: float = 0.0
    """Calls in a second, of all agents; 0: any number."""
    max_result_bytes: int = 1 << 20
    """Of one result, as JSON."""
    idle_timeout_s: float = 300.0
    """After so long without a call it is closed; 0: never."""
    retries: int = 0
    """How often an idempotent call that got no answer is repeated: 0 or 1."""
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    approval: Approval = "never"
    """Which calls wait for a person."""
    approval_timeout_s: float = 300.0
    """After so long without an answer it is no."""
    approve: Approve = "auto"
    """Whether the tools that it has when it is first seen may be called at once. What changes later never may."""
    tools: tuple[str, ...] = ("*",)
    """Those of its tools that there are: names, or beginnings with `*`."""
    idempotent: tuple[str, ...] = ()
    """Names of tools that may be called twice, as the operator says."""
    trust_annotations: bool = False
    """Believe the source when it says that a tool is idempotent or only reads."""
    cost: float = 0.0
    """Of one call of any of its tools."""
    costs: Mapping[str, float] = field(default_factory=dict[str, float])
    """The same by tool, before `cost`."""
