"""`caxton tools …`: which tools agents may call, what they answer, and what may be called from now on."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caxton.cli.command import Cli, command, new_app
from caxton.cli.exits import ExitCode
from caxton.cli.output import Mark, printable
from caxton.core.errors.command_line import InvalidUsage

if TYPE_CHECKING:
    from caxton.core.views.tools import ToolCallView, ToolDetail, ToolSourceView, ToolTest, ToolView

app = new_app(
    "Look at the tools that agents may call, try them, and decide which may be called.",
    "caxton tools list",
    "caxton tools show web.search",
    "caxton tools approve web.search",
)


def register(top: typer.Typer) -> None:
    """Add the noun."""
    top.add_typer(app, name="tools")


NameArgument = Annotated[str, typer.Argument(metavar="TOOL", help="Which tool: SOURCE.TOOL.")]

MARKS = {"approved": Mark.OK, "pending": Mark.WARN, "quarantined": Mark.FAIL, "unusable": Mark.FAIL}


@command(app, "list", "caxton tools list", "caxton tools list --source web", "caxton tools list --sources -o json")
def list_tools(
    cli: Cli,
    source: Annotated[str | None, typer.Option("--source", metavar="NAME", help="Only tools of this source.")] = None,
    sources: Annotated[bool, typer.Option("--sources", help="What has tools, instead of the tools.")] = False,
) -> None:
    """List tools with their state, calls and times; or what has them."""
    if sources and source is not None:
        raise InvalidUsage("--sources lists all of them; leave --source out", command="caxton tools list")
    with cli.client("Asking for the tools") as client:
        if sources:
            found = client.tool_sources()
            cli.screen.answer({"sources": found, "total": len(found)}, lambda: _show_sources(cli, found))
            return
        tools = client.tools(source)
    cli.screen.answer({"tools": tools, "total": len(tools)}, lambda: _show_list(cli, tools))


@command(app, "show", "caxton tools show web.search", "caxton tools show web.search -o json")
def show(cli: Cli, name: NameArgument) -> None:
    """Show a tool: its description and schemas, and how they differ from what was approved."""
    with cli.client("Asking for the tool") as client:
        detail = client.tool(name)
    cli.screen.answer(detail, lambda: _show_tool(cli, detail))


@command(
    app,
    "test",
    "caxton tools test time.now",
    'caxton tools test web.search --arguments \'{"query": "caxton"}\'',
    "caxton tools test web.search --arguments @query.json -o json",
)
def try_tool(
    cli: Cli,
    name: NameArgument,
    arguments: Annotated[
        str, typer.Option("--arguments", metavar="JSON", help="What to call it with: a JSON object, @FILE, or -.")
    ] = "{}",
) -> None:
    """Call a tool, as an agent that may would: it does whatever it does."""
    given = _object(arguments)
    with cli.client(f"Calling {name}") as client:
        outcome = client.test_tool(name, given)
    cli.screen.answer(outcome, lambda: _show_test(cli, outcome))
    if outcome.outcome != "ok":
        raise typer.Exit(ExitCode.AGENT_FAILED)


@command(
    app,
    "approve",
    "caxton tools approve web.search",
    "caxton tools approve web.search --sha256 3f2a9c0b1d4e",
    "caxton tools approve web.search --yes",
)
def approve(
    cli: Cli,
    name: NameArgument,
    sha256: Annotated[
        str | None,
        typer.Option("--sha256", metavar="HASH", help="Only if this is what it is now, or how its hash begins."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Let agents call a tool as it is now. What changed since it was approved last is shown first."""
    with cli.client("Asking for the tool") as client:
        detail = client.tool(name)
    if not cli.screen.as_json:
        _show_change(cli, detail)
    if not yes and sha256 is None and not _is_sure(name):
        cli.screen.warn("nothing was approved")
        raise typer.Exit(1)
    with cli.client("Approving") as client:
        # What was shown, and nothing that the tool may have become since.
        view = client.approve_tool(name, sha256=detail.tool.sha256 if sha256 is None else sha256)
    cli.screen.answer(view, lambda: cli.screen.done(f"Tool {name} may be called as {view.sha256[:12]}"))


@command(app, "quarantine", "caxton tools quarantine web.search")
def quarantine(cli: Cli, name: NameArgument) -> None:
    """Let nobody call a tool until it is approved. Calls that are under way end as they do."""
    with cli.client("Putting it in quarantine") as client:
        view = client.quarantine_tool(name)
    cli.screen.answer(view, lambda: cli.screen.done(f"Tool {name} may not be called"))


@command(
    app, "logs", "caxton tools logs web.search", "caxton tools logs web --limit 20", "caxton tools logs web -o json"
)
def logs(
    cli: Cli,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A tool, or a source: all of its tools.")],
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, metavar="N", help="The last so many.")] = 100,
) -> None:
    """Show the last calls, oldest first: who, how long, what came of it, but not what was said."""
    with cli.client("Asking for the calls") as client:
        calls = client.tool_calls(name, limit=limit)
    cli.screen.answer({"calls": calls, "total": len(calls)}, lambda: _show_calls(cli, calls))


def _object(text: str) -> dict[str, Any]:
    import msgspec

    from caxton.cli.outgoing import json_argument
    from caxton.core.errors.values import InvalidValue

    try:
        return msgspec.json.decode(json_argument(text), type=dict[str, Any])
    except msgspec.ValidationError:
        raise InvalidValue("--arguments", text, 'give a JSON object, like \'{"query": "caxton"}\'') from None


def _is_sure(name: str) -> bool:
    if not sys.stdin.isatty():
        reason = "nobody can be asked here; say --sha256 HASH of what you looked at, or --yes"
        raise InvalidUsage(reason, command="caxton tools approve")
    return typer.confirm(f"May agents call {printable(name)} as it is now?", err=True)


# --- telling -----------------------------------------------------------------------------------------------------


def _show_list(cli: Cli, tools: "list[ToolView]") -> None:
    from caxton.cli.drawing.tool_text import tool_row

    if not tools:
        cli.screen.line("No tools.")
        return
    columns = ("tool", "state", "calls", "failed", "p50 / p99", "description")
    cli.screen.table(columns, [tool_row(view) for view in tools], total=_count(len(tools), "tool"))
    for view in tools:
        if view.status != "approved":
            cli.screen.warn(f"{printable(view.name)}: {printable(view.reason or view.status)}")


def _show_sources(cli: Cli, sources: "list[ToolSourceView]") -> None:
    if not sources:
        cli.screen.line("No sources of tools.")
        return
    columns = ("source", "type", "tools", "withheld", "circuit", "calls", "failed", "now", "waiting", "last error")
    rows = [
        (
            one.name, one.type, str(one.tools) if one.is_listed else f"{one.tools}?", str(one.withheld), one.circuit,
            f"{one.calls:,}", f"{one.failures:,}", str(one.under_way), str(one.queued), one.last_error or "",
        )
        for one in sources
    ]  # fmt: skip
    cli.screen.table(columns, rows, total=_count(len(sources), "source"))


def _show_tool(cli: Cli, detail: "ToolDetail") -> None:
    from caxton.cli.drawing.tool_text import change_lines, definition_lines

    view = detail.tool
    why = f": {printable(view.reason)}" if view.reason else ""
    cli.screen.state(MARKS.get(view.status, Mark.INFO), f"Tool {printable(view.name)} is {view.status}{why}")
    decided = f"{detail.decided_at} by {detail.decided_by}" if detail.decided_at else ""
    again = "yes, if it gives no answer" if view.is_idempotent else "no"
    facts = [
        ("hash", view.sha256), ("decided", decided), ("waits for a person", detail.approval),
        ("called again", again), ("cost", f"{detail.cost:g} a call"),
        ("calls", f"{view.calls:,}, {view.failures:,} of them failed"),
    ]  # fmt: skip
    cli.screen.facts([(name, value) for name, value in facts if value])
    cli.screen.line()
    _lines(cli, definition_lines(detail))
    if changes := list(change_lines(detail)):
        cli.screen.line()
        cli.screen.line("Since it was approved:")
        _lines(cli, changes)


def _show_change(cli: Cli, detail: "ToolDetail") -> None:
    """What is about to be approved: the difference, or the whole of a tool that never was."""
    from caxton.cli.drawing.tool_text import change_lines, definition_lines

    view = detail.tool
    if view.status == "approved":
        cli.screen.line(f"Tool {printable(view.name)} is approved as it is.")
        return
    changes = list(change_lines(detail))
    what = "changed since it was approved" if changes else "is"
    cli.screen.line(f"Tool {printable(view.name)} ({view.sha256[:12]}) {what}:")
    _lines(cli, changes or definition_lines(detail))


def _lines(cli: Cli, lines: "list[str]") -> None:
    for line in lines:
        cli.screen.line(f"  {printable(line)}")


def _show_test(cli: Cli, outcome: "ToolTest") -> None:
    from caxton.cli.drawing.figures import millis
    from caxton.cli.drawing.tool_text import result_lines

    mark = Mark.OK if outcome.outcome == "ok" else Mark.FAIL
    why = f": {printable(outcome.detail)}" if outcome.detail else ""
    cli.screen.state(mark, f"{printable(outcome.tool)}: {outcome.outcome} after {millis(outcome.took_ms)}{why}")
    result: dict[str, Any] = outcome.result or {}
    _lines(cli, list(result_lines(result)))


def _show_calls(cli: Cli, calls: "list[ToolCallView]") -> None:
    from caxton.cli.drawing.figures import millis
    from caxton.core.units import format_size

    if not calls:
        cli.screen.line("No calls.")
        return
    rows = [
        (
            one.at, one.agent, one.tool, one.outcome, millis(one.took_ms), str(one.attempts),
            format_size(one.argument_bytes), format_size(one.result_bytes), one.detail,
        )
        for one in calls
    ]  # fmt: skip
    columns = ("at", "agent", "tool", "outcome", "took", "attempts", "arguments", "result", "why")
    cli.screen.table(columns, rows, total=_count(len(calls), "call"))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
