from __future__ import annotations

import json
import re

import pytest

from caxton.core.errors.agents import AgentFailed, AgentNotFound
from caxton.core.errors.error import MAX_QUOTED, CaxtonError, quoted
from caxton.core.errors.modules import WasmTooLarge
from caxton.core.errors.values import InvalidName
from tests.error_kinds import error_kinds


def test_no_two_errors_share_a_code_and_every_code_is_one_word() -> None:
    codes = [kind.code for kind in error_kinds() if "code" in vars(kind)]  # else it is another wording of its base
    assert sorted(codes) == sorted(set(codes))
    assert all(re.fullmatch(r"[A-Z]+(_[A-Z]+)*", code) for code in codes)


@pytest.mark.parametrize("value", ["x" * 10_000, b"\x00\xff" * 5000, "\x1b[2J\n\u202e", ["y" * 10_000]])
def test_text_of_strangers_is_repeated_short_and_printable(value: object) -> None:
    text = quoted(value)
    assert len(text) <= MAX_QUOTED + 1
    assert text.isprintable()


def test_facts_of_an_error_are_ready_for_json() -> None:
    errors: list[CaxtonError] = [
        WasmTooLarge(11, 10),
        AgentNotFound("pnig", nearest="ping"),
        AgentFailed("a", "it trapped", trap="unreachable", functions=["f"], log=["last line"]),
        InvalidName("agent name", "\0"),
    ]
    assert [json.loads(json.dumps(error.details())) for error in errors] == [
        {"size_bytes": 11, "limit_bytes": 10},
        {"name": "pnig", "nearest": "ping"},
        {"name": "a", "trap": "unreachable", "functions": ["f"], "log": ["last line"]},
        {"kind": "agent name"},
    ]
