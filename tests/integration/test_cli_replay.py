"""`caxton replay` against the real API on a real socket; the recordings behind it are made by hand."""

from __future__ import annotations

import hashlib
import io
import struct
from typing import TYPE_CHECKING

import pytest

from caxton.replay import file
from caxton.replay.record import MESSAGE, START, Call, End, Handling, Life, Outcome
from caxton.testing.fakes.recordings import recording
from caxton.testing.guests import assemble, guest_text
from tests.cli_runner import CliRunner, caxton
from tests.integration.fake_node import VIEWER_PROOF, RunningNode
from tests.integration.test_cli import node, shared_node

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caxton.testing.fakes.node import FakeNode

__all__ = ["caxton", "node", "shared_node"]

SAID = b'{"performative":"inform","receiver":"sink","content":"%s"}'


def saying(word: str) -> bytes:
    """A guest that sends `word` to the sink for each message, and logs whether that was taken."""
    text = (SAID % word.encode()).decode().replace('"', '\\"')
    return assemble(
        guest_text(
            imports="""(import "caxton" "send_message" (func $send (param i32 i32) (result i32)))
                (import "caxton" "log" (func $log (param i32 i32 i32)))""",
            handle=f"""(i32.store8 (i32.const 8)
                  (i32.add (i32.const 48) (call $send (i32.const 16) (i32.const {len(SAID) - 2 + len(word)}))))
                (call $log (i32.const 2) (i32.const 8) (i32.const 1)) i32.const 0""",
            more=f'(data (i32.const 16) "{text}")',
        )
    )


WASM = saying("yes")
CALLS: list[Call] = [(0, (SAID % b"yes",), 0), (1, (2, b"0", "guest"), None)]


def life(name: str, agent: str, messages: int, *, calls: list[Call] = CALLS) -> bytes:
    """The file of an instance that was given so many messages of the conversation `c`."""
    sha256 = hashlib.sha256(WASM).hexdigest()
    limits = {"memory_bytes": 1 << 20, "cpu_time_s": 1.0}
    parts, checksum = file.begin(Life(name, "default", agent, 0, 1, sha256, limits, "0.1.0"), {}, 1)
    data = b"".join(parts)
    for n in range(messages + 1):
        kind, conversation_id = (MESSAGE, "c") if n else (START, None)
        body = b'{"performative":"request","sender":"client:a","receiver":"x","content":%d}' % n if n else b""
        done = Handling(
            kind, n, body, "client:a", f"m-{n}", conversation_id, 1, -1, calls if n else [], Outcome("returned")
        )
        frame, checksum = file.frame(file.HANDLING, done, checksum)
        data += frame
    return data + file.frame(file.END, End(9, "over"), checksum)[0]


@pytest.fixture
def recordings(node: RunningNode) -> Callable[..., None]:
    """`recordings(a=file, …)`: what the server has of which agent."""

    def keep(*missing: str, **files: bytes) -> None:
        def work(fakes: FakeNode) -> None:
            fakes.recordings.views = [recording(f"0{n}-aa", agent) for n, agent in enumerate(files)]
            fakes.recordings.files = {f"0{n}-aa": data for n, data in enumerate(files.values())}
            fakes.recordings.modules = {hashlib.sha256(WASM).hexdigest(): WASM}
            fakes.recordings.not_recorded, fakes.recordings.not_in_recordings = list(missing), []
            fakes.recordings.unreadable, fakes.recordings.unreadable_others = {}, 0
            fakes.recordings.messages = None

        node.do(work)

    return keep


def test_same_module_does_the_same_and_ends_with_0(caxton: CliRunner, recordings: Callable[..., None]) -> None:
    recordings(a=life("00-aa", "a", 3))
    outcome = caxton("replay", "--conversation-id", "c")
    assert outcome.code == 0, outcome
    assert "identical: 4 handlings with 6 host calls, byte for byte" in outcome.out
    assert [f"m-{n}" in outcome.out for n in range(5)] == [False, True, True, True, False], "the start is not asked for"
    answer = caxton("replay", "--conversation-id", "c", "-o", "json").json()
    assert (answer["identical"], answer["compared"], answer["calls"], answer["divergence"]) == (True, 4, 6, None)
    assert [step["asked_for"] for step in answer["steps"]] == [False, True, True, True]
    assert [one["ended"] for one in answer["instances"]] == ["over"]


def test_other_module_ends_with_10_and_the_first_difference(
    caxton: CliRunner, recordings: Callable[..., None], tmp_path: Path
) -> None:
    recordings(a=life("00-aa", "a", 3))
    (tmp_path / "new.wasm").write_bytes(saying("yea"))
    outcome = caxton("replay", "--conversation-id", "c", "--against", "new.wasm")
    assert outcome.code == 10
    for part in (
        "#2",
        "m-1",
        "differs at call 1",
        '"content":"yes"',
        '"content":"yea"',
        "at byte 56",
        "after 1 handling",
    ):
        assert part in outcome.out, part
    assert "#3" not in outcome.out
    found = caxton("replay", "--conversation-id", "c", "--against", "new.wasm", "-o", "json")
    assert found.code == 10
    divergence = found.json()["divergence"]
    assert (found.json()["identical"], divergence["number"], divergence["message_id"]) == (False, 2, "m-1")
    assert (divergence["agent"], divergence["call"]) == ("a", 1)
    assert divergence["expected"] != divergence["got"]


@pytest.mark.parametrize(
    ("last", "expected", "got"),
    [
        ([*CALLS, (2, (), 5)], "now_us()", "returned 0"),
        (CALLS[:1], "returned 0", "log(level=2, text='0', source='guest')"),
        ([(0, (SAID % b"yes",), -3), CALLS[1]], "log(level=2, text='0', source='guest')", "log(level=2, text='-'"),
    ],
    ids=["it did less", "it did more", "it was answered otherwise"],
)
def test_difference_tells_what_was_expected_and_what_came(
    caxton: CliRunner, recordings: Callable[..., None], last: list[Call], expected: str, got: str
) -> None:
    recordings(a=life("00-aa", "a", 1, calls=last))
    divergence = caxton("replay", "--agent", "a", "-o", "json").json()["divergence"]
    assert divergence["expected"] == expected
    assert divergence["got"].startswith(got)


def test_agents_without_a_recording_are_named(caxton: CliRunner, recordings: Callable[..., None]) -> None:
    recordings("silent", a=life("00-aa", "a", 1))
    outcome = caxton("replay", "--conversation-id", "c")
    assert outcome.code == 0
    assert "silent took part and did not record; 'caxton config set --agent silent --record=true'" in outcome.err
    assert caxton("replay", "--conversation-id", "c", "-o", "json").json()["not_recorded"] == ["silent"]


def test_nothing_recorded_is_an_error_that_says_how_to_record(
    caxton: CliRunner, recordings: Callable[..., None]
) -> None:
    recordings("orders")
    outcome = caxton("replay", "--conversation-id", "c")
    assert (outcome.code, outcome.out) == (3, "")
    assert "code: NOTHING_RECORDED" in outcome.err
    assert "caxton config set --agent orders --record=true" in outcome.err


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (struct.pack("<8sI", file.MAGIC, 9) + b"later", "RECORDING_TOO_NEW"),
        (b"no recording at all", "RECORDING_DAMAGED"),
        (life("00-aa", "a", 0)[:30], "RECORDING_DAMAGED"),
    ],
)
def test_file_that_cannot_be_read_is_an_error(
    caxton: CliRunner, recordings: Callable[..., None], data: bytes, code: str
) -> None:
    recordings(a=data)
    outcome = caxton("replay", "--agent", "a")
    assert (outcome.code, outcome.out) == (74, "")
    assert f"code: {code}" in outcome.err


def test_torn_end_is_not_run(caxton: CliRunner, recordings: Callable[..., None]) -> None:
    whole = life("00-aa", "a", 3)
    recordings(a=whole[: len(whole) - 60])
    assert caxton("replay", "--agent", "a", "-o", "json").json()["compared"] == 3


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((), 2, "--conversation-id, --message-id or --agent"),
        (("--agent", "a", "--message", "{}"), 2, "--message goes with --from"),
        (("--agent", "a", "--from", "2", "--message", "-", "--step"), 2, "both read standard input"),
        (("--conversation-id", "c", "--against", "new.wasm"), 2, "--agent"),
        (("--agent", "a", "--against", "gone.wasm"), 3, "FILE_NOT_FOUND"),
        (("--agent", "a", "--against", "text.wasm"), 4, "INVALID_WASM"),
        (("--agent", "a", "--from", "9"), 4, "1 to 2"),
        (("--agent", "a", "--from", "1", "--message", "{}"), 4, "no message is handed over"),
        (("--agent", "a", "--from", "0"), 2, "--from"),
        (("--step", "now"), 2, "INVALID_USAGE"),
    ],
)
def test_what_cannot_be_done_is_refused(
    caxton: CliRunner, recordings: Callable[..., None], arguments: tuple[str, ...], code: int, told: str, tmp_path: Path
) -> None:
    recordings(a=life("00-aa", "a", 1), b=life("01-aa", "b", 1))
    (tmp_path / "new.wasm").write_bytes(WASM)
    (tmp_path / "text.wasm").write_text("(module)", encoding="utf-8")
    outcome = caxton("replay", *arguments)
    assert outcome.code == code
    assert told in outcome.err


def test_step_asks_before_each_message_and_obeys(
    caxton: CliRunner, recordings: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings(a=life("00-aa", "a", 4))
    monkeypatch.setattr("sys.stdin", io.StringIO("b\ns\n\nwhat\n\nq\n"))
    outcome = caxton("replay", "--conversation-id", "c", "--step")
    assert outcome.code == 11
    assert "left early: 2 of 4 asked for were run; 3 handlings with 4 host calls did the same so far" in outcome.out
    assert "identical" not in outcome.out
    assert '"content":1}' in outcome.err
    assert "send_message(" in outcome.err
    assert outcome.err.count("[Enter] runs it") == 4, "three messages, and one answer that nobody understands"
    monkeypatch.setattr("sys.stdin", io.StringIO("\nc\n"))
    assert "identical: 5 handlings" in caxton("replay", "--conversation-id", "c", "--step").out
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert "identical: 5 handlings" in caxton("replay", "--conversation-id", "c", "--step").out, "the pipe ended"


def test_step_that_is_left_at_the_first_message_claims_nothing(
    caxton: CliRunner, recordings: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings(a=life("00-aa", "a", 2))
    monkeypatch.setattr("sys.stdin", io.StringIO("q\n"))
    outcome = caxton("replay", "--message-id", "m-2", "--step", "-o", "json")
    answer = outcome.json()
    assert (outcome.code, answer["identical"], answer["left_early"]) == (11, None, True)
    assert (answer["compared"], answer["asked_for"]) == (2, 1), "what came before was run"
    assert [step["asked_for"] for step in answer["steps"]] == [False, False]


def test_fork_from_the_start_compares_nothing_and_claims_nothing(
    caxton: CliRunner, recordings: Callable[..., None]
) -> None:
    recordings(a=life("00-aa", "a", 1))
    outcome = caxton("replay", "--agent", "a", "--from", "1")
    assert (outcome.code, "nothing was compared; 2 ran freely" in outcome.out) == (0, True)
    assert caxton("replay", "--agent", "a", "--from", "1", "-o", "json").json()["identical"] is None


def flipped(data: bytes, place: bytes) -> bytes:
    """The same with two other bytes where `place` begins."""
    at = data.index(place)
    return data[:at] + bytes(one ^ 1 for one in data[at : at + 2]) + data[at + 2 :]


def test_recording_damaged_in_the_middle_is_named_with_what_is_missing_and_never_identical(
    caxton: CliRunner, recordings: Callable[..., None]
) -> None:
    recordings(a=flipped(life("00-aa", "a", 4), b'"content":2'), b=life("01-aa", "b", 1))
    outcome = caxton("replay", "--conversation-id", "c")
    assert outcome.code == 74
    assert "identical" not in outcome.out + outcome.err
    assert "RECORDING_DAMAGED: recording 00-aa of a/0: what begins at byte" in outcome.out
    assert "missing from there: m-2, m-3, m-4" in outcome.out
    assert (
        "not all that was recorded can be read; of what can be, 4 handlings with 4 host calls did the same"
        in outcome.out
    )
    answer = caxton("replay", "--conversation-id", "c", "-o", "json").json()
    [damaged] = answer["damaged"]
    assert (answer["identical"], answer["compared"], damaged["code"]) == (None, 4, "RECORDING_DAMAGED")
    assert (damaged["agent"], damaged["missing"], damaged["all_known"]) == ("a", ["m-2", "m-3", "m-4"], True)
    assert caxton("replay", "--agent", "b").code == 0, "another one is not concerned"


def test_damage_before_all_that_was_asked_for_is_told_too(caxton: CliRunner, recordings: Callable[..., None]) -> None:
    recordings(a=flipped(life("00-aa", "a", 3), b'"content":1'))
    answer = caxton("replay", "--message-id", "m-3", "-o", "json")
    assert (answer.code, answer.json()["compared"], answer.json()["identical"]) == (74, 0, None)
    assert answer.json()["damaged"][0]["missing"] == ["m-3"]


def test_difference_before_the_damage_is_the_answer(
    caxton: CliRunner, recordings: Callable[..., None], tmp_path: Path
) -> None:
    recordings(a=flipped(life("00-aa", "a", 3), b'"content":3'))
    (tmp_path / "new.wasm").write_bytes(saying("yea"))
    outcome = caxton("replay", "--agent", "a", "--against", "new.wasm")
    assert (outcome.code, "RECORDING_DAMAGED" in outcome.out) == (10, True)


@pytest.mark.parametrize("option", ["--conversation-id", "--message-id", "--agent"])
def test_empty_id_of_an_unset_variable_is_refused(
    caxton: CliRunner, recordings: Callable[..., None], option: str
) -> None:
    recordings(a=life("00-aa", "a", 1))
    for empty in ("", " "):
        outcome = caxton("replay", option, empty)
        assert (outcome.code, outcome.out) == (4, "")
        assert "code: INVALID_VALUE" in outcome.err


def test_unreadable_files_are_told_of_once_and_only_where_they_matter(
    node: RunningNode, caxton: CliRunner, recordings: Callable[..., None]
) -> None:
    recordings(a=life("00-aa", "a", 1))
    node.do(lambda fakes: setattr(fakes.recordings, "unreadable_others", 3))
    outcome = caxton("replay", "--conversation-id", "c")
    assert (outcome.code, outcome.err) == (0, "")
    recordings("silent", a=life("00-aa", "a", 1))
    node.do(lambda fakes: setattr(fakes.recordings, "unreadable_others", 3))
    assert caxton("replay", "--conversation-id", "c").err.count("3 recordings cannot be read") == 1
    node.do(lambda fakes: setattr(fakes.recordings, "unreadable", {"07-aa.life": "it has format 9"}))
    outcome = caxton("replay", "--conversation-id", "c")
    assert outcome.code == 74
    assert "identical" not in outcome.out
    assert "07-aa.life: it has format 9" in outcome.err
    assert "silent took part and has no recording that can be read" in outcome.err


def test_nothing_recorded_gives_the_reason_that_is_known(
    node: RunningNode, caxton: CliRunner, recordings: Callable[..., None]
) -> None:
    recordings("orders")
    node.do(lambda fakes: setattr(fakes.recordings, "unreadable", {"07-aa.life": "it has format 9"}))
    outcome = caxton("replay", "--conversation-id", "c")
    assert (outcome.code, "07-aa.life: it has format 9" in outcome.err) == (3, True)
    assert "did not record" not in outcome.err
    recordings()
    node.do(lambda fakes: setattr(fakes.recordings, "not_in_recordings", ["orders"]))
    outcome = caxton("replay", "--conversation-id", "c")
    assert "orders took part, and it is not in their recordings" in outcome.err
    assert "in hand when the server was killed" in outcome.err
    assert "--record=true" not in outcome.err
    recordings(a=life("00-aa", "a", 1))
    node.do(lambda fakes: setattr(fakes.recordings, "messages", {"m-1"}))
    outcome = caxton("replay", "--conversation-id", "c", "--message-id", "nope")
    assert (outcome.code, "conversation c is recorded, and the message is not in it" in outcome.err) == (3, True)
    assert "did not record" not in outcome.err
    assert caxton("replay", "--conversation-id", "c", "--message-id", "m-1").code == 0


def test_fork_shows_what_would_have_been_done_and_takes_an_edited_message(
    caxton: CliRunner, recordings: Callable[..., None], tmp_path: Path
) -> None:
    recordings(a=life("00-aa", "a", 3))
    outcome = caxton("replay", "--conversation-id", "c", "--from", "3")
    assert outcome.code == 0
    assert "identical: 2 handlings with 2 host calls, byte for byte; 2 ran freely" in outcome.out
    assert outcome.out.count("would send_message(message=") == 2
    (tmp_path / "m.json").write_bytes(b"{}")
    answer = caxton("replay", "--agent", "a", "--from", "4", "--message", "@m.json", "-o", "json").json()
    assert [step["free"] for step in answer["steps"]] == [False] * 3 + [True]
    assert answer["steps"][-1]["would"][0].startswith('send_message(message=\'{"performative":"inform"')


def test_text_of_guests_cannot_steer_the_terminal(caxton: CliRunner, recordings: Callable[..., None]) -> None:
    evil: list[Call] = [(0, (b'\x1b[2J\x07{"x":1}',), 0)]
    recordings(a=life("00-aa", "a\x1b[31m", 1, calls=evil))
    outcome = caxton("replay", "--agent", "a")
    assert outcome.code == 10
    assert "\x1b" not in outcome.out + outcome.err


def test_recordings_are_not_for_everybody(caxton: CliRunner, recordings: Callable[..., None]) -> None:
    recordings(a=life("00-aa", "a", 1))
    outcome = caxton("replay", "--agent", "a", "--token", VIEWER_PROOF)
    assert (outcome.code, "code: FORBIDDEN" in outcome.err) == (6, True)
