"""Every promise names its page and its tests, and both exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.requirements import REQUIREMENTS, Requirement

ROOT = Path(__file__).resolve().parents[2]


def all_tests() -> set[str]:
    """Names of all test functions in the tree."""
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found.add(node.name)
    return found


TESTS = all_tests()


@pytest.mark.parametrize("requirement", REQUIREMENTS.values(), ids=REQUIREMENTS)
def test_promise_has_its_page_and_its_tests_or_a_known_gap(requirement: Requirement) -> None:
    assert (ROOT / requirement.source).is_file()
    assert requirement.tests or requirement.gap
    assert set(requirement.tests) - TESTS == set()
