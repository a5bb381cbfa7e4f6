"""What agents registered with the directory facilitator, and how its state holds that. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PREFIX = b"offer/"


class Registration(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One capability of one agent."""

    priority: int
    properties: dict[str, Any] = {}
    until_us: int = 0
    """End of its lease on the steady clock; 0: it has none."""


def key_of(agent: str, capability: str) -> bytes:
    """Where the state holds it."""
    return _PREFIX + f"{agent}/{capability}".encode()


class Registrations:
    """All of them, by agent and capability."""

    def __init__(self) -> None:
        self._by_agent: dict[str, dict[str, Registration]] = {}

    def load(self, state: Mapping[bytes, bytes]) -> None:
        """Take up what `state` holds."""
        for key, value in state.items():
            if key.startswith(_PREFIX):
                agent, _, capability = key.removeprefix(_PREFIX).decode().partition("/")
                self.put(agent, capability, msgspec.json.decode(value, type=Registration))

    def agents(self) -> list[str]:
        """Who registered something."""
        return list(self._by_agent)

    def of(self, agent: str) -> Mapping[str, Registration]:
        """What `agent` registered, by capability."""
        return self._by_agent.get(agent, {})

    def put(self, agent: str, capability: str, registration: Registration) -> None:
        """Add it, or replace what was there."""
        self._by_agent.setdefault(agent, {})[capability] = registration

    def drop(self, agent: str, capability: str) -> None:
        """It is not offered any more."""
        found = self._by_agent[agent]
        del found[capability]
        if not found:
            del self._by_agent[agent]

    def ended(self, now_us: int) -> list[tuple[str, str]]:
        """(agent, capability) of those whose lease is over."""
        return [(agent, name) for agent, name, until_us in self._leased() if until_us <= now_us]

    def next_end_us(self, after_us: int) -> int | None:
        """When the next lease after that time ends."""
        return min((until_us for _, _, until_us in self._leased() if until_us > after_us), default=None)

    def _leased(self) -> Iterator[tuple[str, str, int]]:
        for agent, found in self._by_agent.items():
            for name, registration in found.items():
                if registration.until_us:
                    yield agent, name, registration.until_us


def has(properties: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether all that is wanted is among `properties`, with the same values. `true` is not 1."""
    return all(name in properties and _is_same(properties[name], value) for name, value in wanted.items())


def _is_same(one: object, other: object) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)
