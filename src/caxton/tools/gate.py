"""The circuit breaker and bulkhead before one source, with a line of those who wait: drives `core.breaker`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from caxton.core import breaker
from caxton.core.breaker import Admit, Asked, Ended, Policy

if TYPE_CHECKING:
    from caxton.core.clock import Clock
    from caxton.tools.settings import ToolSettings

MAX_QUEUED = 10_000
"""Calls that may wait for one source."""

MAX_QUEUED_BYTES = 64 << 20
"""Of their arguments."""


class Queued(Protocol):
    """What can wait."""

    @property
    def argument_bytes(self) -> int:
        """How much room it takes."""
        ...


Job = TypeVar("Job", bound=Queued)


class Gate(Generic[Job]):
    """See the module."""

    def __init__(self, settings: ToolSettings, clock: Clock) -> None:
        asked = settings.breaker
        self._clock = clock
        self._state = breaker.State(
            Policy(
                threshold=asked.threshold, timeout_s=asked.timeout_s, probes=asked.probes,
                max_calls=settings.concurrency,
            )
        )  # fmt: skip
        self.line = Line[Job]()
        self.transitions = Counter[str]()
        """By the phase that was entered."""

    @property
    def phase(self) -> str:
        """`closed`, `open`, `half_open`, or `off`."""
        return self._state.phase if self._state.policy.threshold else "off"

    @property
    def under_way(self) -> int:
        return self._state.calls

    @property
    def is_shut(self) -> bool:
        """Nothing is let through for now."""
        return self._state.phase == "open" and self._clock.monotonic() < self._state.until

    @property
    def has_room(self) -> bool:
        """Whether a call could begin now."""
        state = self._state
        if state.policy.max_calls and state.calls >= state.policy.max_calls:
            return False
        return not self.is_shut if state.phase == "open" else state.has_room

    def enter(self) -> int | Literal["open", "full"]:
        """A call wants to begin: its ticket for `leave`, or why it must not."""
        before = self._state
        self._state, (answer,) = breaker.on_event(before, Asked(self._clock.monotonic()))
        self._note(before)
        if isinstance(answer, Admit):
            return answer.generation
        assert isinstance(answer, breaker.Refuse)  # noqa: S101 - for the type checker
        return answer.reason

    def leave(self, ticket: int, *, has_succeeded: bool | None) -> None:
        """A call that entered is over; None if that tells nothing of the source."""
        before = self._state
        self._state, _ = breaker.on_event(before, Ended(ticket, has_succeeded, self._clock.monotonic()))
        self._note(before)

    def fail(self) -> None:
        """The source failed at something else than a call."""
        ticket = self.enter()
        if isinstance(ticket, int):
            self.leave(ticket, has_succeeded=False)

    def _note(self, before: breaker.State) -> None:
        if self._state.phase != before.phase:
            self.transitions[self._state.phase] += 1


class Line(Generic[Job]):
    """Calls that wait for others of the same source to end, first come first served."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: Job) -> bool:
        """Whether there is room."""
        if len(self._jobs) >= MAX_QUEUED or self._bytes + job.argument_bytes > MAX_QUEUED_BYTES:
            return False
        self._jobs[id(job)] = job
        self._bytes += job.argument_bytes
        return True

    def remove(self, job: Job) -> bool:
        """Whether it was there."""
        if self._jobs.pop(id(job), None) is None:
            return False
        self._bytes -= job.argument_bytes
        return True

    def first(self) -> Job | None:
        return next(iter(self._jobs.values()), None)

    def all(self) -> list[Job]:
        return list(self._jobs.values())
