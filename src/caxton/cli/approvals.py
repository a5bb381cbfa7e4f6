"""`caxton approvals …`: calls of tools that wait for a person."""

from typing import TYPE_CHECKING, Annotated

import typer

from caxton.cli.command import Cli, command, new_app
from caxton.cli.output import printable

if TYPE_CHECKING:
    from caxton.core.views.tools import ApprovalView

app = new_app(
    "Let calls of tools that wait for a person go on, or refuse them.",
    "caxton approvals list",
    "caxton approvals grant 5f2c8a1b9d3e",
)


def register(top: typer.Typer) -> None:
    """Add the noun."""
    top.add_typer(app, name="approvals")


IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Which call, as 'caxton approvals list' has it.")]


@command(app, "list", "caxton approvals list", "caxton approvals list -o json")
def list_approvals(cli: Cli) -> None:
    """List the calls that wait, oldest first, with what they are made with; secrets are taken out."""
    with cli.client("Asking for the calls that wait") as client:
        found = client.approvals()
    cli.screen.answer({"approvals": found, "total": len(found)}, lambda: _show_list(cli, found))


@command(app, "grant", "caxton approvals grant 5f2c8a1b9d3e")
def grant(cli: Cli, approval: IdArgument) -> None:
    """Let a call go on; where only the first use is asked for, all later ones of this agent too."""
    _answer(cli, approval, is_granted=True)


@command(app, "deny", "caxton approvals deny 5f2c8a1b9d3e")
def deny(cli: Cli, approval: IdArgument) -> None:
    """Refuse a call; the agent is told."""
    _answer(cli, approval, is_granted=False)


def _answer(cli: Cli, approval: str, *, is_granted: bool) -> None:
    with cli.client("Answering") as client:
        view = client.answer_approval(approval, is_granted=is_granted)
    what = "goes on" if is_granted else "is refused"
    text = f"The call of {printable(view.tool)} by {printable(view.agent)} {what}"
    cli.screen.answer(view, lambda: cli.screen.done(text))


def _show_list(cli: Cli, approvals: "list[ApprovalView]") -> None:
    if not approvals:
        cli.screen.line("No call waits for a person.")
        return
    rows = [
        (one.id, one.agent, one.tool, one.created_at, one.expires_at, f"{one.arguments}{'…' * one.is_cut}")
        for one in approvals
    ]
    columns = ("id", "agent", "tool", "asked", "refused at", "arguments")
    total = f"{len(approvals)} call{'s wait' if len(approvals) != 1 else ' waits'}"
    cli.screen.table(columns, rows, total=total)
