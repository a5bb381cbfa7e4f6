"""Which handlings are run again, in which order."""

from __future__ import annotations

from caxton.replay.file import Recording
from caxton.replay.plan import plan
from caxton.replay.record import MESSAGE, START, Handling, Life, Outcome, State


def handling(at_us: int, *, conversation_id: str | None = None, message_id: str = "") -> Handling:
    kind = MESSAGE if message_id else START
    return Handling(kind, at_us, b"", "", message_id, conversation_id, 1, -1, [], Outcome("returned"))


def recording(*handlings: Handling) -> Recording:
    return Recording(Life("1", "default", "a", 0, 0, "5a", {}, ""), State([], 1), list(handlings))


def test_life_is_run_from_its_start_up_to_the_last_message_asked_for() -> None:
    one = recording(
        handling(1),
        handling(2, conversation_id="c", message_id="m1"),
        handling(3, conversation_id="d", message_id="m2"),
        handling(4, conversation_id="c", message_id="m3"),
        handling(5, conversation_id="d", message_id="m4"),
    )
    steps = plan([one], conversation_id="c")
    assert [step.handling.at_us for step in steps] == [1, 2, 3, 4]
    assert [step.is_wanted for step in steps] == [False, True, False, True]
    assert [step.handling.at_us for step in plan([one], message_id="m2")] == [1, 2, 3]
    assert [step.handling.at_us for step in plan([one], message_id="m2", conversation_id="c")] == []
    assert [step.handling.at_us for step in plan([one])] == [1, 2, 3, 4, 5]


def test_lives_take_turns_by_time_and_keep_their_own_order_when_the_clock_went_back() -> None:
    first = recording(handling(10), handling(30), handling(5), handling(40))
    second = recording(handling(20), handling(35))
    steps = plan([first, second])
    assert [(step.instance, step.handling.at_us) for step in steps] == [
        (0, 10), (1, 20), (0, 30), (0, 5), (1, 35), (0, 40),
    ]  # fmt: skip
    assert [step.number for step in steps] == [1, 2, 3, 4, 5, 6]


def test_life_without_anything_asked_for_is_not_run() -> None:
    assert plan([recording(handling(1), handling(2, message_id="m"))], conversation_id="c") == []
