"""`caxton task …`: have a task done by whoever bids best for it."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from caxton.cli.command import Cli, command, new_app
from caxton.cli.exits import ExitCode
from caxton.cli.output import Mark, printable
from caxton.core.errors.command_line import InvalidUsage

if TYPE_CHECKING:
    from caxton.core.views.tasks import TaskBidder, TaskDetail, TaskSpec, TaskView

OPEN = ("calling", "awarded")
"""States in which something may still come of a task."""

WAIT_S = 60.0
"""Of one question; it is asked again until the task has ended."""

MAX_SHOWN_CHARS = 200
"""Of a reason in a table; JSON output has all of it."""

app = new_app(
    "Delegate tasks: agents bid for them, and the best bid wins.",
    'caxton task create --capability translation --content \'{"text": "good morning"}\' --wait',
    "caxton task list",
    "caxton task show 5f2c8a1b9d3e-1f",
)


def register(top: typer.Typer) -> None:
    """Add the noun."""
    top.add_typer(app, name="task")


IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Which task, as 'caxton task list' has it.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait until the task has ended.")]


@command(
    app,
    "create",
    "caxton task create --participants anna,bert --content '\"tidy up\"'",
    "caxton task create --capability translation --deadline 10s --content @page.json --wait",
    "caxton task create --participants anna,bert --max-cost 5 --weight cost=2,time=1 --content 1",
)
def create(
    cli: Cli,
    participants: Annotated[
        list[str] | None,
        typer.Option("--participants", metavar="NAMES", help="Agents to call, with commas. May be given repeatedly."),
    ] = None,
    capability: Annotated[
        str | None, typer.Option("--capability", metavar="NAME", help="Instead: all agents that offer this.")
    ] = None,
    content: Annotated[
        str, typer.Option("--content", metavar="JSON", help="What is to be done: any JSON value, @FILE, or -.")
    ] = "null",
    protocol: Annotated[
        Literal["contract-net"], typer.Option("--protocol", help="How it is negotiated.")
    ] = "contract-net",
    deadline: Annotated[
        str, typer.Option("--deadline", metavar="DURATION", help="For proposals; later ones are rejected.")
    ] = "30s",
    result_deadline: Annotated[
        str, typer.Option("--result-deadline", metavar="DURATION", help="For the result, from the award on.")
    ] = "5m",
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", metavar="N", help="Proposals that cost more are rejected.")
    ] = None,
    max_tokens: Annotated[
        float | None, typer.Option("--max-tokens", metavar="N", help="Proposals of more tokens are rejected.")
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weight", metavar="NAME=N", help="What counts in the award: cost, time, confidence. Default: cost=1."
        ),
    ] = None,
    winners: Annotated[int, typer.Option("--winners", min=1, metavar="N", help="Accept so many proposals.")] = 1,
    task_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Asked again under the same ID, it is created once.")
    ] = None,
    wait: WaitOption = False,
) -> None:
    """Call agents for proposals and give the task to the best; it is on disk when this returns."""
    from caxton.cli.outgoing import json_argument
    from caxton.core.views.tasks import TaskSpec

    if bool(participants) == bool(capability):
        raise InvalidUsage("name who may bid: either --participants or --capability", command="caxton task create")
    spec = TaskSpec(
        id=task_id, protocol=protocol, participants=_names(participants or []), capability=capability,
        content=json_argument(content), deadline=deadline, result_deadline=result_deadline, max_cost=max_cost,
        max_tokens=max_tokens, weights=_weights(weights or []), winners=winners,
    )  # fmt: skip
    with cli.client("Calling for proposals") as client:
        task = client.create_task(spec)
    if not wait:
        cli.screen.answer(task, lambda: cli.screen.done(_created(task, spec)))
        return
    _tell(cli, _ended(cli, task))


@command(app, "list", "caxton task list", "caxton task list --status awarded -o json")
def list_tasks(
    cli: Cli,
    status: Annotated[
        str | None,
        typer.Option(
            "--status",
            metavar="WORD",
            help="Only those: calling, awarded, done, failed, no-bids, cancelled, expired.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, metavar="N", help="At most so many.")] = 100,
) -> None:
    """List tasks: the open ones, then those that ended, the last first."""
    with cli.client("Asking for the tasks") as client:
        tasks = client.tasks(status=status, limit=limit)
    cli.screen.answer({"tasks": tasks, "total": len(tasks)}, lambda: _show_list(cli, tasks))


@command(app, "show", "caxton task show 5f2c8a1b9d3e-1f", "caxton task show 5f2c8a1b9d3e-1f --wait -o json")
def show(cli: Cli, task_id: IdArgument, wait: WaitOption = False) -> None:
    """Show a task: who bid what, who got it and why, and what came of it."""
    with cli.client("Asking for the task") as client:
        task = client.task(task_id)
    if wait:
        task = _ended(cli, task)
    _tell(cli, task, strict=wait)


@command(app, "cancel", "caxton task cancel 5f2c8a1b9d3e-1f", "caxton task cancel nightly --reason 'found it'")
def cancel(
    cli: Cli,
    task_id: IdArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; the bidders are told.")] = "",
) -> None:
    """End an open task; those who have something to do with it are told."""
    with cli.client("Cancelling") as client:
        task = client.cancel_task(task_id, reason=reason)
    cli.screen.answer(task, lambda: cli.screen.done(f"Task {task.id} is cancelled"))


# --- options -----------------------------------------------------------------------------------------------------


def _names(given: list[str]) -> list[str]:
    from caxton.core.ids import parse_agent_name

    return [parse_agent_name(name.strip()) for names in given for name in names.split(",")]


def _weights(given: list[str]) -> dict[str, float]:
    from caxton.core.errors.values import InvalidValue

    found: dict[str, float] = {}
    for part in (part for parts in given for part in parts.split(",")):
        name, sign, value = part.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            sign = ""
        if not sign:
            raise InvalidValue("--weight", part, "write it like cost=2,time=1")
    return found


# --- telling -----------------------------------------------------------------------------------------------------


def _ended(cli: Cli, task: "TaskDetail") -> "TaskDetail":
    """The task once it has ended; both of its deadlines bound the wait."""
    with cli.client(f"Waiting for task {task.id}") as client:
        while task.status in OPEN:
            task = client.task(task.id, wait_s=WAIT_S)
    return task


def _tell(cli: Cli, task: "TaskDetail", *, strict: bool = True) -> None:
    cli.screen.answer(task, lambda: _show_task(cli, task))
    if strict and task.status != "done":
        raise typer.Exit(ExitCode.AGENT_FAILED)


def _created(task: "TaskDetail", spec: "TaskSpec") -> str:
    return f"Task {task.id}: {task.participants} agents are called, who have {spec.deadline} to propose"


def _show_list(cli: Cli, tasks: "list[TaskView]") -> None:
    if not tasks:
        cli.screen.line("No tasks.")
        return
    columns = ("id", "status", "created", "by", "proposals", "awarded to", "reason")
    rows = [
        (
            task.id, task.status, _time(task.created_at), task.created_by, f"{task.proposals}/{task.participants}",
            ", ".join(task.awarded_to), (task.reason or "")[:MAX_SHOWN_CHARS],
        )
        for task in tasks
    ]  # fmt: skip
    cli.screen.table(columns, rows, total=f"{len(tasks)} task{'s' * (len(tasks) != 1)}")


def _show_task(cli: Cli, task: "TaskDetail") -> None:
    screen = cli.screen
    mark = Mark.BUSY if task.status in OPEN else Mark.OK if task.status == "done" else Mark.FAIL
    screen.state(mark, f"Task {task.id} is {task.status}{f': {printable(task.reason)}' if task.reason else ''}")
    weights = ", ".join(f"{name}={weight:g}" for name, weight in task.weights.items())
    limits = {"cost": task.max_cost, "tokens": task.max_tokens}
    facts = [
        ("content", bytes(task.content).decode("utf-8", "replace")[:MAX_SHOWN_CHARS]),
        ("created", f"{_time(task.created_at)} by {task.created_by}"),
        ("proposals until", _time(task.deadline_at)),
        ("award", f"{weights}; {task.winners} at most"),
        ("budget", ", ".join(f"{name} {limit:g}" for name, limit in limits.items() if limit is not None)),
        ("awarded", f"{_time(task.awarded_at)} to {', '.join(task.awarded_to)}" if task.awarded_at else ""),
        ("result until", _time(task.result_deadline_at)),
        ("ended", _time(task.ended_at)),
        ("conversation", task.conversation_id),
    ]
    screen.facts([(name, value) for name, value in facts if value])
    screen.line()
    columns = ("agent", "status", "cost", "tokens", "time", "confidence", "score", "reason")
    screen.table(columns, [_bidder(one) for one in task.bidders])
    for result in task.results:
        took = "" if result.time_s is None else f" after {result.time_s:g} s"
        screen.line()
        screen.line(f"Result of {printable(result.agent)}{took}:")
        screen.line(f"not kept: {result.unkept}" if result.unkept else _text(bytes(result.content)))


def _bidder(one: "TaskBidder") -> tuple[str, ...]:
    reason = " - ".join(part for part in (one.reason, one.explanation) if part)
    time = "" if one.time_s is None else f"{one.time_s:g} s"
    return (
        one.agent, one.status, _number(one.cost), _number(one.tokens), time, _number(one.confidence),
        _number(one.score), reason[:MAX_SHOWN_CHARS],
    )  # fmt: skip


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _text(content: bytes) -> str:
    return printable(content.decode("utf-8", "replace"))


def _time(at: str | None) -> str:
    return "" if at is None else at.replace("T", " ").partition(".")[0]
