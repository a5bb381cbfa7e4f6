"""Calls about dead letters: look, hand over again, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from caxton.client.transport import DEPLOY_TIMEOUT_S, Timeout, Transport
from caxton.core.errors.dead_letters import DeadLetterNotFound
from caxton.core.views.dead_letters import (
    DeadLetterDetail,
    DeadLetterFilter,
    DeadLetterPage,
    PurgeReceipt,
    ReplayOutcome,
    ReplayReceipt,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_PATH = "/api/v1/dead-letters"


class Replays(msgspec.Struct, kw_only=True):
    """What became of the letters of one request, in the order of their ids."""

    letters: list[ReplayOutcome]
    next: str | None
    """The `after` with which to go on; None when these were all."""


class DeadLetterCalls(Transport):
    """What can be done with dead letters."""

    def dead_letters(
        self,
        wanted: DeadLetterFilter | None = None,
        *,
        replayed: bool = False,
        limit: int | None = None,
        after: str | None = None,
    ) -> DeadLetterPage:
        """Letters that wait (or were replayed), those accepted last first; `after`: only those below this id."""
        query = {**_plain(wanted), "replayed": replayed or None, "limit": limit, "after": after}
        return self._get(_PATH, DeadLetterPage, query)

    def dead_letter(self, letter_id: str) -> DeadLetterDetail:
        """One letter with its message."""
        return self._get(_letter_path(letter_id), DeadLetterDetail)

    def replay(self, letter_id: str) -> ReplayReceipt:
        """Hand a letter over again. Asked twice it is done once, and the second receipt says `already-replayed`."""
        return self._post(f"{_letter_path(letter_id)}/replay", None, ReplayReceipt)

    def replay_ids(self, ids: Sequence[str]) -> Replays:
        """Up to 100 letters, each for itself."""
        return self._post(f"{_PATH}/replay", {"ids": ids}, Replays)

    def replay_matching(
        self, wanted: DeadLetterFilter, *, after: str | None = None, through: str | None = None, limit: int = 100
    ) -> Replays:
        """The first letters that wait and match, above the id `after` and up to `through`.

        Raises:
            ApiProblem: RATE_LIMITED when none may be replayed yet; `details()["retry_after_s"]` says when.
        """
        body = {"filter": _plain(wanted), "after": after, "through": through, "limit": limit}
        return self._post(f"{_PATH}/replay", body, Replays)

    def purge(self, letter_id: str) -> PurgeReceipt:
        """Delete one letter for good."""
        return self._decode(self._request("DELETE", _letter_path(letter_id)), PurgeReceipt)

    def purge_ids(self, ids: Sequence[str]) -> PurgeReceipt:
        """Delete those of up to 100 letters that there are."""
        return self._post(f"{_PATH}/purge", {"ids": ids}, PurgeReceipt)

    def purge_matching(self, wanted: DeadLetterFilter | None, *, replayed: bool | None = None) -> PurgeReceipt:
        """Delete all letters that match (None: every one): those that wait, were replayed, or (None) both."""
        which = {"all": True} if wanted is None else {"filter": _plain(wanted)}
        body = msgspec.json.encode({**which, "replayed": replayed})
        response = self._request("POST", f"{_PATH}/purge", body=body, timeout=Timeout(DEPLOY_TIMEOUT_S))
        return self._decode(response, PurgeReceipt)


def _letter_path(letter_id: str) -> str:
    if not (letter_id.isascii() and letter_id.isdecimal()):
        raise DeadLetterNotFound(letter_id)  # in a path it could mean another one
    return f"{_PATH}/{letter_id}"


def _plain(wanted: DeadLetterFilter | None) -> dict[str, object]:
    return {} if wanted is None else msgspec.to_builtins(wanted)
