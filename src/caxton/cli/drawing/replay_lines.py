"""What a replay did in lines and as JSON, and why there is less of it than was asked for. Pure."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from caxton.core.errors.recordings import RecordingDamaged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caxton.replay.file import Recording
    from caxton.replay.plan import Step
    from caxton.replay.player import Played
    from caxton.replay.record import Call

MAX_SHOWN_LOST = 10
"""Messages of a damaged recording that are named; JSON output has all that are known."""


def missing_in(
    recordings: "Sequence[Recording]", conversation_id: str | None, message_id: str | None
) -> "list[dict[str, Any]]":
    """What is missing of what is asked for, for each recording that is damaged."""
    from caxton.replay.plan import is_wanted
    from caxton.replay.record import KINDS

    return [
        {
            "code": RecordingDamaged.code, "recording": one.life.id, "agent": one.life.agent,
            "replica": one.life.replica, "why": one.damage.reason, "at_byte": one.damage.at, "bytes": one.damage.of,
            "missing": [
                handling.message_id or KINDS[handling.kind]
                for handling in one.damage.lost
                if is_wanted(handling, conversation_id, message_id)
            ],
            "all_known": one.damage.is_all,
        }
        for one in recordings
        if one.damage is not None
    ]  # fmt: skip


def unreadable(name: str, why: str) -> str:
    """Why a file cannot be read."""
    return why if name in why else f"{name}: {why}"


def others(count: int) -> str:
    """That there are files that nobody can read."""
    return f"{count} recording{'' if count == 1 else 's'} cannot be read (of another version, or damaged)"


def not_in_recordings(names: "Sequence[str]") -> str:
    """Why agents that record may have nothing of what is asked for."""
    return (
        f"{', '.join(names)} took part, and it is not in their recordings: it was handled when they did not record, or "
        "in hand when the server was killed, or the recording was let go of to make room"
    )


def damage_line(one: "dict[str, Any]") -> str:
    """What of a damaged recording is missing."""
    lost = one["missing"]
    named = ", ".join(lost[:MAX_SHOWN_LOST]) + (
        f" and {len(lost) - MAX_SHOWN_LOST} more" if lost[MAX_SHOWN_LOST:] else ""
    )
    rest = "" if one["all_known"] else "; what else stood there cannot be told"
    return (
        f"{one['code']}: recording {one['recording']} of {one['agent']}/{one['replica']}: {one['why']}, "
        f"of {one['bytes']}; missing from there: {named or 'nothing that is known'}{rest}"
    )


def handlings(count: int) -> str:
    """So many of them."""
    return f"{count} handling{'' if count == 1 else 's'}"


def step_line(step: "Step", recordings: "Sequence[Recording]") -> str:
    """Which handling it is."""
    life, handling = recordings[step.instance].life, step.handling
    return f"#{step.number}  {time_of(handling.at_us)}  {life.agent}/{life.replica}  {_given(step)}"


def _given(step: "Step") -> str:
    from caxton.replay.record import KINDS, MESSAGE, TIMER

    handling = step.handling
    if handling.kind == TIMER:
        return f"timer {handling.timer_id}"
    if handling.kind != MESSAGE:
        return KINDS[handling.kind]
    again = f" (attempt {handling.attempt})" if handling.attempt > 1 else ""
    return f"{_performative(handling.body)} from {handling.sender}{again}  {handling.message_id}"


def _performative(body: bytes) -> str:
    from msgspec import DecodeError

    from caxton.core.errors.error import CaxtonError
    from caxton.messages.codec import decode_message

    try:
        return decode_message(body).performative
    except (CaxtonError, DecodeError):
        return "message"


def done(calls: "Sequence[Call]") -> str:
    """What a handling did, in numbers."""
    from caxton.replay.record import CALLS

    sent = sum(CALLS[number] == "send_message" and status == 0 for number, _, status in calls)
    return f"{len(calls)} calls, {sent} sent"


def step_json(step: "Step", recordings: "Sequence[Recording]", played: "Played | None") -> dict[str, Any]:
    """A step in the answer; without `played` it did not run."""
    from caxton.replay.divergence import call_text, outcome_text
    from caxton.replay.record import KINDS

    life, handling = recordings[step.instance].life, step.handling
    found: dict[str, Any] = {
        "number": step.number, "recording": life.id, "agent": life.agent, "replica": life.replica,
        "kind": KINDS[handling.kind], "at": time_of(handling.at_us), "message_id": handling.message_id or None,
        "conversation_id": handling.conversation_id, "attempt": handling.attempt, "asked_for": step.is_wanted,
    }  # fmt: skip
    if played is None:
        return found | {"ran": False}
    found |= {"ran": True, "free": played.is_free, "calls": len(played.calls), "outcome": outcome_text(played.outcome)}
    if played.is_free:
        found["would"] = [call_text(number, arguments) for number, arguments, _ in played.calls]
    return found


def instance_json(recording: "Recording") -> dict[str, Any]:
    """An instance in the answer."""
    life = recording.life
    return {
        "recording": life.id, "agent": life.agent, "replica": life.replica, "began_at": time_of(life.began_us),
        "module_sha256": life.module_sha256, "recorded_by": life.caxton, "handlings": len(recording.handlings),
        "ended": None if recording.end is None else recording.end.why,
    }  # fmt: skip


def plain(value: object) -> dict[str, Any]:
    """The fields of a struct."""
    import msgspec

    return msgspec.to_builtins(value)


def time_of(us: int) -> str:
    """A wall-clock time as ISO 8601."""
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
