"""What docs/reference/tools.md says of the way out and of the tool `http` is so."""

from __future__ import annotations

import re

from caxton.egress.hosts import parse_hosts
from caxton.egress.request import METHODS
from caxton.tools.builtin.http import FETCH
from tests.docs.tables import assert_same, read_page, rows, section, word

PAGE = read_page("reference/tools.md")
WAY_OUT = section(PAGE, "## The way out")


def test_every_entry_of_allowed_hosts_on_the_page_is_one() -> None:
    entries = [
        entry
        for row in rows(WAY_OUT, "Entry of `allowed_hosts`", "Permits")
        for entry in re.findall(r"`([^`]+)`", row[0])
    ]
    assert len(entries) == 6
    hosts = parse_hosts(entries)
    assert hosts.permits("api.example.com", 443)
    assert hosts.permits("a.b.example.com", 443)
    assert not hosts.permits("example.com", 443)


def test_arguments_of_fetch_are_those_of_its_schema() -> None:
    table = rows(WAY_OUT, "Argument", "Meaning")
    listed = [name for row in table for name in re.findall(r"`(\w+)`", row[0])]
    assert_same("arguments", code=FETCH.input_schema["properties"], page=listed)
    methods = next(row[1] for row in table if word(row[0]) == "method")
    assert_same("methods", code=METHODS, page=re.findall(r"`(\w+)`", methods))


def test_answer_of_fetch_has_what_the_page_says() -> None:
    told = WAY_OUT.split("`structuredContent` has", 1)[1].split("A status", 1)[0]
    output = FETCH.output_schema or {}
    assert_same("fields", code=output["properties"], page=re.findall(r"`(\w+)`", told))
