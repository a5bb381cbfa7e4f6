"""Keeps the bodies of whole conversations, as many as the budget allows; the choice is `recorder.choice`.

At the end of each round of the pump it is offered what was handled in it. It looks at no more messages a second than
`MESSAGES_PER_S`: above that nothing new is taken, and what cannot be kept up with is given up.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

from caxton.recorder.choice import Choice
from caxton.recorder.record import REPLIED, SETTLED
from caxton.storage.shelf import ROW_BYTES, Batch, Shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from caxton.recorder.record import Record

logger = logging.getLogger(__name__)

DEFAULT_BODY_BYTES = 64 << 20
"""For each workspace."""

MESSAGES_PER_S = 2000
BUSY_PER_S = 500
"""Of conversations with nothing notable, once there are more: each body that is written costs as much as handling
twice."""
RESCUES_PER_S = 20
"""Conversations that became notable without being kept, and are sought among the last messages."""


_WORKSPACE, _CONVERSATION = attrgetter("workspace"), attrgetter("conversation_id")


class Said(Protocol):
    """What is needed of a message; `bus.envelope.Envelope` has it."""

    seq: int
    workspace: str
    conversation_id: str | None
    attempt: int
    body: bytes


class Bodies:
    """All methods but `of` are called on the event loop's thread."""

    def __init__(
        self, shelf: Shelf, budget_bytes: int, now_s: Callable[[], float],
        remembered: Callable[[str, str], Sequence[Said]],
    ) -> None:  # fmt: skip
        """`remembered` gives the last messages of a conversation that are still in memory."""
        self._shelf, self._now_s, self._remembered = shelf, now_s, remembered
        self._choices: defaultdict[str, Choice] = defaultdict(lambda: Choice(budget_bytes))
        for workspace, conversation, size, notable in shelf.kept:
            self._choices[workspace].restore(conversation, size, notable=bool(notable))
        shelf.kept.clear()
        self._allowance = float(MESSAGES_PER_S)
        self._when_busy = float(BUSY_PER_S)
        self._for_notable = float(MESSAGES_PER_S)
        self._rescues = float(RESCUES_PER_S)
        self._refilled = now_s()

    def offer(self, round_: Sequence[Said]) -> None:
        """These were handled, in this order; all have a conversation."""
        self._refill()
        if len(round_) <= self._allowance and not self._shelf.is_behind:
            self._allowance -= len(round_)
            self._take(round_)
        else:
            self._take_some(round_)

    def notable(self, said: Said) -> None:
        """Something happened to `said` for which its conversation is kept rather than others."""
        conversation = said.conversation_id
        if conversation is None:
            return
        choice = self._choices[said.workspace]
        if choice.is_kept(conversation):
            if choice.mark(conversation):
                self._keep([said])
        else:
            self._refill()
            if self._rescues < 1:
                return
            self._rescues -= 1
            self._rescue(choice, said)

    def _rescue(self, choice: Choice, said: Said) -> None:
        """Take its conversation from the beginning, if that is still in memory: what follows is offered anyway."""
        conversation = said.conversation_id or ""
        earlier = self._remembered(said.workspace, conversation)
        if choice.is_begun(conversation) and not earlier:
            return
        self._keep([*earlier, said], notable=True)
        choice.begin({conversation})

    def _take(self, round_: Sequence[Said]) -> None:
        wanted: list[Said] = []
        for said in round_:
            conversation = said.conversation_id or ""
            choice = self._choices[said.workspace]
            if choice.is_kept(conversation) or not choice.is_begun(conversation):
                wanted.append(said)
                choice.begin({conversation})
                if not choice.is_kept(conversation):
                    choice.add(conversation, 0)
        if wanted:
            self._keep(wanted)

    def _keep(self, messages: Sequence[Said], *, notable: bool = False) -> None:
        batch = Batch([], [], [])
        gone: set[tuple[str, str]] = set()
        for said in messages:
            conversation = said.conversation_id or ""
            if (said.workspace, conversation) in gone:
                continue
            choice = self._choices[said.workspace]
            given_up = choice.add(conversation, _cost(said), notable=notable)
            if choice.tell(conversation):
                batch.mark.append((said.workspace, conversation, int(conversation in choice.notable)))
            batch.add.append((said.workspace, conversation, said.seq, said.attempt, said.body))
            gone |= {(said.workspace, one) for one in given_up}
        if gone:
            batch.drop += gone
            batch.mark = [row for row in batch.mark if (row[0], row[1]) not in gone]
            batch.add = [row for row in batch.add if (row[0], row[1]) not in gone]
        self._shelf.put(batch)

    def _take_some(self, round_: Sequence[Said]) -> None:
        """Too many: the notable ones are kept on with, then those that say least; the others are given up.

        This is the way of a busy node, so nothing but C looks at each message.
        """
        workspaces = set(map(_WORKSPACE, round_))
        for workspace in workspaces:
            said = round_ if len(workspaces) == 1 else [one for one in round_ if one.workspace == workspace]
            self._take_some_of(self._choices[workspace], workspace, said)

    def _take_some_of(self, choice: Choice, workspace: str, said: Sequence[Said]) -> None:
        conversations = set(map(_CONVERSATION, said))
        notable, plain = conversations & choice.notable.keys(), conversations & choice.plain.keys()
        choice.begin(conversations)
        if not notable and not plain:
            return
        kept = notable | plain
        said = [one for one in said if one.conversation_id in kept]
        counts = Counter(map(_CONVERSATION, said))
        drop: list[tuple[str, str]] = []
        for conversation in [*notable, *sorted(plain, key=counts.__getitem__)]:
            count = counts[conversation]
            room = self._for_notable if conversation in notable else self._when_busy
            if count > room or self._shelf.is_behind:
                choice.give_up(conversation)
                drop.append((workspace, conversation))
                kept.discard(conversation)
            elif conversation in notable:
                self._for_notable -= count
            else:
                self._when_busy -= count
        if drop:
            self._shelf.put(Batch(drop, [], []))
        if kept:
            self._keep([one for one in said if one.conversation_id in kept] if drop else said)

    def _refill(self) -> None:
        now = self._now_s()
        passed, self._refilled = now - self._refilled, now
        self._allowance = min(self._allowance + passed * MESSAGES_PER_S, MESSAGES_PER_S)
        self._when_busy = min(self._when_busy + passed * BUSY_PER_S, BUSY_PER_S)
        self._for_notable = min(self._for_notable + passed * MESSAGES_PER_S, MESSAGES_PER_S)
        self._rescues = min(self._rescues + passed * RESCUES_PER_S, RESCUES_PER_S)

    # --- what is kept ----------------------------------------------------------------------------------------

    def of(self, workspace: str, conversation: str) -> dict[tuple[int, int], bytes]:
        """Number of the message and attempt → body; on any thread. Empty if it is not kept. Raises OSError."""
        return self._shelf.bodies(workspace, conversation)

    def whole(
        self, workspace: str, conversation: str, records: Iterable[Record]
    ) -> dict[tuple[int, int], bytes] | None:
        """As `of`, but None if a message that `records` tell of is missing."""
        found = self.of(workspace, conversation)
        handled = {(record.seq, record.attempt) for record in records if record.kind in (SETTLED, REPLIED)}
        return found if handled <= found.keys() and found else None

    @property
    def kept_bytes(self) -> int:
        return sum(choice.bytes for choice in self._choices.values())

    def close(self) -> None:
        """Write what was taken, and end."""
        self._shelf.close()


def _cost(said: Said) -> int:
    """What keeping it takes; conversations may have ids of a thousand characters."""
    return len(said.body) + len((said.conversation_id or "").encode()) + ROW_BYTES


def open_shelf(directory: Path) -> Shelf | None:
    """The file of bodies; None if it cannot be made, which costs only the bodies."""
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        return Shelf(directory / "bodies.db")
    except OSError as exc:
        facts = {"action": "recorder.no_bodies", "error": str(exc)}
        logger.warning("the flight recorder keeps no bodies: their file cannot be made", extra=facts)
        return None
