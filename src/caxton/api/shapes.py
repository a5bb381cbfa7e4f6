"""Types that only describe: what raw JSON inside a body looks like, for OpenAPI."""

from __future__ import annotations

from types import GenericAlias
from typing import Annotated, Any

import msgspec

from caxton.messages.message import AclMessage

REF = "#/components/schemas/{name}"


def shape(kind: type[msgspec.Struct], **fields: Any) -> type[msgspec.Struct]:
    """`kind` for the description: raw fields become any JSON value, or the types given by name."""
    described: list[tuple[str, Any, Any] | tuple[str, Any]] = []
    for found in msgspec.structs.fields(kind):
        raw = found.type is msgspec.Raw
        of_kind = fields.get(found.name, Any if raw else found.type)
        if found.required:
            described.append((found.name, of_kind))
        elif found.default is msgspec.NODEFAULT:
            described.append((found.name, of_kind, msgspec.field(default_factory=found.default_factory)))
        else:
            described.append((found.name, of_kind, None if raw else found.default))
    return msgspec.defstruct(kind.__name__, described, kw_only=True, namespace={"__doc__": kind.__doc__})


def list_of_either(*names: str) -> Any:
    """A list whose members are any of the named schemas. msgspec has no word for that without a tag in each."""
    members = {"anyOf": [{"$ref": REF.format(name=name)} for name in names]}
    return Annotated[list[Any], msgspec.Meta(extra_json_schema={"items": members})]


MESSAGE = shape(AclMessage)
MESSAGES = GenericAlias(list, (MESSAGE,))
