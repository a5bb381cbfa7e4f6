"""What the tools keep is in a real journal after a commit, and there again in the next run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.bus.journal import Journal
from caxton.observe.time import SystemClock
from caxton.sandbox import codes
from caxton.storage.database import Database
from caxton.storage.lookup import Lookup
from caxton.tools.approvals import Approvals
from caxton.tools.broker import Broker
from caxton.tools.catalogue import Catalogue
from caxton.tools.desk import ToolDesk
from caxton.tools.grants import Grant
from caxton.tools.settings import ToolSettings
from caxton.tools.source import ToolInfo
from caxton.tools.store import ToolStore
from caxton.tools.wanted import Wanted
from tests.unit.tools.fakes import ANSWER, GOOD, SEARCH, FakeSource, waiting

if TYPE_CHECKING:
    from pathlib import Path


class Run:
    """A broker on the journal in `folder`, from start to stop."""

    def __init__(self, folder: Path, info: ToolInfo = SEARCH) -> None:
        self.database = Database(folder / "journal.db")
        self.database.start()
        clock, self.lookup = SystemClock(), Lookup(folder / "journal.db")
        self.journal = Journal(self.database, clock, lambda _: None)
        store = ToolStore(self.journal, self.lookup.query)
        self.broker = Broker(Catalogue(store, clock), Approvals(clock), store, clock)
        self.desk = ToolDesk(self.broker)
        settings = ToolSettings(name="web", kind="stdio", approval="first-use")
        self.broker.add("default", settings, FakeSource("web", info))
        self.broker.grant("default", "a", Grant(required=("web.*",), max_calls=3))

    def call(self) -> object:
        return self.broker.call(Wanted(workspace="default", agent="a", tool="web.search", arguments=GOOD, key="k"))

    async def stop(self) -> None:
        await self.broker.aclose()
        await self.journal.commit()
        self.journal.close()
        self.database.close()
        self.lookup.close()


async def test_pins_first_uses_and_budgets_are_there_after_a_restart(tmp_path: Path) -> None:
    run = Run(tmp_path)
    await run.desk.ask("default", "web")
    answer = waiting(run.call())  # type: ignore[arg-type]
    (question,) = run.desk.approvals("default")
    run.desk.answer("default", question.id, "ann", is_granted=True)
    assert answer.result == ANSWER
    assert run.call() == ANSWER
    await run.stop()

    run = Run(tmp_path)
    await run.desk.ask("default", "web")
    assert [run.call(), run.call()] == [ANSWER, codes.BUDGET_SPENT]
    await run.stop()

    run = Run(tmp_path, ToolInfo(name="search", description="Another.", input_schema=SEARCH.input_schema))
    await run.desk.ask("default", "web")
    assert run.call() == codes.NOT_APPROVED
    run.broker.forget("default", "a")
    await run.stop()

    run = Run(tmp_path)
    await run.desk.ask("default", "web")
    waiting(run.call()).cancel()  # type: ignore[arg-type]
    assert run.lookup.query("SELECT count(*) FROM tool_budgets") == [(0,)]
    await run.stop()
