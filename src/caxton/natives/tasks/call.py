"""A task as somebody outside asks for it, checked: whom to call, by which rule, until when. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

import msgspec

from caxton.core.errors.messages import MessageTooLarge
from caxton.core.errors.requests import InvalidRequest
from caxton.core.errors.values import InvalidValue
from caxton.core.ids import RESERVED_NAMES, parse_agent_name, parse_capability, parse_task_id
from caxton.core.units import parse_duration
from caxton.natives.tasks.bid import MAX_FIGURE, WEIGHED, Rule

if TYPE_CHECKING:
    from caxton.core.views.tasks import TaskSpec

MAX_PARTICIPANTS = 256
"""Each may bid and must be answered; with more, compare the reputation of a few instead."""

MAX_CONTENT_BYTES = 64 << 10
"""It goes to every participant; what is larger belongs where all can fetch it."""

MIN_DEADLINE_S = 0.1
MAX_DEADLINE_S = 23 * 3_600.0
"""Before a conversation in which nothing is said is ended."""

MAX_RESULT_DEADLINE_S = 23 * 3_600.0
"""Likewise."""

PROTOCOLS = ("contract-net", "fipa-contract-net")

MAX_WEIGHT = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A checked call for proposals."""

    id: str
    """Empty: the node gives one."""
    names: list[str]
    """Participants, each once; empty if they are to be found by `capability`."""
    capability: str
    rule: Rule
    content: bytes
    call_us: int
    work_us: int
    created_by: str

    @property
    def digest(self) -> str:
        """The same for the same task, however its durations were written."""
        told = (self.names, self.capability, self.rule, self.content, self.call_us, self.work_us)
        return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


def check_call(spec: TaskSpec, created_by: str) -> Call:
    """`spec` as a call. Raises `InvalidName`, `InvalidRequest`, `InvalidValue`, `MessageTooLarge`."""
    if spec.protocol not in PROTOCOLS:
        raise InvalidValue("protocol", spec.protocol, f"tasks are negotiated by {PROTOCOLS[0]}")
    if bool(spec.participants) == bool(spec.capability):
        raise InvalidRequest("name either participants or a capability", field="participants")
    if len(spec.content) > MAX_CONTENT_BYTES:
        raise MessageTooLarge(len(spec.content), MAX_CONTENT_BYTES)
    return Call(
        id="" if spec.id is None else parse_task_id(spec.id),
        names=_participants(spec.participants),
        capability=parse_capability(spec.capability) if spec.capability else "",
        rule=_rule(spec),
        content=bytes(spec.content) or b"null",
        call_us=_microseconds(spec.deadline, "deadline", MAX_DEADLINE_S),
        work_us=_microseconds(spec.result_deadline, "result_deadline", MAX_RESULT_DEADLINE_S),
        created_by=created_by,
    )


def _participants(given: list[str]) -> list[str]:
    if len(given) > MAX_PARTICIPANTS:
        raise InvalidValue("participants", len(given), f"call 1 to {MAX_PARTICIPANTS} agents, or a capability")
    names = list(dict.fromkeys(parse_agent_name(name) for name in given))
    for name in names:
        if name in RESERVED_NAMES:
            raise InvalidValue("participants", name, "it is an agent of the server's own, which takes no tasks")
    return [*names]


def _rule(spec: TaskSpec) -> Rule:
    weights = spec.weights or {"cost": 1.0}
    for name, weight in weights.items():
        if name not in WEIGHED:
            raise InvalidValue("weights", name, f"weigh {', '.join(WEIGHED)}")
        if not (isfinite(weight) and 0 <= weight <= MAX_WEIGHT):
            raise InvalidValue(f"weights.{name}", weight, f"give 0 to {MAX_WEIGHT:g}")
    if not sum(weights.values()) >= 1 / MAX_WEIGHT:
        raise InvalidValue("weights", 0, "at least one must count")
    if not 1 <= spec.winners <= MAX_PARTICIPANTS:
        raise InvalidValue("winners", spec.winners, f"give 1 to {MAX_PARTICIPANTS}")
    return Rule(
        weights={name: float(weight) for name, weight in sorted(weights.items())},
        max_cost=_limit("max_cost", spec.max_cost),
        max_tokens=_limit("max_tokens", spec.max_tokens),
        winners=spec.winners,
    )


def _limit(what: str, value: float | None) -> float | None:
    if value is not None and not (isfinite(value) and 0 <= value <= MAX_FIGURE):
        raise InvalidValue(what, value, f"give 0 to {MAX_FIGURE:g}")
    return None if value is None else float(value)


def _microseconds(value: object, what: str, high_s: float) -> int:
    seconds = parse_duration(value, what=what)
    if not MIN_DEADLINE_S <= seconds <= high_s:
        raise InvalidValue(what, value, f"give {MIN_DEADLINE_S:g} s to {high_s:g} s")
    return round(seconds * 1e6)
