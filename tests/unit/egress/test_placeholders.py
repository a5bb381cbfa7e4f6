"""Secrets are put into headers and taken out of answers."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from caxton.egress.placeholders import fill, has_secret, masked, room_for
from caxton.egress.refused import Refused

SECRETS = {"KEY": "s3cr3t-value", "LONG": "s3cr3t-value-and-more"}


def test_placeholders_become_values_and_those_used_are_told() -> None:
    headers = (("authorization", "Bearer {{secret:KEY}}"), ("x", "{{secret:KEY}}.{{secret:LONG}}"), ("y", "{{secret}}"))
    filled, used = fill(headers, SECRETS)
    assert filled == (
        ("authorization", "Bearer s3cr3t-value"),
        ("x", "s3cr3t-value.s3cr3t-value-and-more"),
        ("y", "{{secret}}"),
    )
    assert used == SECRETS
    assert [has_secret(value) for _, value in headers] == [True, True, False]


def test_value_that_looks_like_a_placeholder_is_not_filled_again() -> None:
    assert fill((("a", "{{secret:A}}"),), {"A": "{{secret:B}}", "B": "b"})[0] == (("a", "{{secret:B}}"),)


@pytest.mark.parametrize("secrets", [{}, {"A": ""}, {"A": "x\r\nHost: evil"}, {"A": "x\x00"}, {"A": "ä"}])
def test_secret_that_is_unknown_or_would_break_the_header_is_refused(secrets: dict[str, str]) -> None:
    with pytest.raises(Refused) as caught:
        fill((("a", "{{secret:A}}"),), secrets)
    assert caught.value.reason == "secret"
    assert "evil" not in str(caught.value)


def test_echo_of_a_secret_is_a_placeholder_again_the_longest_first() -> None:
    data = b"a s3cr3t-value-and-more b s3cr3t-value"
    assert masked(data, len(data), SECRETS) == b"a {{secret:LONG}} b {{secret:KEY}}"
    assert masked(data, 3, {}) == b"a s"


@given(st.binary(max_size=30), st.binary(max_size=30), st.integers(0, 80))
def test_no_cut_shows_the_beginning_of_a_secret(before: bytes, after: bytes, most: int) -> None:
    assume(b"k3y" not in before + after)
    secret = "k3y-k3y-longer-than-its-name"  # noqa: S105
    whole = before + secret.encode() * 2 + after
    shown = masked(whole[: most + room_for({"A": secret})], most, {"A": secret})
    if most > len(before):
        assert shown.startswith(before + b"{{secret:A}}")
    assert b"k3y" not in shown
