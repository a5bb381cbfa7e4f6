"""Routes about the journal: how large it is, whether it is sound, and making it smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.api.operation import Answer, Operation, Route
from caxton.api.reply import Reply, json_reply
from caxton.core.errors.storage import JournalDamaged, StorageFailed
from caxton.core.views.storage import CompactReport, StorageView, VerifyReport

if TYPE_CHECKING:
    from caxton.api.request import ApiRequest
    from caxton.api.services import StorageService

PATH = "/api/v1/storage"

STATUS = Operation(
    method="GET",
    path=PATH,
    action="storage:read",
    summary="What is stored, how much room it takes, and its limits.",
    answers=(Answer(kind=StorageView, doc="It."),),
    errors=(JournalDamaged,),
)
VERIFY = Operation(
    method="POST",
    path=f"{PATH}/verify",
    action="storage:write",
    summary="Compare every page and row of the journal with its checksum. The server goes on meanwhile.",
    answers=(Answer(kind=VerifyReport, doc="What was looked at and what was found."),),
    errors=(JournalDamaged,),
)
COMPACT = Operation(
    method="POST",
    path=f"{PATH}/compact",
    action="storage:write",
    summary="Let go of what is over its retention, and give free room back to the disk.",
    answers=(Answer(kind=CompactReport, doc="Done; how large it was and is."),),
    errors=(StorageFailed,),
)


def storage_routes(storage: StorageService) -> list[Route]:
    """The routes of this module."""

    async def status(request: ApiRequest) -> Reply:
        return json_reply(await storage.view())

    async def verify(request: ApiRequest) -> Reply:
        return json_reply(await storage.verify())

    async def compact(request: ApiRequest) -> Reply:
        return json_reply(await storage.compact())

    return [Route(STATUS, status), Route(VERIFY, verify), Route(COMPACT, compact)]
