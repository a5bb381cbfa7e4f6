"""The client behind a live screen: made anew when it failed, closed whatever is under way."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

import pytest

from caxton.cli.live.screen import Feed
from caxton.core.errors.client import ServerUnreachable

if TYPE_CHECKING:
    from caxton.client import CaxtonClient


class Client:
    """Knows whether it is closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


class Connector:
    """Remembers whom it made."""

    def __init__(self) -> None:
        self.made: list[Client] = []

    def __call__(self) -> CaxtonClient:
        self.made.append(Client())
        return cast("CaxtonClient", self.made[-1])


def failing(_client: CaxtonClient) -> None:
    raise ServerUnreachable("http://x", "gone")


def test_client_that_failed_is_closed_and_made_anew() -> None:
    connector = Connector()
    feed = Feed(connector)
    assert feed.ask(lambda _: 1) == feed.ask(lambda _: 1) == 1
    assert len(connector.made) == 1
    with pytest.raises(ServerUnreachable):
        feed.ask(failing)
    assert connector.made[0].is_closed
    assert feed.ask(lambda _: 2) == 2
    assert [client.is_closed for client in connector.made] == [True, False]


def test_closing_closes_at_once_when_nobody_asks() -> None:
    connector = Connector()
    feed = Feed(connector)
    feed.close()
    feed = Feed(connector)
    feed.ask(lambda _: 1)
    feed.close()
    assert [client.is_closed for client in connector.made] == [True]


def test_closing_waits_for_nobody_and_what_is_under_way_is_closed_behind_it() -> None:
    connector, asked, answered = Connector(), threading.Event(), threading.Event()

    def slow(_client: CaxtonClient) -> None:
        asked.set()
        assert answered.wait(20)

    feed = Feed(connector)
    asker = threading.Thread(target=feed.ask, args=(slow,))
    asker.start()
    assert asked.wait(20)
    feed.close()
    assert not connector.made[0].is_closed
    answered.set()
    asker.join(20)
    assert connector.made[0].is_closed
