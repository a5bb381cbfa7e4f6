"""Which sources there are, which tools they have, and which of those may be called."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Any

import msgspec

from caxton.core.errors.tools import (
    ToolChanged,
    ToolNotFound,
    ToolSourceAlreadyExists,
    ToolSourceNotFound,
    ToolUnusable,
)
from caxton.core.suggest import nearest
from caxton.core.token_bucket import TokenBucket
from caxton.observe.metrics import DURATION_BUCKETS
from caxton.tools.gate import Gate
from caxton.tools.pins import Pin, approved, definition, held, judged
from caxton.tools.schemas import BadSchema, Checker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caxton.core.clock import Clock
    from caxton.tools.audit import CallRecord
    from caxton.tools.settings import ToolSettings
    from caxton.tools.source import Source, ToolInfo
    from caxton.tools.store import ToolStore

MAX_TOOLS = 1_000
"""Of one source; the others are left out."""

MAX_TOOL_NAME_CHARS = 128

MAX_DESCRIPTION_CHARS = 16 << 10

KEPT_CALLS = 100
"""Of each tool, in memory."""

_SEEN = ""
"""Pin of a source itself: it has been listed."""


class Tool:
    """One tool as its source described it last."""

    __slots__ = (
        "arguments", "bucket", "calls", "cost", "failed", "full", "info", "is_idempotent", "name", "pin",
        "reason", "records", "results", "source", "status",
    )  # fmt: skip

    def __init__(self, entry: Entry, info: ToolInfo) -> None:
        settings = entry.settings
        self.source, self.info, self.name = entry, info, info.name
        self.full = f"{settings.name}.{info.name}"
        self.pin: Pin | None = None
        self.status, self.reason = "pending", None
        self.arguments: Checker | None = None
        self.results: Checker | None = None
        believed = settings.trust_annotations and (info.is_idempotent or info.is_read_only)
        self.is_idempotent = info.name in settings.idempotent or believed
        self.cost = settings.costs.get(info.name, settings.cost)
        rate = settings.rate_per_s
        self.bucket = TokenBucket(rate, max(1, int(rate))) if rate else None
        self.calls = self.failed = 0
        self.records: deque[CallRecord] = deque(maxlen=KEPT_CALLS)

    def inherit(self, before: Tool) -> None:
        """It was listed again: what is known of its calls stays."""
        self.calls, self.failed, self.records = before.calls, before.failed, before.records
        self.bucket = before.bucket

    def judge(self, pin: Pin | None, reason: str | None) -> None:
        """Settle whether it may be called. `reason`: why it may never be."""
        self.pin = pin
        if reason is not None:
            self.status, self.reason = "unusable", reason
        else:
            self.status = "pending" if pin is None else pin.status
            self.reason = _reason(self.full, pin) if self.status != "approved" else None

    def compile(self) -> str | None:
        """Make its schemas ready; why it cannot be used, if it cannot."""
        info = self.info
        try:
            if info.input_schema.get("type") != "object":
                return "its input schema is not one of an object"
            self.arguments = Checker(info.input_schema)
        except BadSchema as exc:
            return f"its input schema: {exc}"
        try:
            self.results = None if info.output_schema is None else Checker(info.output_schema)
        except BadSchema as exc:
            return f"its output schema: {exc}"
        return None


def _reason(full: str, pin: Pin | None) -> str:
    if pin is None or not pin.approved_sha256:
        return f"it is new; 'caxton tools approve {full}' allows it"
    if pin.is_held:
        return f"{pin.decided_by or 'somebody'} put it in quarantine; 'caxton tools approve {full}' allows it"
    return f"it is not what was approved; 'caxton tools show {full}' has both"


class Entry:
    """One source in one workspace."""

    def __init__(self, workspace: str, settings: ToolSettings, source: Source, clock: Clock) -> None:
        self.workspace, self.settings, self.source = workspace, settings, source
        self.gate: Gate[Any] = Gate(settings, clock)
        self.tools: dict[str, Tool] = {}
        """By their names without the source's; those that are gone are not here."""
        self.pins: dict[str, Pin] = {}
        self.is_stale = True
        """Its tools may be others than those that are known here."""
        self.marks = 0
        """How often it became stale."""
        self.is_letting_in = False
        """Those that waited for room begin right now."""
        self.last_error: str | None = None
        self.outcomes = Counter[str]()
        self.took_us = [0] * DURATION_BUCKETS
        """How long calls took that it was asked, as `observe.metrics.powers` reads it."""

    def mark(self) -> None:
        """Its tools may have changed."""
        self.is_stale = True
        self.marks += 1


class Catalogue:
    """See the module."""

    def __init__(self, store: ToolStore, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self.entries: dict[tuple[str, str], Entry] = {}
        """By workspace and name."""
        self.tools: dict[tuple[str, str], Tool] = {}
        """By workspace and `SOURCE.TOOL`; those that are gone are not here."""

    def add(self, workspace: str, settings: ToolSettings, source: Source) -> Entry:
        """A further source. What it had when it was last seen is known, but not believed. Raises
        `ToolSourceAlreadyExists`.
        """
        key = workspace, settings.name
        if key in self.entries:
            raise ToolSourceAlreadyExists(settings.name)
        entry = self.entries[key] = Entry(workspace, settings, source, self._clock)
        entry.pins = self._store.pins(workspace, settings.name)
        return entry

    def remove(self, workspace: str, name: str) -> Entry:
        """The source is gone; its pins stay. Raises `ToolSourceNotFound`."""
        entry = self.entry(workspace, name)
        del self.entries[workspace, name]
        for tool in entry.tools.values():
            self.tools.pop((workspace, tool.full), None)
        return entry

    def entry(self, workspace: str, name: str) -> Entry:
        """Raises `ToolSourceNotFound`."""
        entry = self.entries.get((workspace, name))
        if entry is None:
            raise ToolSourceNotFound(name, nearest=nearest(name, (key[1] for key in self.entries)))
        return entry

    def of(self, workspace: str) -> Iterator[Entry]:
        """The sources of a workspace."""
        return (entry for entry in self.entries.values() if entry.workspace == workspace)

    def tool(self, workspace: str, full: str) -> Tool:
        """Raises `ToolNotFound`."""
        tool = self.tools.get((workspace, full))
        if tool is None:
            known = (key[1] for key in self.tools if key[0] == workspace)
            raise ToolNotFound(full, nearest=nearest(full, known))
        return tool

    # --- what a source says ----------------------------------------------------------------------------------

    def listed(self, entry: Entry, infos: list[ToolInfo]) -> list[Tool]:
        """Take over what a source has now; the tools that may not be called any more, or not yet, of those that are
        new or changed.
        """
        counts = Counter(info.name for info in infos)
        exposed = [info for info in infos if _is_exposed(info.name, entry.settings.tools)]
        unique = {info.name: info for info in exposed[:MAX_TOOLS]}
        refused = {name: why for name, info in unique.items() if (why := _refusal(info, counts[name])) is not None}
        changed = self._pinned(entry, [info for name, info in unique.items() if name not in refused])
        before, entry.tools = entry.tools, {}
        for name, info in unique.items():
            entry.tools[name] = self._made(entry, info, refused.get(name), before.get(name))
        for name in before.keys() - entry.tools.keys():
            self.tools.pop((entry.workspace, before[name].full), None)
        return [entry.tools[name] for name in changed if entry.tools[name].status != "approved"]

    def _pinned(self, entry: Entry, infos: list[ToolInfo]) -> dict[str, Pin]:
        settings, now_us = entry.settings, self._clock.wall_us()
        is_first = _SEEN not in entry.pins
        changed = judged(
            entry.pins, infos, now_us=now_us,
            trusts_new=settings.approve == "auto" and (is_first or settings.kind in ("builtin", "wasm")),
            trusts_changed=settings.kind == "builtin",
        )  # fmt: skip
        seen = {_SEEN: Pin(tool=_SEEN, seen_sha256="", seen=b"", decided_us=now_us)} if is_first else {}
        for pin in (*changed.values(), *seen.values()):
            self._keep(entry, pin)
        return changed

    def _made(self, entry: Entry, info: ToolInfo, refusal: str | None, before: Tool | None) -> Tool:
        pin = entry.pins.get(info.name)
        is_known = before is not None and definition(before.info) == definition(info)
        if before is not None and is_known and refusal is None and before.status != "unusable":
            before.judge(pin, None)
            return before
        tool = Tool(entry, info)
        if before is not None:
            tool.inherit(before)
        tool.judge(pin, refusal if refusal is not None else tool.compile())
        self.tools[entry.workspace, tool.full] = tool
        return tool

    def _keep(self, entry: Entry, pin: Pin) -> None:
        entry.pins[pin.tool] = pin
        self._store.put_pin(entry.workspace, entry.settings.name, pin)

    # --- what people say -------------------------------------------------------------------------------------

    def approve(self, workspace: str, full: str, by: str, sha256: str | None = None) -> Tool:
        """The tool may be called as it is now.

        Args:
            workspace: where it is.
            full: `SOURCE.TOOL`.
            by: who says so.
            sha256: what that person looked at, or how it begins; None: whatever it is now.

        Raises:
            ToolNotFound: there is none, as far as its source has said.
            ToolChanged: it is something else than `sha256`.
            ToolUnusable: its definition breaks a rule.
        """
        tool = self.tool(workspace, full)
        if tool.pin is None or tool.status == "unusable":
            raise ToolUnusable(full, tool.reason or "it has no definition")
        if sha256 is not None and not (sha256 and tool.pin.seen_sha256.startswith(sha256)):
            raise ToolChanged(full, sha256, tool.pin.seen_sha256)
        return self._decided(tool, approved(tool.pin, by, self._clock.wall_us()))

    def quarantine(self, workspace: str, full: str, by: str) -> Tool:
        """The tool may not be called until somebody approves it. Raises `ToolNotFound`, `ToolUnusable`."""
        tool = self.tool(workspace, full)
        if tool.pin is None or tool.status == "unusable":
            raise ToolUnusable(full, tool.reason or "it has no definition")
        return self._decided(tool, held(tool.pin, by, self._clock.wall_us()))

    def _decided(self, tool: Tool, pin: Pin) -> Tool:
        self._keep(tool.source, pin)
        tool.judge(pin, None)
        return tool


def _is_exposed(name: str, patterns: tuple[str, ...]) -> bool:
    return any(name.startswith(one[:-1]) if one.endswith("*") else name == one for one in patterns)


def _refusal(info: ToolInfo, times: int) -> str | None:
    """Why a tool is never called, whatever people say."""
    if times > 1:
        return f"its source has {times} tools of that name"
    if not 0 < len(info.name) <= MAX_TOOL_NAME_CHARS or not info.name.isprintable() or ":" in info.name:
        return f"a name has 1 to {MAX_TOOL_NAME_CHARS} characters that can be printed, and no ':'"
    if len(info.description) > MAX_DESCRIPTION_CHARS:
        return f"its description has more than {MAX_DESCRIPTION_CHARS} characters"
    return None


def as_dict(seen: bytes) -> dict[str, Any] | None:
    """A pinned definition for people; None if there is none."""
    try:
        return msgspec.json.decode(seen, type=dict[str, Any]) if seen else None
    except msgspec.DecodeError:
        return None
