"""Whether the node takes new messages at all: the one gate that a full disk, journal or dead-letter store closes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.core.errors.error import CaxtonError


class Intake:
    """Open until somebody closes it for a cause, and again once every cause is gone.

    While it is closed clients get the error of the oldest cause and guests `WOULD_BLOCK`; what was accepted goes on.
    """

    def __init__(self) -> None:
        self.is_open = True
        self._causes: dict[str, Callable[[], CaxtonError]] = {}

    @property
    def causes(self) -> tuple[str, ...]:
        """Why it is closed, oldest first; empty when it is open."""
        return tuple(self._causes)

    def close(self, cause: str, error: Callable[[], CaxtonError]) -> None:
        """Refuse new messages because of `cause`; `error` makes what a client is told."""
        self._causes[cause] = error
        self.is_open = False

    def open(self, cause: str) -> None:
        """`cause` is gone. Nothing changes if it was not there."""
        self._causes.pop(cause, None)
        self.is_open = not self._causes

    def check(self, *, but: str | None = None) -> None:
        """Raises the error of the oldest cause, if there is one beside `but`."""
        for cause, error in self._causes.items():
            if cause != but:
                raise error()
