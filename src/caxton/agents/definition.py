"""What was asked for, checked: an `AgentSpec` becomes a `Definition` whose every value is within bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from caxton.bus.mailbox import MAX_BYTES, MAX_MESSAGES
from caxton.core.breaker import Policy
from caxton.core.errors.agents import AgentNameReserved
from caxton.core.errors.values import InvalidValue
from caxton.core.ids import (
    MAX_CAPABILITY_PRIORITY,
    RESERVED_NAMES,
    AgentName,
    parse_agent_name,
    parse_capability,
    parse_group,
)
from caxton.core.units import format_size, parse_duration, parse_size
from caxton.core.views.agents import CapabilitySpec
from caxton.sandbox.capabilities import MAX_CAPABILITIES
from caxton.sandbox.limits import MAX_MEMORY_BYTES, Limits
from caxton.tools.grants import Grant, check_grant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from caxton.core.views.agents import AgentSpec, CircuitBreaker, ToolGrant

T = TypeVar("T", int, float)

MAX_REPLICAS = 1000
MAX_GROUPS = 100
PAGE_BYTES = 64 * 1024
MAX_TIMEOUT_S = 300.0
MAX_CIRCUIT_THRESHOLD = 1000
MAX_CIRCUIT_TIMEOUT_S = 3600.0
MAX_CIRCUIT_PROBES = 100
MAX_WAITING = 1000
"""Callers that may wait for one agent's replies at once, unless configured: each holds a request open."""

MAX_WAITING_AT_MOST = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One agent as it is to run."""

    name: AgentName
    version: str | None
    replicas: int
    capabilities: Mapping[str, int]
    """With their priorities."""
    groups: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    mailbox_messages: int = MAX_MESSAGES
    mailbox_bytes: int = MAX_BYTES
    circuit: Policy = field(default_factory=Policy)
    max_waiting: int = MAX_WAITING
    """Callers outside who may wait for its replies at once."""
    tools: Grant = field(default_factory=Grant)
    record: bool = False
    """What its instances are given and do is kept."""


def define(spec: AgentSpec) -> Definition:
    """Check `spec`. Raises `InvalidName`, `AgentNameReserved`, `InvalidValue`."""
    name = parse_agent_name(spec.name)
    if name in RESERVED_NAMES:
        raise AgentNameReserved(name, RESERVED_NAMES)
    if spec.runtime != "wasm":
        raise InvalidValue("runtime", spec.runtime, "this version runs 'wasm'")
    if spec.version is not None and not 0 < len(spec.version) <= 64:
        raise InvalidValue("version", spec.version, "give 1 to 64 characters")
    if len(spec.capabilities) > MAX_CAPABILITIES:
        raise InvalidValue("capabilities", len(spec.capabilities), f"an agent may offer at most {MAX_CAPABILITIES}")
    if len(spec.groups) > MAX_GROUPS:
        raise InvalidValue("groups", len(spec.groups), f"an agent may be in at most {MAX_GROUPS}")
    asked, default = spec.resources, Limits()
    return Definition(
        name=name,
        version=spec.version,
        replicas=check_replicas(spec.replicas),
        capabilities=_capabilities(spec),
        groups=tuple(dict.fromkeys(parse_group(name) for name in spec.groups)),
        limits=Limits(
            memory_bytes=_size("memory", asked.memory, default.memory_bytes, PAGE_BYTES, MAX_MEMORY_BYTES),
            table_elements=_count("table_elements", asked.table_elements, default.table_elements, 0, 1_000_000),
            wall_time_s=_duration("timeout", asked.timeout, default.wall_time_s),
            cpu_time_s=_duration("cpu_time", asked.cpu_time, default.cpu_time_s),
            host_calls=_count("host_calls", asked.host_calls, default.host_calls, 1, 100_000_000),
            messages_per_s=_count("messages_per_s", asked.messages_per_s, default.messages_per_s, 1, 10_000_000),
            log_bytes_per_s=_size("log_bytes_per_s", asked.log_bytes_per_s, default.log_bytes_per_s, 1024, 64 << 20),
        ),
        mailbox_messages=_count("mailbox_messages", asked.mailbox_messages, MAX_MESSAGES, 1, 1_000_000),
        mailbox_bytes=_size("mailbox_bytes", asked.mailbox_bytes, MAX_BYTES, 1 << 20, 1 << 30),
        circuit=_circuit(spec.circuit_breaker),
        max_waiting=_count("bulkhead.max_waiting", spec.bulkhead.max_waiting, MAX_WAITING, 1, MAX_WAITING_AT_MOST),
        tools=_grant(spec.tools),
        record=spec.record,
    )


def _grant(asked: ToolGrant) -> Grant:
    default = Grant()
    return check_grant(
        Grant(
            required=tuple(dict.fromkeys(asked.required)),
            calls_per_s=default.calls_per_s if asked.calls_per_s is None else asked.calls_per_s,
            max_calls=asked.max_calls,
            max_cost=asked.max_cost,
        )
    )


def _capabilities(spec: AgentSpec) -> dict[str, int]:
    found: dict[str, int] = {}
    for capability in map(CapabilitySpec.of, spec.capabilities):
        name, priority = parse_capability(capability.name), capability.priority
        _within("capabilities.priority", priority, priority, 0, MAX_CAPABILITY_PRIORITY, str)
        if found.setdefault(name, priority) != priority:
            raise InvalidValue("capabilities", name, "give it once, with one priority")
    return found


def _circuit(asked: CircuitBreaker) -> Policy:
    default, what = Policy(), "circuit_breaker"
    threshold = asked.threshold
    if threshold is False or threshold == "off":  # as YAML reads and JSON writes it
        threshold = 0
    if isinstance(threshold, bool | str):
        rule = f"give a number from 1 to {MAX_CIRCUIT_THRESHOLD}, or 'off'"
        raise InvalidValue(f"{what}.threshold", threshold, rule)
    return Policy(
        threshold=_count(f"{what}.threshold", threshold, default.threshold, 0, MAX_CIRCUIT_THRESHOLD),
        timeout_s=_duration(f"{what}.timeout", asked.timeout, default.timeout_s, MAX_CIRCUIT_TIMEOUT_S),
        probes=_count(f"{what}.probes", asked.probes, default.probes, 1, MAX_CIRCUIT_PROBES),
    )


def check_replicas(replicas: int) -> int:
    """Raises `InvalidValue`."""
    return _count("replicas", replicas, 1, 1, MAX_REPLICAS)


def _size(what: str, asked: str | int | None, default: int, least: int, most: int) -> int:
    if asked is None:
        return default
    value = parse_size(asked, what=what)
    return int(_within(what, asked, value, least, most, format_size))


def _duration(what: str, asked: str | float | None, default: float, most: float = MAX_TIMEOUT_S) -> float:
    if asked is None:
        return default
    value = parse_duration(asked, what=what)
    return _within(what, asked, value, 0.001, most, lambda seconds: f"{seconds:g} s")


def _count(what: str, asked: int | None, default: int, least: int, most: int) -> int:
    return default if asked is None else _within(what, asked, asked, least, most, str)


def _within(what: str, asked: object, value: T, least: T, most: T, show: Callable[[T], str]) -> T:
    if not least <= value <= most:
        raise InvalidValue(what, asked, f"it must be from {show(least)} to {show(most)}")
    return value
