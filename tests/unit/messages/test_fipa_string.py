"""FIPA's string encoding: what JADE writes is read, what is no message is refused by place, what is written is legal.

The grammar below is the standard's (SC00070I), written again as a check on the writer.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from caxton.core.errors.messages import InvalidMessage, MessageTooLarge
from caxton.messages.codec import MAX_CONTENT_BYTES, MAX_FIELD_CHARS, MAX_JSON_DEPTH, encode_message
from caxton.messages.fipa_string import MAX_PARAMETERS, MAX_STRING_BYTES, PARAMETERS, decode_fipa, encode_fipa
from caxton.messages.fipa_syntax import MAX_NESTED_PARTS
from caxton.messages.message import AclMessage
from caxton.messages.performative import PERFORMATIVES
from tests.unit.messages.strategies import messages

PEERS = """(CFP
 :sender  ( agent-identifier :name buyer@192.168.1.10:1099/JADE  :addresses (sequence http://box:7778/acc ))
 :receiver  (set ( agent-identifier :name ping@caxton ) ( agent-identifier :name pong@Caxton  :resolvers (sequence
   (agent-identifier :name ams@caxton :addresses (sequence http://a http://b)) ) ) )
 :reply-to  (set
( agent-identifier :name buyer@192.168.1.10:1099/JADE  :addresses (sequence http://box:7778/acc )) )
 :X-JADE-Note  (made (by "(hand)") #3"))) 42)
 :content  "((action (agent-identifier :name ping) (sell \\"a b\\" :at 10\\u20ac)))"
 :reply-with  buyer@192.168.1.10:1099/JADE1700000000000
 :encoding  utf-8  :language  fipa-sl  :ontology  "book trading"
 :reply-by  20310517T093000000Z  :protocol  fipa-contract-net
 :conversation-id  C17_1  )
"""
"""As JADE lays out its messages: act in capitals, blanks within parentheses, addresses, parameters of its own."""


def read(text: str | bytes) -> AclMessage:
    return decode_fipa(text if isinstance(text, bytes) else text.encode(), wall_us=0)


def refused(text: str | bytes) -> InvalidMessage:
    with pytest.raises(InvalidMessage) as caught:
        read(text)
    return caught.value


def test_message_of_a_jade_like_peer_is_read() -> None:
    assert json.loads(encode_message(read(PEERS))) == {
        "performative": "cfp",
        "sender": "buyer@192.168.1.10:1099/JADE",
        "receiver": ["ping", "pong"],
        "reply_to": "buyer@192.168.1.10:1099/JADE",
        "content": '((action (agent-identifier :name ping) (sell "a b" :at 10\\u20ac)))',
        "reply_with": "buyer@192.168.1.10:1099/JADE1700000000000",
        "encoding": "utf-8",
        "language": "fipa-sl",
        "ontology": "book trading",
        "reply_by": "2031-05-17T09:30:00Z",
        "protocol": "fipa-contract-net",
        "conversation_id": "C17_1",
    }


WRITTEN = b"""(propose
 :sender (agent-identifier :name ping@caxton)
 :receiver (set (agent-identifier :name client:ada@caxton))
 :content "{\\"cost\\": 3}"
 :protocol fipa-contract-net
 :conversation-id "C 17"
 :in-reply-to "1"
 :reply-by 20310517T093000000Z
 :X-Caxton-Ttl-Ms 5000
 :X-Caxton-Replayed true
 :X-Caxton-Content json)"""


def test_message_is_written_a_parameter_on_each_line_and_the_host_is_asked_for_nothing() -> None:
    message = AclMessage(
        performative="propose", sender="ping", receiver="client:ada", content=msgspec.Raw(b'{"cost": 3}'),
        protocol="fipa-contract-net", conversation_id="C 17", in_reply_to="1", reply_by="2031-05-17T09:30:00Z",
        ttl_ms=5000, replayed=True,
    )  # fmt: skip
    assert encode_fipa(message) == WRITTEN
    assert encode_message(read(WRITTEN)) == encode_message(message)


@pytest.mark.parametrize("act", PERFORMATIVES)
def test_every_act_and_parameter_is_read_in_any_case(act: str) -> None:
    assert read(f"({act.upper()} :SENDER (AGENT-IDENTIFIER :NAME a) :Content x)").performative == act
    assert read(f"( {act.capitalize()}\r\n\t:rEceiver (SET (Agent-Identifier :Name b@CAXTON)))").receiver == "b"


def test_alias_of_an_act_is_read_and_the_act_is_written() -> None:
    assert encode_fipa(read("(Accept :content fine)")) == b'(accept-proposal\n :content "fine")'


@pytest.mark.parametrize(
    ("written", "content"),
    [
        (':content ""', b'""'),
        (':content "a\\"b"', b'"a\\"b"'),
        (':content "a\\\\"b"', b'"a\\\\\\"b"'),
        (':content "a\\nb"', b'"a\\\\nb"'),
        (':content "a\nb"', b'"a\\nb"'),
        (':content #5"a"b\\"', b'"a\\"b\\\\\\""'),
        (':content #0"', b'""'),
        (':content #2"é', '"é"'.encode()),
        (":content hello", b'"hello"'),
        (":content 42", b'"42"'),
        (':content (a  "(" b)', b'"(a  \\"(\\" b)"'),
        (':content "[1, 2]"', b'"[1, 2]"'),
        (':content "[1, 2]" :language json', b"[1, 2]"),
        (':language JSON :content " [1, 2]\n"', b"[1, 2]"),
        (':language fipa-sl :X-Caxton-Content json :content "{}"', b"{}"),
        (':content "\\"x\\"" :language json', b'"x"'),
        (":language json", b""),
    ],
)
def test_content_is_a_text_or_the_json_that_it_says_it_is(written: str, content: bytes) -> None:
    assert bytes(read(f"(inform {written})").content) == content


@pytest.mark.parametrize(
    ("content", "language", "written"),
    [
        (b'"hi"', None, b':content "hi"'),
        (b'"hi"', "json", b':content "\\"hi\\""\n :language json'),
        (b'"\\u00e9\\\\"', None, b':content #3"\xc3\xa9\\'),
        (b"{}", "JSON", b':content "{}"\n :language JSON'),
        (b"{}", "xml", b':content "{}"\n :language xml\n :X-Caxton-Content json'),
        (b"7", None, b':content "7"\n :X-Caxton-Content json'),
    ],
)
def test_content_that_is_no_text_says_that_it_is_json(content: bytes, language: str | None, written: bytes) -> None:
    message = AclMessage(performative="inform", content=msgspec.Raw(content), language=language)
    assert encode_fipa(message) == b"(inform\n %b)" % written


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("ping", "ping"), ("ping@caxton", "ping"), ("ping@CAXTON", "ping"), ('"ping@caxton"', "ping"),
        ("client:ada@caxton", "client:ada"), ("topic://a/b", "topic://a/b"), ("topic://a@caxton", "topic://a@caxton"),
        ("ping@elsewhere", "ping@elsewhere"), ("ping@caxton@x", "ping@caxton@x"), ("42@caxton", "42"),
    ],
)  # fmt: skip
def test_name_loses_our_platform_and_no_other(written: str, name: str) -> None:
    assert read(f"(inform :receiver (set (agent-identifier :name {written})))").receiver == name


@pytest.mark.parametrize(
    ("written", "receiver"),
    [
        ("(set)", []),
        ("(set (agent-identifier :name a))", "a"),
        ("(agent-identifier :name a)", "a"),
        ("(sequence (agent-identifier :name a) (agent-identifier :name b))", ["a", "b"]),
        ("(set(agent-identifier :name a)(agent-identifier :addresses (sequence) :name b))", ["a", "b"]),
    ],
)
def test_receivers_are_a_set_a_sequence_or_one_agent(written: str, receiver: object) -> None:
    assert read(f"(inform :receiver {written})").receiver == receiver


def test_relative_deadline_counts_from_the_time_that_the_reader_says() -> None:
    message = decode_fipa(b"(cfp :reply-by +00000000T000130000)", wall_us=1_000_000_000_000_000)
    assert message.reply_by == "2001-09-09T01:48:10Z"


def test_parameters_of_others_are_dropped_and_ours_are_read() -> None:
    message = read('(inform :X-Other (a "b") :x-caxton-priority 7 :X-CAXTON-REPLAYED True :X-Caxton-Later 1)')
    assert encode_message(message) == b'{"performative":"inform","priority":7,"replayed":true}'


BAD: list[tuple[str, str, str]] = [
    ("", "1, column 1", '"("'),
    ("inform", "1, column 1", '"("'),
    ("(", "1, column 2", "an act"),
    ("()", "1, column 2", "an act"),
    ('("inform")', "1, column 2", "an act"),
    ("(inform", "1, column 8", '")"'),
    ("(inform)\n)", "2, column 1", "the end"),
    ("(inform) (inform)", "1, column 10", "the end"),
    ("(inform sender)", "1, column 9", "a colon"),
    ("(inform\n :language\n)", "3, column 1", "a value for :language"),
    ('(inform :language :content "x")', "1, column 19", "a value for :language"),
    ('(inform :content "é\n', "1, column 18", "closing quote"),
    ('(inform :content "\\")', "1, column 18", "closing quote"),
    ('(inform :content "a" :content "b")', "1, column 22", "once"),
    ('(inform :X-a "a" :x-A "b")', "1, column 18", "once"),
    ("(inform :recever (set))", "1, column 9", "did you mean :receiver?"),
    ("(inform :envelope (to a))", "1, column 9", ":X-"),
    ("(inform :content #x)", "1, column 18", "length"),
    ('(inform :content #3"ab', "1, column 21", "3 bytes"),
    ('(inform :content #999999999"a")', "1, column 29", "999999999 bytes"),
    ('(inform :content #1"é)', "1, column 18", "UTF-8"),
    ("(inform :content \0)", "1, column 18", "a value"),
    ("(inform :receiver ping)", "1, column 19", "a set of agents"),
    ("(inform :receiver (ping))", "1, column 20", "agent-identifier"),
    ("(inform :receiver (set ping))", "1, column 24", "an agent-identifier"),
    ("(inform :receiver (set (agent-identifier)))", "1, column 41", ":name"),
    ("(inform :receiver (set (agent-identifier :addresses (sequence))))", "1, column 63", ":name"),
    ("(inform :receiver (set (agent-identifier :name a :name b)))", "1, column 50", "one :name"),
    ("(inform :receiver (set (agent-identifier :name a))", "1, column 51", '")"'),
    ("(inform :sender (set (agent-identifier :name a)))", "1, column 18", "agent-identifier"),
    ("(inform :X-a (b (c))", "1, column 21", '")"'),
    ("(inform :X-Caxton-Priority high)", "1, column 28", "a whole number"),
    ("(inform :X-Caxton-Priority 1.5)", "1, column 28", "a whole number"),
    ("(inform :X-Caxton-Timestamp 99999999999999999999)", "1, column 29", "a whole number"),
    ("(inform :X-Caxton-Replayed yes)", "1, column 28", "true or false"),
    ("(inform :X-Caxton-Content xml)", "1, column 27", "json"),
    ("(inform :reply-by tomorrow)", "1, column 19", "a time like"),
    ("(inform :reply-by 20310517T093000000)", "1, column 19", "UTC"),
    ("(inform :reply-by +99990000T000000000)", "1, column 19", "year 10000"),
]


@pytest.mark.parametrize(("text", "place", "wanted"), BAD)
def test_what_is_no_message_is_refused_by_its_place(text: str, place: str, wanted: str) -> None:
    said = str(refused(text))
    assert f"line {place}: expected " in said
    assert wanted in said


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("(infrom)", "performative"),
        ("(inform :X-Caxton-Priority 10)", "priority"),
        ("(inform :X-Caxton-Priority high)", "priority"),
        ("(inform :X-Caxton-Ttl-Ms 0)", "ttl_ms"),
        ("(inform :reply-by tomorrow)", "reply_by"),
        ('(inform :language json :content "{")', "content"),
        ("(inform :language json :content NaN)", "content"),
        (f"(inform :ontology {'x' * (MAX_FIELD_CHARS + 1)})", "ontology"),
        (f"(inform :receiver (agent-identifier :name {'x' * (MAX_FIELD_CHARS + 1)}))", "receiver"),
    ],
)
def test_field_that_breaks_its_rule_is_named(text: str, field: str) -> None:
    assert refused(text).field == field


@pytest.mark.parametrize(
    "content",
    [
        '1,"sender":"boss"', '1}{"performative":"cfp"', '{"a":1,"a":2}', "1 2", "", "\u00a01",
        "[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH, "[" * 100_000, "NaN", "9" * 5000, '"\\ud800"',
    ],
)  # fmt: skip
def test_content_that_says_it_is_json_can_bring_in_nothing_else(content: str) -> None:
    quoted = content.replace('"', '\\"')
    assert refused(f'(inform :X-Caxton-Content json :content "{quoted}")')


def test_text_that_is_not_utf_8_is_refused() -> None:
    for data in (
        b'(inform :content "\xff")',
        "(inform)".encode("utf-16"),
        b'(inform :content #1"\xff)',
        b"\xed\xa0\x80",
    ):
        assert "UTF-8" in str(refused(data))


def test_message_of_exactly_the_limits_is_taken_and_one_byte_more_is_not() -> None:
    full = msgspec.Raw(b'"' + b'\\"' * (MAX_CONTENT_BYTES // 2 - 1) + b'"')
    message = AclMessage(performative="inform", content=full, language="json")
    assert read(encode_fipa(message)).content == full
    for content in ('"' * (MAX_CONTENT_BYTES // 2), "x" * (MAX_CONTENT_BYTES - 1)):
        with pytest.raises(MessageTooLarge) as caught:
            read(b'(inform :content "%b")' % content.replace('"', '\\"').encode())
        assert caught.value.limit_bytes == MAX_CONTENT_BYTES
    with pytest.raises(MessageTooLarge) as caught:
        read(b"(inform" + b" " * MAX_STRING_BYTES + b")")
    assert caught.value.limit_bytes == MAX_STRING_BYTES


def test_too_many_parameters_are_refused() -> None:
    some = " ".join(f":X-{n} 1" for n in range(MAX_PARAMETERS))
    assert read(f"(inform {some})")
    assert "at most" in str(refused(f"(inform {some} :X-last 1)"))


def test_deep_parentheses_are_refused_without_a_recursion_error() -> None:
    fits = "(" * MAX_JSON_DEPTH + ")" * MAX_JSON_DEPTH
    assert read(f"(inform :X-a {fits})")
    for deep in (f"({fits})", "(" * 1_000_000):
        assert "levels deep" in str(refused(f"(inform :X-a {deep})"))
        assert "levels deep" in str(refused(f"(inform :receiver (agent-identifier :name a :resolvers {deep}))"))


def test_parts_within_parentheses_count_over_the_whole_message() -> None:
    half = "(" + "() " * (MAX_NESTED_PARTS // 4) + ")"
    assert read(f"(inform :X-a {half})")
    assert "parts" in str(refused(f"(inform :X-a {half} :X-b {half} :X-c (1))"))


@pytest.mark.parametrize(
    "data",
    [
        b'(inform :content "' + b'\\"' * 1_000_000,
        b'(inform :content "' + b"\\" * 2_000_000,
        b"(inform " + b" " * 2_000_000,
        b"(inform " + b'#1"a' * 500_000,
        b"(inform :content " + b"a" * 2_000_000,
        b"(inform :X-a (" + b'"" ' * 600_000,
        b"(inform :X-a (" + b'#0"' * 600_000,
        b"(inform :receiver (set " + b"(agent-identifier :name a :x b)" * 60_000,
        b"(inform\n" * 250_000,
    ],
)
def test_two_mebibytes_of_anything_are_refused_at_once(data: bytes) -> None:
    """Each takes half a second at most; whatever is quadratic takes hours, and this test fails by its time limit."""
    assert "expected" in str(refused(data))


def test_error_text_repeats_no_flood_and_no_control_characters() -> None:
    for text in ("(inform :\x1b[31m" + "x" * 100_000, "(" + "\x1b" * 100_000, '(inform :receiver "' + "\u202e" * 9999):
        said = str(refused(text))
        assert len(said) < 300
        assert "\x1b" not in said


SYNTAX = re.compile(
    rb"(?P<open>\()|(?P<close>\))|(?P<blank>[ \n]+)"
    rb"|(?P<time>[+-]?\d{8}T\d{9}[A-Za-z]?(?=[\s)]))|(?P<number>-?\d+(?=[\s)]))"
    rb'|(?P<sized>#(\d+)")|(?P<text>"(?:\\"|[^"])*?(?<!\\)")|(?P<word>[^\x00-\x20()#0-9\-@"][^\x00-\x20()"]*)'
)
"""Tokens of SC00070I, its words without quotes, as JADE has them."""


def tokens(data: bytes) -> list[tuple[str, bytes]]:
    """What a strict reader finds in `data`, blanks left out; fails on what it would not read."""
    found: list[tuple[str, bytes]] = []
    at = 0
    while at < len(data):
        match = SYNTAX.match(data, at)
        assert match is not None, f"no token at {data[at : at + 20]!r}"
        at = match.end()
        kind = str(match.lastgroup)
        if kind == "sized":
            at += int(match["sized"][1:-1])
            found.append(("text", data[match.end() : at]))
        elif kind == "text":
            found.append(("text", match["text"][1:-1].replace(b'\\"', b'"')))
        elif kind != "blank":
            found.append((kind, match[0]))
    return found


KINDS: dict[str, set[str]] = {
    "text": {"word", "text"}, "content": {"text"}, "number": {"number"}, "flag": {"word"}, "time": {"time"},
    "agent": {"open"}, "agents": {"open"},
}  # fmt: skip
BY_NAME = {f":{one.name}".encode(): one for one in PARAMETERS}


@given(messages)
@example(AclMessage(performative="agree", protocol=":content", reply_with="+00000000T000000001", in_reply_to="\\"))
@example(AclMessage(performative="agree", language='a"b', ontology="#1", encoding="-", capability="@", traceparent="("))
def test_what_is_written_obeys_the_grammar_of_the_standard(message: AclMessage) -> None:
    found = tokens(encode_fipa(message))
    assert found[:2] == [("open", b"("), ("word", message.performative.encode())]
    depth, names = 0, list[bytes]()
    for (kind, token), (after, _) in zip(found, [*found[1:], ("close", b"")], strict=True):
        depth += (kind == "open") - (kind == "close")
        if depth == 1 and kind == "word" and token in BY_NAME:
            names.append(token)
            assert after in KINDS[BY_NAME[token].kind], f"{token!r} is followed by {after}"
    assert depth == 0
    assert len(names) == len(set(names))


_pieces = st.sampled_from(
    [
        "(", ")", " ", "\n", '"', "\\", "#", '#2"', ":", "inform", "cfp", ":content", ":receiver", ":sender", ":X-a",
        ":reply-by", ":language", "json", "set", "sequence", "agent-identifier", ":name", "a@caxton", "é", "\0", "[1]",
        ":X-Caxton-Content", ":X-Caxton-Priority", "7", "20310517T093000000Z",
    ]
)  # fmt: skip


def taken_or_refused(data: bytes) -> None:
    """A message that is read can be written, and is then read as the same; anything else is refused."""
    try:
        message = read(data)
    except InvalidMessage:
        return
    assert encode_message(read(encode_fipa(message))) == encode_message(message)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_message_or_are_refused(data: bytes) -> None:
    taken_or_refused(data)
    taken_or_refused(b"(inform " + data)
    taken_or_refused(b'(inform :content "' + data + b'")')


@given(st.lists(_pieces, max_size=20).map("".join))
def test_any_order_of_familiar_pieces_is_a_message_or_is_refused(text: str) -> None:
    taken_or_refused(text.encode())
    taken_or_refused(f"(inform {text})".encode())


@given(messages, st.integers(0, 10_000), st.integers(0, 3), st.binary(max_size=3))
def test_damaged_message_is_a_message_or_is_refused(message: AclMessage, place: int, cut: int, put: bytes) -> None:
    data = encode_fipa(message)
    place %= len(data)
    taken_or_refused(data[:place] + put + data[place + cut :])


def test_every_field_is_a_parameter() -> None:
    fields: list[Any] = [one.field for one in PARAMETERS]
    assert sorted([*fields, "performative"]) == sorted(AclMessage.__struct_fields__)
