"""`caxton conversation …`: how conversations stand, who waits for whom, and cancelling."""

from typing import TYPE_CHECKING, Annotated

import typer

from caxton.cli.agent import complete_agent
from caxton.cli.command import Cli, command, new_app
from caxton.cli.output import Mark, printable
from caxton.core.units import format_duration

if TYPE_CHECKING:
    from caxton.client import CaxtonClient
    from caxton.core.views.conversations import (
        CancelReceipt,
        ConversationDetail,
        ConversationFilter,
        ConversationPage,
        ParticipantView,
    )
    from caxton.core.views.waits import DeadlockView, WaitView

MAX_PAGES = 100
"""That one list asks for: half a million conversations of which none is wanted take a few seconds."""

app = new_app(
    "See how conversations stand and who waits for whom, or cancel one.",
    "caxton conversation list --status open",
    "caxton conversation show c-42",
    "caxton conversation deadlocks",
)


def register(top: typer.Typer) -> None:
    """Add the noun."""
    top.add_typer(app, name="conversation")


IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Which conversation.")]


@command(
    app,
    "list",
    "caxton conversation list",
    "caxton conversation list --agent manager --status open",
    "caxton conversation list --protocol fipa-contract-net -o json",
)
def list_conversations(
    cli: Cli,
    status: Annotated[
        str | None, typer.Option("--status", metavar="WORD", help="Only those that are open, cancelling or ended.")
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option(
            "--agent",
            metavar="NAME",
            help="Only those that this agent, or client:NAME, began or takes part in.",
            autocompletion=complete_agent,
        ),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option("--protocol", metavar="NAME", help="Only those that follow this protocol.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, metavar="N", help="At most so many.")] = 100,
    after: Annotated[
        str | None, typer.Option("--after", metavar="TEXT", help="Go on with a list, with what its end says.")
    ] = None,
) -> None:
    """List conversations that follow a protocol, those begun last first."""
    from caxton.core.views.conversations import ConversationFilter

    wanted = ConversationFilter(status=status, agent=agent, protocol=protocol)
    with cli.client("Asking for the conversations") as client:
        page = _pages(client, wanted, limit, after)
    cli.screen.answer(page, lambda: _show_list(cli, page))


@command(app, "show", "caxton conversation show c-42", "caxton conversation show c-42 -o json")
def show(cli: Cli, conversation_id: IdArgument) -> None:
    """Show how a conversation stands with each participant, and who has to speak."""
    with cli.client("Asking for the conversation") as client:
        found = client.conversation_state(conversation_id)
    cli.screen.answer(found, lambda: _show_one(cli, found))


@command(app, "cancel", "caxton conversation cancel c-42")
def cancel(cli: Cli, conversation_id: IdArgument) -> None:
    """Cancel a conversation: its initiator takes back what it asked of all who are not done."""
    with cli.client("Cancelling") as client:
        receipt = client.cancel_conversation(conversation_id)
    cli.screen.answer(receipt, lambda: _tell_cancelled(cli, receipt))


@command(app, "deadlocks", "caxton conversation deadlocks", "caxton conversation deadlocks -o json")
def deadlocks(cli: Cli) -> None:
    """Show agents that wait for one another and have nothing left to do."""
    with cli.client("Looking for deadlocks") as client:
        found = client.deadlocks()
    cli.screen.answer({"deadlocks": found}, lambda: _show_deadlocks(cli, found))


def _pages(client: "CaxtonClient", wanted: "ConversationFilter", limit: int, after: str | None) -> "ConversationPage":
    """Up to `limit` of them: a page of the server has few or none of the wanted, if those are far back."""
    page = client.conversations(wanted, limit=limit, after=after)
    for _ in range(MAX_PAGES - 1):
        if page.next is None or len(page.conversations) >= limit:
            break
        more = client.conversations(wanted, limit=limit - len(page.conversations), after=page.next)
        page.conversations += more.conversations
        page.next = more.next
    return page


# --- how people read it ------------------------------------------------------------------------------------------


def span(seconds: float) -> str:
    """`12.4 s`; below a second `250 ms`, from a minute on `2m 5s`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{round(seconds, 1):g} s" if seconds < 60 else format_duration(seconds)


def sentence(wait: "WaitView", *, within: str | None = None) -> str:
    """Who waits for whom, where unless it is `within`, how the exchange stands, and for how long."""
    elsewhere = wait.conversation_id is not None and wait.conversation_id != within
    where = f" in {wait.conversation_id}" if elsewhere else ""
    facts = [wait.state, span(wait.waited_s)]
    if wait.deadline_in_s is not None:
        passed = wait.deadline_in_s < 0
        facts.append(
            f"deadline {span(-wait.deadline_in_s)} ago" if passed else f"deadline in {span(wait.deadline_in_s)}"
        )
    return printable(f"{wait.waiter} waits{where} for {wait.waits_for} ({', '.join(facts)})")


def _show_list(cli: Cli, page: "ConversationPage") -> None:
    if not page.conversations:
        cli.screen.line("No conversations." if page.next is None else "No such conversation so far.")
        _tell_more(cli, page)
        return
    columns = ("id", "protocol", "status", "initiator", "participants", "waiting", "begun", "deadline")
    rows = [
        (
            one.id,
            one.protocol,
            one.status,
            one.initiator,
            str(one.participants),
            str(one.waiting),
            _time(one.begun_at),
            _time(one.deadline),
        )
        for one in page.conversations
    ]
    cli.screen.table(columns, rows, total=f"{len(rows)} conversation{'s' * (len(rows) != 1)}")
    _tell_more(cli, page)


def _tell_more(cli: Cli, page: "ConversationPage") -> None:
    if page.next is not None:
        what = "there are more" if page.conversations else "those that began earlier were not looked at"
        cli.screen.hint(f"{what}: --after {printable(page.next)}")


def _show_one(cli: Cli, found: "ConversationDetail") -> None:
    mark = Mark.OK if found.status == "ended" else Mark.BUSY
    cli.screen.state(mark, f"{printable(found.id)}: {printable(found.protocol)}, {found.status}")
    facts = [
        ("initiator", found.initiator),
        ("begun", _time(found.begun_at)),
        ("changed", _time(found.changed_at)),
        ("deadline", _time(found.deadline)),
        ("within", found.parent or ""),
        ("began", ", ".join(found.children)),
    ]
    cli.screen.facts([(name, value) for name, value in facts if value])
    cli.screen.line()
    columns = ("participant", "state", "has to speak", "waited", "deadline")
    cli.screen.table(columns, [_participant(one) for one in found.exchanges])
    if found.waiting:
        cli.screen.hint("'caxton trace --why --conversation-id ID' says what they wait for")


def _participant(one: "ParticipantView") -> tuple[str, ...]:
    waited = "" if one.waited_s is None else span(one.waited_s)
    return one.name, one.state, one.waits_for or "", waited, _time(one.deadline)


def _tell_cancelled(cli: Cli, receipt: "CancelReceipt") -> None:
    if receipt.told:
        cli.screen.done(f"cancel goes to {printable(', '.join(receipt.told))}")
    if receipt.cancelling:
        cli.screen.say(Mark.BUSY, f"not answered yet by {printable(', '.join(receipt.cancelling))}")


def _show_deadlocks(cli: Cli, found: "list[DeadlockView]") -> None:
    if not found:
        cli.screen.state(Mark.OK, "No deadlock")
    for one in found:
        begun = f", since {_time(one.since)}" if one.since else ""
        end = f", until {_time(one.deadline)}" if one.deadline else ""
        cycle = printable(" → ".join([*one.cycle, one.cycle[0]]))
        cli.screen.state(Mark.FAIL, f"{cycle}{begun}{end}")
        for wait in one.waits:
            cli.screen.line(f"  {sentence(wait)}")
    if found:
        cli.screen.hint(_way_out(found))


def _way_out(found: "list[DeadlockView]") -> str:
    """What ends a deadlock. Free messages belong to no conversation that could be cancelled."""
    has_free = any(wait.protocol is None for one in found for wait in one.waits)
    all_free = all(len(one.waits) == len(one.cycle) and not any(wait.protocol for wait in one.waits) for one in found)
    if all_free:
        return "a message to one of them ends it if it answers then; free messages cannot be cancelled"
    cancel = "'caxton conversation cancel ID'"
    if has_free:
        return f"a message to one of them ends it if it answers then; so does {cancel}, but not for 'asked'"
    return f"a message to one of them, or {cancel}, ends it"


def _time(at: str | None) -> str:
    return "" if at is None else at[:19].replace("T", " ")
