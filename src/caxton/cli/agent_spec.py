"""What to deploy, put together from flags and a configuration file and checked before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from caxton.core.ids import parse_agent_name, parse_capability
from caxton.core.units import parse_duration, parse_size
from caxton.core.views.agents import AgentSpec, CapabilitySpec

if TYPE_CHECKING:
    from pathlib import Path

_SIZES = ("memory", "log_bytes_per_s", "mailbox_bytes")
_DURATIONS = ("timeout", "cpu_time")


def agent_spec(said: dict[str, Any], *, config: Path | None, default_name: str) -> AgentSpec:
    """The agent to deploy.

    Args:
        said: what the flags said, None for what they did not: name, replicas, memory, timeout, capabilities.
        config: an agent-config.yaml; the flags come before it.
        default_name: the name when neither has one.

    Raises:
        InvalidName, InvalidValue, InvalidConfig: something breaks its rule.
    """
    if config is None:
        spec = AgentSpec(name=default_name)
    else:
        from caxton.cli.agent_config import read_agent_config  # YAML takes its time

        spec = read_agent_config(config, default_name=default_name)
    said = {name: value for name, value in said.items() if value is not None and value != []}
    resources = {name: said.pop(name) for name in ("memory", "timeout") if name in said}
    spec = msgspec.structs.replace(spec, **said, resources=msgspec.structs.replace(spec.resources, **resources))
    _check(spec)
    return spec


def _check(spec: AgentSpec) -> None:
    parse_agent_name(spec.name)
    for capability in spec.capabilities:
        parse_capability(CapabilitySpec.of(capability).name)
    for name, parse in [(name, parse_size) for name in _SIZES] + [(name, parse_duration) for name in _DURATIONS]:
        value = getattr(spec.resources, name)
        if value is not None:
            parse(value, what=name)
    if spec.circuit_breaker.timeout is not None:
        parse_duration(spec.circuit_breaker.timeout, what="circuit_breaker.timeout")
