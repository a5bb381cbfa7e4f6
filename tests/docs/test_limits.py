"""docs/reference/limits.md has every limit of the server with its value."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest

import caxton
from tests.docs.tables import assert_same, read_page, rows, word

PAGE = read_page("reference/limits.md")
ROWS = {word(row[3]): row for row in rows(PAGE, "About", "Limit", "Value", "Constant")}

SOURCE = Path(caxton.__file__).parent

ROOMS = (
    "agents",
    "api",
    "bus",
    "conversations",
    "core",
    "egress",
    "logs",
    "messages",
    "natives",
    "protocols",
    "replay",
    "recorder",
    "observe",
    "sandbox",
    "security",
    "server",
    "services",
    "storage",
    "telemetry",
    "tools",
)
"""All that is in a server. The own limits of client and command line are of their own machine."""

NOT_LIMITS = {
    "tools.wasm.wasi_source.GATHER_CHANGES_S": "how long news waits for more of the same",
    "bus.envelope.TRACE_CHARS": "of the W3C's format",
    "tools.builtin.files.STALE_S": "how old what an interrupted write left behind becomes",
    "tools.builtin.state_sqlite.CLOSE_S": "a step of stopping",
    "tools.builtin.state_sqlite.MAX_TOGETHER": "how many calls share a transaction",
    "telemetry.outline.MAX_REMEMBERED": "how far back a caller's span or a failed message is looked for",
    "telemetry.room.GATHER_S": "how often records are looked at",
    "telemetry.room.MAX_CALLERS": "callers' spans that come within GATHER_S; MAX_REMEMBERED are known",
    "telemetry.room.METRICS_EVERY_S": "how often figures are sent",
    "telemetry.selection.LOOK_BACK_S": "how often the traces of slow messages are looked for",
    "telemetry.selection.MAX_KEPT": "more than are kept within the time that is looked back",
    "telemetry.traces.CUT_S": "how long a refused trace stays away, in export-telemetry.md",
    "telemetry.traces.MEMORY_S": "how fast the ratio follows the load",
    "telemetry.selection.MIN_STEP_S": "keeps a rate from being infinite",
    "logs.line.KEPT_LINE_BYTES": "an estimate",
    "logs.book.SLICE_S": "how long a search goes on before others have their turn",
    "logs.writer.GATHER_S": "how late lines are on disk, in logs.md",
    "recorder.choice.MAX_REMEMBERED_IDS": "of conversations that are not kept: what is forgotten counts as new",
    "tools.audit.CLOSE_S": "how long a stop waits for the last records",
    "tools.audit.GATHER_S": "how late records are on disk",
    **{
        f"tools.settings.ToolSettings.{name}": "a default, in tools.md"
        for name in (
            "approval_timeout_s",
            "concurrency",
            "cost",
            "cpu_time_s",
            "idle_timeout_s",
            "memory_bytes",
            "rate_per_s",
            "retries",
            "timeout_s",
            "trust_annotations",
        )
    },
    "storage.shelf.ROW_BYTES": "an estimate",
    "storage.shelf.READ_WAIT_S": "how long a reader waits for what was put; then it reads what is there",
    "recorder.recorder.MAX_NEEDLES": "from there on another way to look is quicker",
    "storage.shelf.GATHER_S": "how often bodies are written",
    "bus.history.PACE_S": "how often it is seen how busy the node is",
    "bus.history.BUSY_PER_S": "stands in the line of REMEMBERED_WHEN_BUSY",
    "storage.shelf.MAX_WAITING": "how far its thread may be behind before fewer conversations are taken",
    "recorder.ring.SEGMENT_BYTES": "how the file is divided, in recorder.md",
    "recorder.ring.MAX_BLOCK_BYTES": "of a segment",
    "server.lag.EVERY_S": "how often it is looked how late the loop is",
    "agents.definition.PAGE_BYTES": "of WebAssembly",
    "natives.desk.MAX_REASON_CHARS": "how much of a parser's text an answer repeats",
    "natives.facilitator.MAX_NAME_CHARS": "how much of a mistaken name an answer repeats",
    "natives.facilitator.LEASE_STEP_US": "how late a lease ends, in directory.md",
    "services.letter_purges.LOOK_FOR_OLD_S": "how often old letters are looked for",
    "api.body.MAX_TOLD_CHARS": "how much of a parser's text an error repeats",
    "bus.postbox.HOST_FIELD_BYTES": "an estimate",
    "services.tracing.LOOK_S": "how long mailboxes are looked at before others have their turn",
    "services.conversations.MAX_LOOKED_AT": "how many rows one page of a narrow list looks at; the next goes on",
    "conversations.notices.MAX_DETAIL_CHARS": "how much of an error a notice repeats",
    "bus.timers.MAX_AT_ONCE": "how many are told of their time before others have their turn",
    "conversations.deadlines.LOOK_EVERY_S": "how often the journal is asked for deadlines",
    "conversations.deadlines.WITHIN_US": "how long before its time something is on the heap",
    "conversations.referee.MAX_WARNED": "how many warnings are known to have been given",
    "conversations.watch.MAX_SHARE": "how much time looking for deadlocks may take",
    "conversations.watch.LOOK_EVERY_S": "how often deadlocks are looked for",
    "messages.codec.MAX_MESSAGE_BYTES": "the sum of two limits",
    "egress.pace.READ_BYTES": "how much is read before others have their turn",
    "egress.pace.SLICE_S": "how long a body is read before others have their turn",
    "api.errors.RETRY_AFTER_S": "a table of advice, in rest.md",
    "api.hosts.MAX_REMEMBERED": "a cache of good Host headers",
    "bus.disk.LOOK_EVERY_S": "how often sizes are looked at",
    "bus.disk.POLL_S": "how often it is looked whether there is room again",
    "bus.journal.PRUNE_EVERY_S": "how often other rooms are asked what may go",
    "bus.journal.RETRY_S": "how often a commit is tried again on a full disk",
    "bus.retention.BUNDLE_BYTES": "how much is let go of at once",
    "bus.retention.BUNDLE_ROWS": "how much is let go of at once",
    "bus.retention.BUNDLE_US": "how much is let go of at once",
    "storage.database.MEASURE_EVERY_S": "how often sizes are measured",
    "storage.verify.MAX_FINDINGS": "how much of a damaged file a report names",
    "bus.retry.MAX_DOUBLINGS": "keeps a power from overflowing; MAX_DELAY_S is the limit",
    "natives.tasks.store.BIDDER_BYTES": "a part of what MAX_OPEN_BYTES counts",
    "natives.tasks.store.TASK_BYTES": "a part of what MAX_OPEN_BYTES counts",
    "bus.timers.MAX_WAIT_S": "how often the clock is looked at",
    "core.breaker.Policy.max_calls": "whoever uses a breaker sets it; for callers of agents it is MAX_WAITING",
    "core.errors.error.MAX_QUOTED": "how much of somebody's text an error repeats",
    "core.units.MAX_AMOUNT": "keeps numbers exact; every size and duration has its own, tighter bound",
    "replay.divergence.CONTEXT_BYTES": "how much of two texts a difference shows",
    "replay.divergence.MAX_SHOWN_BYTES": "how much of an argument a difference shows",
    "replay.player.PATIENCE_S": "of a replay, which is no part of a server",
    "replay.store.MAX_OPEN_FILES": "files kept open for the next frame; others are opened for it",
    "sandbox.compile_child.MAX_REASON_CHARS": "how much of a compiler's text an error repeats",
    "sandbox.ffi.RAW_VALUE_BYTES": "of the library's memory layout",
    "sandbox.ffi.VAL_BYTES": "of the library's memory layout",
    "sandbox.limits.FIBER_STACK_BYTES": "the host's; that of the guest is MAX_WASM_STACK_BYTES",
    "sandbox.module.PAGE_BYTES": "of WebAssembly",
    "sandbox.source_lines.MAX_PATH_CHARS": "how much of a file's name is shown",
    "core.redact.MIN_KNOWN_CHARS": "shorter words are no secrets",
    "sandbox.trap.MAX_FRAMES": "how much of a backtrace is kept",
    "sandbox.trap.MAX_NAME_CHARS": "how much of a function's name is kept",
    "security.files.MAX_BYTES": "of the server's own key files",
    "security.tokens.CACHE_S": "how long a verdict is remembered",
    "security.tokens.RENEW_BELOW_S": "a rule of starting, in configuration.md",
    "server.http.LAST_WORDS_S": "a step of stopping",
    "server.http.START_TIMEOUT_S": "a step of starting",
    "server.pump.QUIET_S": "when idle threads rest",
    "server.pump.SLICE_S": "how the loop shares its time",
    "tools.mcp.changes.EVERY_S": "how often a server's tools are listed again, in tools.md",
    "tools.mcp.child.READ_BYTES": "how much is read at once",
    "tools.mcp.lines.HEAD_BYTES": "how much of a long line is looked at",
    "tools.mcp.pace.BURST_BYTES": "stands in the line of NOISE_BYTES_PER_S",
    "tools.mcp.pace.LINE_BYTES": "an estimate",
    "tools.mcp.pipes.GRACE_S": "a step of ending a server, in tools.md",
    "tools.mcp.posts.NOTICE_S": "how long a server may hold up the next request by answering no notification",
    "tools.mcp.session.LISTEN_AGAIN_S": "how often a lost stream of notices is asked for again",
    "tools.mcp.supervised.STEADY_S": "when a death counts as the first again, in tools.md",
    "tools.mcp.supervised.STOP_S": "a step of ending a server",
    "server.tuning.SWITCH_INTERVAL_S": "how threads share the interpreter",
}
"""Constants that look like limits and that nobody meets."""

UNITS = {
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "bytes": 1, "characters": 1,
    "ms": 0.001, "s": 1, "days": 86_400, "": 1,
}  # fmt: skip


def resolve(path: str) -> object:
    """The module or class at `path`."""
    parent, _, name = path.rpartition(".")
    return getattr(resolve(parent), name) if name[0].isupper() else import_module(f"caxton.{path}")


def value_in_code(constant: str) -> float:
    """The value of a constant or of a field's default, in bytes, seconds or pieces."""
    path, _, name = constant.rpartition(".")
    owner = resolve(path)
    fields = getattr(owner, "__dataclass_fields__", None)
    value = getattr(owner, name) if fields is None else fields[name].default
    return value / {"_US": 1e6, "_MS": 1e3}.get(name[-3:], 1)


def value_on_page(cell: str) -> float:
    amount = re.fullmatch(r"([\d,]+)(?: (\w+))?", cell)
    assert amount is not None, f"{cell!r} should be a number and perhaps a unit"
    assert (amount[2] or "") in UNITS, f"{cell!r} has an unknown unit"
    return int(amount[1].replace(",", "")) * UNITS[amount[2] or ""]


_LOOKS_LIKE_A_LIMIT = re.compile(r"^(MAX_\w+|[A-Z][A-Z_]*_(?:S|US|BYTES|CHARS|ROWS))\b.* = ", re.MULTILINE)


def limits_in_code() -> set[str]:
    """Constants whose names say so, and the fields of the classes that hold limits."""
    found = {
        f"{path}.{name}"
        for path in {constant.rpartition(".")[0] for constant in ROWS}
        for name, field in getattr(resolve(path), "__dataclass_fields__", {}).items()
        if isinstance(field.default, int | float) and name != "port"
    }
    for room in ROOMS:
        for file in (SOURCE / room).rglob("*.py"):
            module = ".".join(file.relative_to(SOURCE).with_suffix("").parts)
            names = _LOOKS_LIKE_A_LIMIT.findall(file.read_text(encoding="utf-8"))
            found |= {f"{module}.{name}" for name in names}
    return found


@pytest.mark.parametrize("constant", ROWS)
def test_value_is_right(constant: str) -> None:
    row = ROWS[constant]
    said, found = value_on_page(row[2]), value_in_code(constant)
    assert said == pytest.approx(found), f"{constant} is {found}, the page says {row[2]} for {row[1]!r}"


def test_every_constant_has_one_line() -> None:
    listed = [word(row[3]) for row in rows(PAGE, "About", "Limit", "Value", "Constant")]
    assert_same("constants", code=ROWS, page=listed)


def test_every_limit_of_the_server_has_a_line() -> None:
    missing = limits_in_code() - set(ROWS) - set(NOT_LIMITS)
    assert not missing, f"give {sorted(missing)} a line in limits.md, or name them in NOT_LIMITS with the reason"


def test_exceptions_exist_and_have_no_line() -> None:
    assert set(NOT_LIMITS) <= limits_in_code()
    assert not set(NOT_LIMITS) & set(ROWS)


def test_no_room_is_forgotten() -> None:
    rooms = {module.name for module in pkgutil.iter_modules(caxton.__path__) if module.ispkg}
    assert rooms == {*ROOMS, "cli", "client", "testing"}
