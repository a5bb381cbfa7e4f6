"""Messages of every kind, for the round trips."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import strategies as st

from caxton.messages.fipa_agents import PLATFORM
from caxton.messages.lifetime import MAX_PRIORITY, MAX_TTL_MS
from caxton.messages.message import AclMessage
from caxton.messages.performative import PERFORMATIVES

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text('"\\ #():@\n\0aé', max_size=8)

names = texts.filter(lambda name: not name.lower().endswith(f"@{PLATFORM}"))
"""A name that ends in our platform is the same as one without."""

lists = st.lists(names, max_size=4).filter(lambda some: len(some) != 1)
"""A list of one name is the same as the name."""

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


def _content(value: object, ascii_only: bool, indent: int | None) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode())


contents = st.builds(_content, values, st.booleans(), st.none() | st.integers(0, 2))
times = st.datetimes().map(
    lambda at: f"{at.replace(microsecond=at.microsecond // 1000 * 1000).isoformat(timespec='milliseconds')}Z"
)
whole_seconds = st.datetimes().map(lambda at: f"{at.replace(microsecond=0).isoformat(timespec='seconds')}Z")

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "performative": st.sampled_from(PERFORMATIVES),
    "sender": names,
    "receiver": names | lists,
    "capability": texts,
    "routing_strategy": texts,
    "content": contents,
    "reply_to": names | lists,
    "language": texts | st.sampled_from(["json", "JSON", "fipa-sl"]),
    "encoding": texts,
    "ontology": texts,
    "protocol": texts,
    "conversation_id": texts,
    "parent_conversation": texts,
    "reply_with": texts,
    "in_reply_to": texts,
    "reply_by": whole_seconds | times.filter(lambda at: not at.endswith(".000Z")),
    "message_id": texts,
    "timestamp": st.integers(0, 2**53),
    "priority": st.integers(0, MAX_PRIORITY),
    "ttl_ms": st.integers(1, MAX_TTL_MS),
    "traceparent": texts,
    "attempt": st.integers(1, 9),
    "replayed": st.booleans(),
}
"""Each field, with values that both encodings keep as they are."""

messages = st.fixed_dictionaries(
    {"performative": FIELDS["performative"]},
    optional={name: strategy for name, strategy in FIELDS.items() if name != "performative"},
).map(lambda fields: AclMessage(**fields))


def facts(message: AclMessage) -> dict[str, Any]:
    """The fields of a message, its content as bytes; to be compared."""
    return {name: getattr(message, name) for name in FIELDS} | {"content": bytes(message.content)}
