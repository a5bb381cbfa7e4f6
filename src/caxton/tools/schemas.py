"""Whether arguments and results are what a tool's JSON Schema asks for. Schemas come from strangers.

A schema is bounded before it is compiled: by its bytes, its levels, and by the steps that a check takes, since a few
definitions that each refer twice to the next are 2^n of them. Nothing is fetched, patterns take linear time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_SCHEMA_BYTES = 64 << 10

MAX_SCHEMA_DEPTH = 32

MAX_SCHEMA_STEPS = 2_000
"""Places in a schema that may be looked at for one value, all references followed."""

MAX_CHECK_STEPS = 50_000_000
"""Places in a schema times bytes to check: at worst half a second in which nobody else has a turn."""

MAX_PATTERN_BYTES = 1 << 20
"""Of a compiled pattern."""

_REFUSED = ("$dynamicRef", "$recursiveRef")


class BadSchema(Exception):
    """A schema that is not used. Its text is for people and has nothing of the schema."""


class Checker:
    """One compiled schema."""

    __slots__ = ("_errors", "_most_bytes", "is_good")

    def __init__(self, schema: dict[str, Any]) -> None:
        """Compile it. Raises `BadSchema`."""
        steps = check_schema(schema)
        import jsonschema_rs  # 19 ms that a server without tools does not pay

        limit = jsonschema_rs.RegexOptions(size_limit=MAX_PATTERN_BYTES, dfa_size_limit=MAX_PATTERN_BYTES)
        try:
            validator = jsonschema_rs.validator_for(schema, offline=True, pattern_options=limit)
        except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as exc:
            raise BadSchema("it is no JSON Schema that can be used here") from exc
        self.is_good: Callable[[Any], bool] = validator.is_valid
        """Whether a value is as it should be; ask `has_time` before."""
        self._errors = validator.iter_errors
        self._most_bytes = MAX_CHECK_STEPS // steps

    def has_time(self, size_bytes: int) -> bool:
        """Whether a value of that size, as JSON, can be checked without holding up others for long."""
        return size_bytes <= self._most_bytes

    def complaint(self, value: Any) -> str:
        """Where `value` breaks which rule, for people: the names of members, never what they hold."""
        error = next(iter(self._errors(value)), None)
        if error is None:
            return ""
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path)
        rule = error.schema_path[-1] if error.schema_path else "false"
        return f"{path.lstrip('.')[:_MAX_PATH_CHARS] or 'the whole'} breaks {str(rule)[:64]!r}"


_MAX_PATH_CHARS = 128


def check_schema(schema: dict[str, Any]) -> int:
    """How many places of `schema` one value may lead to. Raises `BadSchema`."""
    try:
        size = len(msgspec.json.encode(schema))
    except (ValueError, TypeError, RecursionError) as exc:
        raise BadSchema("it is no JSON") from exc
    if size > MAX_SCHEMA_BYTES:
        raise BadSchema(f"it has {size} bytes, and {MAX_SCHEMA_BYTES} are allowed")
    if depth_of(schema, MAX_SCHEMA_DEPTH) > MAX_SCHEMA_DEPTH:
        raise BadSchema(f"it has more than {MAX_SCHEMA_DEPTH} levels")
    steps = _Steps(schema).of(schema)
    if steps > MAX_SCHEMA_STEPS:
        raise BadSchema(f"one value may lead to more than {MAX_SCHEMA_STEPS} places in it")
    return steps


def depth_of(value: Any, most: int) -> int:
    """Levels of lists and objects in `value`; `most` + 1 if there are more."""
    level, inner = 0, [value]
    while level <= most:
        inner = [child for one in inner for child in _children(one)]
        if not inner:
            return level
        level += 1
    return level


def _children(value: Any) -> Iterator[Any]:
    """What stands in a list or object; the object itself counts, so a plain value has none."""
    if isinstance(value, dict):
        yield from cast("dict[str, Any]", value).values() or (None,)
    elif isinstance(value, list):
        yield from cast("list[Any]", value) or [None]


class _Steps:
    """Counts places, references followed. One that leads back to where it came from counts as one."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._root = schema
        self._anchors = {name: found for found, name in _anchors(schema)}
        self._known: dict[int, int] = {}

    def of(self, value: Any) -> int:
        if isinstance(value, list):
            return sum(map(self.of, cast("list[Any]", value)))
        if not isinstance(value, dict):
            return 0
        return self._object(cast("dict[str, Any]", value))

    def _object(self, schema: dict[str, Any]) -> int:
        known = self._known.get(id(schema))
        if known is not None:
            return known
        self._known[id(schema)] = 1
        steps = 1
        for name, value in schema.items():
            if isinstance(value, str) and (name in _REFUSED or (name == "$id" and schema is not self._root)):
                raise BadSchema(f"{name} is not allowed")
            if name == "$ref" and isinstance(value, str):
                steps += self.of(self._target(value))
            elif name not in ("$defs", "definitions"):
                steps += self.of(value)
            if steps > MAX_SCHEMA_STEPS:
                break
        self._known[id(schema)] = steps
        return steps

    def _target(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise BadSchema("it refers to something outside of itself")
        if reference[1:2] not in ("", "/"):
            return self._anchors.get(reference[1:])
        found: Any = self._root
        for part in reference[2:].split("/") if len(reference) > 1 else ():
            found = _member(found, part.replace("~1", "/").replace("~0", "~"))
        return found


def _member(value: Any, name: str) -> Any:
    """None if there is none: what compiles the schema complains."""
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).get(name)
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return items[int(name)] if name.isascii() and name.isdigit() and int(name[:6]) < len(items) else None


def _anchors(value: Any) -> Iterator[tuple[Any, str]]:
    inner = [value]
    while inner:
        one = inner.pop()
        if isinstance(one, dict):
            found = cast("dict[str, Any]", one)
            name = found.get("$anchor")
            if isinstance(name, str):
                yield found, name
            inner += found.values()
        elif isinstance(one, list):
            inner += cast("list[Any]", one)
