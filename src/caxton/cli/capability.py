"""`caxton capability …`: what agents offer."""

from typing import TYPE_CHECKING, Annotated

import typer

from caxton.cli.command import Cli, command, new_app

if TYPE_CHECKING:
    from caxton.core.views.capabilities import CapabilityView

PAGE = 1000
"""So many are asked for at once."""

app = new_app("See what agents offer.", "caxton capability list", "caxton capability list sorting")

NameArgument = Annotated[str | None, typer.Argument(metavar="NAME", help="Only this one.")]


def register(top: typer.Typer) -> None:
    """Add the noun."""
    top.add_typer(app, name="capability")


@command(app, "list", "caxton capability list", "caxton capability list sorting", "caxton capability list -o json")
def list_capabilities(cli: Cli, name: NameArgument = None) -> None:
    """List the capabilities that agents offer, with priority, health and load of each."""
    with cli.client("Asking for the capabilities") as client:
        found: list[CapabilityView] = []
        if name is not None:
            found.append(client.capability(name))
        while name is None:
            page = client.capabilities(limit=PAGE, offset=len(found))
            found += page
            if len(page) < PAGE:
                break
    cli.screen.answer({"capabilities": found, "total": len(found)}, lambda: _show(cli, found))


def _show(cli: Cli, found: "list[CapabilityView]") -> None:
    if not found:
        cli.screen.line("No capabilities.")
        cli.screen.hint("'caxton deploy FILE.wasm --capability NAME' deploys an agent that offers one")
        return
    rows = [
        (
            capability.name,
            offer.agent,
            str(offer.priority),
            offer.health,
            f"{offer.load:.0%}",
            str(offer.waiting),
            "registered" if offer.registered else "deployed",
        )
        for capability in found
        for offer in capability.agents
    ]
    columns = ("capability", "agent", "priority", "health", "load", "waiting", "source")
    ending = "y" if len(found) == 1 else "ies"
    cli.screen.table(columns, rows, total=f"{len(found)} capabilit{ending}")
