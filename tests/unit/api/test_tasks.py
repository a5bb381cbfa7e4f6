from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from caxton.api.tasks import MAX_BODY_BYTES
from caxton.natives.tasks.contract import Due, Heard
from caxton.natives.tasks.store import Result
from caxton.testing.fakes.tasks import AT_US

if TYPE_CHECKING:
    from tests.unit.api.conftest import Answer, Api

PATH = "/api/v1/tasks"


async def created(api: Api, **spec: Any) -> Answer:
    return await api("POST", PATH, {"participants": ["echo"]} | spec)


async def test_a_task_that_is_created_is_told_where_it_is(api: Api) -> None:
    answer = await created(api, id="t", content={"do": ["it"]}, max_cost=3, weights={"cost": 2, "time": 1})
    assert (answer.status, answer.headers["location"]) == (201, f"{PATH}/t")
    task = answer.json
    assert (task["status"], task["content"], task["created_by"]) == ("calling", {"do": ["it"]}, "tester")
    assert (task["weights"], task["max_cost"], task["winners"]) == ({"cost": 2, "time": 1}, 3, 1)
    assert [(one["agent"], one["status"]) for one in task["bidders"]] == [("echo", "called")]
    assert (await api("GET", f"{PATH}/t")).json == task


async def test_asked_again_under_its_id_it_is_the_same_and_another_is_refused(api: Api) -> None:
    first = await created(api, id="t", deadline="30s")
    again = await created(api, id="t", deadline=30)
    assert (again.status, again.json, again.headers["location"]) == (200, first.json, f"{PATH}/t")
    other = await created(api, id="t", winners=2)
    assert (other.status, other.json["code"]) == (409, "TASK_ID_CONFLICT")


@pytest.mark.parametrize(
    ("spec", "status", "code"),
    [
        ({"participants": []}, 400, "INVALID_REQUEST"),
        ({"participants": "echo"}, 400, "INVALID_REQUEST"),
        ({"color": "red"}, 400, "INVALID_REQUEST"),
        ({"capability": "c"}, 400, "INVALID_REQUEST"),
        ({"participants": ["a b"]}, 400, "INVALID_NAME"),
        ({"participants": ["tasks"]}, 400, "INVALID_VALUE"),
        ({"participants": [f"a{n}" for n in range(10_000)]}, 400, "INVALID_VALUE"),
        ({"id": "a/b"}, 400, "INVALID_NAME"),
        ({"protocol": "auction"}, 400, "INVALID_VALUE"),
        ({"deadline": "yesterday"}, 400, "INVALID_VALUE"),
        ({"weights": {"cost": 0}}, 400, "INVALID_VALUE"),
        ({"weights": {"cost": "x"}}, 400, "INVALID_REQUEST"),
        ({"winners": 0}, 400, "INVALID_VALUE"),
        ({"winners": 1.5}, 400, "INVALID_REQUEST"),
        ({"max_cost": -1}, 400, "INVALID_VALUE"),
        ({"content": "x" * 66_000}, 413, "MESSAGE_TOO_LARGE"),
        ({"content": "x" * MAX_BODY_BYTES}, 413, "BODY_TOO_LARGE"),
        ({"participants": ["nobody"]}, 404, "UNKNOWN_RECEIVER"),
        ({"participants": [], "capability": "cooking"}, 404, "CAPABILITY_NOT_FOUND"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_created(
    api: Api, spec: dict[str, Any], status: int, code: str
) -> None:
    answer = await created(api, **spec)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert (await api("GET", PATH)).json == {"tasks": [], "total": 0}


async def test_too_many_open_tasks_are_a_reason_to_wait(api: Api) -> None:
    api.node.tasks.limit = 1
    await created(api)
    answer = await created(api)
    assert (answer.status, answer.json["code"]) == (429, "TASKS_FULL")
    assert answer.headers["retry-after"] == "10"
    assert answer.json["details"] == {"what": "tasks", "limit": 1}


async def test_a_task_shows_its_bids_award_and_result(api: Api) -> None:
    await created(api, id="t")
    tasks = api.node.tasks
    tasks.happens("t", Heard("echo", "propose", b'{"cost": 2, "time_s": 5}', "", AT_US + 1))
    task = (await api("GET", f"{PATH}/t")).json
    assert (task["status"], task["awarded_to"], task["proposals"]) == ("awarded", ["echo"], 1)
    assert task["result_deadline_at"] is not None
    result = Result("echo", b'{"answer": 42}', {"time_s": 1.5})
    tasks.happens("t", Heard("echo", "inform", b'{"answer": 42}', "", AT_US + 2), result)
    task = (await api("GET", f"{PATH}/t")).json
    assert (task["status"], task["reason"], task["result_deadline_at"]) == ("done", None, None)
    assert task["results"] == [
        {"agent": "echo", "content": {"answer": 42}, "unkept": None, "cost": None, "tokens": None, "time_s": 1.5}
    ]
    assert task["bidders"][0]["time_s"] == 5


async def test_the_list_can_be_narrowed(api: Api) -> None:
    await created(api, id="silent")
    await created(api, id="open")
    api.node.tasks.happens("silent", Due(AT_US))
    assert [one["id"] for one in (await api("GET", PATH)).json["tasks"]] == ["open", "silent"]
    found = (await api("GET", PATH, query="status=no-bids")).json
    assert (found["total"], found["tasks"][0]["reason"]) == (1, "nobody made a proposal that can win: 1 silent")
    assert (await api("GET", PATH, query="limit=1")).json["total"] == 1
    assert (await api("GET", PATH, query="status=lost")).status == 400


async def test_who_waits_says_how_long(api: Api) -> None:
    await created(api, id="t")
    assert (await api("GET", f"{PATH}/t", query="wait=90s")).status == 200
    assert api.node.tasks.waits == [("t", 90.0)]
    assert (await api("GET", f"{PATH}/t", query="wait=301s")).json["code"] == "INVALID_VALUE"


async def test_cancelling_tells_why_and_does_no_harm_twice(api: Api) -> None:
    await created(api, id="t")
    for body in ({"reason": "found it"}, None):
        answer = await api("POST", f"{PATH}/t/cancel", body)
        assert (answer.status, answer.json["status"], answer.json["reason"]) == (200, "cancelled", "found it")


async def test_what_has_ended_cannot_be_cancelled(api: Api) -> None:
    await created(api, id="t")
    api.node.tasks.happens("t", Due(AT_US))
    answer = await api("POST", f"{PATH}/t/cancel")
    assert (answer.status, answer.json["code"], answer.json["details"]["status"]) == (409, "TASK_ENDED", "no-bids")
    answer = await api("POST", f"{PATH}/t/cancel", {"reason": "x" * 201})
    assert (answer.status, answer.json["code"]) == (400, "INVALID_VALUE")


@pytest.mark.parametrize(("method", "path"), [("GET", "/other"), ("POST", "/other/cancel")])
async def test_an_unknown_task_is_told_with_the_nearest(api: Api, method: str, path: str) -> None:
    await created(api, id="others")
    answer = await api(method, f"{PATH}{path}")
    assert (answer.status, answer.json["code"], answer.json["details"]["nearest"]) == (404, "TASK_NOT_FOUND", "others")


async def test_who_may_only_look_cannot_delegate(api: Api) -> None:
    await created(api, id="t")
    api.token = api.token_for("viewer")
    assert (await api("GET", f"{PATH}/t")).status == 200
    assert (await created(api)).json["code"] == "FORBIDDEN"
    assert (await api("POST", f"{PATH}/t/cancel")).json["code"] == "FORBIDDEN"
