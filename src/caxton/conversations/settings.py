"""How strictly conversations are watched, for each workspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from caxton.core.errors.values import InvalidValue

Mode = Literal["strict", "enforce", "warn", "off"]
MODES: tuple[Mode, ...] = get_args(Mode)

STRICT: Mode = "strict"
"""As `enforce`, and a protocol that the node does not know is refused."""
ENFORCE: Mode = "enforce"
"""What is out of place is not delivered."""
WARN: Mode = "warn"
"""It is delivered, and a line in its sender's log says so."""
OFF: Mode = "off"
"""Nobody watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationSettings:
    """Of a node; a workspace may have a mode of its own."""

    mode: Mode = ENFORCE
    idle_us: int = 24 * 3_600 * 1_000_000
    """After so long without a message a conversation is over."""
    max_age_us: int = 7 * 24 * 3_600 * 1_000_000
    """So long it may last."""


def parse_mode(value: str) -> Mode:
    """Turn a value from outside into a mode; raises `InvalidValue`."""
    if value not in MODES:
        raise InvalidValue("conversations.mode", value, f"it must be {', '.join(MODES[:-1])} or {MODES[-1]}")
    return value
