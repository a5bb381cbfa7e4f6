"""An upload as a form: the module as a file, its settings beside it. This is what `curl -F` sends."""

from __future__ import annotations

from email.message import Message
from typing import TYPE_CHECKING

from multipart import MultipartError, PushMultipartParser

from caxton.core.errors.requests import InvalidRequest

if TYPE_CHECKING:
    from caxton.api.request import ApiRequest

PARTS = frozenset({"wasm", "config"})


def parse_form(request: ApiRequest, data: bytes) -> dict[str, bytes]:
    """The parts of a form by name; raises `InvalidRequest` for any but `wasm` and `config`."""
    parts: dict[str, list[bytes]] = {}
    name = ""
    try:
        with PushMultipartParser(_boundary(request), strict=True, max_segment_count=len(PARTS)) as parser:
            for event in parser.parse(data):
                if isinstance(event, (bytes, bytearray)):
                    parts[name].append(bytes(event))
                elif event is not None:
                    name = _fresh(event.name, parts)
    except MultipartError as exc:
        raise InvalidRequest("it is no form with the parts 'config' and 'wasm'", field="body") from exc
    return {name: b"".join(chunks) for name, chunks in parts.items()}


def _boundary(request: ApiRequest) -> str:
    header = Message()
    header["content-type"] = request.headers.get(b"content-type", b"").decode("latin-1")
    return header.get_boundary("")


def _fresh(name: str | None, parts: dict[str, list[bytes]]) -> str:
    if name is None or name not in PARTS:
        raise InvalidRequest("a form here has the parts 'config' and 'wasm' only", field="body")
    if name in parts:
        raise InvalidRequest("it is given twice", field=name)
    parts[name] = []
    return name
