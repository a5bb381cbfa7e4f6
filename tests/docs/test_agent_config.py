"""docs/reference/agent-config.md lists the keys of an agent's configuration with their bounds and defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from caxton.agents.definition import MAX_CAPABILITIES, MAX_REPLICAS, Definition, define
from caxton.agents.settings import settings_of
from caxton.cli.agent_config import MAX_CONFIG_BYTES, MAX_DEPTH, read_agent_config
from caxton.core.errors.values import InvalidName, InvalidValue
from caxton.core.units import parse_duration, parse_size
from caxton.core.views.agents import AgentSpec, Bulkhead, CircuitBreaker, Resources, ToolGrant
from caxton.core.views.settings import AgentPatch, ResourcesPatch
from caxton.tools.grants import MAX_CALLS_PER_S, MAX_PATTERNS, Grant
from tests.docs.tables import assert_same, block, read_page, rows, section, word, words

if TYPE_CHECKING:
    from pathlib import Path

PAGE = read_page("reference/agent-config.md")
KEYS = rows(section(PAGE, "## Keys"), "Key")
RESOURCES = {word(row[0]): row for row in rows(section(PAGE, "## Resources"), "Key", "Unit")}

FIELDS = {"memory": "memory_bytes", "timeout": "wall_time_s", "cpu_time": "cpu_time_s"}
"""Names that the definition spells with their unit; the others are the same there."""


def defined(**resources: Any) -> Definition:
    return define(AgentSpec(name="a", resources=Resources(**resources)))


def value_of(definition: Definition, key: str) -> float:
    field = FIELDS.get(key, key)
    return getattr(definition if hasattr(definition, field) else definition.limits, field)


def number(unit: str, cell: str) -> float:
    text = word(cell)
    if unit == "count":
        return int(text)
    return parse_size(text) if unit == "size" else parse_duration(text)


def test_every_key_has_a_line_and_every_line_its_key() -> None:
    assert_same("keys", code=AgentSpec.__struct_fields__, page=[word(row[0]) for row in KEYS])


def test_every_resource_has_a_line_and_every_line_its_resource() -> None:
    listed = [word(row[0]) for row in rows(section(PAGE, "## Resources"), "Key", "Unit")]
    assert_same("resources", code=Resources.__struct_fields__, page=listed)


@pytest.mark.parametrize("key", RESOURCES)
def test_bounds_and_default_are_right(key: str) -> None:
    _, unit, *cells, _, _ = RESOURCES[key]
    least, most, default = (number(unit, cell) for cell in cells)
    assert value_of(defined(), key) == default
    assert [value_of(defined(**{key: value}), key) for value in (least, most)] == [least, most]
    step = 0.0001 if unit == "duration" else 1
    for wrong in (least - step, most + step):
        with pytest.raises(InvalidValue):
            defined(**{key: wrong})


@pytest.mark.parametrize("key", RESOURCES)
def test_unit_is_right(key: str) -> None:
    texts = {"size": "2MB", "duration": "2s"}
    unit = RESOURCES[key][1]
    for kind, text in texts.items():
        if kind == unit:
            msgspec.convert({key: text}, Resources)
            assert value_of(defined(**{key: text}), key) == (2 << 20 if kind == "size" else 2.0)
    if unit == "count":
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({key: "2"}, Resources)


def test_other_keys_say_their_bounds_and_defaults() -> None:
    cells = {word(row[0]): (row[1], row[2]) for row in KEYS}
    spec = AgentSpec(name="a")
    assert cells["replicas"] == (f"`1` to `{MAX_REPLICAS}`", f"`{spec.replicas}`")
    assert cells["runtime"] == (f"`{spec.runtime}`", f"`{spec.runtime}`")
    assert cells["capabilities"] == (f"up to {MAX_CAPABILITIES} names, each as `name`", "none")
    assert cells["name"][0].startswith("1 to 64 ")
    assert cells["version"] == ("1 to 64 characters", "none")
    define(AgentSpec(name="a" * 64, version="v" * 64, replicas=MAX_REPLICAS, capabilities=["c"] * MAX_CAPABILITIES))
    with pytest.raises(InvalidName):
        define(AgentSpec(name="a" * 65))
    for wrong in ({"version": "v" * 65}, {"version": ""}, {"replicas": MAX_REPLICAS + 1}, {"replicas": 0},
                  {"capabilities": ["c"] * (MAX_CAPABILITIES + 1)}, {"runtime": "native"}):  # fmt: skip
        with pytest.raises(InvalidValue):
            define(AgentSpec(name="a", **wrong))  # pyright: ignore[reportArgumentType]


def test_example_is_valid_and_has_every_key(tmp_path: Path) -> None:
    file = tmp_path / "agent-config.yaml"
    file.write_text(block(PAGE, "yaml"), encoding="utf-8")
    spec = read_agent_config(file, default_name="none")
    definition = define(spec)
    assert (definition.name, definition.version, definition.replicas) == ("sorter", "1.4", 3)
    said = {key for key in Resources.__struct_fields__ if getattr(spec.resources, key) is not None}
    assert_same("resources in the example", code=Resources.__struct_fields__, page=said)
    for group, (_, kind) in {**GUARDS, "tools": ("", ToolGrant)}.items():
        said = {key for key in kind.__struct_fields__ if getattr(getattr(spec, group), key) is not None}
        assert_same(f"{group} in the example", code=kind.__struct_fields__, page=said)


GUARDS: dict[str, tuple[str, Any]] = {
    "circuit_breaker": ("## Circuit breaker", CircuitBreaker),
    "bulkhead": ("## Bulkhead", Bulkhead),
}
GUARD_KEYS = {
    (group, word(row[0])): row for group, (heading, _) in GUARDS.items() for row in rows(section(PAGE, heading), "Key")
}
SETTING = {("circuit_breaker", "timeout"): "timeout_s"}


def guarded(group: str, **values: Any) -> Any:
    """That group of settings as it would hold."""
    return getattr(settings_of(define(AgentSpec(name="a", **{group: GUARDS[group][1](**values)}))), group)


@pytest.mark.parametrize("group", GUARDS)
def test_every_key_of_a_guard_has_a_line(group: str) -> None:
    listed = [key for of, key in GUARD_KEYS if of == group]
    assert_same(group, code=GUARDS[group][1].__struct_fields__, page=listed)


@pytest.mark.parametrize(("group", "key"), GUARD_KEYS)
def test_bounds_and_default_of_a_guard_are_right(group: str, key: str) -> None:
    _, unit, *cells, _ = GUARD_KEYS[group, key]
    least, most, default = (number(unit, cell) for cell in cells)
    name = SETTING.get((group, key), key)
    assert getattr(guarded(group), name) == default
    assert [getattr(guarded(group, **{key: value}), name) for value in (least, most)] == [least, most]
    step = 0.0001 if unit == "duration" else 1
    for wrong in (least - step, most + step):
        with pytest.raises(InvalidValue):
            guarded(group, **{key: wrong})


def test_every_key_of_tools_has_a_line_with_its_bounds() -> None:
    cells = {word(row[0]): (row[1], row[2]) for row in rows(section(PAGE, "## Tools"), "Key")}
    assert_same("tools", code=ToolGrant.__struct_fields__, page=cells)
    default = Grant()
    assert cells["calls_per_s"] == (f"more than 0, up to `{MAX_CALLS_PER_S:.0f}`", f"`{default.calls_per_s:g}`")
    assert cells["required"][0].startswith(f"up to {MAX_PATTERNS} names, ")
    assert defined_tools(required=words(cells["required"][0])).allows("files.read_all")
    assert (default.required, default.max_calls, default.max_cost) == ((), None, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"required": ["*"]}, {"required": ["web"]}, {"required": ["*.search"]}, {"required": ["web.se*rch"]},
        {"required": [""]}, {"required": [f"a.b{n}" for n in range(MAX_PATTERNS + 1)]},
        {"calls_per_s": 0}, {"calls_per_s": float("nan")}, {"calls_per_s": MAX_CALLS_PER_S + 1},
        {"max_calls": -1}, {"max_cost": -0.1}, {"max_cost": float("inf")},
    ],
)  # fmt: skip
def test_grant_out_of_bounds_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        defined_tools(**wrong)


def defined_tools(**values: Any) -> Grant:
    return define(AgentSpec(name="a", tools=ToolGrant(**values))).tools


def test_page_names_every_setting_that_changes_while_it_runs() -> None:
    named = set(words(section(PAGE, "## Changes while it runs")))
    assert {*GUARDS, "resources", "record", *ResourcesPatch.__struct_fields__} <= named
    assert (*GUARDS, "resources", "record") == AgentPatch.__struct_fields__


def test_limits_of_the_file_are_right() -> None:
    said = f"at most {MAX_CONFIG_BYTES >> 10} KiB and {MAX_DEPTH} levels"
    assert said in " ".join(section(PAGE, "## The file").split())


def test_units_on_the_page_are_understood() -> None:
    text = section(PAGE, "## Amounts").partition("Sizes are")[2]
    sizes, durations = text.split("Durations are")
    for unit in words(sizes):
        assert parse_size(f"1{unit}") in (1 << 10, 1 << 20, 1 << 30)
    for unit in words(durations.partition(". ")[0]):
        assert parse_duration(f"1{unit}") > 0
