"""`caxton dlq …`: messages that were given up, and what to do with them."""

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caxton.cli.agent import complete_agent
from caxton.cli.command import Cli, command, new_app
from caxton.cli.exits import exit_code_for
from caxton.cli.output import Mark, printable
from caxton.core.errors.command_line import InvalidUsage
from caxton.core.units import format_size

if TYPE_CHECKING:
    from caxton.client import CaxtonClient
    from caxton.client.dead_letters import Replays
    from caxton.core.views.dead_letters import (
        DeadLetterDetail,
        DeadLetterFilter,
        DeadLetterPage,
        PurgeReceipt,
        ReplayOutcome,
    )

MAX_SHOWN_CHARS = 80
"""Of an error in the list; `dlq show` has all of it."""

LETTERS_AT_ONCE = 100
"""What the server takes in one request."""

app = new_app(
    "Look at messages that were given up (dead letters), hand them over again, or delete them.",
    "caxton dlq list",
    "caxton dlq show 42",
    "caxton dlq replay --agent counter",
)


def register(top: typer.Typer) -> None:
    """Add the noun."""
    top.add_typer(app, name="dlq")


IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Which dead letter, as 'caxton dlq list' has it.")]
IdsArgument = Annotated[list[str] | None, typer.Argument(metavar="ID…", help="Which dead letters.")]
AgentOption = Annotated[
    str | None,
    typer.Option("--agent", metavar="NAME", help="Only letters for this agent.", autocompletion=complete_agent),
]
ReasonOption = Annotated[
    str | None,
    typer.Option(
        "--reason", metavar="WORD", help="Only letters that died of this: failed, expired, removed, poison, protocol."
    ),
]
SenderOption = Annotated[
    str | None, typer.Option("--sender", metavar="NAME", help="Only letters of this agent, or of client:NAME.")
]
ConversationOption = Annotated[
    str | None, typer.Option("--conversation-id", metavar="ID", help="Only letters of this conversation.")
]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="DURATION", help="Only letters that died in the last while, like 1h.")
]


def _filter(
    agent: str | None, reason: str | None, sender: str | None, conversation_id: str | None, since: str | None
) -> "DeadLetterFilter | None":
    from caxton.core.views.dead_letters import DeadLetterFilter

    if agent is reason is sender is conversation_id is since is None:
        return None
    return DeadLetterFilter(agent=agent, reason=reason, sender=sender, conversation_id=conversation_id, since=since)


@command(
    app,
    "list",
    "caxton dlq list",
    "caxton dlq list --agent counter --reason failed --since 1h",
    "caxton dlq list --replayed -o json",
)
def list_letters(
    cli: Cli,
    agent: AgentOption = None,
    reason: ReasonOption = None,
    sender: SenderOption = None,
    conversation_id: ConversationOption = None,
    since: SinceOption = None,
    replayed: Annotated[
        bool, typer.Option("--replayed", help="Those that were replayed, instead of those that wait.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, metavar="N", help="At most so many.")] = 100,
    after: Annotated[
        str | None, typer.Option("--after", metavar="ID", help="Go on with a list: only letters below this id.")
    ] = None,
) -> None:
    """List dead letters, those accepted last first."""
    wanted = _filter(agent, reason, sender, conversation_id, since)
    with cli.client("Asking for the dead letters") as client:
        page = client.dead_letters(wanted, replayed=replayed, limit=limit, after=after)
    cli.screen.answer(page, lambda: _show_list(cli, page, replayed))


@command(app, "show", "caxton dlq show 42", "caxton dlq show 42 -o json")
def show(cli: Cli, letter_id: IdArgument) -> None:
    """Show a dead letter: why and where it died, and what it says."""
    with cli.client("Asking for the dead letter") as client:
        letter = client.dead_letter(letter_id)
    cli.screen.answer(letter, lambda: _show_letter(cli, letter))


@command(
    app,
    "replay",
    "caxton dlq replay 42 43",
    "caxton dlq replay --agent counter --since 1h",
    "caxton dlq replay --all",
)
def replay(
    cli: Cli,
    ids: IdsArgument = None,
    agent: AgentOption = None,
    reason: ReasonOption = None,
    sender: SenderOption = None,
    conversation_id: ConversationOption = None,
    since: SinceOption = None,
    all_: Annotated[bool, typer.Option("--all", help="All that wait.")] = False,
) -> None:
    """Hand dead letters over again, each once, in the order in which they were accepted."""
    wanted = _filter(agent, reason, sender, conversation_id, since)
    _check_choice("replay", ids, wanted, all_)
    if ids and len(ids) == 1:
        with cli.client("Replaying") as client:
            receipt = client.replay(ids[0])
        text = {"replayed": "replayed", "already-replayed": "was replayed before"}.get(receipt.status, receipt.status)
        cli.screen.answer(receipt, lambda: cli.screen.done(f"Dead letter {receipt.id} {text}, for {receipt.agent}"))
        return
    done = _Replayed()
    if ids:
        _replay_ids(cli, ids, done)
    else:
        _replay_matching(cli, wanted, done)
    cli.screen.answer(done.summary(), lambda: _tell_replayed(cli, done))
    if done.refused:
        problem = done.refused[0].problem
        raise typer.Exit(exit_code_for(problem.code if problem else "", problem.status if problem else None))


@command(
    app,
    "purge",
    "caxton dlq purge 42 43",
    "caxton dlq purge --agent counter --reason expired",
    "caxton dlq purge --all --yes",
)
def purge(
    cli: Cli,
    ids: IdsArgument = None,
    agent: AgentOption = None,
    reason: ReasonOption = None,
    sender: SenderOption = None,
    conversation_id: ConversationOption = None,
    since: SinceOption = None,
    all_: Annotated[bool, typer.Option("--all", help="Every one.")] = False,
    replayed: Annotated[
        bool, typer.Option("--replayed", help="Of those meant, only the ones that were replayed.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --all: do not ask.")] = False,
) -> None:
    """Delete dead letters for good."""
    wanted = _filter(agent, reason, sender, conversation_id, since)
    _check_choice("purge", ids, wanted, all_)
    if ids and replayed:
        raise InvalidUsage("--replayed goes with a condition or --all", command="caxton dlq purge")
    if all_ and not yes and not _is_sure(cli, replayed):
        cli.screen.warn("nothing was deleted")
        raise typer.Exit(1)
    with cli.client("Purging") as client:
        if ids is None or not ids:
            receipt = client.purge_matching(wanted, replayed=replayed or None)
        elif len(ids) == 1:
            receipt = client.purge(ids[0])
        else:
            receipt = _purge_ids(client, ids)
    cli.screen.answer(receipt, lambda: _tell_purged(cli, receipt))


def _check_choice(verb: str, ids: list[str] | None, wanted: "DeadLetterFilter | None", all_: bool) -> None:
    if [bool(ids), wanted is not None, all_].count(True) != 1:
        reason = "say which: some ids, conditions such as --agent, or --all, and one of these only"
        raise InvalidUsage(reason, command=f"caxton dlq {verb}")


# --- replay ------------------------------------------------------------------------------------------------------


@dataclass
class _Replayed:
    """What became of the letters so far."""

    replayed: int = 0
    before: int = 0
    refused: "list[ReplayOutcome]" = field(default_factory=list[Any])

    def add(self, outcomes: "list[ReplayOutcome]") -> None:
        for outcome in outcomes:
            if outcome.receipt is None:
                self.refused.append(outcome)
            else:
                self.replayed += outcome.receipt.status == "replayed"
                self.before += outcome.receipt.status != "replayed"

    def summary(self) -> dict[str, Any]:
        return {"replayed": self.replayed, "already_replayed": self.before, "refused": self.refused}


def _replay_ids(cli: Cli, ids: list[str], done: _Replayed) -> None:
    left = list(dict.fromkeys(ids))
    while left:
        with cli.client(f"Replaying: {done.replayed} so far") as client:
            page = client.replay_ids(left[:LETTERS_AT_ONCE]).letters
            limited = [one.id for one in page if one.problem is not None and one.problem.code == "RATE_LIMITED"]
            left = limited + left[LETTERS_AT_ONCE:]
            done.add([one for one in page if one.id not in limited])
            if limited:
                time.sleep(next(_pause_s(one.problem.details) for one in page if one.problem and one.id in limited))


def _replay_matching(cli: Cli, wanted: "DeadLetterFilter | None", done: _Replayed) -> None:
    from caxton.core.views.dead_letters import DeadLetterFilter

    wanted = wanted or DeadLetterFilter()
    with cli.client("Asking for the dead letters") as client:
        newest = client.dead_letters(wanted, limit=1).letters
    if not newest:
        return
    after: str | None = None
    while True:
        with cli.client(f"Replaying: {done.replayed} so far") as client:
            # Up to the newest of now: what fails again comes back as a newer letter, and would be replayed for ever.
            page = _page(client, wanted, after, newest[0].id)
        done.add(page.letters)
        after = page.next
        if after is None:
            return


def _page(client: "CaxtonClient", wanted: "DeadLetterFilter", after: str | None, through: str) -> "Replays":
    """The next letters, as soon as the server's rate limit lets them through."""
    from caxton.client import ApiProblem

    while True:
        try:
            return client.replay_matching(wanted, after=after, through=through, limit=LETTERS_AT_ONCE)
        except ApiProblem as problem:
            if problem.code != "RATE_LIMITED":
                raise
            time.sleep(_pause_s(problem.details()))


def _pause_s(details: dict[str, Any]) -> float:
    return float(details.get("retry_after_s", 1))


def _tell_replayed(cli: Cli, done: _Replayed) -> None:
    before = f", {done.before} were replayed before" if done.before else ""
    cli.screen.say(Mark.OK if not done.refused else Mark.WARN, f"{_letters(done.replayed)} replayed{before}")
    if not done.refused:
        return
    rows = [(one.id, one.problem.code, one.problem.detail) for one in done.refused if one.problem]
    cli.screen.table(("id", "code", "reason"), rows, total=f"{_letters(len(rows))} refused")


# --- purge -------------------------------------------------------------------------------------------------------


def _is_sure(cli: Cli, replayed: bool) -> bool:
    if not sys.stdin.isatty():
        reason = "nobody can be asked here; to delete every dead letter, say --yes"
        raise InvalidUsage(reason, command="caxton dlq purge")
    if replayed:
        return typer.confirm("Delete all dead letters that were replayed?", err=True)
    with cli.client("Counting") as client:
        waiting = client.health().dead_letters
    return typer.confirm(f"Delete all dead letters? {waiting} of them were never replayed.", err=True)


def _purge_ids(client: "CaxtonClient", ids: list[str]) -> "PurgeReceipt":
    from caxton.core.views.dead_letters import PurgeReceipt

    done = PurgeReceipt(purged=0, waiting=0)
    for first in range(0, len(ids), LETTERS_AT_ONCE):
        receipt = client.purge_ids(ids[first : first + LETTERS_AT_ONCE])
        done.purged += receipt.purged
        done.waiting += receipt.waiting
    return done


def _tell_purged(cli: Cli, receipt: "PurgeReceipt") -> None:
    lost = f", {receipt.waiting} of them never replayed" if receipt.waiting else ""
    cli.screen.done(f"{_letters(receipt.purged)} deleted{lost}")


# --- showing -----------------------------------------------------------------------------------------------------


def _letters(count: int) -> str:
    return f"{count} dead letter{'s' * (count != 1)}"


def _show_list(cli: Cli, page: "DeadLetterPage", replayed: bool) -> None:
    if not page.letters:
        cli.screen.line("No dead letters." if not replayed else "No dead letters that were replayed.")
        return
    columns = ("id", "died", "agent", "sender", "reason", "attempts", "size", "error")
    rows = [
        (
            letter.id,
            letter.died_at[:19].replace("T", " "),
            letter.agent,
            letter.sender,
            letter.reason,
            str(letter.attempts),
            format_size(letter.size_bytes),
            (letter.error or "")[:MAX_SHOWN_CHARS],
        )
        for letter in page.letters
    ]
    cli.screen.table(columns, rows, total=_letters(len(rows)))
    if page.next is not None:
        cli.screen.hint(f"there are more: --after {page.next}")
    elif not replayed:
        cli.screen.hint("'caxton dlq show ID' has all of one, 'caxton dlq replay ID' hands it over again")


def _show_letter(cli: Cli, letter: "DeadLetterDetail") -> None:
    cli.screen.state(
        Mark.FAIL if letter.replayed_at is None else Mark.OK, f"Dead letter {letter.id}: {letter.explanation}"
    )
    facts = [
        ("agent", letter.agent),
        ("sender", letter.sender),
        ("reason", letter.reason),
        ("attempts", str(letter.attempts)),
        ("error", letter.error or ""),
        ("trap", letter.trap or ""),
        ("in", " < ".join(letter.functions)),
        ("died", letter.died_at),
        ("message", letter.message_id),
        ("conversation", letter.conversation_id or ""),
        ("trace", letter.trace_id or ""),
        ("size", format_size(letter.size_bytes)),
        ("replayed", f"{letter.replayed_at} by {letter.replayed_by}" if letter.replayed_at else ""),
    ]
    cli.screen.facts([(name, value) for name, value in facts if value])
    if letter.replayed_at is None:
        import msgspec

        cli.screen.line()
        for line in msgspec.json.format(bytes(letter.message), indent=2).decode("utf-8", "replace").splitlines():
            cli.screen.line(printable(line))
