"""Checksums of rows, so that a bit that flipped on the disk is found before its message is delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

if TYPE_CHECKING:
    from caxton.storage.database import Row

_encode = msgspec.json.Encoder().encode


def message_checksum(
    seq: int, workspace: str, sender: str, receiver: str, message_id: str, conversation_id: str | None, body: bytes,
    priority: int = 0, expires_us: int = 0, kept: int = 0,
) -> int:  # fmt: skip
    """CRC-32 of what a message is, where it goes and how; what changes later (attempt, settled) is left out.

    A dead letter goes nowhere: its row does not have the last three. `kept` is 0 or 1, as the row has it.
    """
    head = (
        f"{seq}\0{workspace}\0{sender}\0{receiver}\0{message_id}\0{conversation_id or ''}"
        f"\0{priority}\0{expires_us}\0{kept}"
    )
    return crc32(body, crc32(head.encode()))


def kv_checksum(workspace: str, agent: str, key: bytes, value: bytes) -> int:
    """CRC-32 of one entry of an agent's state."""
    return crc32(value, crc32(key, crc32(f"{workspace}\0{agent}".encode())))


def conversation_checksum(columns: Row) -> int:
    """CRC-32 of a row of `conversations`: all its other columns, in the order of the table, as a JSON array."""
    return crc32(_encode(columns))
