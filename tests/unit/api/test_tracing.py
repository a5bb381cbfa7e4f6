"""The route about what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from caxton.core.views.traces import TraceView
from caxton.recorder.record import SETTLED
from caxton.testing.fakes.conversations import NOW_US
from tests.unit.services.talks import START_US, record

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api

PATH = "/api/v1/trace"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "INVALID_REQUEST"),
        ("conversation_id=c&message_id=m", "INVALID_REQUEST"),
        ("conversation_id=", "INVALID_REQUEST"),
        (f"conversation_id={'x' * 1025}", "INVALID_REQUEST"),
        ("message_id=", "INVALID_REQUEST"),
        (f"message_id={'x' * 1025}", "INVALID_REQUEST"),
        ("conversation_id=c&last=", "INVALID_VALUE"),
        ("conversation_id=c&last=soon", "INVALID_VALUE"),
        ("conversation_id=c&last=0", "INVALID_VALUE"),
        ("conversation_id=c&last=-5m", "INVALID_VALUE"),
        ("conversation_id=c&last=999999d", "INVALID_VALUE"),
        ("conversation_id=c&last=nan", "INVALID_VALUE"),
        ("conversation_id=c&agent=", "INVALID_NAME"),
        ("conversation_id=c&agent=a,b", "INVALID_REQUEST"),
        ("conversation_id=c&agent=../x", "INVALID_NAME"),
        ("conversation_id=c&errors=perhaps", "INVALID_VALUE"),
        ("conversation_id=c&limit=0", "INVALID_VALUE"),
        ("conversation_id=c&limit=5001", "INVALID_VALUE"),
        ("conversation_id=c&why=true", "INVALID_REQUEST"),
        ("conversation_id=%FF", "INVALID_REQUEST"),
    ],
)
async def test_question_that_breaks_a_rule_is_refused(query: str, code: str, api: Api) -> None:
    answer = await api("GET", PATH, query=query)
    assert (answer.status, answer.code) == (400, code)


async def test_what_nothing_is_known_of_is_not_found_and_the_error_says_how_far_back_that_is(api: Api) -> None:
    api.node.traces.records = [record(SETTLED, 1, "a", "b", sent=0, handed=1, ended=NOW_US - START_US - 300_000_000)]
    for query, code in (("conversation_id=x", "CONVERSATION_NOT_FOUND"), ("message_id=x", "MESSAGE_NOT_FOUND")):
        answer = await api("GET", PATH, query=query)
        assert (answer.status, answer.code) == (404, code)
        assert answer.json["details"]["recorded_s"] == 300
        assert "5 min" in answer.json["detail"]


async def test_answer_is_the_tree_of_what_was_asked_for(api: Api) -> None:
    strange = 'a/b ?"\x1b[2J'
    api.node.traces.records = [
        record(SETTLED, 1, "client:ada", "a", sent=0, handed=10, ended=11, conversation_id=strange),
        record(SETTLED, 2, "a", "b", sent=10, handed=20, ended=21, conversation_id=strange),
        record(SETTLED, 3, "a", "b", sent=10, handed=20, ended=21, conversation_id="another"),
    ]
    answer = await api("GET", PATH, query=f"conversation_id={quote(strange)}&agent=b&limit=5&errors=false")
    assert answer.status == 200
    assert set(answer.json) == set(TraceView.__struct_fields__)
    assert [(span["receiver"], span["message_id"]) for span in answer.json["spans"]] == [("b", "m-2")]
