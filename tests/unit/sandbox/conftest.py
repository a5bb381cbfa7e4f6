from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.sandbox.engine import Engine
from caxton.sandbox.guest import Guest
from caxton.sandbox.limits import Limits
from caxton.testing.guests import RecordingHost, load

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture(scope="session")
def engine() -> Generator[Engine]:
    """One engine for all, its clock ticking."""
    engine = Engine()
    engine.hold_ticks()
    yield engine
    engine.close()


class Guests:
    """Makes guests and frees them after the test."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._made: list[Guest] = []

    def new(self, wasm: bytes, *, host: RecordingHost | None = None, **limits: float) -> tuple[Guest, RecordingHost]:
        """A guest that is not booted yet, and its host."""
        host = RecordingHost() if host is None else host
        guest = Guest(load(self._engine, wasm), Limits(**limits), host)  # type: ignore[arg-type]
        self._made.append(guest)
        return guest, host

    def close(self) -> None:
        for guest in self._made:
            guest.close()


@pytest.fixture
def guests(engine: Engine) -> Generator[Guests]:
    made = Guests(engine)
    yield made
    made.close()
