"""The list of mutants fits the code: each one's place is there, once, and is really changed."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.mutants import MUTANTS, ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.promise for mutant in MUTANTS])
def test_mutant_changes_exactly_one_place_and_its_tests_exist(mutant: Mutant) -> None:
    text = (ROOT / "src" / "caxton" / mutant.file).read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1
    assert mutant.new != mutant.old
    assert mutant.tests
    assert [name for name in mutant.tests if not (ROOT / name).exists()] == []


def test_no_two_mutants_break_the_same_promise() -> None:
    assert [promise for promise, times in Counter(mutant.promise for mutant in MUTANTS).items() if times > 1] == []
