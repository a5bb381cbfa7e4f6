"""Query parameters: what each is called, means and may be. One object reads and describes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import parse_qsl

from caxton.core.errors.error import quoted
from caxton.core.errors.requests import InvalidRequest
from caxton.core.errors.values import InvalidValue
from caxton.core.ids import DEFAULT_WORKSPACE, WorkspaceName, parse_workspace_name
from caxton.core.suggest import nearest
from caxton.core.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_PARAMETERS = 32
"""Routes know at most seven; more is an attack on the parser."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query(Generic[T]):
    """One query parameter."""

    name: str
    doc: str
    schema: dict[str, Any]
    """JSON Schema of the text, for OpenAPI."""
    parse: Callable[[str], T]
    """Text to value; raises `CaxtonError`."""
    default: T
    required: bool = False


def parse_query(text: bytes, known: frozenset[str]) -> dict[str, str]:
    """The parameters in a URL's query; raises `InvalidRequest` for one that is unknown or given twice."""
    try:
        pairs = parse_qsl(
            text.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError as exc:
        raise InvalidRequest("it cannot be read", field="query") from exc
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise _unknown(name, known)
        if name in found:
            raise InvalidRequest("it is given twice", field=name)
        found[name] = value
    return found


def _unknown(name: str, known: frozenset[str]) -> InvalidRequest:
    like = nearest(name, known)
    hint = f"did you mean {like!r}?" if like else f"known here: {', '.join(sorted(known))}"
    return InvalidRequest(f"unknown parameter {quoted(name)}; {hint}", field="query")


def integer(name: str, doc: str, *, default: int | None, low: int, high: int) -> Query[Any]:
    """A whole number from `low` to `high`."""

    def parse(text: str) -> int:
        if text.isascii() and text.isdecimal() and len(text) < 20 and low <= int(text) <= high:
            return int(text)
        raise InvalidValue(name, text, f"give a whole number from {low} to {high}")

    schema = {"type": "integer", "minimum": low, "maximum": high}
    return Query(name=name, doc=doc, schema=schema, parse=parse, default=default)


def flag(name: str, doc: str) -> Query[bool]:
    """`true` or `false`, or just there."""

    def parse(text: str) -> bool:
        if text in ("true", "1", ""):
            return True
        if text in ("false", "0"):
            return False
        raise InvalidValue(name, text, "give true or false")

    return Query(name=name, doc=doc, schema={"type": "boolean"}, parse=parse, default=False)


def duration(
    name: str, doc: str, *, default_s: float | None, low_s: float = 0.0, high_s: float = float("inf")
) -> Query[Any]:
    """Seconds, written like `5s` or `250ms`."""

    def parse(text: str) -> float:
        seconds = parse_duration(text, what=name)
        if low_s <= seconds <= high_s:
            return seconds
        raise InvalidValue(name, text, f"give {low_s:g} s to {high_s:g} s")

    schema = {"type": "string", "examples": ["5s", "250ms", "1h"]}
    return Query(name=name, doc=doc, schema=schema, parse=parse, default=default_s)


def choice(name: str, doc: str, choices: tuple[str, ...]) -> Query[str | None]:
    """One of some words."""

    def parse(text: str) -> str:
        if text in choices:
            return text
        raise InvalidValue(name, text, f"give one of {', '.join(choices)}")

    return Query(name=name, doc=doc, schema={"type": "string", "enum": list(choices)}, parse=parse, default=None)


def word(
    name: str, doc: str, parse: Callable[[str], Any], *, default: Any = None, required: bool = False
) -> Query[Any]:
    """Some text that has its own reader."""
    return Query(name=name, doc=doc, schema={"type": "string"}, parse=parse, default=default, required=required)


WORKSPACE: Query[WorkspaceName] = Query(
    name="workspace",
    doc="The workspace that is meant. Taken on every route, so that a client may always send it.",
    schema={"type": "string", "default": DEFAULT_WORKSPACE},
    parse=parse_workspace_name,
    default=DEFAULT_WORKSPACE,
)
