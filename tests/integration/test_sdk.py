"""What the SDKs' helpers for conversations send, read and keep; the same tests for C and AssemblyScript."""

from __future__ import annotations

import json
import math
import re
import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.conversations import notices
from caxton.sandbox.engine import Engine
from caxton.testing.guests import GUESTS, ROOT
from tests.integration.driven_guest import DrivenGuest
from tests.integration.sdk_builds import build_assemblyscript, build_c, npm_environment

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from caxton.messages.message import AclMessage

RANDOM_ID = "a5" * 12
"""What the recording host's random bytes make."""

SHORT_FORMS = ["agree", "refuse", "inform", "failure", "not-understood", "reject-proposal"]
ASKING_FORMS = ["propose", "accept-proposal"]

RECEIVED = {
    "performative": "request", "sender": "ann", "receiver": "probe", "protocol": "fipa-request",
    "conversation_id": "c1", "reply_with": "r1",
}  # fmt: skip

JSON_NUMBERS = st.one_of(
    st.floats(-1e308, 1e308).map(repr),
    st.integers(-(10**25), 10**25).map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
)


class Probe(DrivenGuest):
    """The agent of tests/guests/sdk_probe."""

    def ask_it(self, do: str, *, received: dict[str, Any] | None = None, **content: Any) -> list[str]:
        """Hand it a message that says what to do; the lines that it logs."""
        return self.tell_json(json.dumps({**RECEIVED, **(received or {}), "content": {"do": do, **content}}).encode())

    def ask_with(self, do: str, arg: str) -> list[str]:
        """The same with an argument that is JSON text."""
        return self.tell_json(f'{{"performative":"request","content":{{"do":"{do}","arg":{arg}}}}}'.encode())

    def sent_one(self) -> AclMessage:
        """The one message that it sent."""
        (message,) = self.sent()
        return message


@pytest.fixture(scope="module")
def engine() -> Generator[Engine]:
    engine = Engine()
    engine.hold_ticks()
    yield engine
    engine.close()


@pytest.fixture(scope="module", params=["c", pytest.param("assemblyscript", marks=pytest.mark.slow)])
def language(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def probe(language: str, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Generator[Probe]:
    source = GUESTS / ("sdk_probe.c" if language == "c" else "sdk_probe.ts")
    made = Probe(engine, build(language, source, tmp_path_factory.mktemp("probe")))
    yield made
    made.close()


def build(language: str, source: Path, place: Path) -> bytes:
    """Skips the test if AssemblyScript cannot be had."""
    if language == "c":
        return build_c(source, place / "agent.wasm")
    environment = npm_environment(place)
    if environment is None:
        pytest.skip("no npm registry can be reached")
    return build_assemblyscript(source, place / "sdk", environment)


def content(message: AclMessage) -> Any:
    return json.loads(bytes(message.content)) if bytes(message.content) else None


# --- answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [*SHORT_FORMS, *ASKING_FORMS])
def test_answer_carries_what_fipa_wants_of_it(probe: Probe, act: str) -> None:
    probe.ask_it("answer", act=act, arg={"cost": 30})
    sent = probe.sent_one()
    assert (sent.performative, sent.receiver, content(sent)) == (act, "ann", {"cost": 30})
    assert (sent.conversation_id, sent.protocol, sent.in_reply_to) == ("c1", "fipa-request", "r1")
    assert sent.reply_with == (RANDOM_ID if act in ASKING_FORMS else None)
    assert (sent.reply_by, sent.parent_conversation, sent.reply_to) == (None, None, None)


@pytest.mark.parametrize("to", ["bob", ["bob", "cid"]])
def test_answer_goes_to_reply_to(probe: Probe, to: Any) -> None:
    probe.ask_it("answer", act="agree", received={"reply_to": to})
    assert probe.sent_one().receiver == to


def test_answer_to_a_message_without_fields_has_none_either(probe: Probe) -> None:
    probe.tell(performative="request", sender="ann", content={"do": "answer", "act": "inform"})
    assert json.loads(probe.host.sent[0]) == {"performative": "inform", "receiver": "ann"}


# --- conversations of one's own ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "act", "protocol", "receiver"),
    [
        ("start-request", "request", "fipa-request", "bob"),
        ("start-contract-net", "cfp", "fipa-contract-net", ["ann", 'b"ob']),
        ("start-subscription", "subscribe", "fipa-subscribe", "bob"),
    ],
)
def test_conversation_begins_with_its_act_under_a_fresh_id(
    probe: Probe, start: str, act: str, protocol: str, receiver: Any
) -> None:
    assert probe.ask_it(start, arg=["task"]) == [RANDOM_ID]
    sent = probe.sent_one()
    assert (sent.performative, sent.protocol, sent.receiver, content(sent)) == (act, protocol, receiver, ["task"])
    assert (sent.conversation_id, sent.reply_with, sent.parent_conversation) == (RANDOM_ID, RANDOM_ID, "c1")
    assert (sent.reply_by, sent.in_reply_to) == (None, None)


@given(wall_us=st.integers(0, 253_402_300_799_999_999 - 10**12), ms=st.integers(1, 10**9))
def test_deadline_is_that_many_milliseconds_from_now_and_never_less(probe: Probe, wall_us: int, ms: int) -> None:
    probe.host.wall_us = wall_us
    probe.ask_it("start-request", n=ms)
    reply_by = probe.sent_one().reply_by
    assert reply_by is not None
    at_us = (datetime.fromisoformat(reply_by) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert 0 <= at_us - (wall_us + ms * 1000) < 1000


def test_every_day_of_four_centuries_has_its_date(probe: Probe) -> None:
    day = datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    for _ in range(400 * 366 // 13):
        day += timedelta(days=13)
        probe.host.wall_us = round(day.timestamp()) * 1_000_000
        probe.ask_it("start-request", n=1)
        assert (probe.sent_one().reply_by or "")[:10] == (day + timedelta(seconds=1)).isoformat()[:10]


def test_cancel_names_the_conversation_and_its_answer_is_told_from_what_crossed_it(probe: Probe) -> None:
    probe.ask_it("cancel")
    sent = probe.sent_one()
    assert (sent.performative, sent.receiver, sent.protocol) == ("cancel", "ann", "fipa-request")
    assert (sent.conversation_id, sent.parent_conversation) == ("c1", None)
    assert sent.reply_with not in (None, RANDOM_ID)
    assert probe.ask_it("answers-cancel", received={"in_reply_to": sent.reply_with}) == ["yes"]
    for crossing in ({"in_reply_to": "r1"}, {"in_reply_to": None}, {"in_reply_to": "c1"}, {"in_reply_to": "cancel-c2"}):
        assert probe.ask_it("answers-cancel", received=crossing) == ["no"]


@pytest.mark.parametrize(("ask", "code"), [("is-deadline", notices.DEADLINE), ("is-ended", notices.ENDED)])
def test_word_of_the_node_is_known_by_sender_and_code(probe: Probe, ask: str, code: str) -> None:
    notice = {"sender": "ams", "performative": "failure"}
    assert probe.ask_it(ask, received=notice, error=code) == ["yes"]
    assert probe.ask_it(ask, received={**notice, "sender": "bob"}, error=code) == ["no"]
    for other in (notices.VIOLATION, None, [code]):
        assert probe.ask_it(ask, received=notice, error=other) == ["no"]


def test_answer_that_the_node_gives_for_a_participant_is_the_participants(probe: Probe) -> None:
    notice = {"sender": "ams", "performative": "refuse"}
    assert probe.ask_it("participant", received=notice, error=notices.UNDELIVERABLE, receiver="bob") == ["bob"]
    assert probe.ask_it("participant", received=notice, error=notices.DEADLINE, receiver="bob") == ["ams"]
    assert probe.ask_it("participant", error=notices.UNDELIVERABLE, receiver="bob") == ["ann"]


# --- reading and keeping -----------------------------------------------------------------------------------------


@given(text=JSON_NUMBERS)
def test_number_is_read_as_the_double_that_it_is(probe: Probe, text: str) -> None:
    probe.host.kv.clear()
    lines = probe.ask_with("number", text)
    expected = float(text)
    if math.isinf(expected):
        assert lines == ["none"]
        return
    (number,) = struct.unpack("<d", probe.host.kv[b"number"])
    assert abs(number - expected) <= 16 * math.ulp(expected), (text, number)
    assert math.copysign(1, number) == math.copysign(1, expected)


@given(digits=st.integers(-(10**15), 10**15), places=st.integers(0, 22))
def test_number_of_fifteen_digits_is_read_exactly(probe: Probe, digits: int, places: int) -> None:
    probe.ask_with("number", f"{digits}e-{places}")
    assert struct.unpack("<d", probe.host.kv[b"number"]) == (float(f"{digits}e-{places}"),)


@pytest.mark.parametrize("other", ["1", None, True, [], [1], {}, {"a": 1}, ""])
def test_what_is_no_number_is_not_read_as_one(probe: Probe, other: Any) -> None:
    assert probe.ask_it("number", arg=other) == ["none"]


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("[]", []),
        (" [ ] ", []),
        ("[1]", ["1"]),
        ('[ 1 , "a,]b" ,[2,[3]] , {"c":[4]},null ]', ["1", '"a,]b"', "[2,[3]]", '{"c":[4]}', "null"]),
        ("{}", []),
        ('"[1]"', []),
        ("1", []),
    ],
)
def test_items_of_a_list_are_read_one_after_the_other(probe: Probe, text: str, items: list[str]) -> None:
    assert probe.ask_with("items", text) == items


def test_kept_message_is_answered_later_as_if_it_had_just_come(probe: Probe) -> None:
    assert probe.ask_it("recall") == ["none"]
    probe.ask_it("keep", received={"reply_to": "cid", "reply_with": "of-the-first"})
    probe.ask_it("recall", received={"sender": "other", "reply_with": "of-the-second"}, arg=42)
    sent = probe.sent_one()
    assert (sent.receiver, sent.in_reply_to, sent.conversation_id) == ("cid", "of-the-first", "c1")
    assert content(sent) == 42
    assert set(probe.host.kv) >= {b"asker/c1"}
    probe.ask_it("forget")
    assert b"asker/c1" not in probe.host.kv


# --- the manual ---------------------------------------------------------------------------------------------------


def test_agent_of_the_manual_bids_and_does_what_it_wins(engine: Engine, language: str, tmp_path: Path) -> None:
    folder, block, file = {"c": ("c", "c", "main.c"), "assemblyscript": ("assemblyscript", "ts", "index.ts")}[language]
    page = (ROOT / "sdk" / folder / "README.md").read_text(encoding="utf-8")
    source = tmp_path / file
    source.write_text(re.findall(rf"```{block}\n(.*?)```", page, re.DOTALL)[-1], encoding="utf-8")
    agent = DrivenGuest(engine, build(language, source, tmp_path))
    (bid,) = agent.tell(performative="cfp", sender="ann", conversation_id="c1", reply_with="r1")
    assert (bid.performative, bid.in_reply_to, content(bid)) == ("propose", "r1", {"cost": 30})
    (result,) = agent.tell(performative="accept-proposal", sender="ann", conversation_id="c1")
    assert (result.performative, result.conversation_id) == ("inform", "c1")
    assert agent.tell(performative="reject-proposal", sender="ann", conversation_id="c1") == []
    agent.close()


# --- lists of names and times, which AssemblyScript has itself ---------------------------------------------------


@pytest.mark.parametrize(
    ("names", "without", "was_there"),
    [
        ([], "[]", "no"),
        (["ann"], "[]", "yes"),
        (["ann", "bob", "ann"], '["bob"]', "yes"),
        (["bob", "cid"], '["bob","cid"]', "no"),
        (["anna", "an", 1, None], '["anna","an",1,null]', "no"),
        ("ann", "[]", "no"),
    ],
)
def test_name_is_taken_out_of_a_list_wherever_it_stands(
    probe_c: Probe, names: Any, without: str, was_there: str
) -> None:
    assert probe_c.ask_it("without", arg=names) == [without, was_there]


@pytest.mark.parametrize(
    ("names", "longer"),
    [([], '["ann"]'), (["ann"], '["ann"]'), (["bob"], '["bob","ann"]'), (["ann", "bob"], '["bob","ann"]')],
)
def test_name_is_put_at_the_end_of_a_list_once(probe_c: Probe, names: list[str], longer: str) -> None:
    assert probe_c.ask_it("with", arg=names) == [longer]


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (951_782_400_000_001, "2000-02-29T00:00:00.000001Z"),
        (4_107_542_399_999_999, "2100-02-28T23:59:59.999999Z"),
        (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
        (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
        (253_402_300_800_000_000, "lost"),
        (-1, "lost"),
        (-(2**63), "lost"),
        (2**63 - 1, "lost"),
    ],
)
def test_time_is_written_as_iso_8601_or_not_at_all(probe_c: Probe, us: int, text: str) -> None:
    assert probe_c.ask_it("time", n=us) == [text]


@pytest.mark.parametrize("ms", [2**62, -(2**63), 253_402_300_800_000])
def test_deadline_beyond_all_calendars_is_not_sent(probe_c: Probe, ms: int) -> None:
    message = json.dumps({**RECEIVED, "content": {"do": "start-request", "n": ms}})
    probe_c.tell_json(message.encode(), result=1)
    assert probe_c.sent() == []


@pytest.fixture(scope="module")
def probe_c(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Generator[Probe]:
    made = Probe(engine, build_c(GUESTS / "sdk_probe.c", tmp_path_factory.mktemp("probe") / "probe.wasm"))
    yield made
    made.close()
