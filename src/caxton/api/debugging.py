"""Routes that look into one agent, and one that gathers what a bug report needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.api.operation import Answer, Operation, Route
from caxton.api.query import duration, integer, word
from caxton.api.reply import Reply, json_reply
from caxton.core.errors.agents import AgentIsNative, AgentNotFound, AgentStateConflict
from caxton.core.errors.debugging import OutsideMemory, ProfilerUnavailable, ProfileRunning
from caxton.core.errors.server import ShuttingDown
from caxton.core.errors.values import InvalidName, InvalidValue
from caxton.core.views.debugging import AgentDebug, BundleView, KvDebug, MailboxDebug, MemoryDebug, StackDebug
from caxton.core.views.stats import MAX_WINDOW_S, MIN_WINDOW_S

if TYPE_CHECKING:
    from caxton.api.request import ApiRequest
    from caxton.api.services import BundleService, DebugService

PATH = "/api/v1/agents/{name}/debug"

MAX_SHOWN = 1000
"""Messages or keys in one answer: for looking; what is left out is counted."""

MAX_DUMP_BYTES = 64 << 10
"""Of memory in one answer: a page of WebAssembly."""

MAX_PROFILE_S = 300.0
"""Five minutes of computing are some 10 MB of JSON."""

MAX_PREFIX_BYTES = 1024
"""A key cannot be longer."""


def _prefix(text: str) -> bytes:
    """Text, or `hex:` and hexadecimal digits."""
    if not text.startswith("hex:"):
        prefix = text.encode("utf-8", "surrogatepass")
    else:
        try:
            prefix = bytes.fromhex(text.removeprefix("hex:"))
        except ValueError:
            raise InvalidValue("prefix", text, "after hex: give hexadecimal digits, two for each byte") from None
    if len(prefix) > MAX_PREFIX_BYTES:
        raise InvalidValue("prefix", text, f"give at most {MAX_PREFIX_BYTES} bytes")
    return prefix


WINDOW = duration(
    "window", "Rates are those of the last while.", default_s=60.0, low_s=MIN_WINDOW_S, high_s=MAX_WINDOW_S
)  # fmt: skip
LIMIT = integer("limit", "Show at most so many.", default=50, low=1, high=MAX_SHOWN)
PREFIX = word("prefix", "Only keys that begin so: text, or hex: and hexadecimal digits.", _prefix, default=b"")
REPLICA = integer("replica", "Number of the replica.", default=0, low=0, high=1_000_000)
OFFSET = integer("offset", "First byte.", default=0, low=0, high=(1 << 32) - 1)
LENGTH = integer("length", "How many bytes.", default=256, low=1, high=MAX_DUMP_BYTES)
DURATION = duration("duration", "How long to sample.", default_s=30.0, low_s=0.1, high_s=MAX_PROFILE_S)

_OF_AGENTS = (AgentNotFound, InvalidName)
_OF_GUESTS = (*_OF_AGENTS, AgentIsNative)

FIGURES = Operation(
    method="GET",
    path=PATH,
    action="debug:read",
    summary="What an agent uses and how it did lately: memory, mail, rates, each replica.",
    query=(WINDOW,),
    answers=(Answer(kind=AgentDebug, doc="It."),),
    errors=_OF_AGENTS,
)
MAILBOX = Operation(
    method="GET",
    path=f"{PATH}/mailbox",
    action="debug:read",
    summary="What waits for an agent, without contents, and what its replicas have in hand.",
    query=(LIMIT,),
    answers=(Answer(kind=MailboxDebug, doc="Those that come first."),),
    errors=_OF_AGENTS,
)
STATE = Operation(
    method="GET",
    path=f"{PATH}/kv",
    action="debug:inside",
    summary="The keys and values of an agent's state.",
    query=(PREFIX, LIMIT),
    answers=(Answer(kind=KvDebug, doc="In order of key."),),
    errors=_OF_GUESTS,
)
STACK = Operation(
    method="GET",
    path=f"{PATH}/stack",
    action="debug:inside",
    summary="Where each replica of an agent is: the functions that it is in the middle of.",
    answers=(Answer(kind=StackDebug, doc="Innermost first, for each replica."),),
    errors=_OF_GUESTS,
)
MEMORY = Operation(
    method="GET",
    path=f"{PATH}/memory",
    action="debug:inside",
    summary="Bytes of the linear memory of one replica.",
    query=(REPLICA, OFFSET, LENGTH),
    answers=(Answer(kind=MemoryDebug, doc="They."),),
    errors=(*_OF_GUESTS, AgentStateConflict, OutsideMemory),
)
PROFILE = Operation(
    method="POST",
    path="/api/v1/agents/{name}/profile",
    action="debug:profile",
    summary="Sample an agent for a while, and answer with a profile that the Firefox profiler opens.",
    query=(DURATION,),
    answers=(Answer(kind=dict, doc="The profile, in Firefox's processed format."),),
    errors=(*_OF_GUESTS, AgentStateConflict, ProfileRunning, ProfilerUnavailable, ShuttingDown),
)
BUNDLE = Operation(
    method="GET",
    path="/api/v1/debug/bundle",
    action="debug:bundle",
    summary="The server's part of an archive for a bug report, without secrets.",
    answers=(Answer(kind=BundleView, doc="Files."),),
)


def debug_routes(debugging: DebugService, bundle: BundleService) -> list[Route]:
    """The routes of this module."""

    async def figures(request: ApiRequest) -> Reply:
        found = await debugging.figures(request.workspace, request.agent, window_s=request.read(WINDOW))
        return json_reply(found)

    async def mailbox(request: ApiRequest) -> Reply:
        return json_reply(debugging.mailbox(request.workspace, request.agent, limit=request.read(LIMIT)))

    async def state(request: ApiRequest) -> Reply:
        prefix, limit = request.read(PREFIX), request.read(LIMIT)
        return json_reply(await debugging.state(request.workspace, request.agent, prefix=prefix, limit=limit))

    async def stack(request: ApiRequest) -> Reply:
        return json_reply(await debugging.stack(request.workspace, request.agent))

    async def memory(request: ApiRequest) -> Reply:
        replica, offset, length = request.read(REPLICA), request.read(OFFSET), request.read(LENGTH)
        found = debugging.memory(request.workspace, request.agent, replica=replica, offset=offset, length=length)
        return json_reply(found)

    async def profile(request: ApiRequest) -> Reply:
        seconds = request.read(DURATION)
        return Reply(await debugging.profile(request.workspace, request.agent, duration_s=seconds))

    async def collect(request: ApiRequest) -> Reply:
        return json_reply(await bundle.collect(request.workspace))

    return [
        Route(FIGURES, figures),
        Route(MAILBOX, mailbox),
        Route(STATE, state),
        Route(STACK, stack),
        Route(MEMORY, memory),
        Route(PROFILE, profile),
        Route(BUNDLE, collect),
    ]
