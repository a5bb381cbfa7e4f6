"""A live screen over a server that serves, and ways to wait for it without sleeping."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, cast

from textual.widgets import DataTable, Static

from caxton.cli.live.screen import LiveApp, LiveScreen
from caxton.client import CaxtonClient
from caxton.core.views.agents import AgentSpec
from caxton.testing.fakes.agents import EMPTY_MODULE
from caxton.testing.rooms import until
from tests.integration.fake_node import ADMIN_PROOF, RunningNode, running_node

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from rich.text import Text
    from textual.pilot import Pilot

    from caxton.testing.fakes.node import FakeNode

NEVER_S = 3600.0
"""The screens of tests look again when the test says so, and not by themselves."""


class Server:
    """A server that can go away and come back at another place."""

    def __init__(self) -> None:
        self._serving: list[Any] = []
        self.node: RunningNode | None = None
        self.came()

    def came(self) -> None:
        """It serves."""
        serving = running_node()
        self.node = serving.__enter__()
        self._serving.append(serving)

    def went(self) -> None:
        """It does not any more."""
        self._serving.pop().__exit__(None, None, None)

    def do(self, work: Callable[[FakeNode], None]) -> None:
        """Change something in it."""
        assert self.node is not None
        self.node.do(work)

    def connect(self) -> CaxtonClient:
        """As the command does it: each time to where it is now."""
        assert self.node is not None
        return CaxtonClient(self.node.url, ADMIN_PROOF)

    def deploy(self, *names: str) -> None:
        """Agents that rest."""
        with self.connect() as client:
            for name in names:
                client.deploy(AgentSpec(name=name), EMPTY_MODULE)

    def figures(self, name: str, **fields: Any) -> None:
        """Figures of an agent."""
        self.do(lambda fakes: fakes.stats.figures.update({name: fields}))


@contextmanager
def serving() -> Generator[Server]:
    """A server without agents."""
    server = Server()
    try:
        yield server
    finally:
        while server._serving:  # pyright: ignore[reportPrivateUsage]
            server.went()


class Watcher:
    """Somebody in front of a live screen."""

    def __init__(self, app: LiveApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def screen(self) -> LiveScreen[Any]:
        return cast("LiveScreen[Any]", self.app.screen)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def look(self) -> None:
        """Ask again and wait for the answer."""
        screen, before = self.screen, self.screen.answers
        screen.ask()
        await until(lambda: screen.answers > before)
        await self.pilot.pause()

    async def arrive(self, kind: type[LiveScreen[Any]], *, answers: int = 1) -> None:
        """Wait until a screen of this kind is there and has had its answers."""
        await until(lambda: isinstance(self.app.screen, kind) and self.screen.answers >= answers)
        await self.pilot.pause()

    def head(self) -> str:
        """The lines at the top."""
        return str(self.screen.query_one("#head", Static).content)

    def state(self) -> str:
        """What the screen says of its server."""
        return self.screen.state().plain

    def table(self) -> DataTable[Text]:
        return cast("DataTable[Text]", self.screen.query_one(DataTable))

    def rows(self) -> list[list[str]]:
        """The cells of the table."""
        table = self.table()
        return [[cell.plain for cell in table.get_row_at(n)] for n in range(table.row_count)]

    def first(self) -> list[str]:
        """The first cell of each row."""
        return [row[0] for row in self.rows()]

    def columns(self) -> list[str]:
        return [str(column.label) for column in self.table().ordered_columns]


@asynccontextmanager
async def watching(app: LiveApp, *, size: tuple[int, int] = (150, 40)) -> AsyncGenerator[Watcher]:
    """The screen, once its first answer is there."""
    async with app.run_test(size=size) as pilot:
        watcher = Watcher(app, pilot)
        await watcher.arrive(LiveScreen)
        yield watcher
