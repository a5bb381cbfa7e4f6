"""`caxton deploy` and `caxton agent deploy`: from a file and flags to an agent that answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caxton.cli.command import Cli, command
from caxton.cli.files import read_file
from caxton.cli.output import Mark

if TYPE_CHECKING:
    from caxton.client import CaxtonClient
    from caxton.core.views.agents import AgentSpec, AgentView

MAX_UPLOAD_BYTES = 256 << 20
"""The server has the real limit; this one only keeps a slip (a disk image) out of our memory."""

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The compiled WebAssembly module.")]
NameOption = Annotated[
    str | None,
    typer.Option("--name", "-n", metavar="NAME", help="Name of the agent. Default: the file's name."),
]
ReplicasOption = Annotated[
    int | None, typer.Option("--replicas", "-r", min=1, metavar="N", help="How many instances. Default: 1.")
]
MemoryOption = Annotated[
    str | None,
    typer.Option("--memory", metavar="SIZE", help="Memory of each instance, like 16MB. Default: 10MB."),
]
TimeoutOption = Annotated[
    str | None,
    typer.Option("--timeout", metavar="DURATION", help="Time for one message, like 5s. Default: 5s."),
]
CapabilityOption = Annotated[
    list[str] | None,
    typer.Option("--capability", metavar="NAME", help="Something the agent offers. May be given repeatedly."),
]
ReplaceOption = Annotated[
    bool,
    typer.Option("--replace", help="Put a new version in place of an agent of that name, if there is one."),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings of the agent (YAML); flags come before them."),
]


def register(app: typer.Typer) -> None:
    """Add `deploy` to the top level."""
    command(
        app,
        "deploy",
        "caxton deploy examples/ping.wasm --name ping",
        "caxton deploy worker.wasm --replicas 3 --memory 16MB --timeout 5s --capability sorting",
        "caxton deploy worker.wasm --replace",
    )(deploy)


def deploy(
    cli: Cli,
    file: FileArgument,
    name: NameOption = None,
    replicas: ReplicasOption = None,
    memory: MemoryOption = None,
    timeout: TimeoutOption = None,
    capability: CapabilityOption = None,
    replace: ReplaceOption = False,
    config: ConfigOption = None,
) -> None:
    """Deploy an agent, and wait until it is up."""
    from caxton.cli.agent_spec import agent_spec

    module = read_file(file, max_bytes=MAX_UPLOAD_BYTES)
    said: dict[str, Any] = {
        "name": name,
        "replicas": replicas,
        "memory": memory,
        "timeout": timeout,
        "capabilities": capability,
    }
    spec = agent_spec(said, config=config, default_name=file.stem)
    with cli.client(f"Deploying {spec.name}") as client:
        view = _put(client, spec, module) if replace else client.deploy(spec, module)
    cli.screen.answer(view, lambda: _tell(cli, view))


def _put(client: "CaxtonClient", spec: "AgentSpec", module: bytes) -> "AgentView":
    from caxton.client import ApiProblem

    try:
        return client.replace(spec, module)
    except ApiProblem as problem:
        if problem.code != "AGENT_NOT_FOUND":
            raise
        return client.deploy(spec, module)


def _tell(cli: Cli, view: "AgentView") -> None:
    name = f"Agent '{view.name}'" + (f" (revision {view.revision})" if view.revision > 1 else "")
    if view.status == "running" and view.healthy == view.replicas:
        cli.screen.done(f"{name} deployed and healthy")
    else:
        state = f"{view.status}, {view.healthy}/{view.replicas} instances healthy"
        cli.screen.say(Mark.WARN, f"{name} deployed: {state}")
