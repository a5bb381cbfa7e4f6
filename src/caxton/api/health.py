"""Routes about the server itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from caxton.api.operation import TEXT, Answer, Operation, Route
from caxton.api.reply import Reply, json_reply
from caxton.core.errors.server import ServerNotReady
from caxton.core.views.server import Reason, ServerView

if TYPE_CHECKING:
    from caxton.api.request import ApiRequest
    from caxton.api.services import ServerService


class Health(msgspec.Struct, kw_only=True):
    """A sign of life."""

    status: str
    """`ok`."""


HEALTH = Operation(
    method="GET",
    path="/health",
    action="health:read",
    summary="Say that the process lives. Needs no token.",
    answers=(Answer(kind=Health, doc="It does."),),
)


class Ready(msgspec.Struct, kw_only=True):
    """The server takes work."""

    status: str
    """`ready`."""
    reasons: list[Reason]
    """Why not: none, here. The refusal has them among its details."""


READY = Operation(
    method="GET",
    path="/ready",
    action="health:read",
    summary="Say whether the server takes work, and if not, each reason and what to do. Needs no token.",
    answers=(Answer(kind=Ready, doc="It does."),),
    errors=(ServerNotReady,),
)

METRICS = Operation(
    method="GET",
    path="/metrics",
    action="metrics:read",
    summary="All metrics, in the text format of Prometheus.",
    answers=(Answer(media_type=TEXT, doc="One sample per line."),),
)

SERVER = Operation(
    method="GET",
    path="/api/v1/health",
    action="server:read",
    summary="The server as a whole.",
    answers=(Answer(kind=ServerView, doc="Its state and its counts."),),
)

METRICS_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")


def health_routes(server: ServerService) -> list[Route]:
    """The routes of this module."""

    async def health(request: ApiRequest) -> Reply:
        return json_reply(Health(status="ok"))

    async def ready(request: ApiRequest) -> Reply:
        if reasons := server.reasons():
            raise ServerNotReady(server.view().status, reasons)
        return json_reply(Ready(status="ready", reasons=[]))

    async def metrics(request: ApiRequest) -> Reply:
        return Reply(await server.metrics(), headers=(METRICS_TYPE,))

    async def view(request: ApiRequest) -> Reply:
        return json_reply(server.view())

    return [Route(HEALTH, health), Route(READY, ready), Route(METRICS, metrics), Route(SERVER, view)]
