from __future__ import annotations

from caxton.logs.meter import EXTRA_LINE_BYTES, Meter


def test_bytes_of_a_second_are_bounded_and_what_was_too_much_is_counted_once() -> None:
    meter = Meter(10)
    assert [meter.admits(b"1234", 0), meter.admits(b"1234", 999_999), meter.admits(b"", 999_999)] == [True, True, False]
    assert meter.admits(b"1234", 1_000_000)
    assert meter.tell() == "1 log lines were dropped: more than 10 bytes a second"
    assert meter.tell() is None


def test_text_larger_than_a_second_may_have_is_never_admitted() -> None:
    meter = Meter(10)
    assert not any(meter.admits(b"x" * 10, second * 1_000_000) for second in range(5))
    assert meter.dropped == 5


def test_each_further_line_of_a_text_counts_for_what_keeping_it_costs() -> None:
    meter = Meter(EXTRA_LINE_BYTES * 2 + 6)
    assert meter.admits(b"a\nb\nc", 0)
    assert not Meter(EXTRA_LINE_BYTES * 2 + 5).admits(b"a\nb\nc", 0)
    assert Meter(3).admits(b"a\n", 0)
    assert not Meter(256 * 1024).admits(b"\n" * 16384, 0)
