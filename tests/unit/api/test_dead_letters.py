from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from caxton.core.errors.receivers import MailboxFull, UnknownReceiver
from caxton.services.dead_letters import MAX_IDS

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api

PATH = "/api/v1/dead-letters"


async def test_letters_are_listed_with_their_reason_and_trap_and_without_their_message(api: Api) -> None:
    first, second = api.node.dead_letters.add("a"), api.node.dead_letters.add("b", reason="expired")
    answer = await api("GET", PATH)
    assert (answer.status, answer.json["next"]) == (200, None)
    assert [(one["id"], one["agent"], one["reason"]) for one in answer.json["letters"]] == [
        (second, "b", "expired"), (first, "a", "failed"),
    ]  # fmt: skip
    assert answer.json["letters"][1]["functions"] == ["burn", "handle_message"]
    assert "message" not in answer.json["letters"][0]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("agent=a", ["3", "1"]),
        ("reason=expired", ["2"]),
        ("sender=client:bob", ["3"]),
        ("conversation_id=c-2", ["2"]),
        ("agent=a&sender=client:ada", ["1"]),
        ("limit=2", ["3", "2"]),
        ("after=3", ["2", "1"]),
        ("replayed=true", []),
        ("since=1h", ["3", "2", "1"]),
    ],
)
async def test_list_is_what_the_conditions_say(api: Api, query: str, found: list[str]) -> None:
    letters = api.node.dead_letters
    letters.add("a")
    letters.add("b", reason="expired")
    letters.add("a", sender="client:bob")
    answer = await api("GET", PATH, query=query)
    assert [one["id"] for one in answer.json["letters"]] == found


async def test_next_goes_on_where_the_list_ended(api: Api) -> None:
    ids = [api.node.dead_letters.add("a") for _ in range(5)]
    seen, query = list[str](), "limit=2"
    while True:
        page = (await api("GET", PATH, query=query)).json
        seen += [one["id"] for one in page["letters"]]
        if page["next"] is None:
            break
        query = f"limit=2&after={page['next']}"
    assert seen == ids[::-1]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "INVALID_VALUE"),
        ("limit=1001", "INVALID_VALUE"),
        ("reason=boredom", "INVALID_VALUE"),
        ("agent=no%20name", "INVALID_NAME"),
        ("after=x", "INVALID_REQUEST"),
        ("sender=", "INVALID_REQUEST"),
        ("conversation_id=" + "x" * 1025, "INVALID_REQUEST"),
    ],
)
async def test_condition_that_breaks_its_rule_is_refused(api: Api, query: str, code: str) -> None:
    answer = await api("GET", PATH, query=query)
    assert (answer.status, answer.code) == (400, code)


async def test_one_letter_is_shown_with_its_message(api: Api) -> None:
    letter_id = api.node.dead_letters.add("a", content=b'{"n": 1}')
    answer = await api("GET", f"{PATH}/{letter_id}")
    assert (answer.status, answer.json["message"]["content"]) == (200, {"n": 1})
    assert answer.json["explanation"] == "it failed"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("letter_id", ["9", "x", "-1"])
async def test_letter_that_is_not_there_is_not_found(api: Api, method: str, letter_id: str) -> None:
    answer = await api(method, f"{PATH}/{letter_id}")
    assert (answer.status, answer.code) == (404, "DEAD_LETTER_NOT_FOUND")
    replayed = await api("POST", f"{PATH}/{letter_id}/replay")
    assert (replayed.status, replayed.code) == (404, "DEAD_LETTER_NOT_FOUND")


async def test_replay_is_accepted_once_and_the_second_time_told_as_done(api: Api) -> None:
    letter_id = api.node.dead_letters.add("a")
    first = await api("POST", f"{PATH}/{letter_id}/replay")
    second = await api("POST", f"{PATH}/{letter_id}/replay")
    assert (first.status, first.json["status"]) == (202, "replayed")
    assert (second.status, second.json) == (200, first.json | {"status": "already-replayed"})
    assert first.json["replayed_by"] == "tester"


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [(lambda: MailboxFull("a", 1, 1), 429, "1"), (lambda: UnknownReceiver("a"), 404, None)],
)
async def test_replay_that_cannot_be_done_now_says_why(
    api: Api, error: Any, status: int, retry_after: str | None
) -> None:
    letter_id = api.node.dead_letters.add("a")
    api.node.dead_letters.refusing["a"] = error
    answer = await api("POST", f"{PATH}/{letter_id}/replay")
    assert (answer.status, answer.code, answer.headers.get("retry-after")) == (status, error().code, retry_after)


async def test_replay_over_the_rate_says_when_to_come_back(api: Api) -> None:
    letter_id = api.node.dead_letters.add("a")
    api.node.dead_letters.tokens = 0
    asked: list[tuple[str, object]] = [(f"{PATH}/{letter_id}/replay", None), (f"{PATH}/replay", {"filter": {}})]
    for path, body in asked:
        answer = await api("POST", path, body)
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (429, "RATE_LIMITED", "1")
        assert answer.json["details"]["retry_after_s"] == 1


async def test_many_letters_are_replayed_each_for_itself(api: Api) -> None:
    letters = api.node.dead_letters
    good, bad = letters.add("a"), letters.add("b")
    letters.refusing["b"] = lambda: UnknownReceiver("b")
    answer = await api("POST", f"{PATH}/replay", {"ids": [bad, good, "77"]})
    assert answer.status == 207
    told = {one["id"]: one for one in answer.json["letters"]}
    assert told[good]["receipt"]["status"] == "replayed"
    assert told[good]["problem"] is None
    assert (told[bad]["receipt"], told[bad]["problem"]["code"]) == (None, "UNKNOWN_RECEIVER")
    assert told["77"]["problem"]["code"] == "DEAD_LETTER_NOT_FOUND"
    assert (await api("POST", f"{PATH}/replay", {"ids": [good]})).status == 202


async def test_letters_that_match_are_replayed_in_the_order_of_their_ids_page_by_page(api: Api) -> None:
    ids = [api.node.dead_letters.add("a") for _ in range(5)]
    api.node.dead_letters.add("b")
    seen, more = list[str](), None
    while True:
        body = {"filter": {"agent": "a"}, "limit": 2, "after": more, "through": ids[3]}
        answer = await api("POST", f"{PATH}/replay", body)
        seen += [one["id"] for one in answer.json["letters"]]
        more = answer.json["next"]
        if more is None:
            break
    assert seen == ids[:4]


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("replay", {}, "INVALID_REQUEST"),
        ("replay", {"ids": ["1"], "filter": {}}, "INVALID_REQUEST"),
        ("replay", {"ids": ["1"], "after": "3"}, "INVALID_REQUEST"),
        ("replay", {"ids": []}, "INVALID_REQUEST"),
        ("replay", {"ids": [str(n) for n in range(1, MAX_IDS + 2)]}, "INVALID_REQUEST"),
        ("replay", {"ids": [1]}, "INVALID_REQUEST"),
        ("replay", {"filter": {"nobody": "knows"}}, "INVALID_REQUEST"),
        ("replay", {"filter": {}, "receiver": "b"}, "INVALID_REQUEST"),
        ("replay", {"filter": {}, "limit": 0}, "INVALID_VALUE"),
        ("replay", {"filter": {}, "limit": MAX_IDS + 1}, "INVALID_VALUE"),
        ("replay", {"filter": {"agent": "no name"}}, "INVALID_NAME"),
        ("purge", {}, "INVALID_REQUEST"),
        ("purge", {"filter": {}}, "INVALID_REQUEST"),
        ("purge", {"all": True, "filter": {"agent": "a"}}, "INVALID_REQUEST"),
        ("purge", {"ids": ["1"], "all": True}, "INVALID_REQUEST"),
        ("purge", {"ids": ["1"], "replayed": True}, "INVALID_REQUEST"),
        ("purge", {"ids": ["x"]}, "INVALID_REQUEST"),
    ],
)
async def test_request_that_does_not_say_which_letters_changes_nothing(
    api: Api, path: str, body: object, code: str
) -> None:
    api.node.dead_letters.add("a")
    answer = await api("POST", f"{PATH}/{path}", body)
    assert (answer.status, answer.code) == (400, code)
    assert [one.replayed_at for one in api.node.dead_letters.letters.values()] == [None]


@pytest.mark.parametrize(
    ("body", "left", "receipt"),
    [
        ({"ids": ["1", "77"]}, ["2", "3"], {"purged": 1, "waiting": 0}),
        ({"filter": {"agent": "b"}}, ["1", "3"], {"purged": 1, "waiting": 1}),
        ({"all": True}, [], {"purged": 3, "waiting": 2}),
        ({"all": True, "replayed": True}, ["2", "3"], {"purged": 1, "waiting": 0}),
        ({"filter": {}, "replayed": False}, ["1"], {"purged": 2, "waiting": 2}),
    ],
)
async def test_purge_deletes_what_was_meant_and_counts_what_waited(
    api: Api, body: object, left: list[str], receipt: dict[str, int]
) -> None:
    letters = api.node.dead_letters
    for agent in ("a", "b", "c"):
        letters.add(agent)
    letters.letters[1].replayed_at = "2026-01-01T00:00:00Z"
    answer = await api("POST", f"{PATH}/purge", body)
    assert (answer.status, answer.json) == (200, receipt)
    assert [one.id for one in letters.letters.values()] == left


async def test_one_letter_is_purged(api: Api) -> None:
    letter_id = api.node.dead_letters.add("a")
    answer = await api("DELETE", f"{PATH}/{letter_id}")
    assert (answer.status, answer.json) == (200, {"purged": 1, "waiting": 1})
    assert api.node.dead_letters.letters == {}


async def test_who_may_only_look_may_look_and_change_nothing(api: Api) -> None:
    letter_id = api.node.dead_letters.add("a")
    viewer = api.token_for("viewer")
    for path in (PATH, f"{PATH}/{letter_id}"):
        assert (await api("GET", path, token=viewer)).status == 200
    asked: list[tuple[str, str, object]] = [
        ("POST", f"{PATH}/{letter_id}/replay", None), ("POST", f"{PATH}/replay", {"filter": {}}),
        ("POST", f"{PATH}/purge", {"all": True}), ("DELETE", f"{PATH}/{letter_id}", None),
    ]  # fmt: skip
    for method, path, body in asked:
        assert (await api(method, path, body, token=viewer)).code == "FORBIDDEN"
    assert [one.replayed_at for one in api.node.dead_letters.letters.values()] == [None]


async def test_letters_of_another_workspace_are_not_there(api: Api) -> None:
    letter_id = api.node.dead_letters.add("a")
    for method, path in (("GET", PATH), ("GET", f"{PATH}/{letter_id}"), ("POST", f"{PATH}/{letter_id}/replay")):
        answer = await api(method, path, query="workspace=other")
        assert (answer.status, answer.code) == (404, "WORKSPACE_NOT_FOUND")
