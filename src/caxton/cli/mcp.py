"""`caxton mcp`: the agents of a running server as MCP tools, on standard input and output."""

from typing import Annotated

import typer

from caxton.cli.command import Cli, command
from caxton.core.ids import DEFAULT_WORKSPACE


def register(app: typer.Typer) -> None:
    """Add `mcp` to the top level."""
    command(app, "mcp", "caxton mcp", "caxton mcp --server https://caxton.example:8443 --workspace default")(mcp)


def mcp(
    cli: Cli,
    workspace: Annotated[
        str, typer.Option("--workspace", metavar="NAME", help="The workspace whose tools are offered.")
    ] = DEFAULT_WORKSPACE,
) -> None:
    """Speak MCP on standard input and output, for programs that start their MCP servers; a running server answers."""
    from caxton.cli.contexts import choose_target
    from caxton.cli.mcp_stdio import serve
    from caxton.core.ids import parse_workspace_name

    target = choose_target(server=cli.server, token=cli.token, context=cli.context)
    if target.sends_token_openly:
        cli.screen.warn(f"the token goes to {target.server} unencrypted; use https")
    serve(target, parse_workspace_name(workspace))
