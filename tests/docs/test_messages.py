"""docs/reference/messages.md lists the fields and performatives of messages, and says the figures of delivery."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from caxton.bus import dead_letters, history, journal, letter_rows, mailbox, retention, retry
from caxton.bus.dead_letters import REASONS
from caxton.bus.envelope import MAX_ATTEMPTS
from caxton.core.errors.messages import InvalidMessage
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.agents import AgentSpec
from caxton.messages import performative
from caxton.messages.codec import MAX_FIELD_CHARS, MAX_JSON_DEPTH, decode_message, decode_posted, encode_message
from caxton.messages.fipa_agents import PLATFORM
from caxton.messages.fipa_string import CONTENT_KIND, JSON, MAX_PARAMETERS, OWN, PARAMETERS, decode_fipa, encode_fipa
from caxton.messages.fipa_syntax import MAX_NESTED_PARTS
from caxton.messages.fipa_time import DAYS_OF_MONTH, DAYS_OF_YEAR
from caxton.messages.message import AclMessage
from caxton.messages.performative import PERFORMATIVES, parse_performative
from caxton.security.principal import Principal
from caxton.server.wiring import build
from caxton.services import letter_purges
from caxton.services.dead_letters import REPLAYS_PER_S
from caxton.testing.guests import example
from tests.docs.tables import assert_same, block, read_page, rows, section, word, words

if TYPE_CHECKING:
    from pathlib import Path

PAGE = read_page("reference/messages.md")
TEXT = " ".join(PAGE.split())
FIELDS = {word(row[0]): row for row in rows(section(PAGE, "## Fields"), "Field", "Type", "Set by")}

HOST = {name for name, row in FIELDS.items() if row[2] == "host"}
HOST_FOR_CLIENTS = {name for name, row in FIELDS.items() if row[2] == "sender, else host"}


def kind_of(annotation: Any) -> str:
    """A field's type as the page writes it."""
    kinds = {
        msgspec.inspect.StrType: "text", msgspec.inspect.IntType: "integer", msgspec.inspect.RawType: "any JSON",
        msgspec.inspect.BoolType: "true or false",
    }  # fmt: skip
    if isinstance(annotation, msgspec.inspect.UnionType):
        parts = [kind_of(kind) for kind in annotation.types if not isinstance(kind, msgspec.inspect.NoneType)]
        return " or ".join(parts)
    if isinstance(annotation, msgspec.inspect.ListType):
        return f"list of {kind_of(annotation.item_type)}s"
    return kinds[type(annotation)]


def test_every_field_has_a_line_and_every_line_its_field() -> None:
    listed = [word(row[0]) for row in rows(section(PAGE, "## Fields"), "Field", "Type", "Set by")]
    assert_same("fields", code=AclMessage.__struct_fields__, page=listed)


def test_types_are_right() -> None:
    described = msgspec.inspect.type_info(AclMessage)
    assert isinstance(described, msgspec.inspect.StructType)
    kinds = {field.encode_name: kind_of(field.type) for field in described.fields}
    assert {name: row[1] for name, row in FIELDS.items()} == kinds


async def exchange(directory: Path, message: AclMessage) -> list[AclMessage]:
    """A client's message to an agent that echoes, and the reply, as they were kept."""
    rooms = build(directory, cache_key=bytes(32), max_instances=1, on_storage_failure=lambda _: None)
    try:
        await rooms.start()
        await rooms.agents.deploy(DEFAULT_WORKSPACE, AgentSpec(name="echo"), example("echo"))
        reply = await rooms.messages.ask(DEFAULT_WORKSPACE, Principal("ada", frozenset()), message, timeout_s=10)
        conversation = msgspec.json.decode(reply, type=AclMessage).conversation_id or ""
        kept = await rooms.messages.conversation(DEFAULT_WORKSPACE, conversation, limit=10)
        await rooms.drain()
        return [msgspec.json.decode(one, type=AclMessage) for one in kept]
    finally:
        rooms.close()


def test_who_sets_a_field_is_right(tmp_path: Path) -> None:
    asked = AclMessage(
        performative="request", sender="forged", receiver="echo", content=msgspec.Raw(b"1"), language="l", encoding="e",
        ontology="o", protocol="p", reply_by="2030-01-01T00:00:00Z", timestamp=1, priority=1,
        ttl_ms=60_000, traceparent="forged", attempt=9, replayed=True,
    )  # fmt: skip
    before = {name: getattr(asked, name) for name in AclMessage.__struct_fields__}
    sent, reply = asyncio.run(exchange(tmp_path, asked))
    changed = {name for name, value in before.items() if getattr(sent, name) != value and name != "content"}
    assert changed == HOST | HOST_FOR_CLIENTS
    assert bytes(sent.content) == bytes(reply.content) == b"1"
    assert {row[2] for row in FIELDS.values()} == {"host", "sender", "sender, else host"}
    given = {name for name in HOST | HOST_FOR_CLIENTS if getattr(reply, name)}
    expected = (HOST - {"replayed"}) | {"conversation_id", "message_id", "reply_with"}
    assert given == expected, "an agent's message that follows a protocol gets what its answer refers to"


def test_required_fields_are_those_that_say_so() -> None:
    required = {name for name, row in FIELDS.items() if row[3].endswith("; required")}
    assert required == {
        name for name, parameter in inspect.signature(AclMessage).parameters.items()
        if parameter.default is inspect.Parameter.empty
    }  # fmt: skip


def test_example_is_a_valid_message() -> None:
    example = block(PAGE.partition("\n## ")[0], "json").encode()
    assert json.loads(encode_message(decode_posted(example))) == json.loads(example)


def test_every_performative_has_a_line_and_every_line_its_performative() -> None:
    listed = [word(row[0]) for row in rows(PAGE, "Performative", "Also read")]
    assert_same("performatives", code=PERFORMATIVES, page=listed)
    assert listed == sorted(listed)


def test_aliases_are_right() -> None:
    aliases = {alias: word(row[0]) for row in rows(PAGE, "Performative", "Also read") for alias in words(row[1])}
    assert aliases == vars(performative)["_ALIASES"]
    assert all(parse_performative(alias.upper()) == act for alias, act in aliases.items())


def test_rules_are_right() -> None:
    table = {row[0]: row[1:] for row in rows(section(PAGE, "## Rules"), "What", "From a client", "From a guest")}
    assert f"no more than {MAX_JSON_DEPTH} levels" in table["JSON"][0]
    assert f"at most {MAX_FIELD_CHARS:,} characters" in table["Text fields but `content`"][0]
    twice = b'{"performative":"inform","content":{"a":1,"a":2}}'
    decode_message(twice)
    with pytest.raises(InvalidMessage):
        decode_posted(twice)
    fields = [name for name, row in FIELDS.items() if row[1].startswith("text") and name not in HOST]
    for name in set(fields) - {"performative"}:
        long = json.dumps({"performative": "inform", name: "x" * (MAX_FIELD_CHARS + 1)}).encode()
        for decode in (decode_message, decode_posted):
            with pytest.raises(InvalidMessage):
                decode(long)


def test_figures_of_delivery_are_right() -> None:
    pauses = [f"{retry.retry_delay_s(attempt, 0):g}" for attempt in range(2, MAX_ATTEMPTS + 1)]
    assert f"at most {MAX_ATTEMPTS} times" in TEXT
    assert f"after {', '.join(pauses[:-1])} and {pauses[-1]} s, each up to a quarter earlier" in TEXT
    assert retry.retry_delay_s(2, 1) == 0.75 * retry.retry_delay_s(2, 0)
    assert f"{mailbox.MAX_MESSAGES:,} messages or {mailbox.MAX_BYTES >> 20} MiB" in TEXT
    assert f"else {journal.IDLE_COMMIT_S * 1000:g} ms after a change" in TEXT
    assert f"after {journal.MAX_CHANGED_ROWS:,} changed rows" in TEXT


def test_every_reason_of_a_dead_letter_has_its_line() -> None:
    table = {word(row[0]): row[1] for row in rows(section(PAGE, "## Dead letters"), "Reason", "What happened")}
    assert table == REASONS


def test_figures_of_dead_letters_are_right() -> None:
    text = " ".join(section(PAGE, "## Dead letters").split())
    days = letter_purges.MAX_AGE_US // (86_400 * 1_000_000)
    assert f"Letters are kept for {days} days" in text
    assert f"take more than {dead_letters.MAX_BYTES >> 30} GiB" in text
    assert f"each counts {dead_letters.LETTER_BYTES} bytes beside its message" in text
    assert "Below nine tenths of the limit" in text
    assert dead_letters.REOPEN_RATIO == 0.9
    assert f"At most {REPLAYS_PER_S:g} letters are replayed in a second" in text
    assert f"keeps the last {letter_rows.MAX_PURGE_LINES:,} purges" in text
    kept = section(PAGE, "## What is kept")
    assert f"{days} days; of those replayed, not more than {letter_purges.MAX_REPLAYED:,}" in kept


def test_figures_of_what_is_kept_are_right() -> None:
    days = retention.KEEP_SETTLED_US // (86_400 * 1_000_000)
    kept = section(PAGE, "## What is kept")
    assert f"{days} days after settlement, and not more than the last {retention.KEEP_SETTLED_ROWS:,}" in kept
    assert f"up to {history.MAX_BODY_BYTES >> 10} KiB each | the last {history.MAX_REMEMBERED:,}" in kept


# --- FIPA's string encoding --------------------------------------------------------------------------------------

FIPA = section(PAGE, "## FIPA's string encoding")
OURS = {one.field: one for one in PARAMETERS}
SC00061 = [
    "performative", "sender", "receiver", "reply-to", "content", "language", "encoding", "ontology", "protocol",
    "conversation-id", "reply-with", "in-reply-to", "reply-by",
]  # fmt: skip
SHAPES = {
    "agent": "an agent-identifier", "agents": "a set of them", "content": "a text", "text": "a word or text",
    "time": "a time", "number": "a whole number", "flag": "true or false",
}  # fmt: skip


def test_each_of_fipas_thirteen_parameters_has_a_line_with_its_key_and_its_form() -> None:
    table = rows(FIPA, "Parameter", "JSON", "In the string", "Notes")
    assert [row[0] for row in table] == SC00061
    assert [word(row[1]) for row in table] == [name.replace("-", "_") for name in SC00061]
    for name, key, form, _ in table[1:]:
        ours = OURS[word(key)]
        assert (ours.name, form) == (name, f"`:{name}` and {SHAPES[ours.kind]}")


def test_each_parameter_of_our_own_has_a_line_with_its_key_and_its_form() -> None:
    table = {word(row[0]): row[1:] for row in rows(FIPA, "Of our own", "JSON", "In the string")}
    own = [one for one in PARAMETERS if one.name.startswith(OWN)]
    assert table == {f":{one.name}": [f"`{one.field}`", SHAPES[one.kind]] for one in own}


def test_fipas_parameters_and_our_own_are_all_the_fields() -> None:
    listed = [name.replace("-", "_") for name in SC00061] + [one.field for one in PARAMETERS if OWN in one.name]
    assert_same("fields", code=AclMessage.__struct_fields__, page=listed)


def test_examples_in_fipas_encoding_are_valid_and_say_what_the_page_says() -> None:
    examples = [
        block(FIPA, "text"),
        *re.findall(r"(?ms)^```acl\n(.*?)^```$", read_page("howto/join-a-jade-platform.md")),
    ]
    assert len(examples) == 3
    read = [decode_fipa(text.encode(), wall_us=0) for text in examples]
    assert (read[0].receiver, bytes(read[0].content), read[0].reply_by) == (
        "counter", b'{"add": 1}', "1970-01-01T00:00:30Z",
    )  # fmt: skip
    assert encode_fipa(read[2]) + b"\n" == examples[2].encode()


def test_rules_of_fipas_encoding_are_right() -> None:
    text = " ".join(FIPA.split())
    assert f"{MAX_PARAMETERS} parameters; {MAX_JSON_DEPTH} levels of parentheses" in text
    assert f"and {MAX_NESTED_PARTS:,} words, texts and parentheses" in text
    assert f"a year counts {DAYS_OF_YEAR} days and a month {DAYS_OF_MONTH}" in text
    assert f"An agent of this server is written `NAME@{PLATFORM}`" in text
    assert f"with `:{CONTENT_KIND} {JSON}`" in text
    written, means = '#5"a"b\\"', 'a"b\\"'
    assert f"`{written}` is `{means}`" in text
    message = decode_fipa(f"(inform :content {written})".encode(), wall_us=0)
    assert json.loads(bytes(message.content)) == means
