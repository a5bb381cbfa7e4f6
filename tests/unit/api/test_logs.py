"""The routes about logs: pages and streams."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.api.conftest import Call

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api

ONE, ALL = "/api/v1/agents/echo/logs", "/api/v1/logs"


class Listener(Call):
    """A call whose answer is read while it goes on. `hang_up` ends it."""

    def __init__(self, api: Api, path: str, query: str = "follow=true", **headers: str) -> None:
        found = {"host": "localhost", "authorization": f"Bearer {api.token}"}
        found |= {name.replace("_", "-"): value for name, value in headers.items()}
        super().__init__("GET", path, query, [*found.items()])
        self.gone, self.news = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self._run(api))

    async def _run(self, api: Api) -> None:
        await api.app(self.scope(), self.receive, self.send)
        self.news.set()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, event: dict[str, Any]) -> None:
        await super().send(event)
        self.news.set()

    def events(self) -> list[dict[str, str]]:
        """Those that came so far; comments are left out."""
        text = b"".join(event.get("body", b"") for event in self.sent).decode()
        return [
            dict(line.split(": ", 1) for line in block.split("\n"))
            for block in text.split("\n\n")
            if block and not block.startswith(":")
        ]

    async def lines(self, count: int) -> list[str]:
        """The texts of the first `count` lines, waited for."""
        await self.wait_for_events(count)
        return [json.loads(event["data"])["text"] for event in self.events()]

    async def wait_for_events(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.events()) < count:
                self.news.clear()
                await self.news.wait()

    async def hang_up_after(self, count: int) -> None:
        """Wait for so many events, and go."""
        await self.wait_for_events(count)
        await self.hang_up()

    async def heartbeats(self, count: int) -> None:
        """Wait until that many comments came."""
        async with asyncio.timeout(5):
            while sum(event.get("body", b"").count(b": heartbeat") for event in self.sent) < count:
                self.news.clear()
                await self.news.wait()

    async def hang_up(self) -> None:
        self.gone.set()
        await asyncio.wait_for(self.task, 5)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("level=loud", "INVALID_VALUE"),
        ("since=yesterday", "INVALID_VALUE"),
        ("limit=10001", "INVALID_VALUE"),
        ("follow=maybe", "INVALID_VALUE"),
        ("agents=", "INVALID_NAME"),
        ("agents=echo,,", "INVALID_NAME"),
        ("agents=echo,../x", "INVALID_NAME"),
        (f"agents={','.join(['echo'] * 101)}", "INVALID_REQUEST"),
        ("agent=echo", "INVALID_REQUEST"),
        ("since=", "INVALID_VALUE"),
        ("since=-1h", "INVALID_VALUE"),
        ("since=1h30", "INVALID_VALUE"),
        ("since=" + "9" * 40, "INVALID_VALUE"),
        ("grep=(", "INVALID_VALUE"),
        ("grep=", "INVALID_VALUE"),
        ("grep=%ff", "INVALID_REQUEST"),
        (f"grep={'x' * 201}", "INVALID_VALUE"),
        ("conversation=", "INVALID_VALUE"),
        (f"conversation={'x' * 1025}", "INVALID_VALUE"),
    ],
)
async def test_a_question_that_breaks_a_rule_is_refused(query: str, code: str, api: Api) -> None:
    for follow in ("", "&follow=1"):
        if follow and query.startswith("follow"):
            continue
        answer = await api("GET", ALL, query=query + follow)
        assert (answer.status, answer.code) == (400, code)


async def test_one_follower_too_many_is_told_when_to_come_again(api: Api) -> None:
    api.node.logs.most = 0
    answer = await api("GET", ALL, query="follow=true")
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (429, "TOO_MANY_LISTENERS", "10")


async def test_lines_are_chosen_by_pattern_and_conversation_once_and_live(api: Api) -> None:
    def write(begin: int) -> None:
        api.node.logs.write("echo", f"order-{begin} failed", conversation_id="c 1")
        api.node.logs.write("echo", f"order-{begin + 1} failed", conversation_id="c 2")
        api.node.logs.write("echo", f"order-{begin + 2} done", conversation_id="c 1")

    query = r"conversation=c+1&grep=order-%5Cd%2B+f"
    write(1)
    answer = await api("GET", ALL, query=query)
    assert [line["text"] for line in answer.json["lines"]] == ["order-1 failed"]
    listener = Listener(api, ALL, query=query + "&follow=true&limit=5")
    assert await listener.lines(1) == ["order-1 failed"]
    write(11)
    write(21)
    assert await listener.lines(3) == ["order-1 failed", "order-11 failed", "order-21 failed"]
    await listener.hang_up()


@pytest.mark.parametrize("follow", ["", "&follow=true"])
async def test_a_log_of_an_agent_that_is_not_there_is_not_found(follow: str, api: Api) -> None:
    answer = await api("GET", ALL, query=f"agents=echo,ecko{follow}")
    assert (answer.status, answer.code) == (404, "AGENT_NOT_FOUND")


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "9" * 30, ""])
async def test_a_last_event_id_that_is_none_is_refused(value: str, api: Api) -> None:
    answer = await api("GET", ALL, query="follow=true", last_event_id=value)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


async def test_the_last_lines_come_oldest_first(api: Api) -> None:
    for n in range(5):
        api.node.logs.write("echo", f"line {n}")
    answer = await api("GET", ONE, query="limit=2")
    assert [line["text"] for line in answer.json["lines"]] == ["line 3", "line 4"]


async def test_lines_are_chosen_by_agent_level_and_age(api: Api) -> None:
    await api.deploy("other")
    api.node.logs.write("echo", "fine")
    api.node.logs.write("echo", "bad", level="error")
    api.node.logs.write("other", "odd", level="warn")

    async def texts(query: str) -> list[str]:
        return [line["text"] for line in (await api("GET", ALL, query=query)).json["lines"]]

    assert await texts("") == ["fine", "bad", "odd"]
    assert await texts("agents=echo") == ["fine", "bad"]
    assert await texts("agents=other,echo&level=warn") == ["bad", "odd"]
    assert await texts("since=0s") == []


async def test_a_stream_begins_now_and_goes_on(api: Api) -> None:
    api.node.logs.write("echo", "old")
    listener = Listener(api, ONE)
    await listener.heartbeats(1)
    api.node.logs.write("echo", "new")
    assert await listener.lines(1) == ["new"]
    api.node.logs.write("echo", "newer")
    assert await listener.lines(2) == ["new", "newer"]
    await listener.hang_up()


async def test_a_stream_is_asked_for_by_its_media_type_too(api: Api) -> None:
    listener = Listener(api, ONE, query="", accept="text/event-stream")
    await listener.heartbeats(1)
    await listener.hang_up()
    headers = dict(listener.sent[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert headers[b"cache-control"] == b"no-store"


async def test_an_event_has_the_lines_number_as_id(api: Api) -> None:
    listener = Listener(api, ONE)
    await listener.heartbeats(1)
    line = api.node.logs.write("echo", "one")
    await listener.lines(1)
    await listener.hang_up()
    (event,) = listener.events()
    assert (event["event"], event["id"]) == ("log", str(line.seq))
    assert json.loads(event["data"]) == {**json.loads(json.dumps(vars_of(line)))}


def vars_of(line: Any) -> dict[str, Any]:
    return {name: getattr(line, name) for name in line.__struct_fields__}


async def test_a_line_cannot_break_out_of_its_event(api: Api) -> None:
    listener = Listener(api, ONE)
    await listener.heartbeats(1)
    api.node.logs.write("echo", "one\n\nevent: forged\ndata: {}\r\n\r\n\u2028")
    assert await listener.lines(1) == ["one\n\nevent: forged\ndata: {}\r\n\r\n\u2028"]
    await listener.hang_up()


async def test_a_stream_is_taken_up_after_the_last_event_seen(api: Api) -> None:
    lines = [api.node.logs.write("echo", f"line {n}") for n in range(4)]
    listener = Listener(api, ONE, last_event_id=str(lines[1].seq))
    assert await listener.lines(2) == ["line 2", "line 3"]
    await listener.hang_up()


async def test_a_stream_begins_with_the_past_if_that_is_asked_for(api: Api) -> None:
    for n in range(4):
        api.node.logs.write("echo", f"line {n}")
    listener = Listener(api, ONE, query="follow=true&limit=2")
    assert await listener.lines(2) == ["line 2", "line 3"]
    api.node.logs.write("echo", "line 4")
    assert await listener.lines(3) == ["line 2", "line 3", "line 4"]
    await listener.hang_up()


async def test_a_stream_leaves_out_what_is_not_grave_enough(api: Api) -> None:
    listener = Listener(api, ALL, query="follow=true&level=warn")
    await listener.heartbeats(1)
    for level in ("trace", "debug", "info", "warn", "error"):
        api.node.logs.write("echo", level, level=level)
    assert await listener.lines(2) == ["warn", "error"]
    await listener.hang_up()


async def test_a_quiet_stream_shows_that_it_lives(api: Api) -> None:
    listener = Listener(api, ALL)
    await listener.heartbeats(3)
    await listener.hang_up()


async def test_a_reader_that_hangs_up_leaves_nothing_behind(api: Api) -> None:
    listener = Listener(api, ALL)
    await listener.heartbeats(2)
    assert api.node.logs.followers == 1
    await listener.hang_up()
    assert api.node.logs.followers == 0


async def test_a_server_that_stops_ends_its_streams(api: Api) -> None:
    listener = Listener(api, ALL)
    await listener.heartbeats(1)
    api.stopping.set()
    await asyncio.wait_for(listener.task, 5)
    assert listener.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert api.node.logs.followers == 0
