"""JSON in and out, with limits.

Two readers: `decode_message` for messages from guests (one fast pass; JSON inside `content` is checked for syntax only)
and `decode_posted` for messages from outside (also refuses duplicate keys, numbers that are not JSON, deep nesting).
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import msgspec

from caxton.core.errors.error import quoted
from caxton.core.errors.messages import InvalidMessage, MessageTooLarge
from caxton.messages.lifetime import check_priority_and_ttl
from caxton.messages.message import AclMessage
from caxton.messages.performative import parse_performative

MAX_CONTENT_BYTES = 1 << 20
"""1 MiB, the limit that the founding documents set; a message is kept in memory and in the journal as one piece."""

ENVELOPE_BYTES = 16 << 10
"""Room for everything but content, so that a content at its limit can be answered as it is."""

MAX_MESSAGE_BYTES = MAX_CONTENT_BYTES + ENVELOPE_BYTES
"""The whole message as JSON."""

ANY_SIZE = 1 << 30
"""For messages that are in the node already: their size was checked when they came."""

MAX_JSON_DEPTH = 64
"""Deeper JSON is an attack or a mistake: parsers down the line recurse."""

MAX_FIELD_CHARS = 1024
"""Longest text in any field but content: ids and names go into keys, logs and traces."""

MAX_ID_CHARS = 128
"""A message id that a client gives: room for a UUID and what it belongs to."""

_SHORT_FIELDS = (
    "capability", "routing_strategy", "language", "encoding", "ontology", "protocol", "conversation_id",
    "parent_conversation", "reply_with",
    "in_reply_to", "reply_by", "message_id",
)  # fmt: skip

_NOT_NESTING = bytes(byte for byte in range(256) if byte not in b'"[]{}')
_decoder = msgspec.json.Decoder(AclMessage)
_encoder = msgspec.json.Encoder()


def decode_message(data: bytes, *, max_bytes: int = MAX_MESSAGE_BYTES) -> AclMessage:
    """Decode one ACL message from JSON.

    Args:
        data: UTF-8 JSON object; its keys are listed in docs/reference/messages.md.
        max_bytes: longer input is refused before parsing; bytes, default 1 MiB and the envelope.

    Returns:
        The message, its performative spelled as FIPA does. The host has yet to set sender, message_id and timestamp.

    Raises:
        MessageTooLarge: `data` is longer than `max_bytes`.
        InvalidMessage: not JSON, or a field breaks its rule; `.field` names it.

    Source: FIPA SC00061G (parameters); the JSON key names are Caxton's own.
    """
    if len(data) > max_bytes:
        raise MessageTooLarge(len(data), max_bytes)
    try:
        if not data.isascii():
            str(data, "utf-8")  # raw content is not looked into by the decoder, so its encoding is checked here
        message = _decoder.decode(data)
    except msgspec.ValidationError as exc:
        reason, _, place = str(exc).partition(" - at `$.")
        field = re.split(r"[^a-z_]", place)[0] or None  # "ttl_ms`", "receiver[0]`"
        raise InvalidMessage(f"{field}: {reason}" if field else quoted(reason), field=field) from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise InvalidMessage(quoted(str(exc))) from exc
    except RecursionError as exc:
        raise InvalidMessage("its JSON is nested too deeply") from exc
    message.performative = parse_performative(message.performative)
    if len(message.content) > MAX_CONTENT_BYTES:
        raise MessageTooLarge(len(message.content), MAX_CONTENT_BYTES)
    if message.priority is not None or message.ttl_ms is not None:
        check_priority_and_ttl(message)
    if len(data) > MAX_FIELD_CHARS:  # a shorter message has no longer field
        _check_fields(message)
    return message


def decode_posted(data: bytes, *, max_bytes: int = MAX_MESSAGE_BYTES) -> AclMessage:
    """Decode a message from outside: as `decode_message`, and strict about the JSON inside `content` as well."""
    if len(data) > max_bytes:
        raise MessageTooLarge(len(data), max_bytes)
    check_json(data)
    return decode_message(data, max_bytes=max_bytes)


def encode_message(message: AclMessage) -> bytes:
    """`message` as compact UTF-8 JSON; keys with nothing to say are left out."""
    return _encoder.encode(message)


def check_json(data: bytes) -> Any:
    """Parse strictly: RFC 8259, no duplicate keys, no NaN, at most `MAX_JSON_DEPTH` levels. Raises `InvalidMessage`."""
    if _depth(data) > MAX_JSON_DEPTH:
        raise InvalidMessage(f"its JSON is nested more than {MAX_JSON_DEPTH} levels deep")
    try:
        text = str(data, "utf-8")  # json reads bytes as UTF-16 too, in which brackets can hide from _depth
        return _strict.decode(text)
    except UnicodeDecodeError as exc:
        raise InvalidMessage("it is not UTF-8") from exc
    except ValueError as exc:  # JSONDecodeError, and integers longer than Python converts
        raise InvalidMessage(f"it is not JSON: {quoted(str(exc))}") from exc


def _depth(data: bytes) -> int:
    """Deepest nesting of brackets outside strings; an upper bound is enough, so broken JSON may count as it likes.

    Little is left to look at byte by byte: brackets, and quotes around strings that hold brackets. To take out two
    quotes that meet changes for no other byte whether it is inside a string.
    """
    if data.count(b"[") + data.count(b"{") <= MAX_JSON_DEPTH:
        return 0
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    deepest = depth = 0
    in_string = False
    for byte in data.translate(None, _NOT_NESTING).replace(b'""', b""):
        if byte == 0x22:
            in_string = not in_string
        elif in_string:
            continue
        elif byte in (0x5B, 0x7B):
            depth += 1
            if depth > deepest:
                deepest = depth
                if deepest > MAX_JSON_DEPTH:
                    return deepest
        else:
            depth -= 1
    return deepest


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise InvalidMessage(f"its JSON has the key {quoted(twice)} twice", field=twice[:64])
    return made


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidMessage(f"{name} is not JSON")


_strict = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)


def _check_fields(message: AclMessage) -> None:
    for name in _SHORT_FIELDS:
        value = getattr(message, name)
        if value is not None and len(value) > MAX_FIELD_CHARS:
            raise _too_long(name, value)
    for field in ("receiver", "reply_to"):
        value = getattr(message, field) or ""
        for name in (value,) if isinstance(value, str) else value:
            if len(name) > MAX_FIELD_CHARS:
                raise _too_long(field, name)


def _too_long(name: str, value: str) -> InvalidMessage:
    return InvalidMessage(f"{name} has {len(value)} characters, the limit is {MAX_FIELD_CHARS}", field=name)
