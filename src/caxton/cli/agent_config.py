"""Reading an agent-config.yaml: the keys of `AgentSpec`, each mistake told with its line.

YAML is held to its harmless part: no aliases (a few hundred bytes of them can stand for gigabytes), no tags,
little depth.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import msgspec
import yaml

from caxton.cli.files import read_file
from caxton.core.errors.error import quoted
from caxton.core.errors.server import InvalidConfig
from caxton.core.suggest import nearest
from caxton.core.views.agents import AgentSpec, Bulkhead, CircuitBreaker, Resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAX_CONFIG_BYTES = 64 << 10
"""A configuration is a screen of text; PyYAML takes a second for a megabyte."""

MAX_DEPTH = 8
"""The deepest key is resources.memory. PyYAML recurses."""

# PyYAML's type stubs say Unknown for the kind of text that is read.
_parse = cast("Callable[..., Iterator[yaml.Event]]", yaml.parse)  # pyright: ignore[reportUnknownMemberType]
_compose = cast("Callable[..., yaml.Node | None]", yaml.compose)  # pyright: ignore[reportUnknownMemberType]

_KEYS: dict[str, Any] = {"": AgentSpec, "resources": Resources, "circuit_breaker": CircuitBreaker, "bulkhead": Bulkhead}
"""Which struct has the keys of the mapping at a path."""


def read_agent_config(path: Path, *, default_name: str) -> AgentSpec:
    """The agent that a file describes; `default_name` where it names none.

    Raises:
        FileMissing: there is no such file.
        InvalidConfig: it is not YAML of the allowed kind, or a key or value is wrong; tells the line.
    """
    data = read_file(path, max_bytes=MAX_CONFIG_BYTES)
    source = str(path)
    try:
        text = data.decode()
        _refuse_tricks(text, source)
        top = _compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except UnicodeDecodeError as exc:
        raise InvalidConfig(source, "it is not UTF-8 text") from exc
    except (yaml.YAMLError, ValueError) as exc:  # a date like 2026-13-45 is a ValueError
        raise _syntax_error(exc, source) from exc
    if not isinstance(top, yaml.MappingNode):
        raise InvalidConfig(source, "it must be a mapping like 'name: ping'")
    lines = _check_keys(top, "", source)
    # As written: YAML reads `version: 1.10` as the number 1.1.
    if (version := _scalar(top, "version")) is not None:
        values["version"] = version
    return _convert({"name": default_name} | values, lines, source)


def _refuse_tricks(text: str, source: str) -> None:
    depth = 0
    for event in _parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise InvalidConfig(_at(source, event.start_mark), "aliases (*name) are not allowed; write the value out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise InvalidConfig(_at(source, event.start_mark), f"it is nested more than {MAX_DEPTH} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _check_keys(mapping: yaml.MappingNode, path: str, source: str) -> dict[str, yaml.Mark]:
    """The place of each value by its path; raises on unknown and repeated keys."""
    known: tuple[str, ...] = _KEYS[path].__struct_fields__
    places: dict[str, yaml.Mark] = {}
    for key, value in mapping.value:
        name, at = str(key.value), _at(source, key.start_mark)
        where = f"{path}.{name}" if path else name
        if name not in known:
            hint = nearest(name, known)
            advice = f"did you mean {hint!r}?" if hint else f"known are {', '.join(known)}"
            raise InvalidConfig(at, f"there is no key {quoted(where)}; {advice}")
        if where in places:
            raise InvalidConfig(at, f"the key {quoted(where)} stands here a second time")
        places[where] = value.start_mark
        if where in _KEYS and isinstance(value, yaml.MappingNode):
            places |= _check_keys(value, where, source)
    return places


def _convert(values: dict[str, Any], places: dict[str, yaml.Mark], source: str) -> AgentSpec:
    try:
        return msgspec.convert(values, AgentSpec)
    except msgspec.ValidationError as exc:
        # Ends in "- at `$.resources.memory`" or "- at `$.capabilities[1]`".
        reason, _, where = str(exc).partition(" - at `$.")
        path = re.sub(r"\[.*|`.*", "", where)
        at = _at(source, places[path]) if path in places else source
        raise InvalidConfig(at, f"{path}: {reason[:1].lower()}{reason[1:]}" if path else reason) from exc


def _scalar(mapping: yaml.MappingNode, name: str) -> str | None:
    for key, value in mapping.value:
        if key.value == name and isinstance(value, yaml.ScalarNode) and value.tag != "tag:yaml.org,2002:null":
            return str(value.value)
    return None


def _syntax_error(error: Exception, source: str) -> InvalidConfig:
    mark = getattr(error, "problem_mark", None)
    problem: str = getattr(error, "problem", None) or str(error).partition("\n")[0]
    return InvalidConfig(_at(source, mark) if mark else source, problem)


def _at(source: str, mark: yaml.Mark) -> str:
    return f"{source}, line {mark.line + 1}"
