from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from caxton.core.errors.tools import (
    ToolChanged,
    ToolNotFound,
    ToolSourceAlreadyExists,
    ToolSourceDown,
    ToolSourceNotFound,
    ToolUnusable,
)
from caxton.sandbox import codes
from caxton.tools.catalogue import MAX_DESCRIPTION_CHARS, MAX_TOOLS
from caxton.tools.pins import FIRST_SIGHT, Pin, definition, judged
from caxton.tools.settings import ToolSettings
from caxton.tools.source import ToolInfo
from tests.unit.tools.fakes import ANSWER, DAY_US, SCHEMA, SEARCH, FakeSource, Rows, Scene, down

if TYPE_CHECKING:
    from caxton.storage.database import Row

CHANGED = ToolInfo(name="search", description="Another.", input_schema=SCHEMA)
NEW = ToolInfo(name="new")


def statuses(scene: Scene) -> dict[str, str]:
    return {view.name: view.status for view in scene.desk.tools("default")}


def kept_in(rows: Rows) -> Any:
    """A reader for a second run: what the first one wrote."""
    pins: dict[str, Row] = {row[2]: row[2:] for sql, row in rows.written if "tool_pins" in sql}

    def read(sql: str, _row: Row) -> list[Row]:
        return list(pins.values()) if "tool_pins" in sql else []

    return read


# --- pins -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        ToolInfo(name="searcx", description="Searches.", input_schema=SCHEMA),
        ToolInfo(name="search", description="Searches!", input_schema=SCHEMA),
        ToolInfo(name="search", description="Searches.", input_schema={**SCHEMA, "x": 1}),
        ToolInfo(name="search", description="Searches.", input_schema=SCHEMA, output_schema={}),
        ToolInfo(name="search", description="Searches.", input_schema=SCHEMA, is_idempotent=True),
        ToolInfo(name="search", description="Searches.", input_schema=SCHEMA, is_read_only=True),
    ],
    ids=["name", "description", "input", "output", "idempotent", "read only"],
)
def test_each_part_of_a_definition_is_pinned(other: ToolInfo) -> None:
    assert definition(SEARCH) != definition(other)


def test_order_in_which_a_schema_is_written_is_no_change() -> None:
    turned = ToolInfo(name="search", description="Searches.", input_schema=dict(reversed(SCHEMA.items())))
    assert definition(SEARCH) == definition(turned)


def test_first_sight_is_written_down_as_such() -> None:
    (pin,) = judged({}, [SEARCH], trusts_new=True, trusts_changed=False, now_us=7).values()
    sha256 = hashlib.sha256(definition(SEARCH)).hexdigest()
    assert pin == Pin(
        tool="search", approved_sha256=sha256, approved=definition(SEARCH), seen_sha256=sha256,
        seen=definition(SEARCH), decided_us=7, decided_by=FIRST_SIGHT,
    )  # fmt: skip
    assert judged({"search": pin}, [SEARCH], trusts_new=True, trusts_changed=False, now_us=8) == {}


async def test_what_a_source_has_at_first_is_approved_and_what_comes_later_waits() -> None:
    scene = await Scene().listed()
    scene.source.tools = [CHANGED, NEW]
    await scene.listed()
    assert statuses(scene) == {"web.search": "quarantined", "web.new": "pending"}
    assert scene.call() == codes.NOT_APPROVED
    assert scene.call(b"{}", tool="web.new") == codes.NOT_APPROVED


async def test_source_that_had_nothing_at_first_does_not_get_its_tools_approved_later() -> None:
    scene = Scene()
    scene.source.tools = []
    await scene.listed()
    scene.source.tools = [SEARCH]
    await scene.listed()
    assert statuses(scene) == {"web.search": "pending"}


async def test_manual_approval_is_needed_from_the_beginning_if_the_settings_say_so() -> None:
    scene = await Scene(approve="manual").listed()
    assert scene.call() == codes.NOT_APPROVED
    assert scene.desk.approve("default", "web.search", "ann").status == "approved"
    assert scene.call() == ANSWER
    assert scene.desk.show("default", "web.search").decided_by == "ann"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("stdio", {"web.search": "quarantined", "web.new": "pending"}),
        ("http", {"web.search": "quarantined", "web.new": "pending"}),
        ("wasm", {"web.search": "quarantined", "web.new": "approved"}),
        ("builtin", {"web.search": "approved", "web.new": "approved"}),
    ],
)
async def test_how_much_a_source_is_trusted_depends_on_what_it_is(kind: str, expected: dict[str, str]) -> None:
    scene = await Scene(kind=kind).listed()
    scene.source.tools = [CHANGED, NEW]
    await scene.listed()
    assert statuses(scene) == expected


async def test_tool_that_is_again_what_was_approved_may_be_called() -> None:
    scene = await Scene().listed()
    scene.source.tools = [CHANGED]
    await scene.listed()
    scene.source.tools = [SEARCH]
    await scene.listed()
    assert scene.call() == ANSWER


async def test_tool_that_goes_and_comes_back_changed_is_quarantined() -> None:
    scene = await Scene().listed()
    scene.source.tools = []
    await scene.listed()
    assert statuses(scene) == {"web.search": "gone"}
    assert scene.call() == codes.NOT_FOUND
    scene.source.tools = [CHANGED]
    await scene.listed()
    assert statuses(scene) == {"web.search": "quarantined"}


async def test_pins_hold_after_a_restart() -> None:
    first = await Scene().listed()
    again = Scene(CHANGED, read=kept_in(first.rows))
    assert statuses(again) == {"web.search": "gone"}
    await again.listed()
    assert statuses(again) == {"web.search": "quarantined"}


async def test_quarantine_by_a_person_outlasts_a_listing_and_a_restart() -> None:
    scene = await Scene().listed()
    scene.desk.quarantine("default", "web.search", "ann")
    await scene.listed()
    again = await Scene(read=kept_in(scene.rows)).listed()
    for one in (scene, again):
        assert one.call() == codes.NOT_APPROVED
        assert "ann" in str(one.desk.tools("default")[0].reason)
    scene.desk.approve("default", "web.search", "ben")
    assert scene.call() == ANSWER


async def test_builtin_tool_in_quarantine_stays_there_when_it_changes() -> None:
    scene = await Scene(kind="builtin").listed()
    scene.desk.quarantine("default", "web.search", "ann")
    scene.source.tools = [CHANGED]
    await scene.listed()
    assert statuses(scene) == {"web.search": "quarantined"}


async def test_what_is_approved_is_what_was_looked_at() -> None:
    scene = await Scene().listed()
    looked_at = scene.desk.show("default", "web.search").tool.sha256
    scene.source.tools = [CHANGED]
    await scene.listed()
    with pytest.raises(ToolChanged):
        scene.desk.approve("default", "web.search", "ann", looked_at)
    with pytest.raises(ToolChanged):
        scene.desk.approve("default", "web.search", "ann", "")
    now = scene.desk.show("default", "web.search")
    assert now.approved is not None
    assert (now.approved["description"], now.tool.description) == ("Searches.", "Another.")
    assert scene.desk.approve("default", "web.search", "ann", now.tool.sha256[:12]).status == "approved"
    assert scene.desk.show("default", "web.search").approved is None


# --- what is never called ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        ToolInfo(name="bad", input_schema={"type": "string"}),
        ToolInfo(name="bad", input_schema={"type": "object", "$ref": "http://127.0.0.1:1/"}),
        ToolInfo(name="bad", output_schema={"type": "nonsense"}),
        ToolInfo(name="bad", description="x" * (MAX_DESCRIPTION_CHARS + 1)),
    ],
    ids=["no object", "remote", "output", "description"],
)
async def test_definition_that_breaks_a_rule_is_never_approved(bad: ToolInfo) -> None:
    scene = await Scene(SEARCH, bad).listed()
    assert scene.call(b"{}", tool="web.bad") == codes.NOT_APPROVED
    for change in (scene.desk.approve, scene.desk.quarantine):
        with pytest.raises(ToolUnusable):
            change("default", "web.bad", "ann")
    await scene.listed()
    assert statuses(scene) == {"web.search": "approved", "web.bad": "unusable"}


@pytest.mark.parametrize("name", ["", "x" * 129, "a\nb", "a:b", "a\x1b[31m"])
async def test_name_that_would_deceive_is_never_called(name: str) -> None:
    scene = await Scene(ToolInfo(name=name)).listed()
    assert [view.status for view in scene.desk.tools("default")] == ["unusable"]


async def test_two_tools_of_one_name_are_both_refused() -> None:
    scene = await Scene(SEARCH, CHANGED, NEW).listed()
    assert statuses(scene) == {"web.search": "unusable", "web.new": "approved"}
    scene.source.tools = [SEARCH]
    await scene.listed()
    assert statuses(scene) == {"web.search": "pending", "web.new": "gone"}


async def test_only_tools_that_the_settings_name_are_there() -> None:
    tools = [ToolInfo(name=name) for name in ("read_a", "read_b", "write", "list")]
    scene = await Scene(*tools, tools=("read_*", "list")).listed()
    assert [*statuses(scene)] == ["web.list", "web.read_a", "web.read_b"]
    assert scene.call(b"{}", tool="web.write") == codes.NOT_FOUND


async def test_endless_list_of_tools_is_cut() -> None:
    scene = await Scene(*(ToolInfo(name=f"t{n}") for n in range(MAX_TOOLS + 5))).listed()
    assert len(scene.catalogue.tools) == MAX_TOOLS


async def test_two_sources_of_one_name_are_refused() -> None:
    scene = Scene()
    with pytest.raises(ToolSourceAlreadyExists):
        scene.broker.add("default", ToolSettings(name="web", kind="stdio"), FakeSource("web"))
    scene.broker.add("other", ToolSettings(name="web", kind="stdio"), FakeSource("web"))


async def test_same_tool_of_two_sources_are_two_tools() -> None:
    scene = await Scene().listed()
    scene.broker.add("default", ToolSettings(name="net", kind="stdio"), FakeSource("net", SEARCH))
    await scene.desk.ask_all("default")
    assert statuses(scene) == {"net.search": "approved", "web.search": "approved"}


# --- what people see --------------------------------------------------------------------------------------------------


async def test_errors_say_what_might_have_been_meant() -> None:
    scene = await Scene().listed()
    with pytest.raises(ToolNotFound) as caught:
        scene.desk.show("default", "web.serch")
    assert caught.value.nearest == "web.search"
    with pytest.raises(ToolSourceNotFound) as missing:
        await scene.desk.ask("default", "wep")
    assert missing.value.nearest == "web"
    with pytest.raises(ToolNotFound):
        scene.desk.calls("default", "nobody")


async def test_source_that_is_down_says_so_and_is_shown_with_its_last_error() -> None:
    scene = Scene()
    scene.source.error = down("exit code 3")
    with pytest.raises(ToolSourceDown) as caught:
        await scene.desk.ask("default", "web")
    assert caught.value.reason == "exit code 3"
    (view,) = scene.desk.sources("default")
    assert (view.last_error, view.is_listed, view.circuit) == ("exit code 3", False, "closed")
    await scene.desk.ask_all("default")


async def test_calls_are_shown_with_their_outcome_and_without_what_was_said() -> None:
    scene = await Scene().listed()
    scene.call(b'{"query":"hunter2"}')
    scene.call(b'{"query":2}')
    first, second = scene.desk.calls("default", "web.search")
    assert (first.outcome, first.attempts, first.argument_bytes, first.result_bytes) == ("ok", 1, 19, len(ANSWER))
    assert (second.outcome, second.attempts) == ("invalid", 0)
    assert scene.desk.calls("default", "web", last=1) == [second]
    assert scene.desk.of_agent("default", "a") == [first, second]
    assert "hunter2" not in repr([first, second])
    view = scene.desk.show("default", "web.search").tool
    assert (view.calls, view.failures) == (1, 0)
    assert view.times is not None
    assert first.at == "2030-03-17T17:46:40.000+00:00"
    assert DAY_US == 1_900_000_000_000_000


async def test_counts_and_times_of_a_source_are_there_for_the_metrics() -> None:
    scene = await Scene().listed()
    scene.call()
    scene.call(b"{}")
    entry = scene.catalogue.entry("default", "web")
    assert entry.outcomes == {"ok": 1, "invalid": 1}
    assert sum(entry.took_us) == 1
