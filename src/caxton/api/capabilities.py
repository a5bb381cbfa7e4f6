"""Routes about capabilities: what is offered, by whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from caxton.api.agents import LIMIT, OFFSET
from caxton.api.operation import Answer, Operation, Route
from caxton.api.reply import Reply, json_reply
from caxton.core.errors.receivers import CapabilityNotFound
from caxton.core.errors.values import InvalidName
from caxton.core.views.capabilities import CapabilityView

if TYPE_CHECKING:
    from caxton.api.request import ApiRequest
    from caxton.api.services import CapabilityService

PATH = "/api/v1/capabilities"


class CapabilityList(msgspec.Struct, kw_only=True):
    """Some of the capabilities."""

    capabilities: list[CapabilityView]
    total: int
    """How many there are, whatever `limit` and `offset` left of them."""


LIST = Operation(
    method="GET",
    path=PATH,
    action="agents:read",
    summary="The capabilities that agents offer, by name.",
    query=(LIMIT, OFFSET),
    answers=(Answer(kind=CapabilityList, doc="One page of them."),),
)
GET = Operation(
    method="GET",
    path=f"{PATH}/{{capability}}",
    action="agents:read",
    summary="One capability and the agents that offer it.",
    answers=(Answer(kind=CapabilityView, doc="It."),),
    errors=(CapabilityNotFound, InvalidName),
)


def capability_routes(capabilities: CapabilityService) -> list[Route]:
    """The routes of this module."""

    async def list_(request: ApiRequest) -> Reply:
        found = capabilities.list(request.workspace)
        offset = request.read(OFFSET)
        page = found[offset : offset + request.read(LIMIT)]
        return json_reply(CapabilityList(capabilities=page, total=len(found)))

    async def get(request: ApiRequest) -> Reply:
        return json_reply(capabilities.get(request.workspace, request.capability))

    return [Route(LIST, list_), Route(GET, get)]
