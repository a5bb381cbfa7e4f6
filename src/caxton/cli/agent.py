"""`caxton agent …`: the life of deployed agents."""

from typing import TYPE_CHECKING, Annotated

import typer

from caxton.cli import deploy, logs
from caxton.cli.command import Cli, command, new_app
from caxton.cli.output import Mark
from caxton.core.units import format_duration, format_size

if TYPE_CHECKING:
    from caxton.core.views.agents import AgentView

_MARKS = {
    "running": Mark.OK,
    "failed": Mark.FAIL,
    "draining": Mark.BUSY,
    "loaded": Mark.BUSY,
    "stopped": Mark.INFO,
}


def complete_agent(incomplete: str) -> list[str]:
    """Names of agents for the shell's completion; none when no server answers at once."""
    from caxton.cli.contexts import choose_target
    from caxton.core.errors.error import CaxtonError

    try:
        with choose_target(server=None, token=None, context=None).client(timeout_s=1.0) as client:
            return [agent.name for agent in client.agents() if agent.name.startswith(incomplete)]
    except CaxtonError:
        return []


NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the agent.", autocompletion=complete_agent)]
AgentOption = Annotated[
    str, typer.Option("--agent", metavar="NAME", help="Name of the agent.", autocompletion=complete_agent)
]
ReplicasOption = Annotated[int, typer.Option("--replicas", "-r", min=1, metavar="N", help="How many instances.")]
ForgetOption = Annotated[
    bool, typer.Option("--forget", help="Forget the name too: no mail waits for the next agent of that name.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="At once, without finishing the messages in work.")]

app = new_app("Deploy agents and look after them.", "caxton agent list", "caxton agent status ping")


def register(top: typer.Typer) -> None:
    """Add the noun, and its verbs that are common enough for the top level."""
    top.add_typer(app, name="agent")
    command(top, "stop", "caxton stop --agent ping", "caxton stop --agent ping --force")(stop_option)
    command(top, "scale", "caxton scale --agent ping --replicas 3")(scale_option)


command(
    app,
    "deploy",
    "caxton agent deploy order-processor.wasm --config agent-config.yaml --replicas 3",
    "caxton agent deploy ping.wasm --name ping --memory 16MB",
)(deploy.deploy)


@command(app, "list", "caxton agent list", "caxton agent list --status failed", "caxton agent list -o json")
def list_agents(
    cli: Cli,
    status: Annotated[
        str | None,
        typer.Option("--status", metavar="STATUS", help="Only those that are running, stopped, failed, …"),
    ] = None,
    capability: Annotated[
        str | None, typer.Option("--capability", metavar="NAME", help="Only those that offer this.")
    ] = None,
) -> None:
    """List the deployed agents."""
    with cli.client("Asking for the agents") as client:
        agents = client.agents(status=status, capability=capability)
    cli.screen.answer({"agents": agents, "total": len(agents)}, lambda: show_agents(cli, agents))


@command(app, "status", "caxton agent status ping", "caxton agent status ping --output json")
def show_status(cli: Cli, name: NameArgument) -> None:
    """Show one agent: whether its instances are healthy, its limits, its mail."""
    with cli.client(f"Asking for {name}") as client:
        view = client.agent(name)
    cli.screen.answer(view, lambda: _show_agent(cli, view))


@command(app, "stop", "caxton agent stop ping", "caxton agent stop ping --force")
def stop(cli: Cli, name: NameArgument, force: ForceOption = False) -> None:
    """Stop an agent once its messages in work are done. Its mail waits for it."""
    _stop(cli, name, force)


@command(app, "start", "caxton agent start ping")
def start(cli: Cli, name: NameArgument) -> None:
    """Start an agent that was stopped or has failed."""
    with cli.client(f"Starting {name}") as client:
        view = client.start(name)
    cli.screen.answer(view, lambda: cli.screen.done(f"Agent '{view.name}' is {view.status}"))


@command(app, "scale", "caxton agent scale ping --replicas 3")
def scale(cli: Cli, name: NameArgument, replicas: ReplicasOption) -> None:
    """Give an agent another number of instances."""
    _scale(cli, name, replicas)


@command(app, "remove", "caxton agent remove ping", "caxton agent remove ping --force --forget")
def remove(cli: Cli, name: NameArgument, force: ForceOption = False, forget: ForgetOption = False) -> None:
    """Remove an agent with its state. Mail that it has not handled becomes dead letters."""
    with cli.client(f"Removing {name}") as client:
        client.remove(name, force=force, forget=forget)
    cli.screen.answer({"removed": name}, lambda: cli.screen.done(f"Agent '{name}' removed"))


@command(app, "logs", "caxton agent logs ping", "caxton agent logs ping --follow --level warn")
def show_logs(
    cli: Cli,
    name: NameArgument,
    follow: logs.FollowOption = False,
    since: logs.SinceOption = None,
    level: logs.LevelOption = None,
    grep: logs.GrepOption = None,
    conversation: logs.ConversationOption = None,
    limit: logs.LimitOption = logs.DEFAULT_LIMIT,
    timestamps: logs.TimestampsOption = False,
    ids: logs.IdsOption = False,
) -> None:
    """Show an agent's log."""
    view = logs.View(
        agents=[name], since=since, level=level, limit=limit, timestamps=timestamps, grep=grep,
        conversation=conversation, ids=ids,
    )  # fmt: skip
    logs.show(cli, view, follow=follow)


def stop_option(cli: Cli, agent: AgentOption, force: ForceOption = False) -> None:
    """Stop an agent once its messages in work are done. Its mail waits for it."""
    _stop(cli, agent, force)


def scale_option(cli: Cli, agent: AgentOption, replicas: ReplicasOption) -> None:
    """Give an agent another number of instances."""
    _scale(cli, agent, replicas)


def _stop(cli: Cli, name: str, force: bool) -> None:
    with cli.client(f"Stopping {name}") as client:
        view = client.stop(name, force=force)
    cli.screen.answer(view, lambda: cli.screen.done(f"Agent '{view.name}' is {view.status}"))


def _scale(cli: Cli, name: str, replicas: int) -> None:
    with cli.client(f"Scaling {name}") as client:
        view = client.scale(name, replicas)
    text = f"Agent '{view.name}' has {view.replicas} instances, {view.healthy} healthy"
    cli.screen.answer(view, lambda: cli.screen.done(text))


def show_agents(cli: Cli, agents: "list[AgentView]") -> None:
    """Agents as a table."""
    if not agents:
        cli.screen.line("No agents.")
        cli.screen.hint("'caxton deploy FILE.wasm' deploys one")
        return
    columns = ("name", "status", "healthy", "uptime", "handled", "failed", "mail", "capabilities")
    rows = [
        (
            agent.name,
            agent.status,
            f"{agent.healthy}/{agent.replicas}",
            "-" if agent.uptime_s is None else format_duration(agent.uptime_s),
            str(agent.messages_handled),
            str(agent.messages_failed),
            str(agent.mailbox_messages),
            ", ".join(agent.capabilities),
        )
        for agent in agents
    ]
    cli.screen.table(columns, rows, total=f"{len(agents)} agent{'s' * (len(agents) != 1)}")


def _show_agent(cli: Cli, agent: "AgentView") -> None:
    healthy = f"{agent.healthy}/{agent.replicas} instances healthy"
    cli.screen.state(_MARKS.get(agent.status, Mark.INFO), f"{agent.status.capitalize()} ({healthy})")
    facts = [
        ("name", agent.name),
        ("reason", agent.reason or ""),
        ("workspace", agent.workspace),
        ("version", agent.version or ""),
        ("revision", str(agent.revision)),
        ("capabilities", ", ".join(agent.capabilities)),
        ("deployed", agent.deployed_at),
        ("uptime", "" if agent.uptime_s is None else format_duration(agent.uptime_s)),
        ("messages", f"{agent.messages_handled} handled, {agent.messages_failed} failed"),
        ("mailbox", f"{agent.mailbox_messages} messages, {format_size(agent.mailbox_bytes)}"),
        (
            "memory",
            f"{format_size(agent.memory_bytes)} used, {format_size(agent.memory_limit_bytes)} each at most",
        ),
        (
            "time limit",
            f"{format_duration(agent.timeout_s)} a message, {format_duration(agent.cpu_time_s)} of computing",
        ),
        ("restarts", str(agent.restarts)),
        ("circuit", _circuit(agent)),
        ("waiting", f"{agent.bulkhead.waiting} callers, at most {agent.bulkhead.max_waiting}"),
        ("module", f"{format_size(agent.module_bytes)}, sha256 {agent.module_sha256}"),
    ]
    cli.screen.facts([(name, value) for name, value in facts if value])


def _circuit(agent: "AgentView") -> str:
    circuit = agent.circuit_breaker
    if circuit.state == "off":
        return "off"
    until = f", next try at {circuit.retry_at}" if circuit.retry_at else ""
    opens = f"opens after {circuit.threshold} failures in a row for {format_duration(circuit.timeout_s)}"
    return f"{circuit.state.replace('_', '-')}, {circuit.failures} failures in a row{until} ({opens})"
