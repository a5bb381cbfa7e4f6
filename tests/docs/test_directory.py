"""docs/reference/directory.md has each action, key, error and limit of the agents of the server's own, no others."""

from __future__ import annotations

import inspect
import json
import re

import msgspec
import pytest

from caxton.core.ids import DEFAULT_CAPABILITY_PRIORITY, MAX_CAPABILITY_PRIORITY
from caxton.natives import desk, facilitator, management
from caxton.natives.facilitator import MAX_LEASE_S, MAX_LOOKED_AT, MAX_PROPERTIES_BYTES, MAX_RESULTS, Offered
from tests.docs.tables import assert_same, block, read_page, rows, section, word, words

PAGE = read_page("reference/directory.md")
DF, AMS = section(PAGE, "## `df`: who can do what"), section(PAGE, "## `ams`: which agents there are")

ACTIONS = [(DF, facilitator.ACTIONS), (AMS, management.ACTIONS)]
EVERYWHERE = {"action", "agent"}
"""Keys that are told of beside the table."""


def keys_of(text: str) -> dict[str, set[str]]:
    """Keys by action."""
    return {action: set(words(row[1])) for row in rows(text, "`action`", "Keys") for action in words(row[0])}


@pytest.mark.parametrize(("text", "actions"), ACTIONS, ids=["df", "ams"])
def test_every_action_has_a_line_with_its_keys(text: str, actions: dict[str, type[msgspec.Struct]]) -> None:
    found = keys_of(text)
    assert_same("actions", code=actions, page=found)
    for action, kind in actions.items():
        assert set(kind.__struct_fields__) - EVERYWHERE <= found[action]
        assert found[action] <= {*kind.__struct_fields__, *management.STATES}


def test_every_error_has_a_line_with_its_act() -> None:
    code = set[str]()
    for module in (desk, facilitator, management):
        code |= set(re.findall(r'"([A-Z]+_[A-Z_]+)"', inspect.getsource(module)))
    listed = {word(row[0]): word(row[1]) for row in rows(PAGE, "`error`", "Act")}
    assert_same("errors", code=code, page=listed)
    assert set(listed.values()) == {"refuse", "failure", "not-understood"}


def test_keys_of_an_offer_have_their_bounds_and_defaults() -> None:
    cells = {word(row[0]): row for row in rows(DF, "Key", "Values", "Default")}
    assert_same("keys", code=Offered.__struct_fields__, page=cells)
    assert cells["priority"][1:3] == [f"`0` to `{MAX_CAPABILITY_PRIORITY}`", f"`{DEFAULT_CAPABILITY_PRIORITY}`"]
    assert f"{MAX_PROPERTIES_BYTES:,} bytes" in cells["properties"][1]
    assert cells["lease_s"][1] == f"`1` to `{MAX_LEASE_S}` seconds"


def test_limits_of_a_search_are_right() -> None:
    assert f"{MAX_RESULTS} results at most and looks at {MAX_LOOKED_AT:,}" in " ".join(DF.split())
    assert facilitator.MAX_RESULTS == management.MAX_RESULTS


def test_examples_are_requests() -> None:
    for line in block(DF, "json").splitlines():
        content = json.loads(line)
        msgspec.convert(content, facilitator.ACTIONS[content["action"]])
