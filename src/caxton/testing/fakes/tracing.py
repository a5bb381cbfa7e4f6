"""`api.services.TraceService` over records and waiting messages that a test puts there. Time stands still."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.core.errors.traces import ConversationNotRecorded, MessageNotFound
from caxton.core.errors.workspaces import WorkspaceNotFound
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.traces import TraceView
from caxton.services.trace_tree import grow, sent_message
from caxton.testing.fakes.conversations import NOW_US

if TYPE_CHECKING:
    from caxton.core.ids import WorkspaceName
    from caxton.core.views.traces import TraceFilter
    from caxton.recorder.record import Record
    from caxton.services.trace_tree import Live


class FakeTraces:
    """The same tree as a server's, over lists.

    Attributes:
        records: what happened, in its order; all of it in one trace.
        live: what is not over.
        at_least: what answers say of themselves.
    """

    at_least = False

    def __init__(self, kept: dict[str, list[bytes]]) -> None:
        self._kept = kept
        self.records: list[Record] = []
        self.live: list[Live] = []

    async def trace(self, workspace: WorkspaceName, wanted: TraceFilter, *, limit: int) -> TraceView:
        """What is in the lists."""
        if workspace != DEFAULT_WORKSPACE:
            raise WorkspaceNotFound(workspace)
        since_us = 0 if wanted.last_s is None else NOW_US - round(wanted.last_s * 1e6)
        records = [one for one in self.records if _is_meant(one, wanted)]
        live = [one for one in self.live if _is_meant(one, wanted)]
        bodies = self._kept.get(wanted.conversation_id or "", []) if not records and not live else []
        kept = [sent_message(number, body) for number, body in enumerate(bodies, start=1)]
        reach_us = min((one.ended_us for one in self.records), default=None)
        if not (records or live or kept) or (
            wanted.message_id is not None and all(one.message_id != wanted.message_id for one in (*records, *live))
        ):
            reach_s = None if reach_us is None else (NOW_US - reach_us) / 1e6
            if wanted.message_id is not None:
                raise MessageNotFound(wanted.message_id, reach_s)
            raise ConversationNotRecorded(wanted.conversation_id or "", reach_s)
        tree = grow(
            [one for one in records if one.ended_us >= since_us], live,
            [one for one in kept if one.sent_us >= since_us], now_us=NOW_US, limit=limit, agent=wanted.agent,
            errors=wanted.errors, family_of=wanted.message_id,
        )  # fmt: skip
        ends = [*(one.ended_us for one in records), *(one.sent_us for one in kept)]
        return TraceView(
            conversation_id=wanted.conversation_id, message_id=wanted.message_id, now=NOW_US, since=since_us or None,
            recorded_since=reach_us, last_us=max(ends, default=None), total=tree.total, cut=tree.cut,
            at_least=self.at_least, said="none" if wanted.bodies else None,
            spans=tree.spans, events=tree.events,
        )  # fmt: skip


def _is_meant(one: Record | Live, wanted: TraceFilter) -> bool:
    """Of a message, all that there is: the tree takes its family."""
    return wanted.message_id is not None or one.conversation_id == wanted.conversation_id
