"""`caxton conversation` and `caxton trace` against the real API on a real socket, over services in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from caxton.cli import conversation
from caxton.cli.conversation import span
from caxton.client import ApiProblem, CaxtonClient
from caxton.conversations.facts import AgentFacts
from caxton.core.views.conversations import ConversationFilter
from caxton.messages.codec import encode_message
from caxton.messages.message import AclMessage
from tests.cli_runner import caxton
from tests.integration.fake_node import ADMIN_PROOF
from tests.integration.test_cli import node, shared_node

if TYPE_CHECKING:
    from caxton.core.ids import WorkspaceName
    from caxton.core.views.conversations import ConversationPage
    from caxton.testing.fakes.conversations import FakeConversations
    from caxton.testing.fakes.node import FakeNode
    from tests.cli_runner import CliRunner
    from tests.integration.fake_node import RunningNode

__all__ = ["caxton", "node", "shared_node"]


@pytest.fixture
def known(node: RunningNode) -> FakeConversations:
    """`x`: a manager waits for two bidders; `y`: has ended; `../z`: nested in x."""

    def fill(fakes: FakeNode) -> FakeConversations:
        fakes.conversations.__init__(fakes.messages.kept)
        fakes.conversations.begin("x", "manager", "b1", "b2", deadline_in_s=-3)
        fakes.conversations.begin("y", "client:ada", "b1", state="done")
        fakes.conversations.begin("../z", "b1", "db", parent="x", ago_s=200)
        return fakes.conversations

    return node.do(fill)


# --- looking -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], ["../z", "y", "x"]),
        (["--status", "ended"], ["y"]),
        (["--agent", "b1"], ["../z", "y", "x"]),
        (["--agent", "client:ada"], ["y"]),
        (["--protocol", "fipa-query"], []),
        (["--after", "../z", "--limit", "1"], ["y"]),
    ],
)
def test_list_has_what_was_asked_for(
    caxton: CliRunner, known: FakeConversations, options: list[str], found: list[str]
) -> None:
    outcome = caxton("conversation", "list", *options)
    assert outcome.code == 0
    if not found:
        assert outcome.out == "No conversations.\n"
        return
    _, *lines, total = outcome.out.splitlines()
    assert [line.split()[0] for line in lines] == found
    assert total == f"{len(found)} conversation{'s' * (len(found) != 1)}"
    assert ("--after y" in outcome.err) == ("--limit" in options)


@pytest.fixture
def narrow_pages(known: FakeConversations, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Pages look at one conversation each, as the server's do at some thousands; where each began."""
    whole, asked = known.list, list[str | None]()

    async def list_one(
        workspace: WorkspaceName, wanted: ConversationFilter, *, limit: int, after: str | None
    ) -> ConversationPage:
        asked.append(after)
        page = await whole(workspace, ConversationFilter(), limit=1, after=after)
        meant = {one.id for one in (await whole(workspace, wanted, limit=1000, after=None)).conversations}
        page.conversations = [one for one in page.conversations if one.id in meant]
        return page

    monkeypatch.setattr(known, "list", list_one)
    return asked


def test_list_goes_on_by_itself_over_pages_without_what_is_wanted(
    caxton: CliRunner, narrow_pages: list[str | None]
) -> None:
    found = caxton("conversation", "list", "--agent", "manager", "-o", "json").json()
    assert ([one["id"] for one in found["conversations"]], found["next"]) == (["x"], None)
    assert narrow_pages == [None, "../z", "y"]


def test_list_that_has_what_it_wanted_asks_for_no_more(caxton: CliRunner, narrow_pages: list[str | None]) -> None:
    found = caxton("conversation", "list", "--agent", "b1", "--limit", "2", "-o", "json").json()
    assert ([one["id"] for one in found["conversations"]], found["next"]) == (["../z", "y"], "y")
    assert narrow_pages == [None, "../z"]


def test_list_that_gives_up_says_that_it_has_not_seen_all(
    caxton: CliRunner, narrow_pages: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "MAX_PAGES", 2)
    outcome = caxton("conversation", "list", "--agent", "manager")
    assert outcome.out == "No such conversation so far.\n"
    assert "those that began earlier were not looked at: --after y" in outcome.err
    assert len(narrow_pages) == 2


def test_wrong_status_is_refused_with_those_that_there_are(caxton: CliRunner, known: FakeConversations) -> None:
    outcome = caxton("conversation", "list", "--status", "shut")
    assert outcome.code == 4
    assert "open, cancelling, ended" in outcome.err


def test_noun_may_be_written_in_the_plural_and_any_id_can_be_shown(caxton: CliRunner, known: FakeConversations) -> None:
    outcome = caxton("conversations", "show", "../z")
    assert (outcome.code, outcome.out.splitlines()[0]) == (0, "◐ ../z: fipa-request, open")
    assert "within     x" in outcome.out
    assert "3m 20s" in outcome.out


def test_unknown_conversation_is_not_found(caxton: CliRunner, known: FakeConversations) -> None:
    for command in (["conversation", "show", "nix"], ["conversation", "cancel", "nix"]):
        outcome = caxton(*command)
        assert (outcome.code, "code: CONVERSATION_NOT_FOUND" in outcome.err) == (3, True)
    assert caxton("trace", "--why", "--conversation-id", "nix").code == 3


def test_names_of_strangers_cannot_steer_the_terminal(
    caxton: CliRunner, known: FakeConversations, node: RunningNode
) -> None:
    def begin(fakes: FakeNode) -> None:
        fakes.conversations.begin("\x1b[2Jx", "a", "b")
        fakes.conversations.begin("\x1b[2Jy", "b", "a")

    node.do(begin)
    for command in (
        ["conversation", "deadlocks"],
        ["conversation", "list"],
        ["conversation", "show", "\x1b[2Jx"],
        ["trace", "--why", "--conversation-id", "\x1b[2Jx"],
    ):
        outcome = caxton(*command)
        assert (outcome.code, "\x1b" in outcome.out, "\\x1b[2Jx" in outcome.out) == (0, False, True)


# --- cancelling --------------------------------------------------------------------------------------------------


def test_cancel_says_who_is_told_and_who_had_been(caxton: CliRunner, known: FakeConversations) -> None:
    assert caxton("conversation", "cancel", "x").out == "✓ cancel goes to b1, b2\n"
    assert caxton("conversation", "cancel", "x").out == "◐ not answered yet by b1, b2\n"
    assert known.known["x"].status == "cancelling"


def test_cancelling_what_has_ended_is_a_conflict(caxton: CliRunner, known: FakeConversations) -> None:
    outcome = caxton("conversation", "cancel", "y")
    assert (outcome.code, "code: CONVERSATION_OVER" in outcome.err) == (5, True)


# --- reasons -----------------------------------------------------------------------------------------------------


def test_why_has_a_path_for_each_who_is_waited_for(caxton: CliRunner, known: FakeConversations) -> None:
    outcome = caxton("trace", "--conversation-id", "x", "--why")
    assert outcome.out.splitlines() == [
        "◐ x, fipa-request: open, waits",
        "manager waits for b1 (requested, 10 s, deadline 3 s ago)",
        "  → b1 waits in ../z for db (requested, 3m 20s)",
        "  → db: has no mail and waits for nobody; it has not answered",
        "manager waits for b2 (requested, 10 s, deadline 3 s ago)",
        "  → b2: has no mail and waits for nobody; it has not answered",
    ]


def test_why_says_how_many_paths_were_left_out(caxton: CliRunner, known: FakeConversations, node: RunningNode) -> None:
    node.do(lambda fakes: fakes.conversations.begin("w", "m", *(f"b-{number:03}" for number in range(25))))
    outcome = caxton("trace", "--conversation-id", "w", "--why")
    assert outcome.out.splitlines()[-1] == "… and for 5 more, since later"


def test_why_as_json_is_what_the_server_says(caxton: CliRunner, known: FakeConversations) -> None:
    found = caxton("trace", "--conversation-id", "y", "--why", "-o", "json").json()
    assert (found["conversation_id"], found["status"], found["paths"]) == ("y", "ended", [])


def test_conversation_in_which_nobody_waits_shows_its_time_so_far(
    caxton: CliRunner, known: FakeConversations, node: RunningNode
) -> None:
    def speak(fakes: FakeNode) -> None:
        first = AclMessage(performative="inform", sender="a", receiver=["b", "c"], timestamp=1_000_000)
        second = AclMessage(
            performative="inform", sender="b", capability="sorting", timestamp=3_500_000,
            content=msgspec.Raw(b'"' + b"x" * 500 + b'"'),
        )  # fmt: skip
        fakes.messages.kept["free"] = [encode_message(first), encode_message(second)]

    node.do(speak)
    first, second, *rest = caxton("trace", "--conversation-id", "free", "--utc", "--why").out.splitlines()
    assert first == '[00:00:01.000] agent="a" message="inform" status="sent"'
    assert second == '[00:00:03.500] agent="b" message="inform" status="sent"'
    assert "✓ free: ended, took 2.5 s" in rest


def test_no_deadlock_is_an_answer_too(caxton: CliRunner, known: FakeConversations) -> None:
    outcome = caxton("conversation", "deadlocks")
    assert (outcome.code, outcome.out) == (0, "✓ No deadlock\n")


def test_deadlock_says_when_it_will_end_by_itself(
    caxton: CliRunner, known: FakeConversations, node: RunningNode
) -> None:
    def knot(fakes: FakeNode) -> None:
        fakes.conversations.begin("p", "a", "b", deadline_in_s=60)
        fakes.conversations.begin("q", "b", "a")

    node.do(knot)
    outcome = caxton("conversation", "deadlocks")
    assert outcome.out.splitlines()[0] == "✗ a → b → a, since 2025-12-31 23:59:50, until 2026-01-01 00:01:00"
    assert caxton("conversation", "deadlocks", "-o", "json").json()["deadlocks"][0]["cycle"] == ["a", "b"]


@pytest.mark.parametrize(
    ("free", "hint"),
    [
        ("", "a message to one of them, or 'caxton conversation cancel ID', ends it"),
        ("a", "so does 'caxton conversation cancel ID', but not for 'asked'"),
        ("ab", "free messages cannot be cancelled"),
    ],
)
def test_hint_says_how_a_deadlock_ends_by_what_is_waited_for(
    caxton: CliRunner, known: FakeConversations, node: RunningNode, free: str, hint: str
) -> None:
    def knot(fakes: FakeNode) -> None:
        for one, other in ("ab", "ba"):
            if one in free:
                fakes.conversations.asks.remember(one, "r", [other], None, 1, None)
            else:
                fakes.conversations.begin(f"c-{one}", one, other)

    node.do(knot)
    outcome = caxton("conversation", "deadlocks")
    assert hint in outcome.out + outcome.err
    assert ("conversation cancel" in outcome.out + outcome.err) == (free != "ab")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 ms"), (0.04, "40 ms"), (0.9996, "1 s"), (12.44, "12.4 s"), (59.99, "60 s"), (125, "2m 5s")],
)
def test_spans_are_short(seconds: float, text: str) -> None:
    assert span(seconds) == text


# --- the client --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x", "order/1", "deadlocks", "-", ".", "..", "a?b#c d%2F", "käse"])
def test_client_reaches_a_conversation_of_any_id(node: RunningNode, known: FakeConversations, name: str) -> None:
    node.do(lambda fakes: fakes.conversations.begin(name, "a", "b"))
    with CaxtonClient(node.url, ADMIN_PROOF) as client:
        assert client.conversation_state(name).id == name
        assert client.why(name).conversation_id == name
        assert client.cancel_conversation(name).told == ["b"]


def test_client_tells_problems_by_their_code(node: RunningNode, known: FakeConversations) -> None:
    with CaxtonClient(node.url, ADMIN_PROOF) as client:
        with pytest.raises(ApiProblem) as caught:
            client.cancel_conversation("y")
        assert (caught.value.code, caught.value.status) == ("CONVERSATION_OVER", 409)
        assert [one.id for one in client.conversations(limit=1).conversations] == ["../z"]
        assert client.deadlocks() == []


def test_why_follows_what_agents_do(node: RunningNode, known: FakeConversations) -> None:
    node.do(lambda fakes: fakes.conversations.agents.update(b1=AgentFacts(status="failed")))
    with CaxtonClient(node.url, ADMIN_PROOF) as client:
        assert [path.cause.kind for path in client.why("x").paths] == ["not-running", "idle"]
