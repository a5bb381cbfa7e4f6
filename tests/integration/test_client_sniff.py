"""The client listens to servers that break off, come back, refuse, or say that the time is over."""

from __future__ import annotations

import msgspec
import pytest

from caxton.client import ApiProblem, CaxtonClient
from caxton.core.errors.client import ServerUnreachable, UnexpectedAnswer
from caxton.core.views.messages import Gap
from tests.integration.scripted_server import scripted, stream
from tests.integration.test_client import problem
from tests.unit.cli.sightings import sighting

ONE, TWO = sighting(1, "a", "b"), sighting(2, "b", "a")
END = b"event: end\ndata: {}\n\n"


def event(seen: object, name: str = "sighting") -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(seen))


def test_broken_stream_is_taken_up_and_the_place_is_marked_once() -> None:
    parts = stream(event(ONE) + event(TWO)[:20]), problem("SERVER_NOT_READY", 503), stream(event(TWO) + END)
    opened: list[None] = []
    with scripted(*parts) as server, CaxtonClient(server.url) as client:
        seen = list(client.sniff(["a", "client:x"], "c/1", on_open=lambda: opened.append(None)))
        assert seen == [ONE, Gap(missed=None), TWO]
        assert (len(opened), len(server.requests)) == (2, 3)
        assert "agents=a%2Cclient%3Ax&conversation=c%2F1" in server.requests[2]


def test_gaps_are_passed_on_and_unknown_events_are_not() -> None:
    parts = event(Gap(missed=7), "gap") + event({"x": 1}, "news") + event(ONE) + END
    with scripted(stream(parts)) as server, CaxtonClient(server.url) as client:
        assert list(client.sniff()) == [Gap(missed=7), ONE]


def test_time_that_is_left_is_asked_for() -> None:
    with scripted(stream(event(ONE) + END)) as server, CaxtonClient(server.url) as client:
        assert list(client.sniff(for_s=3600)) == [ONE]
        asked = server.requests[0].partition("for=")[2].partition("s")[0]
        assert 3000 < float(asked) <= 3600


def test_server_that_breaks_off_when_the_time_is_over_is_no_error() -> None:
    with scripted(stream(event(ONE))) as server, CaxtonClient(server.url) as client:
        assert list(client.sniff(for_s=0.0)) == [ONE]


def test_server_that_never_answered_is_an_error_also_when_the_time_is_over() -> None:
    with scripted() as server:
        url = server.url
    with CaxtonClient(url) as client, pytest.raises(ServerUnreachable):
        list(client.sniff(for_s=0.0))


def test_server_that_stays_away_is_given_up_when_patience_ends() -> None:
    with scripted(stream(event(ONE))) as server, CaxtonClient(server.url) as client:
        events = client.sniff(patience_s=0.05)
        assert next(events) == ONE
        with pytest.raises(ServerUnreachable):
            next(events)


@pytest.mark.parametrize(("code", "status"), [("AGENT_NOT_FOUND", 404), ("TOO_MANY_LISTENERS", 429)])
def test_refusal_ends_it_at_once(code: str, status: int) -> None:
    with scripted(problem(code, status)) as server, CaxtonClient(server.url) as client:
        with pytest.raises(ApiProblem) as caught:
            next(client.sniff())
        assert caught.value.code == code
        assert len(server.requests) == 1


def test_event_that_is_no_sighting_is_told_as_such() -> None:
    with scripted(stream(event({"seq": 1}))) as server, CaxtonClient(server.url) as client:
        events = client.sniff()
        with pytest.raises(UnexpectedAnswer):
            next(events)
