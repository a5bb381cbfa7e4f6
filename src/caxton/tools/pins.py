"""What a tool was when it was approved, so that one which changes afterwards is not called. Pure.

A source describes its tools itself, and the description is what a model obeys: whoever may change it later could have
anything approved. So a tool is approved as the hash of all that its source says of it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from caxton.tools.source import ToolInfo

Status: TypeAlias = Literal["approved", "pending", "quarantined"]

FIRST_SIGHT = "first sight"
"""Who approved what nobody looked at."""

_canonical = msgspec.json.Encoder(order="sorted").encode


class Pin(msgspec.Struct, frozen=True, kw_only=True):
    """One tool of a source, as it was approved and as it was seen last."""

    tool: str
    """Without the source's name."""
    approved_sha256: str = ""
    """Empty: it never was."""
    approved: bytes = b""
    """The definition, JSON."""
    seen_sha256: str
    seen: bytes
    is_held: bool = False
    """Somebody put it in quarantine."""
    decided_us: int = 0
    decided_by: str = ""

    @property
    def status(self) -> Status:
        if self.is_held:
            return "quarantined"
        if not self.approved_sha256:
            return "pending"
        return "approved" if self.approved_sha256 == self.seen_sha256 else "quarantined"


def definition(info: ToolInfo) -> bytes:
    """All that is pinned, as JSON whose bytes do not depend on the order in which it was written."""
    return _canonical(info)


def judged(
    known: Mapping[str, Pin], listed: Iterable[ToolInfo], *, trusts_new: bool, trusts_changed: bool, now_us: int
) -> dict[str, Pin]:
    """The pins of those tools, where they are new or not as they were.

    Args:
        known: pins of the source by tool.
        listed: its tools as it describes them now, each name once.
        trusts_new: a tool that was never seen may be called.
        trusts_changed: so may one that is another than was approved: the source is part of the server.
        now_us: when that is decided.
    """
    changed: dict[str, Pin] = {}
    for info in listed:
        seen = definition(info)
        sha256 = hashlib.sha256(seen).hexdigest()
        before = known.get(info.name)
        if before is None:
            pin = Pin(tool=info.name, seen_sha256=sha256, seen=seen)
            changed[info.name] = approved(pin, FIRST_SIGHT, now_us) if trusts_new else pin
        elif before.seen_sha256 != sha256:
            pin = msgspec.structs.replace(before, seen_sha256=sha256, seen=seen)
            trusted = trusts_changed and not before.is_held
            changed[info.name] = approved(pin, FIRST_SIGHT, now_us) if trusted else pin
    return changed


def approved(pin: Pin, by: str, now_us: int) -> Pin:
    """It may be called as it was seen last."""
    return msgspec.structs.replace(
        pin, approved_sha256=pin.seen_sha256, approved=pin.seen, is_held=False, decided_by=by, decided_us=now_us
    )


def held(pin: Pin, by: str, now_us: int) -> Pin:
    """It may not be called, until somebody approves it."""
    return msgspec.structs.replace(pin, is_held=True, decided_by=by, decided_us=now_us)
