"""Messages in FIPA's string encoding over HTTP: who sends it, who asks for it, and how it is answered."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from caxton.api.body import check_media_type, read_body, read_json
from caxton.api.operation import ACL, JSON
from caxton.api.reply import Reply
from caxton.core.errors.messages import MessageTooLarge
from caxton.core.errors.requests import UnsupportedMediaType
from caxton.messages.codec import ANY_SIZE, MAX_MESSAGE_BYTES, decode_message, decode_posted
from caxton.messages.fipa_string import MAX_STRING_BYTES, decode_fipa, encode_fipa

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caxton.api.reply import Header
    from caxton.api.request import ApiRequest
    from caxton.messages.message import AclMessage

ACL_TYPES = (ACL, "application/fipa.acl.rep.string.std", "application/text")
"""All are read, the first is written. There is no registered type: the second is FIPA's name of the encoding (SC00067),
and with the third JADE labels it (SC00084)."""

_CHARSETS = ("utf-8", "us-ascii")
_CHARSET = re.compile(rb";\s*charset\s*=\s*\"?([^\s;\"]*)", re.IGNORECASE)
_QUALITY = re.compile(r"q\s*=\s*([01](?:\.\d{0,3})?)", re.ASCII | re.IGNORECASE)
_PLAIN = (None, b"*/*", b"application/json")

_HEADER: Header = (b"content-type", f"{ACL}; charset=utf-8".encode())


async def read_message(request: ApiRequest) -> AclMessage:
    """The message in the body, JSON or FIPA's string encoding as its type says.

    Raises:
        UnsupportedMediaType: it is neither, or text in another charset than UTF-8.
        MessageTooLarge, InvalidMessage, RequestTimeout.
    """
    is_plain = request.headers.get(b"content-type") == JSON.encode()
    if is_plain or check_media_type(request, JSON, *ACL_TYPES) == JSON:
        return decode_posted(await read_json(request, MAX_MESSAGE_BYTES, MessageTooLarge))
    charset = _CHARSET.search(request.headers[b"content-type"])
    if charset is not None and charset[1].lower().decode("latin-1") not in _CHARSETS:
        raise UnsupportedMediaType("charset", charset[1].decode("latin-1"), list(_CHARSETS))
    data = await read_body(request, MAX_STRING_BYTES, MessageTooLarge)
    return decode_fipa(data, wall_us=time.time_ns() // 1000)


def wants_acl(request: ApiRequest) -> bool:
    """Whether the caller would rather have FIPA's string encoding than JSON: it names it, and JSON not before it."""
    accept = request.headers.get(b"accept")
    if accept in _PLAIN:
        return False
    acl = plain = -1.0
    for part in accept.decode("latin-1").split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        found = next(filter(None, map(_QUALITY.fullmatch, parameters)), None)
        quality = float(found[1]) if found else 1.0
        if kind in ACL_TYPES:
            acl = max(acl, quality)
        elif kind == JSON:
            plain = max(plain, quality)
    return acl > 0 and acl > plain


def acl_reply(messages: Iterable[bytes]) -> Reply:
    """Messages, given as JSON, one after another in FIPA's string encoding."""
    written = [encode_fipa(decode_message(one, max_bytes=ANY_SIZE)) + b"\n" for one in messages]
    return Reply(b"".join(written), headers=(_HEADER,))
