"""Messages that are over: the last ones, of one conversation in one workspace."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from caxton.bus.envelope import Envelope
from caxton.bus.history import BUSY_PER_S, MAX_BODY_BYTES, MAX_REMEMBERED, REMEMBERED_WHEN_BUSY, History

if TYPE_CHECKING:
    from tests.unit.bus.rig import Rig


def envelope(seq: int, *, workspace: str = "default", conversation: str | None = "c") -> Envelope:
    return Envelope(seq, workspace, "a", "b", f"m{seq}", conversation, b"%d" % seq, 0)


def test_conversation_is_that_of_its_workspace_alone() -> None:
    history = History()
    for made in (
        envelope(1),
        envelope(2, conversation="d"),
        envelope(3, workspace="other"),
        envelope(4, conversation=None),
    ):
        history.said.append(made)
    assert history.conversation("default", "c") == {1: b"1"}
    history.end_round(0.0)
    assert history.conversation("default", "c") == {1: b"1"}


def test_only_the_last_ones_are_remembered() -> None:
    history = History()
    first = next(_seqs) + 1
    say(history, MAX_REMEMBERED + 5)
    assert remembered(history) == range(first + 5, first + MAX_REMEMBERED + 5)


def test_busy_node_remembers_fewer_and_later_more_again() -> None:
    history = History()
    say(history, 5, now_s=100.0)
    assert len(remembered(history)) == 5
    say(history, BUSY_PER_S, now_s=100.9)
    assert len(remembered(history)) == MAX_REMEMBERED
    say(history, 1, now_s=101.0)
    assert len(remembered(history)) == REMEMBERED_WHEN_BUSY
    say(history, BUSY_PER_S, now_s=102.0)
    say(history, MAX_REMEMBERED, now_s=103.0)
    assert len(remembered(history)) == MAX_REMEMBERED


_seqs = count()


def say(history: History, messages: int, *, now_s: float = 0.0) -> None:
    """As many in one round of the pump."""
    history.said.extend(envelope(next(_seqs)) for _ in range(messages))
    history.end_round(now_s)


def remembered(history: History) -> range:
    """Their numbers, which are the last ones without a gap."""
    found = list(history.conversation("default", "c"))
    assert found == list(range(found[0], found[-1] + 1))
    return range(found[0], found[-1] + 1)


async def test_large_messages_are_not_kept_in_memory(rig: Rig) -> None:
    rig.agent("b")
    rig.post("b", "x" * MAX_BODY_BYTES, conversation_id="large")
    rig.post("b", "x", conversation_id="small")
    rig.pump()
    assert rig.bus.history.conversation("default", "large") == {}
    assert len(rig.bus.history.conversation("default", "small")) == 1
