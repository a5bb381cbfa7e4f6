"""Secrets are taken out of text and of values; what is none stays."""

from __future__ import annotations

import json
from typing import Any

import pytest

from caxton.core.redact import PIECE_CHARS, REMOVED, password_of, pieces, redact, redact_pieces, redact_text, spellings

JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhZG1pbiJ9.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ\nhidden\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("password=hunter22 and more", "hunter22"),
        ("password: 123456", "123456"),
        ("CAXTON_TOKEN=s3cr3t", "s3cr3t"),
        ("db_password => 'two words'", "two words"),
        ('{"api_key": "abc\\"def", "n": 1}', 'abc\\"def'),
        ('{"text":"said \\"client_secret\\": \\"hush hush\\" loudly"}', "hush hush"),
        ("Authorization: Bearer abcdef123456", "abcdef123456"),
        ("authorization: Digest username=me, response=cafe", "cafe"),
        ("Cookie: a=first; b=second\nnext", "second"),
        ("got Bearer abcdef123456 from", "abcdef123456"),
        ("postgres://me:p4ssw0rd@db/x", "p4ssw0rd"),
        (f"it sent {JWT} to us", "c2lnbmF0dXJlLXNpZ25hdHVyZQ"),
        (f"key:\n{PEM}\nafter", "hidden"),
        (json.dumps({"line": PEM}), "hidden"),
        ("-----BEGIN RSA PRIVATE KEY-----\nnever ends", "never ends"),
        ("sk-proj-" + 6 * "a1B2", "a1B2a1B2"),
        ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "ghp_0123456789abcdefghijABCDEFGHIJ012345"),
        ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ("session_id=0a1b2c3d", "0a1b2c3d"),
        ("Server=db;User=me;pwd=hunter;Port=1", "hunter"),
        ("DB_PASS=hunter", "hunter"),
        ("login me pass: hunter", "hunter"),
        ('{"pass": "hunter"}', "hunter"),
        ("otp: 123456", "123456"),
        ("AccountName=a;AccountKey=bm90IGEga2V5==;Suffix=x", "bm90IGEga2V5"),
        ("https://a.example/b?sv=1&sig=abc%2Bdef%3D&se=2", "abc%2Bdef"),
        ("signature=abcdef", "abcdef"),
        ("paid with sk_live_" + 4 * "a1B2", "a1B2a1B2"),
        ("the user gave password hunter2 twice", "hunter2"),
        ("password is hunter2, it said", "hunter2"),
        ("with passphrase 'correct horse'", "correct horse"),
        ('Authorization: Digest username="me", realm="a b", response="cafe", opaque="beef"', "cafe"),
        ('Authorization: Digest username="me", realm="a b", response="cafe", opaque="beef"', "beef"),
        (json.dumps({"line": 'authorization: Digest username="me", response="cafe"'}), "cafe"),
        ("Cookie: a=first; second third", "third"),
    ],
)
def test_secret_is_removed_and_something_says_so(text: str, secret: str) -> None:
    clean = redact_text(text)
    assert secret not in clean
    assert REMOVED in clean


@pytest.mark.parametrize(
    "text",
    [
        "agent 'ping' failed: it divided by zero", '{"max_tokens":4096,"token":null}', "caxton_settled_total 5",
        "", "the token was refused", "https://example.org/a:b", '{"secret":true}',
        "the password is wrong", "the password was refused: give another", "a password must have letters",
        "3 passed: ok", "signal: 9", "compass: north", "one-time password for me", "bypass=1",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact_text(text) == text


def test_json_stays_json() -> None:
    value = {"password": "x", "nested": [{"api_key": 'a"b', "count": 3, "token_count": 17}], "text": "token: abc, on"}
    assert json.loads(redact_text(json.dumps(value)))["nested"][0]["count"] == 3


@pytest.mark.parametrize(
    "value",
    [
        {"a": "Authorization: Custom abc=", "b": "c"}, ["Authorization: Custom abc=", "b", "c"],
        {"a": 'Authorization: Digest a="b", c="d"', "e": 'f="g"'}, {"a": "Cookie: b=c", "d": "e"},
        {"a": "a password", "b": "c2"}, {"a": 'password "x y"', "b": 1}, {"pass": "x", "sig": ["y"], "otp": 7},
        {"a": {"b": "Authorization: x="}, "c": "d"},
    ],
)  # fmt: skip
def test_json_with_headers_in_it_stays_json_with_the_same_names(value: dict[str, Any] | list[str]) -> None:
    found: dict[str, Any] | list[str] = json.loads(redact_text(json.dumps(value)))
    assert (type(found), list(found) if isinstance(found, dict) else len(found)) == (
        type(value), list(value) if isinstance(value, dict) else 3,
    )  # fmt: skip


def test_known_secrets_are_removed_wherever_they_stand() -> None:
    assert redact_text("x-correct-horse-y and horse", ["correct-horse"]) == f"x-{REMOVED}-y and horse"
    assert redact_text("a b c", ["a", ""]) == "a b c"


def test_values_under_telling_names_go_at_any_depth() -> None:
    value = {"telemetry": {"headers": {"authorization": ["Basic x"]}}, "max_tokens": 5, "tls_key": "/etc/k", "n": None}
    assert redact(value) == {
        "telemetry": {"headers": {"authorization": REMOVED}}, "max_tokens": 5, "tls_key": "/etc/k", "n": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "piece",
    [
        "token",
        'token="',
        "-----BEGIN PRIVATE KEY-----",
        "://a:",
        "cookie: ",
        "a",
        'key=\\"',
        "password ",
        "authorization: a=",
        "Cookie: a='",
        "pass",
        "sig=",
    ],
)
def test_hostile_text_is_done_with(piece: str) -> None:
    assert redact_text(piece * 20_000) is not None


# --- in pieces ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "one line",
        "token" * 50_000,
        "a b\n" * 20_000,
        "x" * PIECE_CHARS + "\n",
        "\n" * 40_000,
        "ab cd " * 9000 + "\nend",
    ],
)
def test_no_piece_is_longer_than_it_may_be_and_short_lines_are_all_there(text: str) -> None:
    found = list(pieces(text))
    assert max(map(len, found), default=0) <= PIECE_CHARS
    if all(len(line) < PIECE_CHARS for line in text.split("\n")):
        assert "".join(found) == text
        assert all(piece.endswith("\n") for piece in found[:-1])
    else:
        assert "characters are left out" in "".join(found)


def test_long_line_ends_before_the_word_that_would_be_cut() -> None:
    (piece, rest) = pieces("ab cdefgh" * 2000 + "\nnext")
    head, _, _ = piece.partition("…")
    assert head.endswith(" ")
    assert rest == "next"


def test_text_looked_through_in_pieces_loses_what_it_loses_as_a_whole() -> None:
    text = "".join(f"line {n} password={n:07d}\n" for n in range(3000))
    assert "".join(redact_pieces(text)) == redact_text(text)


@pytest.mark.parametrize("before", range(0, 120, 7))
def test_secret_at_the_border_of_two_pieces_is_removed(before: int) -> None:
    key = "-----BEGIN PRIVATE KEY-----\n" + "hidden\n" * 12 + "-----END PRIVATE KEY-----\nafter\n"
    text = "x" * (PIECE_CHARS - before - 1) + "\n" + key + "y\n" * PIECE_CHARS
    clean = "".join(redact_pieces(text))
    assert "hidden" not in clean
    assert "after" in clean
    text = "x" * (PIECE_CHARS - before - 1) + "\nline\npassword:\n  hunter2\n" + "y\n" * PIECE_CHARS
    assert "hunter2" not in "".join(redact_pieces(text))


def test_private_key_without_an_end_does_not_take_all_that_follows() -> None:
    text = "-----BEGIN PRIVATE KEY-----\n" + "hidden\n" * 100 + "visible\n" * 20_000
    clean = "".join(redact_pieces(text))
    assert "hidden" not in clean
    assert "visible" in clean


def test_quoted_secret_that_does_not_end_is_removed() -> None:
    assert "hush" not in redact_text('{"password": "two words hush')


def test_known_secret_is_known_in_json_in_a_url_and_without_its_scheme() -> None:
    assert spellings('Basic a"b/c') == {
        'Basic a"b/c', r'Basic a\"b/c', r'Basic a\\\"b/c', "Basic%20a%22b%2Fc", 'a"b/c', r'a\"b/c', r'a\\\"b/c',
        "a%22b%2Fc",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("url", "password"),
    [("http://me:hush@host/x", "hush"), ("http://host", None), ("me:hush@host", None), ("http://[", None)],
)
def test_password_in_a_url_is_found(url: str, password: str | None) -> None:
    assert password_of(url) == password
