"""`caxton replay`: what agents did, done again here, and compared.

The recordings are fetched from the server; the guests run in this process, in sandboxes of their own, and reach
nothing: no agent, no network, no tool.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caxton.cli.command import Cli, command
from caxton.cli.drawing.replay_lines import (
    damage_line,
    done,
    handlings,
    instance_json,
    missing_in,
    not_in_recordings,
    others,
    plain,
    step_json,
    step_line,
    time_of,
    unreadable,
)
from caxton.cli.exits import ExitCode
from caxton.cli.files import read_argument, read_file
from caxton.cli.output import Mark, printable
from caxton.core.errors.command_line import InvalidUsage
from caxton.core.errors.recordings import NothingRecorded
from caxton.core.errors.values import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from contextlib import AbstractContextManager

    from caxton.core.views.recordings import RecordingFilter, RecordingPage
    from caxton.replay.file import Recording
    from caxton.replay.plan import Step
    from caxton.replay.player import Played
    from caxton.replay.record import Call
    from caxton.sandbox.module import Module

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
    asked_for: int = 0
    """How many of them were asked for."""
    is_left: bool = False
    """The rest was not wanted any more."""


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

    Each instance runs from its recorded start. Ends with 10 at the first difference, with 11 if it was left early, with
    74 if not all of it can be read.
    """
    for option, text in (("--conversation-id", conversation_id), ("--message-id", message_id), ("--agent", agent)):
        if text is not None and not text.strip():
            raise InvalidValue(option, text, "it is empty: give one, or leave the option out")
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
        recordings = [recording for recording in recordings if recording.handlings or recording.damage]
        if not recordings:
            is_there = None not in (conversation_id, message_id) and bool(
                client.recordings(RecordingFilter(agent=agent, conversation_id=conversation_id)).recordings
            )
            raise _nothing_recorded(page, wanted, is_there=is_there)
        needed = {recording.life.module_sha256 for recording in recordings} if with_modules else set[str]()
        wasm = {sha256: client.recorded_module(sha256) for sha256 in needed}
    return page, recordings, wasm


def _nothing_recorded(page: "RecordingPage", wanted: "RecordingFilter", *, is_there: bool) -> NothingRecorded:
    """Why, as far as it is known; `is_there`: its conversation is recorded."""
    reasons: list[str] = []
    if is_there:
        reasons.append(f"conversation {wanted.conversation_id} is recorded, and the message is not in it")
    reasons += [unreadable(name, why) for name, why in page.unreadable.items()]
    if page.unreadable_others:
        reasons.append(others(page.unreadable_others))
    if page.not_in_recordings:
        reasons.append(not_in_recordings(page.not_in_recordings))
    silent = [] if page.unreadable else page.not_recorded
    if silent:
        reasons.append(f"{', '.join(silent)} took part and did not record")
    elif not reasons:
        silent = [wanted.agent or "NAME"]
    return NothingRecorded(_what(wanted), reasons, silent=silent)


def _what(wanted: "RecordingFilter") -> str:
    if wanted.message_id is not None:
        return f"message {wanted.message_id}"
    if wanted.conversation_id is not None:
        return f"conversation {wanted.conversation_id}"
    return f"agent {wanted.agent}"


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
                        told.is_left = True
                        break
                    asks = answer != "c"
                played = session.run(one)
                _tell(cli, told, one, recordings, played)
                if told.divergence is not None:
                    break
    missing = missing_in(recordings, conversation_id, message_id)
    _show_end(cli, page, recordings, told, missing, sum(one.is_wanted for one in steps))
    if told.divergence is not None:
        raise typer.Exit(ExitCode.DIVERGED)
    if missing or page.unreadable:
        raise typer.Exit(ExitCode.STORAGE)
    if told.is_left:
        raise typer.Exit(ExitCode.LEFT_EARLY)


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
    err.write(f"{printable(step_line(step, recordings))}\n  {_HELP}\n")
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
    silent = "has no recording that can be read" if page.unreadable else "did not record"
    for name in page.not_recorded:
        cli.screen.warn(
            f"{printable(name)} took part and {silent}; "
            f"'caxton config set --agent {printable(name)} --record=true' changes that"
        )
    if page.not_in_recordings:
        cli.screen.warn(printable(not_in_recordings(page.not_in_recordings)))
    for name, count in page.partly_recorded.items():
        cli.screen.warn(f"{count} messages of the conversation that {printable(name)} handled are not recorded")
    for name, why in page.unreadable.items():
        cli.screen.warn(printable(unreadable(name, why)))
    if page.unreadable_others and (page.not_recorded or page.not_in_recordings or page.partly_recorded):
        cli.screen.warn(f"{others(page.unreadable_others)}, and what is missing may be in there")
    if page.total > len(page.recordings):
        cli.screen.warn(f"only the {len(page.recordings)} oldest of {page.total} recordings are replayed")
    if cli.quiet:
        return
    for number, recording in enumerate(recordings):
        life, run = recording.life, [step for step in steps if step.instance == number]
        wanted = sum(step.is_wanted for step in run)
        cli.screen.line(
            f"{printable(life.agent)}/{life.replica}  began {time_of(life.began_us)}  "
            f"module {life.module_sha256[:12]}  runs {len(run)} from its start, {wanted} of them asked for"
        )


def _tell(cli: Cli, told: _Told, step: "Step", recordings: "Sequence[Recording]", played: "Played | None") -> None:
    """One step is done: remember it, and show it if it was asked for, ran freely, or is the first difference."""
    if played is None:
        told.steps.append(step_json(step, recordings, None))
        if not cli.screen.as_json:
            cli.screen.line(f"  {printable(step_line(step, recordings))}: its instance has ended since the fork")
        return
    told.steps.append(step_json(step, recordings, played))
    told.asked_for += step.is_wanted
    if played.is_free:
        told.free += 1
    else:
        told.compared += 1
        told.calls += len(played.calls)
    if played.divergence is not None:
        told.divergence = {**told.steps[-1], **plain(played.divergence)}
    if cli.screen.as_json or not (step.is_wanted or played.is_free or played.divergence):
        return
    _show_step(cli, step, recordings, played)


def _show_step(cli: Cli, step: "Step", recordings: "Sequence[Recording]", played: "Played") -> None:
    from caxton.replay.divergence import outcome_text

    line = printable(f"{step_line(step, recordings)}  {done(played.calls)}, {outcome_text(played.outcome)}")
    if played.divergence is not None:
        found = played.divergence
        cli.screen.state(Mark.FAIL, printable(step_line(step, recordings)))
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


def _show_end(
    cli: Cli, page: "RecordingPage", recordings: "Sequence[Recording]", told: _Told, missing: "list[dict[str, Any]]",
    asked_for: int,
) -> None:  # fmt: skip
    is_whole = not (missing or page.unreadable or told.is_left) and told.compared > 0
    answer = {
        "identical": False if told.divergence is not None else is_whole or None,
        "compared": told.compared,
        "calls": told.calls,
        "free": told.free,
        "asked_for": asked_for,
        "left_early": told.is_left,
        "instances": [instance_json(recording) for recording in recordings],
        "steps": told.steps,
        "divergence": told.divergence,
        "damaged": missing,
        "not_recorded": page.not_recorded,
        "not_in_recordings": page.not_in_recordings,
        "partly_recorded": page.partly_recorded,
        "unreadable": page.unreadable,
    }

    def human() -> None:
        for one in missing:
            cli.screen.state(Mark.FAIL, printable(damage_line(one)))
        same = f"{handlings(told.compared)} with {told.calls} host calls"
        free = f"; {told.free} ran freely" if told.free else ""
        if told.divergence is not None:
            cli.screen.state(
                Mark.FAIL, f"differs from the recording, after {handlings(told.compared - 1)} that did not"
            )
        elif missing or page.unreadable:
            cli.screen.state(
                Mark.FAIL, f"not all that was recorded can be read; of what can be, {same} did the same{free}"
            )
        elif told.is_left:
            cli.screen.state(
                Mark.WARN,
                f"left early: {told.asked_for} of {asked_for} asked for were run; {same} did the same so far{free}",
            )
        elif not told.compared:
            cli.screen.state(Mark.INFO, f"nothing was compared{free}")
        else:
            cli.screen.state(Mark.OK, f"identical: {same}, byte for byte{free}")

    cli.screen.answer(answer, human)
