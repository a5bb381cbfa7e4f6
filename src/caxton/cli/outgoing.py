"""A message put together from options and checked before it is sent, so that a slip is told by its option."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from caxton.cli.files import read_argument
from caxton.core.errors.messages import InvalidMessage
from caxton.core.errors.values import InvalidValue
from caxton.core.ids import parse_agent_name, parse_capability
from caxton.core.units import parse_duration
from caxton.messages.codec import MAX_CONTENT_BYTES, check_json
from caxton.messages.fipa_string import MAX_STRING_BYTES, decode_fipa
from caxton.messages.lifetime import check_priority_and_ttl, parse_reply_by
from caxton.messages.message import AclMessage
from caxton.messages.performative import parse_performative

_SCHEMES = ("topic://", "broadcast://")
"""Before an address that is no agent's name; the server judges the rest."""

MAX_WAIT_S = 300.0
"""The server waits no longer for a reply."""


def outgoing_message(
    to: list[str], performative: str, content: str, *, ttl: str | None, said: dict[str, Any]
) -> AclMessage:
    """The message to post.

    Args:
        to: agents, topics and groups; none when `said` has a capability.
        performative: a FIPA act, read leniently.
        content: JSON text, `@FILE`, or `-` for standard input.
        ttl: a duration after which the message is of no use.
        said: other fields of the message by name, None for what was not said.

    Raises:
        InvalidMessage, InvalidName, InvalidValue, FileMissing, FileUnreadable: something breaks its rule.
    """
    receivers = [name if name.startswith(_SCHEMES) else parse_agent_name(name) for name in to]
    if said.get("capability"):
        parse_capability(said["capability"])
    message = AclMessage(
        performative=parse_performative(performative),
        receiver=receivers[0] if len(receivers) == 1 else list[str](receivers) or "",
        content=json_argument(content),
        ttl_ms=None if ttl is None else int(parse_duration(ttl, what="--ttl") * 1000),
        **said,
    )
    check_priority_and_ttl(message)
    if message.reply_by is not None:
        parse_reply_by(message.reply_by)
    return message


def written_message(value: str) -> AclMessage:
    """The message that somebody wrote in FIPA's string encoding: the text, `@FILE`, or `-` for standard input.

    Raises: InvalidMessage, MessageTooLarge, FileMissing, FileUnreadable.
    """
    return decode_fipa(read_argument(value, max_bytes=MAX_STRING_BYTES), wall_us=time.time_ns() // 1000)


def waiting_time(timeout: str) -> float:
    """Seconds to wait for a reply; raises `InvalidValue` beyond what the server allows."""
    wait_s = parse_duration(timeout, what="--timeout")
    if not 0 < wait_s <= MAX_WAIT_S:
        raise InvalidValue("--timeout", timeout, f"it must be more than nothing and at most {MAX_WAIT_S:g}s")
    return wait_s


def json_argument(value: str) -> msgspec.Raw:
    """The JSON of `--content`: the text itself, `@FILE`, or `-` for standard input. Raises as `outgoing_message`."""
    data = read_argument(value, max_bytes=MAX_CONTENT_BYTES).strip()
    try:
        check_json(data)
    except InvalidMessage as exc:
        advice = "--content is JSON, so text needs quotes of its own: --content '\"hello\"'"
        raise InvalidMessage(f"{_reason(exc)}; {advice}", field="content") from exc
    return msgspec.Raw(data)


def _reason(error: InvalidMessage) -> str:
    return str(error).removeprefix("the message was refused: ")
