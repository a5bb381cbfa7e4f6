"""What counts as a secret in the server's log, and what must stay readable."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.core.redact import REMOVED, SECRET_NAMES
from caxton.core.redact import redact_text as without_secrets
from caxton.observe.redact import MAX_TEXT_CHARS, redact, redact_text
from caxton.security.keys import load_or_create_key
from caxton.security.tokens import issue_token

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "hunter2-Zq9"  # noqa: S105

TEXTS = {
    f"password={SECRET}": "password=[removed]",
    f"DB_PASSWORD: {SECRET}, next": "DB_PASSWORD: [removed], next",
    f'{{"api_key": "{SECRET} \\"and\\" more", "n": 1}}': '{"api_key": "[removed]", "n": 1}',
    f"{{'client_secret': '{SECRET}'}}": "{'client_secret': '[removed]'}",
    f'"{{\\"token\\": \\"{SECRET}\\"}}"': '"{\\"token\\": \\"[removed]\\"}"',
    f"authorization: Bearer {SECRET}xx": "authorization: [removed]",
    f"Authorization=Basic {SECRET}": "Authorization=[removed]",
    f"(b'authorization', b'Bearer {SECRET}.abc')": "(b'authorization', b'Bearer [removed]')",
    f"sent with bearer {SECRET}.abc to it": "sent with bearer [removed] to it",
    f"GET /x?a=1&token={SECRET}&b=2": "GET /x?a=1&token=[removed]&b=2",
    f"postgres://me:{SECRET}@db:5432/x": "postgres://[removed]@db:5432/x",
    f"https://{SECRET}@example.org": "https://[removed]@example.org",
    f"Set-Cookie: session={SECRET}; Secure": "Set-Cookie: [removed]",
    f"key sk-{SECRET}{SECRET}.": "key [removed].",
    "AKIAIOSFODNN7EXAMPLE found": "[removed] found",
    f"-----BEGIN EC PRIVATE KEY-----\n{SECRET}\n-----END EC PRIVATE KEY-----\nend": "[removed]\nend",
    f"-----BEGIN PRIVATE KEY-----\n{SECRET}": "[removed]",
}

HARMLESS = [
    "agent phase changed",
    "10 tokens of 4096 were used",
    "the token has expired",
    "http://127.0.0.1:8080/api/v1/agents?workspace=default",
    "mail to ann@example.org",
    "conversation c-42 of 00-0123456789abcdef0123456789abcdef-00",
    "it is the bearer of bad news",
    "GET /api/v1/agents/secretary/logs",
    "passed: 12, failed: 3",
]


@pytest.mark.parametrize(("text", "shown"), TEXTS.items())
def test_secret_in_a_text_is_taken_out_and_the_rest_stays(text: str, shown: str) -> None:
    assert redact_text(text) == shown


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert redact_text(text) == text


def test_our_own_tokens_are_known_by_their_looks(tmp_path: Path) -> None:
    token = issue_token(load_or_create_key(tmp_path), "ann", ["admin"], now_s=1_700_000_000, lifetime_s=60)
    assert redact_text(f"refused {token}!") == "refused [removed]!"


@pytest.mark.parametrize("name", SECRET_NAMES)
@pytest.mark.parametrize("form", ["{}", "x-{}", "MY_{}_2", "nested"])
def test_fact_with_a_telling_name_is_not_shown(name: str, form: str) -> None:
    if form == "nested":
        assert redact({"headers": [{name.title(): SECRET}]}) == {"headers": [{name.title(): REMOVED}]}
    else:
        key = form.format(name.upper())
        assert redact({key: SECRET, f"{key}.list": [SECRET]}) == {key: REMOVED, f"{key}.list": REMOVED}


def test_numbers_are_no_secrets_and_other_things_are_looked_at_as_text() -> None:
    class Thing:
        def __repr__(self) -> str:
            return f"Thing(password='{SECRET}')"

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    facts = {"gen_ai.tokens": 7, "token": None, "secret": True, "thing": Thing(), "broken": Broken(), 3: b"x"}
    assert redact(facts) == {
        "gen_ai.tokens": 7, "token": None, "secret": True, "thing": "Thing(password='[removed]')",
        "broken": "<Broken: its repr raised RuntimeError>", "3": "b'x'",
    }  # fmt: skip


def test_facts_without_end_and_without_bottom_are_cut() -> None:
    loop: dict[str, object] = {}
    loop["again"] = loop
    shown = json.dumps(redact({"loop": loop, "many": list(range(1000))}))
    assert len(shown) < 1000


def test_long_text_loses_its_middle_but_never_half_a_secret() -> None:
    words = f"password={SECRET} " * (MAX_TEXT_CHARS // 4)
    for shift in range(len(SECRET) + 12):
        shown = redact_text("x" * shift + " " + words + "the end")
        assert len(shown) < MAX_TEXT_CHARS * 2
        assert shown.endswith("the end")
        assert not any(SECRET[n:] in shown or SECRET[: len(SECRET) - n] in shown for n in range(6))


@pytest.mark.parametrize(
    "unit",
    ["password", "token=", "token\\\"", "api_key: \"\\", "bearer ", "eyJ", "eyJaaaaaa.", "eyJ-", "sk-", "http://", "a://b",
     "-----BEGIN PRIVATE KEY-----", "x" * 50, "authorization: bearer ", "'", "\\"],
)  # fmt: skip
def test_time_is_linear_in_the_text_whatever_it_is(unit: str) -> None:
    """With anything worse, a quarter of a million characters would not end within the time that a test has."""
    assert without_secrets((unit * 250_000)[:250_000])


@given(st.text(), st.text(alphabet="abcdefXYZ0123456789", min_size=8))
def test_no_text_raises_and_a_named_secret_is_gone_whatever_stands_before(before: str, secret: str) -> None:
    shown = redact_text(f"{before} password={secret}Q7 end")
    assert f"{secret}Q7" not in shown
