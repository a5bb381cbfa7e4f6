"""`caxton replay`: what agents did, done again here, and compared.

The recordings are fetched from the server; the guests run in this process, in sandboxes of their own, and reach
nothing: no agent, no network, no tool.
"""

import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caxton.cli.command import Cli, command
from caxton.cli.exits import ExitCode
from caxton.cli.files import read_argument, read_file
from caxton.cli.output import Mark, printable
from caxton.core.errors import InvalidUsage, InvalidValue, NothingRecorded

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from contextlib import AbstractContextManager

    from caxton.core.views.recordings import RecordingPage
    from caxton.replay.file import Recording
    from caxton.replay.plan import Step
    from caxton.replay.player import Played
    from caxton.replay.record import Call
    from caxton.sandbox.module import Module

MAX_SHOWN_CHARS = 120
"""Of a message's content in its line; JSON output has all of it."""

_HELP = "[Enter] runs it, c runs all that follow, b shows the message, s what was recorded of it, q leaves"


def register(top: typer.Typer) -> None:
    """Add the command."""
    command(
        top,
        "replay",
        "caxton replay --conversation-id c-42",
        "caxton replay --conversation-id c-42 --agent orders --against build/orders.wasm",
        "caxton replay --message-id 8f0c6e1d2a3b-2a --step",
        "caxton replay --conversation-id c-42 --agent orders --from 7 --message @edited.json",
    )(replay)


@dataclass
class _Told:
    """What was run so far, for the answer."""

    steps: "list[dict[str, Any]]" = field(default_factory=list["dict[str, Any]"])
    compared: int = 0
    calls: int = 0
    free: int = 0
    divergence: "dict[str, Any] | None" = None


def replay(
    cli: Cli,
    conversation_id: Annotated[
        str | None, typer.Option("--conversation-id", metavar="ID", help="All that was recorded of this conversation.")
    ] = None,
    agent: Annotated[str | None, typer.Option("--agent", metavar="NAME", help="Only what this agent did.")] = None,
    message_id: Annotated[
        str | None, typer.Option("--message-id", metavar="ID", help="What handling this message did.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="FILE", help="Run this module (.wasm) in the place of the recorded one."),
    ] = None,
    step: Annotated[
        bool, typer.Option("--step", help="Stop before each message and ask; answers come from stdin.")
    ] = False,
    fork_at: Annotated[
        int | None,
        typer.Option("--from", min=1, metavar="N", help="Compare up to message N, and run freely from there on."),
    ] = None,
    message: Annotated[
        str | None,
        typer.Option(
            "--message", metavar="TEXT", help="With --from: hand this over as message N. @FILE reads it, - is stdin."
        ),
    ] = None,
) -> None:
    """Run recorded agents again in fresh sandboxes, offline, and compare all they do with the recording.

    Each instance runs from its recorded start. Ends with 10 at the first difference.
    """
    if conversation_id is None and message_id is None and agent is None:
        raise InvalidUsage("say what to replay: --conversation-id, --message-id or --agent", command="caxton replay")
    if message is not None and fork_at is None:
        raise InvalidUsage(
            "--message goes with --from, which says in the place of which message", command="caxton replay"
        )
    if message == "-" and step:
        raise InvalidUsage("--message - and --step cannot both read standard input", command="caxton replay")
    page, recordings, wasm = _fetch(cli, conversation_id, agent, message_id, with_modules=against is None)
    _check_agents(recordings, against)
    _run(cli, page, recordings, wasm, against=against, step=step, fork_at=fork_at, message=message,
         conversation_id=conversation_id, message_id=message_id)  # fmt: skip


def _fetch(
    cli: Cli, conversation_id: str | None, agent: str | None, message_id: str | None, *, with_modules: bool
) -> "tuple[RecordingPage, list[Recording], dict[str, bytes]]":
    """What the server has recorded. Raises `NothingRecorded`."""
    from caxton.core.views.recordings import RecordingFilter
    from caxton.replay.file import read

    wanted = RecordingFilter(agent=agent, conversation_id=conversation_id, message_id=message_id)
    with cli.client("Fetching recordings") as client:
        page = client.recordings(wanted)
        recordings = [read(client.recording(view.id), view.id) for view in page.recordings]
        recordings = [recording for recording in recordings if recording.handlings]
        if not recordings:
            raise NothingRecorded(_what(conversation_id, agent, message_id), page.not_recorded, agent=agent)
        needed = {recording.life.module_sha256 for recording in recordings} if with_modules else set[str]()
        wasm = {sha256: client.recorded_module(sha256) for sha256 in needed}
    return page, recordings, wasm


def _what(conversation_id: str | None, agent: str | None, message_id: str | None) -> str:
    if message_id is not None:
        return f"message {message_id}"
    return f"conversation {conversation_id}" if conversation_id is not None else f"agent {agent}"


def _check_agents(recordings: "Sequence[Recording]", against: Path | None) -> None:
    names = sorted({recording.life.agent for recording in recordings})
    if against is not None and len(names) > 1:
        raise InvalidUsage(
            f"--against is one agent's module, and {', '.join(names)} took part: say which, with --agent",
            command="caxton replay",
        )


def _run(
    cli: Cli, page: "RecordingPage", recordings: "Sequence[Recording]", wasm: "dict[str, bytes]", *,
    against: Path | None, step: bool, fork_at: int | None, message: str | None, conversation_id: str | None,
    message_id: str | None,
) -> None:  # fmt: skip
    from caxton.replay.plan import plan
    from caxton.replay.session import Session
    from caxton.sandbox.engine import Engine
    from caxton.sandbox.module import MAX_MODULE_BYTES

    new = None if against is None else read_file(against, max_bytes=MAX_MODULE_BYTES)
    steps = plan(recordings, conversation_id=conversation_id, message_id=message_id)
    _check_fork(steps, fork_at, message)
    body = None if message is None else read_argument(message, max_bytes=1 << 20)
    engine = Engine()
    with _compiled(engine, wasm, new) as (modules, new_module):
        _show_head(cli, page, recordings, steps)
        told, asks = _Told(), step
        with Session(engine, recordings, modules, against=new_module, fork_at=fork_at, body=body) as session:
            for one in steps:
                if asks and one.is_wanted:
                    answer = _ask(cli, one, recordings)
                    if answer == "q":
                        break
                    asks = answer != "c"
                played = session.run(one)
                _tell(cli, told, one, recordings, played)
                if told.divergence is not None:
                    break
    _show_end(cli, page, recordings, told)
    if told.divergence is not None:
        raise typer.Exit(ExitCode.DIVERGED)


def _check_fork(steps: "Sequence[Step]", fork_at: int | None, message: str | None) -> None:
    from caxton.replay.record import MESSAGE

    if fork_at is None:
        return
    if fork_at > len(steps):
        raise InvalidValue("--from", fork_at, f"what was recorded has the numbers 1 to {len(steps)}")
    if message is not None and steps[fork_at - 1].handling.kind != MESSAGE:
        raise InvalidValue("--from", fork_at, "no message is handed over there, so --message cannot take its place")


def _compiled(
    engine: Any, wasm: "dict[str, bytes]", new: bytes | None
) -> "AbstractContextManager[tuple[dict[str, Module], Module | None]]":
    """The modules as code of this machine, compiled in a child process as the server does it."""
    import asyncio
    import hashlib
    import os
    import tempfile
    from contextlib import contextmanager

    from caxton.sandbox.compile import Compiler
    from caxton.sandbox.module import Module

    async def compile_all(directory: str) -> "dict[str, Module]":
        compiler = Compiler(Path(directory), os.urandom(32))
        wanted = [*wasm.values(), *([] if new is None else [new])]
        return {
            sha256: Module(engine, await compiler.compile(one), sha256=sha256)
            for sha256, one in {hashlib.sha256(one).hexdigest(): one for one in wanted}.items()
        }

    @contextmanager
    def compiled() -> "Generator[tuple[dict[str, Module], Module | None]]":
        with tempfile.TemporaryDirectory() as directory:
            modules = asyncio.run(compile_all(directory))
        try:
            yield modules, None if new is None else modules[hashlib.sha256(new).hexdigest()]
        finally:
            for module in modules.values():
                module.close()
            engine.close()

    return compiled()


# --- asking ------------------------------------------------------------------------------------------------------


def _ask(cli: Cli, step: "Step", recordings: "Sequence[Recording]") -> str:
    """What to do with the next message: "" runs it, "c" all that follow, "q" none any more."""
    from caxton.replay.divergence import call_text, outcome_text

    err = sys.stderr
    err.write(f"{printable(_line(step, recordings))}\n  {_HELP}\n")
    while True:
        err.write("> ")
        err.flush()
        answer = sys.stdin.readline()
        if not answer:  # the pipe is over
            return "c"
        word = answer.strip().lower()
        if word in ("", "n"):
            return ""
        if word in ("c", "q"):
            return word
        if word == "b":
            err.write(f"{printable(step.handling.body.decode('utf-8', 'backslashreplace'))}\n")
        elif word == "s":
            for number, arguments, _ in step.handling.calls:
                err.write(f"  {printable(call_text(number, arguments))}\n")
            err.write(f"  {printable(outcome_text(step.handling.outcome))}\n")
        else:
            err.write(f"  {_HELP}\n")


# --- telling -----------------------------------------------------------------------------------------------------


def _show_head(cli: Cli, page: "RecordingPage", recordings: "Sequence[Recording]", steps: "Sequence[Step]") -> None:
    if cli.screen.as_json:
        return
    for name in page.not_recorded:
        cli.screen.warn(
            f"{printable(name)} took part and did not record; 'caxton config set --agent {printable(name)} "
            "--record=true' changes that"
        )
    for name, count in page.partly_recorded.items():
        cli.screen.warn(f"{count} messages of the conversation that {printable(name)} handled are not recorded")
    for name in page.unreadable:
        cli.screen.warn(f"{printable(name)} cannot be read (of another version, or damaged) and was left as it is")
    if page.total > len(page.recordings):
        cli.screen.warn(f"only the {len(page.recordings)} oldest of {page.total} recordings are replayed")
    if cli.quiet:
        return
    for number, recording in enumerate(recordings):
        life, run = recording.life, [step for step in steps if step.instance == number]
        wanted = sum(step.is_wanted for step in run)
        cli.screen.line(
            f"{printable(life.agent)}/{life.replica}  began {_time(life.began_us)}  module {life.module_sha256[:12]}  "
            f"runs {len(run)} from its start, {wanted} of them asked for"
        )


def _tell(cli: Cli, told: _Told, step: "Step", recordings: "Sequence[Recording]", played: "Played | None") -> None:
    """One step is done: remember it, and show it if it was asked for, ran freely, or is the first difference."""
    if played is None:
        told.steps.append(_step_json(step, recordings, None))
        if not cli.screen.as_json:
            cli.screen.line(f"  {printable(_line(step, recordings))}: its instance has ended since the fork")
        return
    told.steps.append(_step_json(step, recordings, played))
    if played.is_free:
        told.free += 1
    else:
        told.compared += 1
        told.calls += len(played.calls)
    if played.divergence is not None:
        told.divergence = {**told.steps[-1], **_struct(played.divergence)}
    if cli.screen.as_json or not (step.is_wanted or played.is_free or played.divergence):
        return
    _show_step(cli, step, recordings, played)


def _show_step(cli: Cli, step: "Step", recordings: "Sequence[Recording]", played: "Played") -> None:
    from caxton.replay.divergence import outcome_text

    line = printable(f"{_line(step, recordings)}  {_done(played.calls)}, {outcome_text(played.outcome)}")
    if played.divergence is not None:
        found = played.divergence
        cli.screen.state(Mark.FAIL, printable(_line(step, recordings)))
        cli.screen.line(f"  differs at call {found.call}")
        cli.screen.line(printable(f"  expected  {found.expected}"))
        cli.screen.line(printable(f"  got       {found.got}"))
        if found.diff:
            cli.screen.line(printable(f"  {found.diff}"))
    elif played.is_free:
        cli.screen.state(Mark.INFO, line)
        for call in played.calls:
            if (text := _effect(call)) is not None:
                cli.screen.line(f"    {printable(text)}")
    else:
        cli.screen.say(Mark.OK, line)


def _effect(call: "Call") -> str | None:
    """What a free run would have done, or None for what only asks."""
    from caxton.replay.divergence import call_text
    from caxton.replay.record import CALLS

    number, arguments, _ = call
    if CALLS[number] in ("now_us", "random", "kv_get"):
        return None
    return f"would {call_text(number, arguments)}"


def _show_end(cli: Cli, page: "RecordingPage", recordings: "Sequence[Recording]", told: _Told) -> None:
    answer = {
        "identical": told.divergence is None,
        "compared": told.compared,
        "calls": told.calls,
        "free": told.free,
        "instances": [_instance_json(recording) for recording in recordings],
        "steps": told.steps,
        "divergence": told.divergence,
        "not_recorded": page.not_recorded,
        "partly_recorded": page.partly_recorded,
        "unreadable": page.unreadable,
    }

    def human() -> None:
        if told.divergence is not None:
            cli.screen.state(Mark.FAIL, f"differs from the recording, after {_count(told.compared - 1)} that did not")
            return
        free = f"; {told.free} ran freely" if told.free else ""
        cli.screen.state(
            Mark.OK, f"identical: {_count(told.compared)} with {told.calls} host calls, byte for byte{free}"
        )

    cli.screen.answer(answer, human)


def _count(handlings: int) -> str:
    return f"{handlings} handling{'' if handlings == 1 else 's'}"


def _line(step: "Step", recordings: "Sequence[Recording]") -> str:
    """Which handling it is."""
    life, handling = recordings[step.instance].life, step.handling
    return f"#{step.number}  {_time(handling.at_us)}  {life.agent}/{life.replica}  {_given(step)}"


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

    from caxton.core.errors import CaxtonError
    from caxton.messages.codec import decode_message

    try:
        return decode_message(body).performative
    except (CaxtonError, DecodeError):
        return "message"


def _done(calls: "Sequence[Call]") -> str:
    from caxton.replay.record import CALLS

    sent = sum(CALLS[number] == "send_message" and status == 0 for number, _, status in calls)
    return f"{len(calls)} calls, {sent} sent"


def _step_json(step: "Step", recordings: "Sequence[Recording]", played: "Played | None") -> dict[str, Any]:
    from caxton.replay.divergence import call_text, outcome_text
    from caxton.replay.record import KINDS

    life, handling = recordings[step.instance].life, step.handling
    found: dict[str, Any] = {
        "number": step.number, "recording": life.id, "agent": life.agent, "replica": life.replica,
        "kind": KINDS[handling.kind], "at": _time(handling.at_us), "message_id": handling.message_id or None,
        "conversation_id": handling.conversation_id, "attempt": handling.attempt, "asked_for": step.is_wanted,
    }  # fmt: skip
    if played is None:
        return found | {"ran": False}
    found |= {"ran": True, "free": played.is_free, "calls": len(played.calls), "outcome": outcome_text(played.outcome)}
    if played.is_free:
        found["would"] = [call_text(number, arguments) for number, arguments, _ in played.calls]
    return found


def _instance_json(recording: "Recording") -> dict[str, Any]:
    life = recording.life
    return {
        "recording": life.id, "agent": life.agent, "replica": life.replica, "began_at": _time(life.began_us),
        "module_sha256": life.module_sha256, "recorded_by": life.caxton, "handlings": len(recording.handlings),
        "ended": None if recording.end is None else recording.end.why,
    }  # fmt: skip


def _struct(value: object) -> dict[str, Any]:
    import msgspec

    return msgspec.to_builtins(value)


def _time(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
