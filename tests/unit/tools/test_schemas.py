from __future__ import annotations

from typing import Any

import pytest

from caxton.tools.schemas import (
    MAX_SCHEMA_BYTES,
    MAX_SCHEMA_DEPTH,
    MAX_SCHEMA_STEPS,
    BadSchema,
    Checker,
    check_schema,
    depth_of,
)


def doubling(levels: int) -> dict[str, Any]:
    """Each definition refers twice to the next."""
    twice = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/a0", "$defs": {**twice, f"a{levels}": {"type": "object"}}}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        doubling(40),
        nested(MAX_SCHEMA_DEPTH),
        {"description": "x" * MAX_SCHEMA_BYTES},
        {"$ref": "http://127.0.0.1:1/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "other.json"},
        {"properties": {"a": {"$id": "http://127.0.0.1:1/", "$ref": "x"}}},
        {"$dynamicRef": "#x"},
        {"type": "nonsense"},
        {"$schema": "http://127.0.0.1:1/dialect"},
        {"pattern": "^(a)\\1$"},
        {"pattern": "("},
        {"$ref": "#/nowhere"},
        {"enum": [object()]},
    ],
    ids=range(14),
)
def test_schema_of_a_stranger_that_may_do_harm_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(BadSchema):
        Checker(schema)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "object", "properties": {"n": {"type": "integer"}}}, {"n": 1}, {"n": "1"}),
        ({"$defs": {"n": {"type": "integer"}}, "properties": {"n": {"$ref": "#/$defs/n"}}}, {"n": 1}, {"n": "1"}),
        ({"$defs": {"n": {"$anchor": "n", "type": "integer"}}, "items": {"$ref": "#n"}}, [1], ["1"]),
        ({"properties": {"child": {"$ref": "#"}, "n": {"type": "integer"}}}, {"child": {"n": 1}}, {"child": {"n": ""}}),
        ({"properties": {"$ref": {"type": "string"}, "$id": {"type": "string"}}}, {"$ref": "x"}, {"$ref": 1}),
        ({"prefixItems": [{"type": "string"}], "items": False}, ["a"], ["a", 1]),
        ({"pattern": "^(a+)+$"}, "a" * 40, "a" * 40 + "!"),
        ({"properties": {"a/b": {"$ref": "#/properties/c~1d"}, "c/d": {"type": "null"}}}, {"a/b": None}, {"a/b": 1}),
    ],
    ids=range(8),
)
def test_values_are_checked(schema: dict[str, Any], good: Any, bad: Any) -> None:
    checker = Checker(schema)
    assert checker.is_good(good)
    assert checker.complaint(good) == ""
    assert not checker.is_good(bad)
    assert checker.complaint(bad)


def test_places_are_counted_with_references_followed() -> None:
    assert check_schema({"type": "object"}) == 1
    assert check_schema({"$defs": {"unused": {"a": {}}}, "type": "object"}) == 1
    assert check_schema(doubling(1)) == 6  # the root, the first definition, and twice a reference with the last one
    assert check_schema(doubling(5)) > 2**5
    assert check_schema({"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}}) < 10
    with pytest.raises(BadSchema, match=str(MAX_SCHEMA_STEPS)):
        check_schema(doubling(12))


def test_value_that_takes_too_long_to_check_is_told_before() -> None:
    light, heavy = Checker({"type": "object"}), Checker(doubling(8))
    assert light.has_time(1 << 20)
    assert heavy.has_time(1 << 10)
    assert not heavy.has_time(1 << 20)


def test_complaint_tells_the_place_and_nothing_that_was_said() -> None:
    checker = Checker({"properties": {"a": {"items": {"type": "integer"}}}})
    assert checker.complaint({"a": [1, "secret"]}) == "a[1] breaks 'type'"
    assert Checker({"type": "object"}).complaint("secret") == "the whole breaks 'type'"


LEVELS: list[tuple[Any, int]] = [(1, 0), ([], 1), ({}, 1), ([1], 1), ({"a": {"b": []}}, 3), ([[[[]]]], 4)]


@pytest.mark.parametrize(("value", "depth"), LEVELS)
def test_levels_are_counted(value: Any, depth: int) -> None:
    assert depth_of(value, 10) == depth
    assert depth_of(value, 2) == min(depth, 3)
