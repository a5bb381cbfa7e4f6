"""docs/reference/tools.md says of MCP servers what the code does."""

from __future__ import annotations

import re
from typing import get_args

from caxton.bus.retry import FIRST_DELAY_S, MAX_DELAY_S
from caxton.tools.mcp.outcomes import INVALID_PARAMS, NO_METHOD, failure_of
from caxton.tools.mcp.pipes import GRACE_S
from caxton.tools.mcp.session import KEY
from caxton.tools.source import Trouble
from tests.docs.tables import read_page, rows, section

SECTION = section(read_page("reference/tools.md"), "## MCP servers")


def test_every_trouble_of_a_server_is_explained() -> None:
    explained = {word for row in rows(SECTION, "Trouble", "When") for word in re.findall(r"`(\w+)`", row[0])}
    assert explained == set(get_args(Trouble)) - {"refused"}


def test_figures_and_names_are_those_of_the_code() -> None:
    assert f"back-off of {FIRST_DELAY_S:g} s" in SECTION
    assert f"to {MAX_DELAY_S:g} s" in SECTION
    assert SECTION.count(f"{GRACE_S:g} s") == 2
    assert f"`{KEY}`" in SECTION
    assert (failure_of(NO_METHOD).trouble, failure_of(INVALID_PARAMS).trouble) == ("not_found", "invalid")
