"""What the API can do: an `Operation` per route and method. Routing, guard, OpenAPI and tests read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from caxton.api.query import WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from caxton.api.query import Query
    from caxton.api.reply import Asgi
    from caxton.api.request import ApiRequest
    from caxton.core.errors.error import CaxtonError

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

JSON = "application/json"
FORM = "multipart/form-data"
EVENTS = "text/event-stream"
TEXT = "text/plain"
BINARY = "application/octet-stream"
ACL = "application/fipa-acl"
"""A message in FIPA's string encoding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What a request carries."""

    kind: Any
    """The msgspec type of its JSON, or `Any`."""
    required: bool = True
    form: bool = False
    """May also come as a form with the parts `wasm` and `config`."""
    acl: bool = False
    """May also come in FIPA's string encoding."""
    example: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a success looks like."""

    status: int = 200
    kind: Any = None
    """The msgspec type of its JSON; None for no body or one that is no JSON."""
    media_type: str | None = JSON
    doc: str = "Done."


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing that the API does, at one path with one method."""

    method: Method
    path: str
    """As in OpenAPI, like `/api/v1/agents/{name}`."""
    action: str
    """What the guard asks the policy for; a key of `caxton.security.policy.ACTIONS`."""
    summary: str
    answers: tuple[Answer, ...]
    body: Body | None = None
    query: tuple[Query[Any], ...] = ()
    """Beside `workspace`, which every operation takes."""
    errors: tuple[type[CaxtonError], ...] = ()
    """The refusals of its own; those that any operation may give are added."""
    known: frozenset[str] = field(init=False)
    """Names of the query parameters."""

    def __post_init__(self) -> None:
        known = {WORKSPACE.name, *(parameter.name for parameter in self.query)}
        object.__setattr__(self, "known", frozenset(known))


@dataclass(frozen=True, slots=True)
class Route:
    """An operation and what carries it out."""

    operation: Operation
    handle: Callable[[ApiRequest], Awaitable[Asgi]]
