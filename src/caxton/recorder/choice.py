"""Which conversations' bodies are kept: each whole or not at all, within a budget. Pure.

A conversation is taken when its first message is seen. Under load not every one is: what is begun then is remembered as
begun, so that it is not taken up in the middle later. When the budget is used up, those that were quiet for longest go
first, and the notable ones (an error, a redelivery, a dead letter, a slow handling) only when no other is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Key: TypeAlias = tuple[str, str]
"""Workspace and conversation."""

MAX_REMEMBERED_IDS = 100_000
"""Conversations that are known to have begun, twice; one that was forgotten since counts as new."""

MAX_SHARE = 4
"""A conversation that takes more than a fourth of the budget is given up."""


@dataclass(slots=True)
class Kept:
    """One conversation that is kept."""

    bytes: int = 0
    notable: bool = False
    is_told: bool = False
    """Whether the file knows that it is kept, and whether it is notable."""


class Choice:
    """The state of one workspace's budget is that of all here: callers have one for each workspace."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.bytes = 0
        self.plain: dict[str, Kept] = {}
        """Conversation → what is kept of it; the one that was quiet for longest first. The same for `notable`."""
        self.notable: dict[str, Kept] = {}
        self._begun: set[str] = set()
        self._begun_before: set[str] = set()

    def is_kept(self, conversation: str) -> bool:
        return conversation in self.plain or conversation in self.notable

    def is_begun(self, conversation: str) -> bool:
        """Whether a message of it was seen before, as far as that is remembered."""
        return conversation in self._begun or conversation in self._begun_before

    def begin(self, conversations: set[str]) -> None:
        """Messages of these were seen."""
        self._begun |= conversations
        if len(self._begun) > MAX_REMEMBERED_IDS:
            self._begun_before, self._begun = self._begun, set()

    def restore(self, conversation: str, size: int, *, notable: bool) -> None:
        """An earlier run kept this."""
        (self.notable if notable else self.plain)[conversation] = Kept(size, notable, is_told=True)
        self.bytes += size
        self.begin({conversation})

    def mark(self, conversation: str) -> bool:
        """It is notable from now on; returns whether that is new."""
        kept = self.plain.pop(conversation, None)
        if kept is None:
            return False
        kept.notable, kept.is_told = True, False
        self.notable[conversation] = kept
        return True

    def tell(self, conversation: str) -> bool:
        """Whether the file is yet to be told of it, which happens now."""
        kept = self.plain.get(conversation) or self.notable.get(conversation)
        if kept is None or kept.is_told:
            return False
        kept.is_told = True
        return True

    def add(self, conversation: str, size: int, *, notable: bool = False) -> list[str]:
        """Keep `size` bytes more of a conversation, which is taken if it was not; returns which are given up for it.

        It may be among those itself: if it is too large, or nothing that counts less can go.
        """
        kept = self.plain.pop(conversation, None) or self.notable.pop(conversation, None) or Kept()
        if notable and not kept.notable:
            kept.notable, kept.is_told = True, False
        kept.bytes += size
        self.bytes += size
        (self.notable if kept.notable else self.plain)[conversation] = kept  # now the one that spoke last
        given_up: list[str] = []
        if kept.bytes > self.budget_bytes // MAX_SHARE:
            self._drop(conversation)
            given_up.append(conversation)
        while self.bytes > self.budget_bytes:
            oldest = next(iter(self.plain or self.notable))
            self._drop(oldest)
            given_up.append(oldest)
        return given_up

    def give_up(self, conversation: str) -> None:
        """It cannot be kept whole any more."""
        self._drop(conversation)

    def _drop(self, conversation: str) -> None:
        kept = self.plain.pop(conversation, None) or self.notable.pop(conversation)
        self.bytes -= kept.bytes
