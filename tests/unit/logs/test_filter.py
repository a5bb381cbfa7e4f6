"""Which lines are shown, and which patterns a server lets itself be asked for."""

from __future__ import annotations

import pytest

from caxton.core.errors.values import InvalidValue
from caxton.logs.filter import MAX_PATTERN_CHARS, LogFilter, pattern
from caxton.logs.line import MAX_LINE_CHARS, Context, Record, to_line

TALK = Context("m", "c-1", "ab" * 16, "", 1)


def record(text: str = "said", *, level: int = 2, context: Context | None = TALK) -> Record:
    return Record(1, 0, "default", "a", 0, level, "guest", text, context)


@pytest.mark.parametrize(
    "text",
    ["(", "[a", "*", "a{2000}", "(?=x)", "(?<!x)y", r"\1", r"\p{Nope}", "x**", "(?P<n", "\ud800", "",
     "((a{100}){100}){100}", "(.?){500}"],
)  # fmt: skip
def test_pattern_that_is_none_or_costs_too_much_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        pattern(text)
    assert caught.value.details()["what"] == "grep"


def test_pattern_is_limited_in_length() -> None:
    assert pattern("x" * MAX_PATTERN_CHARS)("x" * MAX_PATTERN_CHARS)
    with pytest.raises(InvalidValue):
        pattern("x" * (MAX_PATTERN_CHARS + 1))


@pytest.mark.parametrize("text", ["(a*)*b", "(a|a)*b", "(a|aa)+$b", "(.*)*x", ".*.*.*.*.*.*.*x$", "(x+x+)+y"])
def test_pattern_that_would_never_end_elsewhere_ends(text: str) -> None:
    """A backtracking matcher takes longer than the universe for these."""
    assert not pattern(text)("a" * MAX_LINE_CHARS)


@pytest.mark.parametrize(
    ("text", "line", "is_found"),
    [
        ("refused", "connection refused by peer", True),
        ("Refused", "connection refused by peer", False),
        ("(?i)REFUSED|timeout", "connection refused", True),
        (r"order-\d+ failed$", "order-4711 failed", True),
        (r"order-\d+ failed$", "order-4711 failed twice", False),
        ("^a", "ba", False),
        ("größe", "die größe", True),
        ("\\x{fffd}", "bin\ufffdary", True),
        ("a.b", "a\U0001f600b", True),
    ],
)
def test_pattern_is_found_anywhere_in_a_line_and_minds_case_unless_told(text: str, line: str, is_found: bool) -> None:
    assert pattern(text)(line) is is_found


def test_record_must_fit_level_conversation_and_pattern_alike() -> None:
    wanted = LogFilter(level="warn", conversation_id="c-1", grep="x+")
    matches = wanted.test()
    cases = {
        record("xx", level=3): True,
        record("xx", level=4): True,
        record("xx", level=2): False,
        record("yy", level=3): False,
        record("xx", level=3, context=None): False,
        record("xx", level=3, context=TALK._replace(conversation_id="c-2")): False,
    }
    assert {one: matches(one) for one in cases} == cases
    assert {one: wanted.shows(to_line(one)) for one in cases} == cases


def test_shown_line_is_of_one_of_the_agents() -> None:
    line = to_line(record())
    assert LogFilter(agents=frozenset({"a"})).shows(line)
    assert not LogFilter(agents=frozenset({"b"})).shows(line)
    assert LogFilter().test()(record(context=None))
