from __future__ import annotations

from typing import Any

import msgspec
import pytest

from caxton.core.errors.error import CaxtonError
from caxton.core.views.tasks import TaskSpec
from caxton.natives.tasks.bid import Rule
from caxton.natives.tasks.call import MAX_CONTENT_BYTES, MAX_PARTICIPANTS, Call, check_call


def call(**spec: Any) -> Call:
    given = {"participants": ["a", "b"]} | spec
    return check_call(msgspec.convert(given, TaskSpec), "ada")


def test_what_is_left_out_has_its_default() -> None:
    assert call() == Call(
        id="", names=["a", "b"], capability="", rule=Rule(weights={"cost": 1.0}), content=b"null",
        call_us=30_000_000, work_us=300_000_000, created_by="ada",
    )  # fmt: skip


def test_who_is_named_twice_is_called_once() -> None:
    assert call(participants=["b", "a", "b"]).names == ["b", "a"]


def test_the_digest_is_that_of_the_task_and_not_of_how_it_was_written() -> None:
    assert call(deadline="1m").digest == call(deadline=60, id="x").digest == call(deadline="60s").digest
    others = [
        call(), call(content=msgspec.Raw(b"1")), call(winners=2), call(result_deadline=1), call(max_cost=1),
        call(participants=["a"]), call(weights={"time": 1}), call(participants=[], capability="c"),
    ]  # fmt: skip
    assert len({one.digest for one in others}) == len(others)


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ({"participants": []}, "INVALID_REQUEST"),
        ({"capability": "c"}, "INVALID_REQUEST"),
        ({"participants": ["no name"]}, "INVALID_NAME"),
        ({"participants": ["tasks"]}, "INVALID_VALUE"),
        ({"participants": ["topic://x"]}, "INVALID_NAME"),
        ({"participants": [f"a{n}" for n in range(10_000)]}, "INVALID_VALUE"),
        ({"participants": [], "capability": "no name"}, "INVALID_NAME"),
        ({"id": ""}, "INVALID_NAME"),
        ({"id": "../x"}, "INVALID_NAME"),
        ({"protocol": "fipa-request"}, "INVALID_VALUE"),
        ({"content": msgspec.Raw(b'"' + b"x" * MAX_CONTENT_BYTES + b'"')}, "MESSAGE_TOO_LARGE"),
        ({"deadline": "0s"}, "INVALID_VALUE"),
        ({"deadline": "24h"}, "INVALID_VALUE"),
        ({"deadline": "soon"}, "INVALID_VALUE"),
        ({"result_deadline": "24h"}, "INVALID_VALUE"),
        ({"max_cost": -1}, "INVALID_VALUE"),
        ({"max_cost": 1e13}, "INVALID_VALUE"),
        ({"max_tokens": float("inf")}, "INVALID_VALUE"),
        ({"max_cost": float("nan")}, "INVALID_VALUE"),
        ({"weights": {"beauty": 1}}, "INVALID_VALUE"),
        ({"weights": {"cost": -1}}, "INVALID_VALUE"),
        ({"weights": {"cost": 0}}, "INVALID_VALUE"),
        ({"weights": {"cost": 1e-300}}, "INVALID_VALUE"),
        ({"weights": {"cost": float("inf")}}, "INVALID_VALUE"),
        ({"weights": {"cost": float("nan")}}, "INVALID_VALUE"),
        ({"winners": 0}, "INVALID_VALUE"),
        ({"winners": MAX_PARTICIPANTS + 1}, "INVALID_VALUE"),
    ],
)
def test_what_breaks_a_rule_is_refused(spec: dict[str, Any], code: str) -> None:
    with pytest.raises(CaxtonError) as caught:
        call(**spec)
    assert caught.value.code == code
    assert len(str(caught.value)) < 400
