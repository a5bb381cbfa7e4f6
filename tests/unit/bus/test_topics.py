"""Subscriptions by pattern, against a matcher that compares level by level."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.bus.topics import Topics, is_pattern, is_topic

LEVELS = st.sampled_from(["a", "b", "orders", "", "x y"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join)
HEADS = st.lists(st.one_of(LEVELS, st.just("*")), min_size=1, max_size=4).map("/".join)
PATTERNS = HEADS | HEADS.map(lambda head: f"{head}/**")


def fits(pattern: list[str], topic: list[str]) -> bool:
    if pattern == ["**"]:
        return bool(topic)
    if not pattern or not topic:
        return pattern == topic
    return pattern[0] in ("*", topic[0]) and fits(pattern[1:], topic[1:])


@pytest.mark.parametrize("text", ["a*", "*a", "a/b*/c", "**/a", "a/**/b", "***", "a/***", "* ", "a/* /b"])
def test_star_that_is_not_a_level_of_its_own_is_no_pattern(text: str) -> None:
    assert not is_pattern(text)
    assert not is_topic(text)


@pytest.mark.parametrize("text", ["*", "**", "a/*", "*/a", "a/*/b", "a/**", "*/**"])
def test_pattern_can_be_subscribed_to_and_not_published_to(text: str) -> None:
    assert is_pattern(text)
    assert not is_topic(text)


@given(
    st.lists(st.tuples(PATTERNS | TOPICS, st.sampled_from("pqrs"), st.booleans()), max_size=30),
    st.lists(TOPICS, min_size=1, max_size=10),
)
def test_who_is_found_is_who_is_subscribed(changes: list[tuple[str, str, bool]], topics: list[str]) -> None:
    tree, model = Topics(), set[tuple[str, str]]()
    for pattern, name, subscribed in changes:
        (tree.add if subscribed else tree.discard)(pattern, name)
        (model.add if subscribed else model.discard)((pattern, name))
    assert len(tree) == len(model)
    for topic in topics:
        assert tree.match(topic) == {name for pattern, name in model if fits(pattern.split("/"), topic.split("/"))}
    for pattern, name in model:
        tree.discard(pattern, name)
    assert (len(tree), tree.match(topics[0])) == (0, set())


def test_patterns_mean_what_the_manual_says() -> None:
    tree = Topics()
    for pattern in ("orders/*", "orders/**", "orders/created", "*/created", "**"):
        tree.add(pattern, pattern)
    assert tree.match("orders") == {"**"}
    assert tree.match("orders/created") == {"orders/*", "orders/**", "orders/created", "*/created", "**"}
    assert tree.match("orders/created/today") == {"orders/**", "**"}
