"""When a connection is over: the rule alone, without sockets. What it does to real ones is in tests/integration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.server.idle import MIN_PROGRESS_BYTES, Requests, Seen, Watched, is_over

if TYPE_CHECKING:
    from collections.abc import Sequence

QUIET = Seen(is_open=False, ended_at=0.0, acked=0, received=0, is_waiting=False)
OPEN = Seen(is_open=True, ended_at=0.0, acked=0, received=0, is_waiting=False)

IDLE_S = 30.0


def over_at(steps: Sequence[tuple[float, Seen]]) -> float | None:
    """When a connection born at 0 is over, looked at as the steps say."""
    watched = Watched(quiet_since=0.0)
    return next((now for now, seen in steps if is_over(watched, seen, now, IDLE_S)), None)


def waiting(acked: int, *, is_open: bool = False, received: int = 0) -> Seen:
    return Seen(is_open=is_open, ended_at=0.0, acked=acked, received=received, is_waiting=True)


def test_a_connection_that_never_asks_anything_is_over() -> None:
    assert over_at([(0, QUIET), (29, QUIET), (30, QUIET)]) == 30


def test_a_connection_with_an_open_request_lives_on() -> None:
    assert over_at([(now, OPEN) for now in range(0, 3600, 5)]) is None


def test_time_begins_anew_when_a_request_ends() -> None:
    ended = Seen(is_open=False, ended_at=100.0, acked=0, received=0, is_waiting=False)
    assert over_at([(0, OPEN), (99, OPEN), (105, ended), (129, ended), (130, ended)]) == 130


def test_requests_that_begin_and_end_between_two_looks_count() -> None:
    steps = [
        (now, Seen(is_open=False, ended_at=now - 1, acked=0, received=0, is_waiting=False)) for now in range(5, 600, 5)
    ]
    assert over_at(steps) is None


def test_a_reader_that_takes_nothing_is_over_even_in_the_middle_of_an_answer() -> None:
    assert over_at([(now, waiting(1000, is_open=True)) for now in range(0, 60, 5)]) == 30


def test_a_reader_that_takes_a_byte_at_a_time_is_over() -> None:
    assert over_at([(now, waiting(now)) for now in range(0, 60, 5)]) == 30


def test_a_slow_reader_that_gets_on_lives_on() -> None:
    step = MIN_PROGRESS_BYTES // 5
    assert over_at([(now, waiting(now // 5 * step)) for now in range(0, 3600, 5)]) is None


@pytest.mark.parametrize("pings_per_s", [1, 100, 100_000])
def test_a_client_that_draws_answers_from_the_protocol_alone_is_over(pings_per_s: int) -> None:
    """HTTP/2 answers each ping, byte for byte; at the moment of a look, an answer may be on its way."""
    sent = [now * pings_per_s * 17 for now in range(60)]
    assert over_at([(now, waiting(sent[now], received=sent[now]) if now % 3 else QUIET) for now in range(60)]) == 30
    assert over_at([(now, waiting(sent[now], received=sent[now])) for now in range(60)]) == 30


def test_a_reader_that_has_caught_up_has_all_the_time_again() -> None:
    done = Seen(is_open=True, ended_at=0.0, acked=1000, received=0, is_waiting=False)
    stalled = waiting(1000, is_open=True)
    assert over_at([(0, stalled), (25, stalled), (26, done), (50, stalled), (79, stalled)]) is None


async def test_requests_are_counted_for_each_peer_until_they_end() -> None:
    seen: list[dict[tuple[str, str], int]] = []

    async def app(scope: object, receive: object, send: object) -> None:
        seen.append(dict(requests.open))
        raise RuntimeError

    requests = Requests(app)
    peer = ("127.0.0.1", "1")
    try:
        await requests({"client": peer}, None, None)
    except RuntimeError:
        seen.append(dict(requests.open))
    assert seen == [{peer: 1}, {}]
    assert list(requests.ended_at) == [peer]
    assert await requests.wait_none(0)
