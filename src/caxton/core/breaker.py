"""A circuit breaker and a bulkhead as one pure machine: event in, instructions out. No clock, no I/O.

```text
            threshold failures in a row                timeout has passed
  closed ────────────────────────────────▶ open ──────────────────────────▶ half_open
     ▲                                       ▲         a probe failed          │  │
     │                                       └─────────────────────────────────┘  │
     └──────────────────────── every probe succeeded ─────────────────────────────┘
```
Whoever wants to call asks first and says at its end how it went. The bulkhead bounds the calls under way, in every
phase; the breaker lets none begin while it is open, and only `probes` of them while it is half-open.

Every change of phase begins a new generation. A call belongs to the generation in which it was admitted; what comes of
it later says nothing about a newer one. Used around agents (`agents.circuit`); knows nothing of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

Phase: TypeAlias = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When to open, and what to let through."""

    threshold: int = 5
    """Failures in a row after which it opens; 0: never."""
    timeout_s: float = 10.0
    """How long nothing is let through before it is tried again."""
    probes: int = 1
    """Calls that are let through while half-open; it closes when all of them have succeeded."""
    max_calls: int = 0
    """Calls that may be under way at once, in any phase; 0: any number."""


@dataclass(frozen=True, slots=True)
class State:
    """Where the circuit stands. `State()` is a closed one that never failed."""

    policy: Policy = field(default_factory=Policy)
    phase: Phase = "closed"
    generation: int = 0
    """Counts changes of phase."""
    failures: int = 0
    """Failures in a row, those of probes included."""
    calls: int = 0
    """Calls under way, of all generations."""
    probing: int = 0
    """Calls under way that are probes of this generation."""
    passed: int = 0
    """Probes of this generation that succeeded."""
    opened_at: float = 0.0
    """When it last opened, monotonic seconds."""

    @property
    def until(self) -> float:
        """From when on an open circuit lets probes through, monotonic seconds."""
        return self.opened_at + self.policy.timeout_s

    @property
    def has_room(self) -> bool:
        """Whether the breaker would let a call begin; the bulkhead has its own say."""
        if self.phase == "half_open":
            return self.probing + self.passed < self.policy.probes
        return self.phase == "closed"


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody wants to make a call; answered with `Admit` or `Refuse`."""

    at: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A call that was admitted is over."""

    generation: int
    """As `Admit` said it."""
    has_succeeded: bool | None
    """None: it ended without telling anything, as when its caller went away."""
    at: float


@dataclass(frozen=True, slots=True)
class Elapsed:
    """Time has passed, as `Wake` asked for; too early does no harm."""

    at: float


@dataclass(frozen=True, slots=True)
class Changed:
    """Another policy holds from now on."""

    policy: Policy
    at: float


@dataclass(frozen=True, slots=True)
class Renewed:
    """What is called was replaced: what is known of the old one says nothing about it."""


Event: TypeAlias = Asked | Ended | Elapsed | Changed | Renewed


@dataclass(frozen=True, slots=True)
class Admit:
    """The call may begin; its `Ended` must quote the generation."""

    generation: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """The call must not begin."""

    reason: Literal["open", "full"]
    after_s: float
    """When it may be asked again, as far as is known; 0 when that depends on calls under way."""


@dataclass(frozen=True, slots=True)
class Wake:
    """Send `Elapsed` after so many seconds; instead of any that was asked for before."""

    after_s: float


Instruction: TypeAlias = Admit | Refuse | Wake


def on_event(state: State, event: Event) -> tuple[State, list[Instruction]]:
    """What follows from `event`. All times are monotonic seconds of one clock."""
    match event:
        case Asked(at):
            return _asked(_aged(state, at), at)
        case Ended():
            return _ended(replace(state, calls=max(state.calls - 1, 0)), event)
        case Elapsed(at):
            state = _aged(state, at)
            return state, _wake(state, at)
        case Changed(policy, at):
            return _changed(state, policy, at)
        case Renewed():
            return _turn(state, "closed"), []


def _aged(state: State, at: float) -> State:
    """`state` at that time: an open circuit whose timeout has passed is half-open."""
    return _turn(state, "half_open") if state.phase == "open" and at >= state.until else state


def _asked(state: State, at: float) -> tuple[State, list[Instruction]]:
    if not state.has_room:
        return state, [Refuse("open", max(state.until - at, 0.0) if state.phase == "open" else 0.0)]
    if 0 < state.policy.max_calls <= state.calls:
        return state, [Refuse("full", 0.0)]
    is_probe = state.phase == "half_open"
    return replace(state, calls=state.calls + 1, probing=state.probing + is_probe), [Admit(state.generation)]


def _ended(state: State, event: Ended) -> tuple[State, list[Instruction]]:
    if event.generation != state.generation:
        return state, []
    if state.phase == "half_open":
        state = replace(state, probing=state.probing - 1)
    if event.has_succeeded is None:
        return state, []
    if event.has_succeeded:
        return _succeeded(state), []
    return _failed(state, event.at)


def _succeeded(state: State) -> State:
    if state.phase == "closed":
        return replace(state, failures=0) if state.failures else state
    passed = state.passed + 1
    return _turn(state, "closed") if passed >= state.policy.probes else replace(state, passed=passed)


def _failed(state: State, at: float) -> tuple[State, list[Instruction]]:
    if not state.policy.threshold:
        return state, []
    state = replace(state, failures=state.failures + 1)
    if state.phase == "closed" and state.failures < state.policy.threshold:
        return state, []
    return replace(_turn(state, "open"), opened_at=at), [Wake(state.policy.timeout_s)]


def _changed(state: State, policy: Policy, at: float) -> tuple[State, list[Instruction]]:
    state = replace(state, policy=policy)
    if not policy.threshold:
        return _turn(state, "closed") if state.phase != "closed" else replace(state, failures=0), []
    if state.phase == "half_open" and state.passed >= policy.probes:
        return _turn(state, "closed"), []
    state = _aged(state, at)
    return state, _wake(state, at)


def _wake(state: State, at: float) -> list[Instruction]:
    return [Wake(state.until - at)] if state.phase == "open" else []


def _turn(state: State, phase: Phase) -> State:
    """`state` in another phase; nothing that began before belongs to it."""
    failures = 0 if phase == "closed" else state.failures
    return replace(state, phase=phase, generation=state.generation + 1, failures=failures, probing=0, passed=0)
