"""`caxton config …`: settings of the server on this machine, and those of agents and workspaces that it can change."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from caxton.cli.agent import complete_agent
from caxton.cli.command import Cli, command, new_app
from caxton.cli.server import ConfigOption, DataDirOption, overrides_of
from caxton.core.errors.command_line import InvalidUsage
from caxton.core.errors.values import InvalidValue
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.units import format_size

if TYPE_CHECKING:
    from caxton.core.views.settings import AgentSettings, WorkspaceSettings

app = new_app(
    "Look at settings, and change those of a running agent or of a workspace.",
    "caxton config show --effective",
    "caxton config set --agent ping --circuit-breaker.threshold=3",
    "caxton config set --conversations.mode=warn",
)

DEFAULT = "default"
"""The value that gives a setting its default again."""

MODE_OPTION, EXPOSE_OPTION = "--conversations.mode", "--mcp.expose"

_AMOUNTS = ("timeout", "mailbox_bytes")
"""Those that have a unit; the others are plain numbers."""


def register(top: typer.Typer) -> None:
    """Add the noun."""
    top.add_typer(app, name="config")


def _option(name: str, metavar: str, help_text: str) -> Any:
    return typer.Option(name, metavar=metavar, help=help_text)


@command(
    app,
    "show",
    "caxton config show",
    "caxton config show --effective",
    "caxton config show --config config.toml -o json",
    "caxton config show --agent ping",
    "caxton config show --workspace default",
)
def show(
    cli: Cli,
    effective: Annotated[
        bool, typer.Option("--effective", help="All settings, also those that have their default.")
    ] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    agent: Annotated[
        str | None,
        typer.Option(
            "--agent",
            metavar="NAME",
            help="Those of this agent that can change while it runs, as they hold.",
            autocompletion=complete_agent,
        ),
    ] = None,
    workspace: Annotated[
        str | None, typer.Option("--workspace", metavar="NAME", help="Those of this workspace.")
    ] = None,
) -> None:
    """Show settings with the place each comes from: a flag, the environment, a file, or the default."""
    if agent is None and workspace is None:
        _show_server(cli, effective=effective, config=config, data_dir=data_dir)
        return
    if effective or config is not None or data_dir is not None or (agent is not None and workspace is not None):
        message = "--agent and --workspace ask a server, each for its own; the other options are about this machine's"
        raise InvalidUsage(message, command="caxton config show")
    if agent is not None:
        _show_agent(cli, agent)
    elif workspace is not None:
        _show_workspace(cli, workspace)


@command(
    app,
    "set",
    "caxton config set --agent ping --circuit-breaker.timeout=10s --circuit-breaker.threshold=3",
    "caxton config set --agent ping --bulkhead.max-waiting=200 --resources.mailbox-messages=20000",
    "caxton config set --agent ping --circuit-breaker.threshold=off",
    "caxton config set --agent ping --circuit-breaker.timeout=default",
    "caxton config set --agent ping --record=true",
    "caxton config set --conversations.mode=warn",
    "caxton config set --mcp.expose=agent:ping,capability:sorting",
)
def set_(
    cli: Cli,
    agent: Annotated[
        str | None,
        typer.Option("--agent", metavar="NAME", help="Name of the agent.", autocompletion=complete_agent),
    ] = None,
    threshold: Annotated[
        str | None, _option("--circuit-breaker.threshold", "N", "Failures in a row that open the circuit, or off.")
    ] = None,
    timeout: Annotated[
        str | None, _option("--circuit-breaker.timeout", "DURATION", "How long mail then waits before the next try.")
    ] = None,
    probes: Annotated[
        str | None, _option("--circuit-breaker.probes", "N", "Messages that must then succeed before it closes.")
    ] = None,
    max_waiting: Annotated[
        str | None, _option("--bulkhead.max-waiting", "N", "Callers that may wait for replies at once.")
    ] = None,
    messages_per_s: Annotated[
        str | None, _option("--resources.messages-per-s", "N", "Messages each instance may send in a second.")
    ] = None,
    mailbox_messages: Annotated[
        str | None, _option("--resources.mailbox-messages", "N", "Messages that may wait for the agent.")
    ] = None,
    mailbox_bytes: Annotated[
        str | None, _option("--resources.mailbox-bytes", "SIZE", "Their bytes, like 16MB.")
    ] = None,
    record: Annotated[
        str | None, _option("--record", "BOOL", "true: keep what its instances do, for 'caxton replay'; false: do not.")
    ] = None,
    mode: Annotated[
        str | None,
        _option(MODE_OPTION, "MODE", "Of a workspace: how conversations are watched: strict, enforce, warn, off."),
    ] = None,
    expose: Annotated[
        str | None,
        _option(EXPOSE_OPTION, "LIST", "Of a workspace: its MCP tools, as agent:NAME,capability:NAME; or none."),
    ] = None,
    workspace: Annotated[
        str | None, _option("--workspace", "NAME", "The workspace that is changed. Default: default.")
    ] = None,
) -> None:
    """Change settings of an agent or a workspace while it runs: they hold at once and outlive restarts.

    The value `default` gives a setting its default again.
    """
    said = {
        "circuit_breaker": {"threshold": threshold, "timeout": timeout, "probes": probes},
        "bulkhead": {"max_waiting": max_waiting},
        "resources": {
            "messages_per_s": messages_per_s,
            "mailbox_messages": mailbox_messages,
            "mailbox_bytes": mailbox_bytes,
        },
    }
    patch: dict[str, Any] = {group: values for group, texts in said.items() if (values := _values(group, texts))}
    if record is not None:
        patch["record"] = _switch("--record", record)
    options = [*(_option_name(group, key) for group, keys in said.items() for key in keys), "--record", MODE_OPTION]
    options.append(EXPOSE_OPTION)
    has_workspaces = mode is not None or expose is not None
    _check_owner(agent, workspace, has_agents=bool(patch), has_workspaces=has_workspaces, options=options)
    if agent is not None:
        settings = _send(cli, agent, patch)
        cli.screen.answer(settings, lambda: _show_set(cli, settings))
    else:
        _set_workspace(cli, DEFAULT_WORKSPACE if workspace is None else workspace, _workspace_patch(mode, expose))


def _check_owner(
    agent: str | None, workspace: str | None, *, has_agents: bool, has_workspaces: bool, options: list[str]
) -> None:
    """Raise `InvalidUsage` unless there is something to change, of one agent or of one workspace."""
    wrong: str | None = None
    if not (has_agents or has_workspaces):
        wrong = f"it says nothing to change; known are {', '.join(options)}"
    elif has_workspaces and (has_agents or agent is not None):
        wrong = (
            f"{MODE_OPTION} and {EXPOSE_OPTION} are settings of a workspace: give them without --agent and what "
            "belongs to an agent"
        )
    elif agent is None:
        wrong = None if has_workspaces else "these are settings of an agent: say which, with --agent"
    elif workspace is not None:
        wrong = "--workspace goes with a setting of a workspace, and these are settings of an agent"
    if wrong is not None:
        raise InvalidUsage(wrong, command="caxton config set")


def _values(group: str, texts: dict[str, str | None]) -> dict[str, str | int | None]:
    """What was said, as the API takes it; None is the default."""
    return {key: _value(_option_name(group, key), key, text) for key, text in texts.items() if text is not None}


def _option_name(group: str, key: str) -> str:
    return f"--{group}.{key}".replace("_", "-")


def _value(option: str, key: str, text: str) -> str | int | None:
    if text == DEFAULT:
        return None
    if key in _AMOUNTS or (key == "threshold" and text == "off"):
        return text
    try:
        return int(text)
    except ValueError:
        raise InvalidValue(option, text, "give a number" + (" or 'off'" if key == "threshold" else "")) from None


def _switch(option: str, text: str) -> bool | None:
    known = {"true": True, "false": False, DEFAULT: None}
    if text not in known:
        raise InvalidValue(option, text, "give true or false")
    return known[text]


def _send(cli: Cli, agent: str, patch: dict[str, Any]) -> "AgentSettings":
    import msgspec

    from caxton.core.views.settings import AgentPatch

    with cli.client(f"Changing {agent}") as client:
        return client.configure(agent, msgspec.convert(patch, AgentPatch))


def _workspace_patch(mode: str | None, expose: str | None) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    if mode is not None:
        patch["conversations"] = {"mode": None if mode == DEFAULT else mode}
    if expose is not None:
        entries = [entry.strip() for entry in expose.split(",") if entry.strip()]
        patch["mcp"] = {"expose": None if expose in (DEFAULT, "none") else entries}
    return patch


def _set_workspace(cli: Cli, workspace: str, patch: dict[str, Any]) -> None:
    import msgspec

    from caxton.core.views.settings import WorkspacePatch

    with cli.client(f"Changing {workspace}", workspace=workspace) as client:
        settings = client.configure_workspace(msgspec.convert(patch, WorkspacePatch))

    def human() -> None:
        cli.screen.done(f"Settings of workspace '{settings.workspace}' hold from now on")
        _show_workspace_settings(cli, settings)

    cli.screen.answer(settings, human)


def _show_workspace(cli: Cli, workspace: str) -> None:
    with cli.client(f"Asking for {workspace}", workspace=workspace) as client:
        settings = client.workspace_settings()
    cli.screen.answer(settings, lambda: _show_workspace_settings(cli, settings))


def _show_workspace_settings(cli: Cli, settings: "WorkspaceSettings") -> None:
    conversations = settings.conversations
    source = "server" if conversations.mode is None else "workspace"
    rows = [("conversations.mode", conversations.effective_mode, source)]
    if exposed := settings.mcp.expose:
        rows.append(("mcp.expose", ", ".join(exposed), "workspace"))
    cli.screen.table(("setting", "value", "source"), rows)


def _show_agent(cli: Cli, agent: str) -> None:
    with cli.client(f"Asking for {agent}") as client:
        settings = client.settings(agent)
    cli.screen.answer(settings, lambda: _show_settings(cli, settings))


def _show_set(cli: Cli, settings: "AgentSettings") -> None:
    cli.screen.done(f"Settings of agent '{settings.name}' hold from now on")
    _show_settings(cli, settings)


def _show_settings(cli: Cli, settings: "AgentSettings") -> None:
    circuit, resources = settings.circuit_breaker, settings.resources
    rows = [
        ("circuit_breaker.threshold", str(circuit.threshold) if circuit.threshold else "off"),
        ("circuit_breaker.timeout", f"{circuit.timeout_s:g}s"),
        ("circuit_breaker.probes", str(circuit.probes)),
        ("bulkhead.max_waiting", str(settings.bulkhead.max_waiting)),
        ("resources.messages_per_s", str(resources.messages_per_s)),
        ("resources.mailbox_messages", str(resources.mailbox_messages)),
        ("resources.mailbox_bytes", format_size(resources.mailbox_bytes)),
        ("record", str(settings.record).lower()),
    ]
    cli.screen.table(("setting", "value"), rows)


def _show_server(cli: Cli, *, effective: bool, config: Path | None, data_dir: Path | None) -> None:
    from caxton.server.config.effective import effective as effective_values

    values = effective_values(overrides_of(config=config, data_dir=data_dir))
    shown = [value for value in values if effective or value.source != "default"]
    rows = [(value.key, _plain(value.value), value.source) for value in shown]
    as_json = [{"key": value.key, "value": _jsonable(value.value), "source": value.source} for value in shown]

    def human() -> None:
        if rows:
            cli.screen.table(("setting", "value", "source"), rows)
        else:
            cli.screen.line("All settings have their defaults; --effective shows them.")

    cli.screen.answer({"settings": as_json}, human)


def _plain(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(str, cast("list[object]", value))) or "-"
    return str(value) or "-"


def _jsonable(value: object) -> object:
    from caxton.telemetry.settings import Headers

    return str(value) if isinstance(value, (Path, Headers)) else value
