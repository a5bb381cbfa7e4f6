from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from caxton.core.token_bucket import TokenBucket


def test_burst_is_there_at_once_and_then_the_rate() -> None:
    bucket = TokenBucket(10, 3)
    for _ in range(3):
        assert bucket.wait_s(5.0) == 0
        bucket.take(5.0)
    assert round(bucket.wait_s(5.0), 9) == 0.1
    assert round(bucket.wait_s(5.06), 9) == 0.04
    assert bucket.wait_s(5.11) == 0


def test_pause_fills_no_more_than_the_burst() -> None:
    bucket = TokenBucket(10, 3)
    bucket.take(0.0)
    for _ in range(3):
        assert bucket.wait_s(1e9) == 0
        bucket.take(1e9)
    assert bucket.wait_s(1e9) > 0


@given(st.lists(st.floats(0, 0.05), max_size=200))
def test_no_pattern_of_asking_gets_more_than_burst_and_rate(pauses: list[float]) -> None:
    bucket, now, taken = TokenBucket(100, 20), 0.0, 0
    for pause in pauses:
        now += pause
        while bucket.wait_s(now) == 0:
            bucket.take(now)
            taken += 1
        assert taken <= 20 + now * 100 + 1e-6
