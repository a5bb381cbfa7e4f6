"""Routes by which Prometheus finds the agents and asks each whether it is up (HTTP service discovery).

So `up{job="caxton-agents"}` is one series for each agent, made by Prometheus itself: no metric of ours has a label with
the name of an agent.

Source: prometheus.io/docs/prometheus/latest/http_sd.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from caxton.api.health import METRICS_TYPE
from caxton.api.operation import TEXT, Answer, Operation, Route
from caxton.api.reply import Reply, json_reply
from caxton.core.errors.agents import AgentDown, AgentNotFound
from caxton.core.errors.values import InvalidName

if TYPE_CHECKING:
    from caxton.api.request import ApiRequest
    from caxton.api.services import AgentService

PATH = "/metrics/agents"


class Target(msgspec.Struct, kw_only=True):
    """One agent, as Prometheus wants to be told of it."""

    targets: list[str]
    """The address of this server, as the request had it."""
    labels: dict[str, str]
    """Where to ask, and `instance` and `workspace` for the series."""


TARGETS = Operation(
    method="GET",
    path=PATH,
    action="metrics:read",
    summary="The agents that are meant to run, for Prometheus' HTTP service discovery.",
    answers=(Answer(kind=list[Target], doc="One target for each."),),
)

TARGET = Operation(
    method="GET",
    path=f"{PATH}/{{name}}",
    action="metrics:read",
    summary="Say that an agent is up, as an empty page of metrics.",
    answers=(Answer(media_type=TEXT, doc="It is."),),
    errors=(AgentDown, AgentNotFound, InvalidName),
)


def target_routes(agents: AgentService) -> list[Route]:
    """The routes of this module."""

    async def targets(request: ApiRequest) -> Reply:
        address = request.headers[b"host"].decode("ascii")
        workspace = request.workspace
        return json_reply(
            [
                Target(
                    targets=[address],
                    labels={
                        "__metrics_path__": f"{PATH}/{name}",
                        "__param_workspace": workspace,
                        "instance": name,
                        "workspace": workspace,
                    },
                )
                for name in agents.meant_to_run(workspace)
            ]
        )

    async def target(request: ApiRequest) -> Reply:
        view = agents.get(request.workspace, request.agent)
        if not view.healthy:
            raise AgentDown(view.name, view.status, view.reason)
        return Reply(b"", headers=(METRICS_TYPE,))

    return [Route(TARGETS, targets), Route(TARGET, target)]
