"""Secrets are taken out of text and of values; what is none stays."""

from __future__ import annotations

import json

import pytest

from caxton.core.redact import REMOVED, redact, redact_text

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
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact_text(text) == text


def test_json_stays_json() -> None:
    value = {"password": "x", "nested": [{"api_key": 'a"b', "count": 3, "token_count": 17}], "text": "token: abc, on"}
    assert json.loads(redact_text(json.dumps(value)))["nested"][0]["count"] == 3


def test_known_secrets_are_removed_wherever_they_stand() -> None:
    assert redact_text("x-correct-horse-y and horse", ["correct-horse"]) == f"x-{REMOVED}-y and horse"
    assert redact_text("a b c", ["a", ""]) == "a b c"


def test_values_under_telling_names_go_at_any_depth() -> None:
    value = {"telemetry": {"headers": {"authorization": ["Basic x"]}}, "max_tokens": 5, "tls_key": "/etc/k", "n": None}
    assert redact(value) == {
        "telemetry": {"headers": {"authorization": REMOVED}}, "max_tokens": 5, "tls_key": "/etc/k", "n": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "piece", ["token", 'token="', "-----BEGIN PRIVATE KEY-----", "://a:", "cookie: ", "a", 'key=\\"']
)
def test_hostile_text_is_done_with(piece: str) -> None:
    assert redact_text(piece * 20_000) is not None
