"""The routes about who says what to whom."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.unit.api.test_logs import Listener

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api

LIVE, PAST = "/api/v1/sniff", "/api/v1/sniff/past"


async def listening(api: Api, query: str = "") -> Listener:
    listener = Listener(api, LIVE, query)
    await listener.heartbeats(1)
    return listener


async def ended(listener: Listener) -> list[str]:
    """Hang up; the names of the events that came."""
    await listener.hang_up()
    return [event["event"] for event in listener.events()]


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        (LIVE, "agents=", "INVALID_NAME"),
        (LIVE, "agents=echo,,", "INVALID_NAME"),
        (LIVE, "agents=../x", "INVALID_NAME"),
        (LIVE, f"agents={','.join(['echo'] * 101)}", "INVALID_REQUEST"),
        (LIVE, "conversation=", "INVALID_REQUEST"),
        (LIVE, f"conversation={'x' * 1025}", "INVALID_REQUEST"),
        (LIVE, "for=0s", "INVALID_VALUE"),
        (LIVE, "for=25h", "INVALID_VALUE"),
        (LIVE, "for=later", "INVALID_VALUE"),
        (LIVE, "agent=echo", "INVALID_REQUEST"),
        (PAST, "", "INVALID_REQUEST"),
        (PAST, "conversation=c-1&limit=1001", "INVALID_VALUE"),
        (PAST, "conversation=c-1&limit=0", "INVALID_VALUE"),
    ],
)
async def test_question_that_breaks_a_rule_is_refused_and_nobody_listens(
    path: str, query: str, code: str, api: Api
) -> None:
    answer = await api("GET", path, query=query)
    assert (answer.status, answer.code) == (400, code)
    assert api.node.sniff.listeners == []


async def test_agent_that_is_not_there_is_not_found(api: Api) -> None:
    answer = await api("GET", LIVE, query="agents=echo,ecko")
    assert (answer.status, answer.code) == (404, "AGENT_NOT_FOUND")
    assert answer.json["details"]["nearest"] == "echo"


async def test_one_listener_too_many_is_refused_before_the_stream_begins(api: Api) -> None:
    api.node.sniff.most = 1
    listener = await listening(api)
    answer = await api("GET", LIVE)
    assert (answer.status, answer.code) == (429, "TOO_MANY_LISTENERS")
    assert answer.headers["retry-after"] == "10"
    await listener.hang_up()
    assert (await api("GET", LIVE, query="for=1ms")).status == 200


async def test_each_message_is_an_event(api: Api) -> None:
    listener = await listening(api)
    one = api.node.sniff.write("echo", "client:admin", "agree", excerpt='"a\\n\\nevent: forged"')
    api.node.sniff.write("client:admin", "echo", "cancel")
    await listener.hang_up_after(2)
    first, second = listener.events()
    assert (first["event"], first["id"], second["id"]) == ("sighting", str(one.seq), "2")
    assert json.loads(first["data"]) == {name: getattr(one, name) for name in one.__struct_fields__}
    assert json.loads(second["data"])["performative"] == "cancel"


async def test_missed_messages_are_an_event(api: Api) -> None:
    listener = await listening(api)
    api.node.sniff.miss(12)
    await listener.hang_up_after(1)
    assert [(event["event"], json.loads(event["data"])) for event in listener.events()] == [("gap", {"missed": 12})]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [("agents=client:admin,echo", ["1", "2"]), ("conversation=c%2F2", ["2", "3"]), ("", ["1", "2", "3"])],
)
async def test_agents_and_conversation_are_passed_on(query: str, wanted: list[str], api: Api) -> None:
    await api.deploy("other")
    listener = await listening(api, query)
    api.node.sniff.write("echo", "other")
    api.node.sniff.write("other", "client:admin", conversation_id="c/2")
    api.node.sniff.write("other", "other", conversation_id="c/2")
    await listener.hang_up_after(len(wanted))
    assert [event["id"] for event in listener.events()] == wanted


async def test_stream_ends_by_itself_after_its_time(api: Api) -> None:
    answer = await api("GET", LIVE, query="for=30ms")
    assert answer.status == 200
    assert answer.body.endswith(b"event: end\ndata: {}\n\n")
    assert api.node.sniff.listeners == []


async def test_stream_ends_with_the_server_and_does_not_say_that_its_time_is_over(api: Api) -> None:
    listener = await listening(api, "for=1h")
    api.stopping.set()
    assert await ended(listener) == []
    assert api.node.sniff.listeners == []


async def test_quiet_stream_shows_that_it_lives(api: Api) -> None:
    listener = await listening(api)
    await listener.heartbeats(3)
    assert await ended(listener) == []


async def test_reader_that_hangs_up_is_forgotten(api: Api) -> None:
    listener = await listening(api)
    assert len(api.node.sniff.listeners) == 1
    await listener.hang_up()
    assert api.node.sniff.listeners == []


async def test_reader_that_is_gone_before_the_first_byte_is_forgotten(api: Api) -> None:
    class Gone(Listener):
        async def send(self, event: dict[str, object]) -> None:
            if event["type"] == "http.response.start":
                assert len(api.node.sniff.listeners) == 1
            raise OSError("gone")

    listener = Gone(api, LIVE, "")
    with suppress(OSError):
        await asyncio.wait_for(listener.task, 5)
    assert api.node.sniff.listeners == []


async def test_past_of_a_conversation_is_told_oldest_first(api: Api) -> None:
    for n, conversation in enumerate(("c-1", "c-2", "c-1", "c-1")):
        api.node.sniff.write("echo", "echo", conversation_id=conversation, excerpt=str(n))
    answer = await api("GET", PAST, query="conversation=c-1&limit=2")
    assert [one["excerpt"] for one in answer.json["sightings"]] == ["2", "3"]
    assert (await api("GET", PAST, query="conversation=none")).json == {"sightings": []}
