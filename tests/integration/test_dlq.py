"""`caxton dlq` against the real API on a real socket; what stands behind the API is in memory."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from caxton.cli import dlq
from caxton.core.errors.dead_letters import DeadLetterDamaged
from caxton.core.errors.receivers import MailboxFull, UnknownReceiver
from tests.cli_runner import caxton
from tests.integration.test_cli import node, shared_node

if TYPE_CHECKING:
    from caxton.testing.fakes.letters import FakeDeadLetters
    from caxton.testing.fakes.node import FakeNode
    from tests.cli_runner import CliRunner
    from tests.integration.fake_node import RunningNode

__all__ = ["caxton", "node", "shared_node"]


@pytest.fixture
def letters(node: RunningNode) -> FakeDeadLetters:
    """Three letters: 1 and 3 for agent a, 2 for b."""

    def fill(fakes: FakeNode) -> FakeDeadLetters:
        fakes.dead_letters.__init__()
        fakes.dead_letters.add("a", content=b'{"n": 1}')
        fakes.dead_letters.add("b", reason="expired", sender="a")
        fakes.dead_letters.add("a")
        return fakes.dead_letters

    return node.do(fill)


def waiting(letters: FakeDeadLetters) -> list[str]:
    return [letter.id for letter in letters.letters.values() if letter.replayed_at is None]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch, letters: FakeDeadLetters) -> list[float]:
    """How long the command waited; while it does, the server's bucket gets one replay."""
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        assert len(waited) < 50, "it goes on for ever"
        letters.tokens += 1

    monkeypatch.setattr(dlq, "time", SimpleNamespace(sleep=sleep))  # other threads sleep as well
    return waited


# --- looking -----------------------------------------------------------------------------------------------------


def test_letters_are_listed_with_the_newest_first(caxton: CliRunner, letters: FakeDeadLetters) -> None:
    outcome = caxton("dlq", "list")
    assert outcome.code == 0
    head, *lines, total = outcome.out.splitlines()
    assert head.split() == ["ID", "DIED", "AGENT", "SENDER", "REASON", "ATTEMPTS", "SIZE", "ERROR"]
    assert [line.split()[0] for line in lines] == ["3", "2", "1"]
    assert total == "3 dead letters"
    assert "caxton dlq show" in outcome.err


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--agent", "a"], ["3", "1"]),
        (["--reason", "expired"], ["2"]),
        (["--sender", "client:ada"], ["3", "1"]),
        (["--conversation-id", "c-2"], ["2"]),
        (["--since", "1h", "--limit", "1"], ["3"]),
        (["--after", "3"], ["2", "1"]),
        (["--replayed"], []),
    ],
)
def test_conditions_reach_the_server(
    caxton: CliRunner, letters: FakeDeadLetters, options: list[str], found: list[str]
) -> None:
    page = caxton("dlq", "list", *options, "-o", "json").json()
    assert [letter["id"] for letter in page["letters"]] == found


def test_longer_list_says_how_it_goes_on(caxton: CliRunner, letters: FakeDeadLetters) -> None:
    assert "--after 2" in caxton("dlq", "list", "--limit", "2").err


def test_empty_list_says_so(caxton: CliRunner, letters: FakeDeadLetters) -> None:
    letters.letters.clear()
    assert caxton("dlq", "list").out == "No dead letters.\n"


def test_letter_is_shown_whole(caxton: CliRunner, letters: FakeDeadLetters) -> None:
    outcome = caxton("dlq", "show", "1")
    assert outcome.code == 0
    assert outcome.out.startswith("✗ Dead letter 1: it failed\n")
    for piece in ("unreachable", "burn < handle_message", "c-1", "0af7651916cd43dd", '"n": 1'):
        assert piece in outcome.out
    assert caxton("dlq", "show", "1", "-o", "json").json()["message"]["content"] == {"n": 1}


def test_text_of_a_letter_cannot_steer_the_terminal(caxton: CliRunner, letters: FakeDeadLetters) -> None:
    letters.letters[1].error = "\x1b[2J"
    letters.add("a", content='"\x9b2J"'.encode())
    for outcome in (caxton("dlq", "list"), caxton("dlq", "show", "1"), caxton("dlq", "show", "4")):
        assert outcome.code == 0
        assert "\x1b" not in outcome.out
        assert "\x9b" not in outcome.out


@pytest.mark.parametrize("letter_id", ["9", "../agents", "x y", "%2e"])
@pytest.mark.parametrize("verb", ["show", "replay", "purge"])
def test_letter_that_is_not_there_is_not_found(
    caxton: CliRunner, letters: FakeDeadLetters, verb: str, letter_id: str
) -> None:
    outcome = caxton("dlq", verb, letter_id)
    assert outcome.code == 3
    assert "code: DEAD_LETTER_NOT_FOUND" in outcome.err


# --- replay ------------------------------------------------------------------------------------------------------


def test_one_letter_is_replayed_once(caxton: CliRunner, letters: FakeDeadLetters) -> None:
    assert caxton("dlq", "replay", "2").out == "✓ Dead letter 2 replayed, for b\n"
    assert caxton("dlq", "replay", "2").out == "✓ Dead letter 2 was replayed before, for b\n"
    assert caxton("dlq", "replay", "2", "-o", "json").json()["status"] == "already-replayed"
    assert waiting(letters) == ["1", "3"]


def test_several_letters_are_replayed_each_for_itself(caxton: CliRunner, letters: FakeDeadLetters) -> None:
    letters.refusing["b"] = lambda: UnknownReceiver("b")
    outcome = caxton("dlq", "replay", "1", "2", "3")
    assert outcome.code == 3
    assert outcome.out.startswith("⚠ 2 dead letters replayed\n")
    assert "UNKNOWN_RECEIVER" in outcome.out
    assert waiting(letters) == ["2"]
    told = caxton("dlq", "replay", "1", "3", "-o", "json").json()
    assert told == {"replayed": 0, "already_replayed": 2, "refused": []}


def test_conditions_choose_what_is_replayed(caxton: CliRunner, letters: FakeDeadLetters) -> None:
    assert caxton("dlq", "replay", "--agent", "a").out == "✓ 2 dead letters replayed\n"
    assert waiting(letters) == ["2"]
    assert caxton("dlq", "replay", "--agent", "a").out == "✓ 0 dead letters replayed\n"


def test_all_letters_are_replayed_at_the_rate_that_the_server_allows(
    caxton: CliRunner, letters: FakeDeadLetters, pauses: list[float]
) -> None:
    letters.tokens = 0
    outcome = caxton("dlq", "replay", "--all")
    assert (outcome.code, outcome.out) == (0, "✓ 3 dead letters replayed\n")
    assert pauses == [1.0, 1.0, 1.0]
    assert waiting(letters) == []


def test_letters_that_fail_again_are_not_replayed_for_ever(
    caxton: CliRunner, letters: FakeDeadLetters, pauses: list[float]
) -> None:
    letters.failing, letters.tokens = {"a"}, 1
    assert caxton("dlq", "replay", "--all").out == "✓ 3 dead letters replayed\n"
    assert waiting(letters) == ["4", "6"]
    assert pauses == [1.0, 1.0]


def test_letters_by_id_are_replayed_at_the_rate_that_the_server_allows(
    caxton: CliRunner, letters: FakeDeadLetters, pauses: list[float]
) -> None:
    letters.tokens = 1
    assert caxton("dlq", "replay", "3", "1", "2").out == "✓ 3 dead letters replayed\n"
    assert pauses == [1.0, 1.0]


def test_letters_that_cannot_be_replayed_do_not_keep_the_others_back(
    caxton: CliRunner, letters: FakeDeadLetters
) -> None:
    for _ in range(250):
        letters.add("a")
    letters.tokens = 1000
    letters.refusing["b"] = lambda: MailboxFull("b", 1, 1)
    outcome = caxton("dlq", "replay", "--all", "-o", "json")
    told = outcome.json()
    assert outcome.code == 5
    assert (told["replayed"], [one["id"] for one in told["refused"]]) == (252, ["2"])
    letters.refusing["b"] = lambda: DeadLetterDamaged("2")
    assert caxton("dlq", "replay", "--all").code == 74


# --- purge -------------------------------------------------------------------------------------------------------


def test_purge_says_how_many_were_never_replayed(caxton: CliRunner, letters: FakeDeadLetters) -> None:
    caxton("dlq", "replay", "1")
    assert caxton("dlq", "purge", "1").out == "✓ 1 dead letter deleted\n"
    assert caxton("dlq", "purge", "2", "3", "77").out == "✓ 2 dead letters deleted, 2 of them never replayed\n"
    assert letters.letters == {}


def test_conditions_choose_what_is_purged(caxton: CliRunner, letters: FakeDeadLetters) -> None:
    caxton("dlq", "replay", "1")
    assert caxton("dlq", "purge", "--agent", "a", "--replayed", "-o", "json").json() == {"purged": 1, "waiting": 0}
    assert caxton("dlq", "purge", "--reason", "expired", "-o", "json").json() == {"purged": 1, "waiting": 1}
    assert waiting(letters) == ["3"]


def test_purging_all_needs_a_yes(caxton: CliRunner, letters: FakeDeadLetters, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = caxton("dlq", "purge", "--all")
    assert outcome.code == 2
    assert "--yes" in outcome.err
    assert len(letters.letters) == 3
    for answer, code, left in (("n\n", 1, 3), ("\n", 1, 3), ("y\n", 0, 0)):
        terminal = io.StringIO(answer)
        terminal.isatty = lambda: True  # type: ignore[method-assign]
        monkeypatch.setattr("sys.stdin", terminal)
        outcome = caxton("dlq", "purge", "--all")
        assert (outcome.code, len(letters.letters)) == (code, left)
        assert "3 of them were never replayed" in outcome.err


def test_purging_all_with_yes_asks_nobody(caxton: CliRunner, letters: FakeDeadLetters) -> None:
    outcome = caxton("dlq", "purge", "--all", "--yes")
    assert (outcome.code, outcome.out) == (0, "✓ 3 dead letters deleted, 3 of them never replayed\n")


@pytest.mark.parametrize(
    "typed",
    [["replay"], ["purge"], ["replay", "1", "--all"], ["purge", "1", "--agent", "a"],
     ["replay", "--all", "--agent", "a"], ["purge", "1", "--replayed"]],
)  # fmt: skip
def test_command_that_does_not_say_which_letters_does_nothing(
    caxton: CliRunner, letters: FakeDeadLetters, typed: list[str]
) -> None:
    outcome = caxton("dlq", *typed, "-o", "json")
    assert (outcome.code, outcome.problem()["code"]) == (2, "INVALID_USAGE")
    assert waiting(letters) == ["1", "2", "3"]


def test_status_says_that_letters_wait_and_where_to_look(caxton: CliRunner, letters: FakeDeadLetters) -> None:
    assert "3  (caxton dlq list)" in caxton("status").out
    letters.letters.clear()
    assert "caxton dlq" not in caxton("status").out
