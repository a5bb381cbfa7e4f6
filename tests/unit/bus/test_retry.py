"""When a failed message comes again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.bus.retry import FIRST_DELAY_S, MAX_DELAY_S, retry_delay_s


def test_delay_doubles_from_a_tenth_of_a_second() -> None:
    assert [retry_delay_s(attempt, 0.0) for attempt in (2, 3, 4, 5)] == pytest.approx([0.1, 0.2, 0.4, 0.8])


@given(st.integers(2, 10_000), st.floats(0, 1))
def test_delay_is_never_beyond_its_bounds(attempt: int, jitter: float) -> None:
    assert 0.75 * FIRST_DELAY_S <= retry_delay_s(attempt, jitter) <= MAX_DELAY_S


@given(st.integers(2, 60), st.floats(0, 1))
def test_jitter_takes_at_most_a_quarter_and_later_attempts_wait_longer(attempt: int, jitter: float) -> None:
    longest = retry_delay_s(attempt, 0.0)
    assert 0.75 * longest <= retry_delay_s(attempt, jitter) <= longest
    assert retry_delay_s(attempt + 1, jitter) >= retry_delay_s(attempt, jitter)
