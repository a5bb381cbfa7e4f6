"""What goes into an encoding comes out of it: JSON, FIPA's string encoding, and one after the other."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given

from caxton.messages.codec import decode_message, decode_posted, encode_message
from caxton.messages.fipa_string import decode_fipa, encode_fipa
from caxton.messages.message import AclMessage
from tests.unit.messages.strategies import FIELDS, facts, messages


def read(data: bytes) -> AclMessage:
    return decode_fipa(data, wall_us=0)


def meant(message: AclMessage) -> dict[str, Any]:
    """As `facts`; a JSON string as its text, since FIPA's content is text and has no spelling of its own."""
    found = facts(message)
    if found["content"][:1] == b'"' and (message.language or "").lower() != "json":
        found["content"] = json.loads(found["content"])
    return found


def test_every_field_takes_part() -> None:
    assert set(FIELDS) == set(AclMessage.__struct_fields__)


@given(messages)
def test_json_brings_back_every_field(message: AclMessage) -> None:
    written = encode_message(message)
    for decode in (decode_message, decode_posted):
        assert facts(decode(written)) == facts(message)


@given(messages)
def test_string_encoding_brings_back_every_field(message: AclMessage) -> None:
    assert meant(read(encode_fipa(message))) == meant(message)


@given(messages)
def test_text_to_json_and_back_is_the_same_text(message: AclMessage) -> None:
    written = encode_fipa(message)
    assert encode_fipa(decode_message(encode_message(read(written)))) == written


@given(messages)
def test_json_to_text_and_back_is_the_same_json_but_for_the_spelling_of_texts(message: AclMessage) -> None:
    first = read(encode_fipa(message))
    assert encode_message(read(encode_fipa(decode_message(encode_message(first))))) == encode_message(first)
