"""Which records the selection gets to see."""

from __future__ import annotations

import pytest

from caxton.recorder.record import CRASHED, DEAD, FAILED, LOST, REFUSED, REPLIED, SETTLED, TIMER, TOOL
from caxton.telemetry.sieve import LOOKED_AT, Sieve
from tests.unit.telemetry.records import TRACE, record

OTHER = TRACE.replace("0", "1")


def test_first_records_of_each_look_are_all_let_through() -> None:
    sieve, one = Sieve(), record()
    assert sieve.sift([one] * (LOOKED_AT - 1), ()) == [one] * (LOOKED_AT - 1)
    assert sieve.sift([one] * 3, ()) == [one]
    assert sieve.sift([one] * 3, ()) == []
    sieve.next_look()
    assert len(sieve.sift([one] * (LOOKED_AT + 1), ())) == LOOKED_AT


@pytest.mark.parametrize("kind", [FAILED, CRASHED, DEAD, REFUSED, LOST, TOOL])
def test_what_may_have_gone_wrong_is_always_let_through(kind: int) -> None:
    sieve = full()
    bad = record(kind=kind, seq=9)
    assert sieve.sift([record(), bad, record(kind=TIMER), record(kind=REPLIED), bad], ()) == [bad, bad]


@pytest.mark.parametrize("kind", [SETTLED, TIMER, REPLIED, FAILED])
def test_traces_that_are_kept_are_always_let_through_in_their_order(kind: int) -> None:
    sieve = full()
    first, second = record(seq=1, kind=kind), record(seq=2, trace=OTHER, kind=FAILED)
    assert sieve.sift([record(trace=""), first, record(trace=""), second], {TRACE}) == [first, second]


def full() -> Sieve:
    """One that has let through what it may in this look."""
    sieve = Sieve()
    sieve.sift([record()] * LOOKED_AT, ())
    return sieve
