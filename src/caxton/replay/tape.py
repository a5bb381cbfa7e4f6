"""Hosts for guests that are replayed: one answers as recorded, one as nothing was recorded. Neither does anything."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from caxton.replay.divergence import Divergence, call_text, of_calls, outcome_text
from caxton.replay.record import CALLS
from caxton.sandbox.codes import NOT_FOUND, OK
from caxton.sandbox.host import GuestStop

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.replay.record import Call, Handling, State

(
    SEND, LOG, NOW, RANDOM, SET_TIMER, CANCEL_TIMER, KV_GET, KV_SET, KV_DELETE, CALL_TOOL, SUBSCRIBE, UNSUBSCRIBE,
) = range(len(CALLS))  # fmt: skip

AS_RECORDED = "as recorded"
"""Kind of the stop that ends a guest where the host ended it when it was recorded."""

DIVERGED = "diverged"


class Scene:
    """`sandbox.host.Host` for one instance: hands each call to `act`, which is changed between handlings."""

    act: Callable[[int, tuple[Any, ...]], Any]

    def send_message(self, data: bytes) -> int:
        return self.act(SEND, (data,))

    def log(self, level: int, text: bytes, source: str) -> None:
        self.act(LOG, (level, text, source))

    def now_us(self) -> int:
        return self.act(NOW, ())

    def random(self, count: int, /) -> bytes:
        return self.act(RANDOM, (count,))

    def set_timer(self, delay_us: int) -> int:
        return self.act(SET_TIMER, (delay_us,))

    def cancel_timer(self, timer_id: int) -> int:
        return self.act(CANCEL_TIMER, (timer_id,))

    def kv_get(self, key: bytes) -> bytes | None:
        return self.act(KV_GET, (key,))

    def kv_set(self, key: bytes, value: bytes) -> int:
        return self.act(KV_SET, (key, value))

    def kv_delete(self, key: bytes) -> int:
        return self.act(KV_DELETE, (key,))

    def call_tool(self, request: bytes) -> int | bytes:
        return self.act(CALL_TOOL, (request,))

    def subscribe(self, topic: bytes) -> int:
        return self.act(SUBSCRIBE, (topic,))

    def unsubscribe(self, topic: bytes) -> int:
        return self.act(UNSUBSCRIBE, (topic,))


class Tape:
    """Answers the calls of one handling as they were answered, and stops the guest at the first that is another."""

    def __init__(self, handling: Handling) -> None:
        self.handling = handling
        self.at = 0
        """Calls that were the same so far."""
        self.divergence: Divergence | None = None

    @property
    def is_at_its_end(self) -> bool:
        """Every call that was recorded was made."""
        return self.at == len(self.handling.calls)

    def act(self, number: int, arguments: tuple[Any, ...]) -> Any:
        """The answer that was given. Raises `GuestStop` if this is not the call that comes next."""
        calls = self.handling.calls
        if self.at < len(calls):
            known, asked, answer = calls[self.at]
            if known == number and asked == arguments:
                self.at += 1
                return answer
            self.divergence = of_calls(self.at + 1, (known, asked), (number, arguments))
        elif self.handling.outcome.is_by_the_host:
            raise GuestStop(AS_RECORDED, "it was ended here when it was recorded")
        else:
            self.divergence = Divergence(
                call=self.at + 1,
                expected=outcome_text(self.handling.outcome),
                got=call_text(number, arguments),
            )
        raise GuestStop(DIVERGED, "it did something else than what was recorded")


class World:
    """What a forked instance meets: a model of the state it had, and answers that are the same in every run.

    The clock stands at the time of the recorded handling and goes on by a microsecond a reading; random bytes come from
    the life's id; timers get ids that were never given; a tool answers what it answered to the same request, if it ever
    did in this life, and is not found otherwise. Everything that is sent is taken.
    """

    def __init__(self, life_id: str, state: State) -> None:
        self._life_id = life_id
        self.kv = dict(state.kv)
        self._staged: dict[bytes, bytes | None] = {}
        self._next_timer_id = state.next_timer_id
        self._answers: dict[bytes, int | bytes] = {}
        self._now_us = self._drawn = 0
        self.calls: list[Call] = []
        """Of the handling under way."""

    def learn(self, handling: Handling) -> None:
        """What was recorded so far is how it was: state, timers given, tools' answers."""
        changes: dict[bytes, bytes | None] = {}
        for number, arguments, answer in handling.calls:
            if number == KV_SET and answer == OK:
                changes[_bytes(arguments[0])] = _bytes(arguments[1])
            elif number == KV_DELETE and answer == OK:
                changes[_bytes(arguments[0])] = None
            elif number == KV_GET and arguments[0] not in changes:  # other replicas write too
                self._put(_bytes(arguments[0]), answer if isinstance(answer, bytes) else None)
            elif number == SET_TIMER and isinstance(answer, int):
                self._next_timer_id = max(self._next_timer_id, answer + 1)
            elif number == CALL_TOOL and answer is not None:
                self._answers[_bytes(arguments[0])] = answer
        if _succeeded(handling):
            for key, value in changes.items():
                self._put(key, value)

    def begin(self, at_us: int) -> None:
        """A handling begins."""
        self._now_us, self._staged, self.calls = at_us, {}, []

    def end(self, *, succeeded: bool) -> None:
        """It is over: what it wrote holds, or never was."""
        if succeeded:
            for key, value in self._staged.items():
                self._put(key, value)
        self._staged = {}

    def act(self, number: int, arguments: tuple[Any, ...]) -> Any:
        """An answer, as the class says."""
        answer = self._answer(number, arguments)
        self.calls.append((number, arguments, answer))
        return answer

    def _answer(self, number: int, arguments: tuple[Any, ...]) -> Any:
        match number:
            case _ if number == NOW:
                self._now_us += 1
                return self._now_us
            case _ if number == RANDOM:
                return self._random(arguments[0])
            case _ if number == KV_GET:
                return self._get(arguments[0])
            case _ if number == KV_SET:
                self._staged[arguments[0]] = arguments[1]
                return OK
            case _ if number == KV_DELETE:
                if self._get(arguments[0]) is None:
                    return NOT_FOUND
                self._staged[arguments[0]] = None
                return OK
            case _ if number == SET_TIMER:
                self._next_timer_id += 1
                return self._next_timer_id - 1
            case _ if number == CALL_TOOL:
                return self._answers.get(arguments[0], NOT_FOUND)
            case _:
                return OK

    def _get(self, key: bytes) -> bytes | None:
        return self._staged[key] if key in self._staged else self.kv.get(key)

    def _put(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.kv.pop(key, None)
        else:
            self.kv[key] = value

    def _random(self, count: int) -> bytes:
        self._drawn += 1
        return hashlib.shake_256(f"{self._life_id}/{self._drawn}".encode()).digest(count)


def _succeeded(handling: Handling) -> bool:
    return handling.outcome.kind == "returned" and handling.outcome.status == 0


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)  # noqa: S101 - what the format says
    return value
