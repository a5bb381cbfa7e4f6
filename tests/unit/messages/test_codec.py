"""JSON in and out: what is refused, and that what is taken comes out as it went in."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.core.errors.messages import InvalidMessage, MessageTooLarge
from caxton.messages.codec import (
    MAX_CONTENT_BYTES,
    MAX_FIELD_CHARS,
    MAX_JSON_DEPTH,
    MAX_MESSAGE_BYTES,
    check_json,
    decode_message,
    decode_posted,
    encode_message,
)
from caxton.messages.message import AclMessage
from caxton.messages.performative import PERFORMATIVES

if TYPE_CHECKING:
    from collections.abc import Callable

    Decode = Callable[[bytes], AclMessage]

READERS = pytest.mark.parametrize("decode", [decode_message, decode_posted], ids=["guest", "outside"])

NOT_MESSAGES = {
    "nothing": b"",
    "blank": b"  \n",
    "not JSON": b"hello",
    "cut off": b'{"performative": "inform"',
    "two values": b'{"performative": "inform"} {}',
    "an array": b'[{"performative": "inform"}]',
    "null": b"null",
    "no performative": b'{"receiver": "a"}',
    "performative a number": b'{"performative": 1}',
    "receiver a number": b'{"performative": "inform", "receiver": 7}',
    "receiver a list of numbers": b'{"performative": "inform", "receiver": [7]}',
    "receiver an object": b'{"performative": "inform", "receiver": {}}',
    "conversation a number": b'{"performative": "inform", "conversation_id": 7}',
    "priority over its limit": b'{"performative": "inform", "priority": 99}',
    "priority below its limit": b'{"performative": "inform", "priority": -1}',
    "no time to live": b'{"performative": "inform", "ttl_ms": 0}',
    "time to live over its limit": b'{"performative": "inform", "ttl_ms": 31622400001}',
    "priority a text": b'{"performative": "inform", "priority": "high"}',
    "NaN": b'{"performative": "inform", "content": NaN}',
    "NaN deep inside": b'{"performative": "inform", "content": {"a": [1, NaN]}}',
    "Infinity": b'{"performative": "inform", "content": -Infinity}',
    "a leading zero": b'{"performative": "inform", "content": 01}',
    "a comma too many": b'{"performative": "inform", "content": [1,]}',
    "a bare control character": b'{"performative": "inform", "content": "\n"}',
    "an unknown escape": b'{"performative": "inform", "content": "\\x41"}',
    "a comment": b'{"performative": "inform" /* why */}',
    "depth 100,000 in content": b'{"performative": "inform", "content": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "depth 100,000 in an unknown key": b'{"performative": "inform", "x": ' + b'{"a":' * 100_000,
    "depth 100,000 never closed": b"[" * 100_000,
    "invalid UTF-8 in content": b'{"performative": "inform", "content": "\xff"}',
    "invalid UTF-8 in a field": b'{"performative": "inform", "conversation_id": "\xc3\x28"}',
    "invalid UTF-8 in an unknown key": b'{"performative": "inform", "\xff": 1}',
    "a surrogate as bytes": b'{"performative": "inform", "content": "\xed\xa0\x80"}',
    "a lone surrogate in content": b'{"performative": "inform", "content": "\\ud800"}',
    "a lone surrogate in a field": b'{"performative": "inform", "conversation_id": "\\udfff!"}',
    "surrogates the wrong way round": b'{"performative": "inform", "reply_with": "\\udc00\\ud800"}',
    "UTF-16": '{"performative": "inform"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"performative": "inform"}',
}

ONLY_OUTSIDE = {
    "a key twice": b'{"performative": "inform", "performative": "request"}',
    "a key twice, once escaped": b'{"performative": "inform", "perform\\u0061tive": "request"}',
    "a key twice in content": b'{"performative": "inform", "content": {"a": 1, "a": 2}}',
    "a key twice deep in content": b'{"performative": "inform", "content": [{"b": [{"a": 1, "c": 0, "a": 1}]}]}',
    "a number of 5,000 digits": b'{"performative": "inform", "content": ' + b"9" * 5000 + b"}",
    "depth 65": b'{"performative": "inform", "content": ' + b"[" * MAX_JSON_DEPTH + b"]" * MAX_JSON_DEPTH + b"}",
}


@READERS
@pytest.mark.parametrize("data", NOT_MESSAGES.values(), ids=NOT_MESSAGES.keys())
def test_what_is_no_message_is_refused(decode: Decode, data: bytes) -> None:
    with pytest.raises(InvalidMessage):
        decode(data)


@pytest.mark.parametrize("data", ONLY_OUTSIDE.values(), ids=ONLY_OUTSIDE.keys())
def test_what_two_parsers_could_read_differently_is_refused_from_outside(data: bytes) -> None:
    with pytest.raises(InvalidMessage):
        decode_posted(data)


def test_duplicate_key_is_named() -> None:
    with pytest.raises(InvalidMessage) as caught:
        decode_posted(b'{"performative": "inform", "content": {"amount": 1, "amount": 2}}')
    assert caught.value.field == "amount"


@READERS
def test_message_of_2_mib_is_refused_with_size_and_limit(decode: Decode) -> None:
    data = b'{"performative":"inform","content":"' + b"x" * (2 << 20) + b'"}'
    with pytest.raises(MessageTooLarge) as caught:
        decode(data)
    assert (caught.value.size_bytes, caught.value.limit_bytes) == (len(data), MAX_MESSAGE_BYTES)


@READERS
def test_message_of_exactly_the_limit_is_taken(decode: Decode) -> None:
    content = b'"' + b"x" * (MAX_CONTENT_BYTES - 2) + b'"'
    frame = b'{"performative":"inform","content":%s,"rest":"%s"}'
    data = frame % (content, b"x" * (MAX_MESSAGE_BYTES - len(frame) - len(content) + 4))
    assert len(data) == MAX_MESSAGE_BYTES
    assert len(decode(data).content) == MAX_CONTENT_BYTES


@READERS
def test_content_over_its_limit_is_refused_though_the_message_is_within_its_own(decode: Decode) -> None:
    data = b'{"performative":"inform","content":"' + b"x" * MAX_CONTENT_BYTES + b'"}'
    with pytest.raises(MessageTooLarge) as caught:
        decode(data)
    assert (caught.value.size_bytes, caught.value.limit_bytes) == (MAX_CONTENT_BYTES + 2, MAX_CONTENT_BYTES)


def test_deepest_allowed_json_is_taken() -> None:
    levels = MAX_JSON_DEPTH - 1  # the message itself is one
    data = b'{"performative": "inform", "content": ' + b"[" * levels + b"]" * levels + b"}"
    assert bytes(decode_posted(data).content) == b"[" * levels + b"]" * levels


def test_brackets_inside_text_are_no_depth() -> None:
    text = "[{" * 1000 + '\\"' + "[" * 1000 + "\\\\"
    assert check_json(f'["{text}", [], []]'.encode()) == [json.loads(f'"{text}"'), [], []]


@pytest.mark.parametrize(
    "text",
    ['"\\\\"', '"\\""', '"\\\\\\""', '"[","]"', '"",""', '"[\\"{"'],
    ids=["\\\\", '\\"', '\\\\\\"', "[ ]", "empty", "mixed"],
)
def test_brackets_cannot_hide_behind_text(text: str) -> None:
    """Wherever a text ends, what follows counts: neither too early nor too late."""
    fits, too_deep = ("[" * (levels - 1) + "]" * (levels - 1) for levels in (MAX_JSON_DEPTH, MAX_JSON_DEPTH + 1))
    assert check_json(f"[{text}, {fits}, [], [], []]".encode())
    with pytest.raises(InvalidMessage, match="nested"):
        check_json(f"[{text}, {too_deep}]".encode())


def test_brackets_cannot_hide_behind_another_encoding() -> None:
    """In UTF-16 half of a character can look like a quotation mark."""
    deep = '["\u2200", ' + "[" * 100_000 + "]" * 100_001
    for encoding in ("utf-16-le", "utf-16-be", "utf-16", "utf-32"):
        with pytest.raises(InvalidMessage):
            check_json(deep.encode(encoding))


def test_a_mebibyte_of_brackets_does_not_hold_up_the_server() -> None:
    """It takes 0.1 s; what is quadratic takes minutes, and this test fails by its time limit."""
    data = b'{"performative":"inform","content":[' + b"[]," * 349_000 + b"[]]}"
    assert len(decode_posted(data).content) == 3 * 349_000 + 4


@pytest.mark.parametrize(
    "field",
    [
        "conversation_id", "reply_with", "in_reply_to", "reply_to", "ontology", "language", "protocol", "encoding",
        "reply_by", "capability",
    ],
)  # fmt: skip
def test_overlong_field_from_outside_is_refused_and_named(field: str) -> None:
    fits: dict[str, Any] = {"performative": "inform", field: "x" * MAX_FIELD_CHARS}
    assert getattr(decode_posted(json.dumps(fits).encode()), field) == fits[field]
    fits[field] += "x"
    with pytest.raises(InvalidMessage) as caught:
        decode_posted(json.dumps(fits).encode())
    assert caught.value.field == field


def test_overlong_receiver_from_outside_is_refused() -> None:
    for receiver in ("x" * (MAX_FIELD_CHARS + 1), ["a", "x" * (MAX_FIELD_CHARS + 1)]):
        with pytest.raises(InvalidMessage) as caught:
            decode_posted(json.dumps({"performative": "inform", "receiver": receiver}).encode())
        assert caught.value.field == "receiver"


@READERS
def test_error_text_repeats_no_flood_and_no_control_characters(decode: Decode) -> None:
    with pytest.raises(InvalidMessage) as caught:
        decode(b'{"performative": "' + b"\\u001b[31m" * 10_000 + b'"}')
    assert len(str(caught.value)) < 300
    assert "\x1b" not in str(caught.value)


@READERS
def test_unknown_keys_are_ignored(decode: Decode) -> None:
    message = decode(b'{"performative": "inform", "x-trace": {"a": 1}, "content": 1}')
    assert encode_message(message) == b'{"performative":"inform","content":1}'


@READERS
def test_content_stays_the_bytes_its_sender_wrote(decode: Decode) -> None:
    written = '{ "b" : 1.0e2 ,\n"a":[ "ä\\u00e4" , null ]}'.encode()
    message = decode(b'{"performative": "inform", "content": ' + written + b"}")
    assert bytes(message.content) == written
    assert written in encode_message(message)


@READERS
def test_escaped_surrogate_pair_is_one_character(decode: Decode) -> None:
    assert decode(b'{"performative": "inform", "reply_with": "\\ud83d\\ude00"}').reply_with == "\N{GRINNING FACE}"


def test_keys_with_nothing_to_say_are_not_written() -> None:
    assert encode_message(AclMessage(performative="agree")) == b'{"performative":"agree"}'


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=12,
)
_fields = st.fixed_dictionaries(
    {"performative": st.sampled_from(PERFORMATIVES)},
    optional={
        "content": _json,
        "receiver": _text | st.lists(_text, max_size=3),
        "capability": _text,
        "priority": st.integers(0, 9),
        "ttl_ms": st.integers(1, 366 * 86_400_000),
        **dict.fromkeys(
            (
                "reply_to", "language", "encoding", "ontology", "protocol", "conversation_id", "reply_with",
                "in_reply_to", "reply_by",
            ),
            _text,
        ),
    },
)  # fmt: skip


@given(_fields)
def test_message_survives_any_number_of_hops(fields: dict[str, Any]) -> None:
    first = decode_posted(json.dumps(fields, ensure_ascii=False).encode())
    written = encode_message(first)
    assert encode_message(decode_message(written)) == written
    read = json.loads(written)
    assert {key: read.get(key, value) for key, value in fields.items()} == fields
    assert set(read) <= set(fields)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_are_refused(data: bytes) -> None:
    for decode in (decode_message, decode_posted):
        with suppress(InvalidMessage):
            decode(data)


@given(st.text('[]{}"\\:,0a\u2200', max_size=60))
def test_what_is_taken_from_outside_is_taken_by_any_reader(text: str) -> None:
    data = b'{"performative": "inform", "content": ' + text.encode() + b"}"
    try:
        message = decode_posted(data)
    except InvalidMessage:
        return
    assert json.loads(bytes(message.content)) == json.loads(text)
    decode_message(encode_message(message))
