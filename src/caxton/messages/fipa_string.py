"""ACL messages in FIPA's string encoding, `(inform :sender (…) :content "…" …)`, in and out. Pure.

What is read obeys the rules of `codec.decode_posted`, and in the end goes through it: the two encodings cannot differ
in what they take. The table `PARAMETERS` says which parameter is which field; docs/reference/messages.md shows it.

Source: FIPA SC00070I (string encoding), SC00061G (parameters), SC00023 (agent names).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec

from caxton.core.errors.messages import InvalidMessage, MessageTooLarge
from caxton.core.suggest import nearest
from caxton.messages.codec import ENVELOPE_BYTES, MAX_CONTENT_BYTES, check_json, decode_posted, encode_message
from caxton.messages.fipa_agents import agent, agents, read_agent, read_agents
from caxton.messages.fipa_syntax import Cursor, text, word_or_text
from caxton.messages.fipa_time import read_time, write_time
from caxton.messages.message import AclMessage
from caxton.messages.performative import parse_performative

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_STRING_BYTES = 2 * MAX_CONTENT_BYTES + ENVELOPE_BYTES
"""The whole message in this encoding: each byte of a content at its limit may be a quote that is escaped."""

MAX_PARAMETERS = 128
"""FIPA and Caxton have two dozen; more is an attack."""

OWN = "X-Caxton-"
"""Before the names of parameters that are Caxton's own; FIPA keeps `X-` for such."""

CONTENT_KIND: Final = f"{OWN}Content"
"""A parameter that is no field: its value `json` says that the content is JSON though `language` does not."""

JSON: Final = "json"

Kind = Literal["agent", "agents", "content", "text", "time", "number", "flag"]


class Parameter(NamedTuple):
    """One parameter of a message, and the field that it is."""

    name: str
    """Without its colon; case does not count."""
    field: str
    kind: Kind


def _own(field: str, kind: Kind) -> Parameter:
    return Parameter(OWN + field.replace("_", "-").title(), field, kind)


PARAMETERS = (
    Parameter("sender", "sender", "agent"),
    Parameter("receiver", "receiver", "agents"),
    Parameter("reply-to", "reply_to", "agents"),
    Parameter("content", "content", "content"),
    Parameter("language", "language", "text"),
    Parameter("encoding", "encoding", "text"),
    Parameter("ontology", "ontology", "text"),
    Parameter("protocol", "protocol", "text"),
    Parameter("conversation-id", "conversation_id", "text"),
    Parameter("reply-with", "reply_with", "text"),
    Parameter("in-reply-to", "in_reply_to", "text"),
    Parameter("reply-by", "reply_by", "time"),
    _own("capability", "text"),
    _own("routing_strategy", "text"),
    _own("parent_conversation", "text"),
    _own("priority", "number"),
    _own("ttl_ms", "number"),
    _own("message_id", "text"),
    _own("timestamp", "number"),
    _own("traceparent", "text"),
    _own("attempt", "number"),
    _own("replayed", "flag"),
)
"""In the order in which they are written. The act itself is FIPA's thirteenth."""

_BY_NAME = {parameter.name.lower(): parameter for parameter in PARAMETERS}
_DEFAULTS: dict[str, Any] = {found.name: found.default for found in msgspec.structs.fields(AclMessage)}


def decode_fipa(data: bytes, *, wall_us: int) -> AclMessage:
    """Decode one message from outside.

    Args:
        data: UTF-8 text, at most `MAX_STRING_BYTES`.
        wall_us: the time of day, from which a relative `:reply-by` counts; microseconds since 1970 UTC.

    Raises:
        MessageTooLarge: longer than that, or its content or all else over the limits that JSON has.
        InvalidMessage: not of this form (its text says line and column, what was expected and what was found), or a
            field breaks its rule; `.field` names it.
    """
    if len(data) > MAX_STRING_BYTES:
        raise MessageTooLarge(len(data), MAX_STRING_BYTES)
    try:
        str(data, "utf-8")
    except UnicodeDecodeError as exc:
        raise InvalidMessage(f"it is not UTF-8: byte {exc.start + 1} of {len(data)} fits in no character") from exc
    cursor = Cursor(data)
    cursor.expect(b"(", '"(" before the act')
    fields: dict[str, Any] = {"performative": parse_performative(cursor.word("an act such as inform"))}
    fields |= _read_parameters(cursor, wall_us)
    cursor.end()
    is_json = fields.pop(CONTENT_KIND, None) == JSON or _says_json(fields.get("language"))
    if "content" in fields:
        fields["content"] = msgspec.Raw(_content(fields["content"], is_json=is_json))
    return decode_posted(encode_message(AclMessage(**fields)))


def encode_fipa(message: AclMessage) -> bytes:
    """`message` as UTF-8 text, a parameter on each line; those with nothing to say are left out."""
    lines = [message.performative.encode()]
    for name, field, kind in PARAMETERS:
        value = getattr(message, field)
        if value != _DEFAULTS[field]:
            written = _WRITERS[kind](value) if kind != "content" else text(_content_text(message))
            lines.append(b":%b %b" % (name.encode(), written))
    if message.content and not _is_text(message) and not _says_json(message.language):
        lines.append(f":{CONTENT_KIND} {JSON}".encode())
    return b"(%b)" % b"\n ".join(lines)


# --- reading ----------------------------------------------------------------------------------------------------


def _read_parameters(cursor: Cursor, wall_us: int) -> dict[str, Any]:
    """The fields, and the value of `CONTENT_KIND` if it is there; the closing parenthesis is read."""
    fields: dict[str, Any] = {}
    seen: set[str] = set()
    while not cursor.take(b")"):
        name = cursor.word('a parameter such as :content, or ")"').lower()
        if not name.startswith(":"):
            raise cursor.failed("a parameter, which begins with a colon", at=cursor.began)
        if name in seen:
            raise cursor.failed("each parameter once", at=cursor.began)
        if len(seen) == MAX_PARAMETERS:
            raise cursor.failed(f"at most {MAX_PARAMETERS} parameters", at=cursor.began)
        seen.add(name)
        parameter = _BY_NAME.get(name[1:])
        if parameter is not None:
            fields[parameter.field] = _read_value(cursor, parameter, wall_us)
        elif name[1:] == CONTENT_KIND.lower():
            fields[CONTENT_KIND] = _read_text(cursor, CONTENT_KIND).lower()
            if fields[CONTENT_KIND] != JSON:
                raise cursor.failed(JSON, at=cursor.began, field="content")
        elif name.startswith(":x-"):
            cursor.value("a value")
        else:
            raise _unknown(cursor, name)
    return fields


def _unknown(cursor: Cursor, name: str) -> InvalidMessage:
    like = nearest(name[1:], _BY_NAME)
    hint = f" (did you mean :{like}?)" if like else ""
    return cursor.failed(f"a parameter of FIPA's, or one that begins with :X-{hint}", at=cursor.began)


def _read_value(cursor: Cursor, parameter: Parameter, wall_us: int) -> object:
    name, field, kind = parameter
    if kind == "agent":
        return read_agent(cursor, f"an agent-identifier for :{name}")
    if kind == "agents":
        return read_agents(cursor, f"a set of agents for :{name}")
    value = _read_text(cursor, name)
    if kind == "number":
        if not _NUMBER.fullmatch(value):
            raise cursor.failed(f"a whole number for :{name}", at=cursor.began, field=field)
        return int(value)
    if kind == "flag":
        if value.lower() not in _FLAGS:
            raise cursor.failed(f"true or false for :{name}", at=cursor.began, field=field)
        return _FLAGS[value.lower()]
    if kind == "time":
        try:
            return read_time(value, wall_us)
        except ValueError as exc:
            raise cursor.failed(str(exc), at=cursor.began, field=field) from exc
    return value


def _read_text(cursor: Cursor, name: str) -> str:
    value = cursor.value(f"a value for :{name}")
    if cursor.is_bare and value[:1] == ":" and value[1:].lower() in _BY_NAME:
        raise cursor.failed(f"a value for :{name}", at=cursor.began)
    return value


def _content(written: str, *, is_json: bool) -> bytes:
    """The content as JSON: what was written, checked, or a JSON string of it."""
    if not is_json:
        return msgspec.json.encode(written)
    data = written.strip(" \t\r\n").encode()
    try:
        check_json(data)  # unchecked, it could bring fields of its own into the JSON that is made of the message
    except InvalidMessage as exc:
        raise InvalidMessage(f"content: {str(exc).partition(': ')[2]}", field="content") from exc
    return data


# --- writing ----------------------------------------------------------------------------------------------------


def _content_text(message: AclMessage) -> str:
    if _is_text(message):
        return msgspec.json.decode(message.content, type=str)
    return bytes(message.content).decode()


def _is_text(message: AclMessage) -> bool:
    """Whether the content goes as the text that its JSON string stands for."""
    return bytes(message.content)[:1] == b'"' and not _says_json(message.language)


def _says_json(language: str | None) -> bool:
    return language is not None and language.lower() == JSON


def _time(iso: str) -> bytes:
    return (write_time(iso) or "").encode() or text(iso)


_NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)
_FLAGS = {"true": True, "false": False}
_WRITERS: dict[Kind, Callable[[Any], bytes]] = {
    "agent": agent,
    "agents": agents,
    "text": word_or_text,
    "time": _time,
    "number": lambda value: b"%d" % value,
    "flag": lambda value: b"true" if value else b"false",
}
