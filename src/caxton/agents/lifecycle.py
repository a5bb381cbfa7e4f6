"""The life of an agent as a pure machine: event in, instructions out. No clock, no I/O.

```text
loaded ──booted──▶ running ──stop──▶ draining ──drained──▶ stopped
   │                 │  ▲                                     │
   └──boot failed──┐ │  └──booted── crash, at most 3/min      │
                   ▼ ▼                                        │
                  failed ─────────────start───────▶ loaded ◀──┘
```
Source: supervision of the founding documents (at most three restarts a minute, then failed); the count is over all
replicas of the agent, as an Erlang supervisor counts over all its children.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Phase: TypeAlias = Literal["loaded", "running", "draining", "stopped", "failed"]

MAX_RESTARTS = 3
WINDOW_S = 60.0
"""More than `MAX_RESTARTS` crashes within this time, and the agent has failed."""

FIRST_DELAY_S = 0.1
"""Doubles with each crash in the window."""


@dataclass(frozen=True, slots=True)
class State:
    """Where an agent stands."""

    phase: Phase = "loaded"
    crashes: tuple[float, ...] = ()
    """When it crashed within the last window, monotonic seconds."""
    reason: str | None = None
    """Why it failed."""


@dataclass(frozen=True, slots=True)
class StartAsked:
    """It shall run."""


@dataclass(frozen=True, slots=True)
class AllBooted:
    """Every replica of a starting agent is up."""


@dataclass(frozen=True, slots=True)
class BootFailed:
    """A replica of a starting agent did not come up."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rebooted:
    """One replica is up again after a crash."""

    replica: int


@dataclass(frozen=True, slots=True)
class Crashed:
    """One replica is gone: a trap, or its restart did not succeed."""

    replica: int
    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class StopAsked:
    """It shall stop; `force`: without finishing the messages in hand."""

    force: bool = False


@dataclass(frozen=True, slots=True)
class Drained:
    """No message is in hand any more."""


Event: TypeAlias = StartAsked | AllBooted | BootFailed | Rebooted | Crashed | StopAsked | Drained


@dataclass(frozen=True, slots=True)
class BootAll:
    """Make an instance for every replica; answer with `AllBooted` or `BootFailed`."""


@dataclass(frozen=True, slots=True)
class OpenAll:
    """Give every replica its mail."""


@dataclass(frozen=True, slots=True)
class Reboot:
    """Make one instance after `delay_s`; answer with `Rebooted` or `Crashed`."""

    replica: int
    delay_s: float


@dataclass(frozen=True, slots=True)
class Open:
    """Give one replica its mail."""

    replica: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Give out no more mail; answer with `Drained` once nothing is in hand."""


@dataclass(frozen=True, slots=True)
class CloseAll:
    """Free every instance; `politely`: after telling each (`agent_shutdown`)."""

    politely: bool


Instruction: TypeAlias = BootAll | OpenAll | Reboot | Open | Drain | CloseAll


def on_event(state: State, event: Event) -> tuple[State, list[Instruction]]:
    """What follows from `event`. Events that mean nothing in this phase change nothing: they came too late."""
    match state.phase, event:
        case (("loaded" | "stopped" | "failed"), StartAsked()):
            return State("loaded"), [BootAll()]
        case "loaded", AllBooted():
            return replace(state, phase="running"), [OpenAll()]
        case "loaded", BootFailed(reason):
            return State("failed", reason=reason), [CloseAll(politely=False)]
        case "running", Rebooted(replica):
            return state, [Open(replica)]
        case "running", Crashed():
            return _crashed(state, event)
        case "running", StopAsked(force=False):
            return replace(state, phase="draining"), [Drain()]
        case "draining", Drained():
            return State("stopped"), [CloseAll(politely=True)]
        case (("loaded" | "running" | "draining" | "failed"), StopAsked()):
            return State("stopped"), [CloseAll(politely=False)]
        case _:
            return state, []


def _crashed(state: State, event: Crashed) -> tuple[State, list[Instruction]]:
    crashes = (*(at for at in state.crashes if event.at - at < WINDOW_S), event.at)
    if len(crashes) > MAX_RESTARTS:
        reason = f"{len(crashes)} crashes within {WINDOW_S:.0f} s, the last: {event.reason}"
        return State("failed", reason=reason), [CloseAll(politely=False)]
    delay_s = FIRST_DELAY_S * 2 ** (len(crashes) - 1)
    return replace(state, crashes=crashes), [Reboot(event.replica, delay_s)]
