from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.core.errors.values import InvalidName
from caxton.core.ids import parse_agent_name, parse_capability, parse_workspace_name

PARSERS = [parse_agent_name, parse_workspace_name, parse_capability]


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "a/b",
        "../a",
        "..",
        ".",
        "a\0",
        "\0",
        "a\n",
        "a" * 65,
        "a" * 300,
        "-a",
        "_a",
        "é",
        "\u0661",
        "a.b",
        "a:b",
        None,
        1,
        b"a",
    ],
)
def test_what_is_no_name_is_refused(parse: object, value: object) -> None:
    assert callable(parse)
    with pytest.raises(InvalidName) as caught:
        parse(value)
    assert caught.value.code == "INVALID_NAME"
    assert len(str(caught.value)) < 250
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("parse", PARSERS)
@given(value=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True))
def test_names_are_taken_as_they_are(parse: object, value: str) -> None:
    assert callable(parse)
    assert parse(value) == value
