"""The hosts of a replay: one knows every answer, the other makes them up, the same in every run."""

from __future__ import annotations

from typing import Any

import pytest

from caxton.replay.divergence import call_text, outcome_text
from caxton.replay.record import CALLS, MESSAGE, Call, Handling, Outcome, State
from caxton.replay.tape import (
    AS_RECORDED,
    CALL_TOOL,
    DIVERGED,
    KV_DELETE,
    KV_GET,
    KV_SET,
    LOG,
    NOW,
    RANDOM,
    SEND,
    SET_TIMER,
    Scene,
    Tape,
    World,
)  # fmt: skip
from caxton.sandbox.codes import NOT_FOUND
from caxton.sandbox.host import GuestStop, Host


def handling(*calls: Call, outcome: Outcome = Outcome("returned")) -> Handling:  # noqa: B008 - frozen
    return Handling(MESSAGE, 100, b"", "a", "m", "c", 1, -1, list(calls), outcome)


def test_every_function_of_the_host_has_its_number() -> None:
    asked: list[tuple[int, tuple[Any, ...]]] = []
    scene = Scene()
    scene.act = lambda number, arguments: asked.append((number, arguments)) or len(asked)
    host: Host = scene
    examples: dict[str, tuple[Any, ...]] = {
        "send_message": (b"m",), "log": (1, b"t", "guest"), "now_us": (), "random": (4,), "set_timer": (5,),
        "cancel_timer": (6,), "kv_get": (b"k",), "kv_set": (b"k", b"v"), "kv_delete": (b"k",), "call_tool": (b"r",),
        "subscribe": (b"t",), "unsubscribe": (b"t",),
    }  # fmt: skip
    for name in CALLS:
        answer = getattr(host, name)(*examples[name])
        assert asked[-1] == (CALLS.index(name), examples[name])
        assert answer in (None, len(asked))
        assert call_text(*asked[-1]).startswith(f"{name}(")
    methods = {name for name in vars(Host) if not name.startswith("_")}
    assert methods == set(CALLS), "a function that is not recorded would make replays lie"


def test_answers_come_in_their_order_and_the_first_other_call_stops_the_guest() -> None:
    tape = Tape(handling((NOW, (), 5), (KV_GET, (b"k",), None)))
    assert tape.act(NOW, ()) == 5
    with pytest.raises(GuestStop) as stopped:
        tape.act(KV_GET, (b"K",))
    assert stopped.value.kind == DIVERGED
    assert tape.divergence is not None
    assert (tape.divergence.call, tape.divergence.expected, tape.divergence.got) == (
        2,
        "kv_get(key='k')",
        "kv_get(key='K')",
    )


def test_call_too_many_is_a_difference_unless_the_host_had_ended_it_there() -> None:
    tape = Tape(handling())
    with pytest.raises(GuestStop, match="something else"):
        tape.act(NOW, ())
    assert tape.divergence is not None
    assert tape.divergence.expected == "returned 0"
    for outcome in (
        Outcome("cut"),
        *(Outcome("trapped", text=kind) for kind in ("cpu_time", "wall_time", "host_error")),
    ):
        tape = Tape(handling(outcome=outcome))
        with pytest.raises(GuestStop) as stopped:
            tape.act(NOW, ())
        assert (stopped.value.kind, tape.divergence) == (AS_RECORDED, None)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((SEND, (b"\x00\xff",)), "send_message(message=0x00ff)"),
        ((LOG, (2, "é".encode() * 200, "guest")), f"log(level=2, text='{'é' * 80}'… (400 bytes), source='guest')"),
        ((KV_SET, (b"k", b"")), "kv_set(key='k', value='')"),
    ],
)
def test_bytes_are_shown_as_text_if_they_are(arguments: tuple[int, tuple[Any, ...]], text: str) -> None:
    assert call_text(*arguments) == text
    assert (
        outcome_text(Outcome("trapped", text="unreachable", reason="it gave up")) == "trapped (unreachable): it gave up"
    )


def test_fork_meets_the_state_that_the_recording_had_made() -> None:
    world = World("life", State([(b"old", b"1"), (b"gone", b"2")], 7))
    world.learn(handling((KV_SET, (b"new", b"3"), 0), (KV_DELETE, (b"gone",), 0), (SET_TIMER, (5,), 9)))
    world.learn(handling((KV_SET, (b"failed", b"4"), 0), outcome=Outcome("returned", 1)))
    world.learn(handling((KV_SET, (b"refused", b"5"), -4), (KV_GET, (b"others",), b"6"), (CALL_TOOL, (b"q",), b"a")))
    assert world.kv == {b"old": b"1", b"new": b"3", b"others": b"6"}
    world.begin(1000)
    assert [world.act(NOW, ()), world.act(NOW, ()), world.act(SET_TIMER, (5,))] == [1001, 1002, 10]
    assert [world.act(CALL_TOOL, (b"q",)), world.act(CALL_TOOL, (b"other",))] == [b"a", NOT_FOUND]
    assert [world.act(KV_DELETE, (b"old",)), world.act(KV_GET, (b"old",)), world.act(KV_DELETE, (b"old",))] == [
        0, None, NOT_FOUND,
    ]  # fmt: skip
    world.end(succeeded=False)
    assert world.kv[b"old"] == b"1", "what failed never was"
    world.begin(2000)
    world.act(KV_SET, (b"old", b"7"))
    world.end(succeeded=True)
    assert world.kv[b"old"] == b"7"


def test_fork_is_the_same_in_every_run_and_no_two_draws_are() -> None:
    first, second, other = (World(name, State([], 1)) for name in ("life", "life", "another"))
    draws = [first.act(RANDOM, (16,)), first.act(RANDOM, (16,))]
    assert draws == [second.act(RANDOM, (16,)), second.act(RANDOM, (16,))]
    assert len({*draws, other.act(RANDOM, (16,))}) == 3
