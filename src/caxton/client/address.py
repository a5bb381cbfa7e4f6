"""Which server, and how it proves who it is: URLs, tokens, certificates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from caxton.core.errors.command_line import FileUnreadable
from caxton.core.errors.requests import InvalidRequest
from caxton.core.errors.values import InvalidValue

DEFAULT_SERVER = "http://127.0.0.1:8080"
"""Where a server listens when nothing else was said. Not `localhost`: that may be ::1, another program's."""

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

_PEM_END = "-----END CERTIFICATE-----\n"


def parse_server_url(url: str) -> str:
    """`url` as `scheme://host:port` without a path; raises `InvalidValue`."""
    rule = "write it like http://localhost:8080"
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise InvalidValue("server", url, rule) from exc
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
        raise InvalidValue("server", url, rule)
    if parsed.path not in ("", "/") or parsed.query or parsed.fragment:
        raise InvalidValue("server", url, rule)
    return str(parsed.copy_with(path="/")).removesuffix("/")


def token_headers(token: str | None) -> dict[str, str]:
    """What shows `token` to the server; raises `InvalidRequest` when it could be none."""
    if token is None:
        return {}
    if not token.isascii() or not token.isprintable() or not token or " " in token:
        raise InvalidRequest("a token is one word of ASCII letters, digits and marks", field="token")
    return {"Authorization": f"Bearer {token}"}


def trust(ca_file: str | None, certificate: str | None) -> Any:
    """What httpx takes as `verify`. An authority that was named comes before a certificate that is known."""
    if ca_file is None and certificate is None:
        return True
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if ca_file is not None:
            context.load_verify_locations(cafile=ca_file)
        elif certificate is not None:
            # Only the first of the file: those behind it are authorities, which sign for others as well.
            text = Path(certificate).read_text(encoding="ascii", errors="replace")
            context.check_hostname = False
            context.load_verify_locations(cadata=text.partition(_PEM_END)[0] + _PEM_END)
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    except OSError as exc:  # SSLError, for what is no certificate, is one too
        raise FileUnreadable(str(ca_file or certificate), exc.strerror or "it holds no certificate") from exc
    return context
