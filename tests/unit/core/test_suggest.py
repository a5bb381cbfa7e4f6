from __future__ import annotations

from caxton.core.suggest import nearest


def test_nothing_is_suggested_for_what_is_like_nothing() -> None:
    assert nearest("zzz", ["ping", "pong"]) is None
    assert nearest("ping", []) is None
    assert nearest("", ["ping"]) is None


def test_nearest_word_is_found_whatever_its_case_and_length() -> None:
    assert nearest("pnig", ["counter", "ping"]) == "ping"
    assert nearest("PING", ["counter", "ping"]) == "ping"
    assert nearest("counterr" + "x" * 100_000, ["counter"]) is None


def test_word_that_is_begun_is_meant_if_it_is_the_only_one() -> None:
    assert nearest("stat", ["start", "status", "stop"]) == "status"
    assert nearest("sta", ["start", "status"]) in ("start", "status")
