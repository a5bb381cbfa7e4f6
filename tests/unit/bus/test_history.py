"""Messages that are over: the last ones, of one conversation in one workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.bus.envelope import Envelope
from caxton.bus.history import MAX_BODY_BYTES, MAX_REMEMBERED, History

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
        history.remember(made)
    assert history.conversation("default", "c") == {1: b"1"}


def test_only_the_last_ones_are_remembered() -> None:
    history = History()
    for seq in range(MAX_REMEMBERED + 5):
        history.remember(envelope(seq))
    assert sorted(history.conversation("default", "c"))[0] == 5


async def test_large_messages_are_not_kept_in_memory(rig: Rig) -> None:
    rig.agent("b")
    rig.post("b", "x" * MAX_BODY_BYTES, conversation_id="large")
    rig.post("b", "x", conversation_id="small")
    rig.pump()
    assert rig.bus.history.conversation("default", "large") == {}
    assert len(rig.bus.history.conversation("default", "small")) == 1
