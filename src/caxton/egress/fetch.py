"""One request to another machine, bounded in time, bytes and redirects.

Each redirect is looked at as if it had been asked for. What is secret goes to the first origin alone. Every request has
a connection of its own, so that each one's name is resolved and checked anew.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import httpcore

from caxton.egress import placeholders
from caxton.egress.backend import GatedBackend
from caxton.egress.pace import paced
from caxton.egress.refused import Refused, TimedOut, Unreachable
from caxton.egress.request import Headers, Request, Response, check
from caxton.egress.target import Target, follow, parse_url

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from caxton.egress.policy import Policy

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_PRIVATE = frozenset(("authorization", "cookie"))
_OF_A_BODY = frozenset(("content-type", "content-encoding", "content-language", "content-location"))
_WITH_BODY = frozenset(("POST", "PUT", "PATCH"))


@dataclass(frozen=True, slots=True)
class _Hop:
    """One request of those that redirects make."""

    target: Target
    method: str
    headers: Headers
    body: bytes


async def fetch(request: Request, policy: Policy) -> Response:
    """Ask another machine. Raises `Refused`, `TimedOut`, `Unreachable`."""
    policy.counters.requests += 1
    timeout_s = policy.timeout_s if request.timeout_s is None else min(policy.timeout_s, request.timeout_s)
    try:
        async with asyncio.timeout(timeout_s):
            return await _follow(request, policy)
    except TimeoutError:
        raise TimedOut(f"there was no whole answer within {timeout_s:g} s") from None
    except Refused as error:
        policy.counters.refused[error.reason] += 1
        raise


async def _follow(request: Request, policy: Policy) -> Response:
    most = policy.max_bytes if request.max_bytes is None else max(0, min(policy.max_bytes, request.max_bytes))
    hop = _Hop(parse_url(request.url), request.method, check(request), request.body)
    for _ in range(policy.max_redirects + 1):
        response = await _ask(hop, policy, most)
        location = dict(response.headers).get("location")
        if not request.is_followed or response.status not in _REDIRECTS or location is None:
            return response
        hop = _next(hop, response.status, follow(hop.target, location))
    raise Unreachable(f"there were more than {policy.max_redirects} redirects, one after the other")


def _next(hop: _Hop, status: int, target: Target) -> _Hop:
    """The request that a redirect asks for: without what is private if it leaves the origin, as browsers do it."""
    headers = hop.headers if target.origin == hop.target.origin else tuple(filter(_may_travel, hop.headers))
    if hop.method == "HEAD" or not (status == 303 or (status < 303 and hop.method == "POST")):
        return replace(hop, target=target, headers=headers)
    headers = tuple((name, value) for name, value in headers if name not in _OF_A_BODY)
    return _Hop(target, "GET", headers, b"")


def _may_travel(header: tuple[str, str]) -> bool:
    name, value = header
    return name not in _PRIVATE and not placeholders.has_secret(value)


async def _ask(hop: _Hop, policy: Policy, most: int) -> Response:
    headers, used = placeholders.fill(hop.headers, policy.secrets)
    async with _answer(hop, headers, policy) as answer:
        room = most + placeholders.room_for(used)
        data = b"" if hop.method == "HEAD" else await _read(answer, room + 1)
    policy.counters.bytes_in += len(data)
    return Response(
        status=answer.status,
        url=str(hop.target),
        headers=tuple((_text(name).lower(), _text(_masked(value, used))) for name, value in answer.headers),
        body=placeholders.masked(data, most, used),
        is_truncated=len(data) > most,
    )


@asynccontextmanager
async def _answer(hop: _Hop, headers: Headers, policy: Policy) -> AsyncGenerator[httpcore.Response]:
    target = hop.target
    pool = httpcore.AsyncConnectionPool(
        ssl_context=policy.trust(), max_connections=1, network_backend=GatedBackend(policy)
    )
    url = httpcore.URL(
        scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=target.path.encode()
    )
    ours = [("host", target.authority), ("accept-encoding", "identity"), ("connection", "close")]
    ours += [("content-length", str(len(hop.body)))] if hop.body or hop.method in _WITH_BODY else []
    try:
        async with pool, pool.stream(hop.method, url, headers=[*ours, *headers], content=hop.body) as answer:
            yield answer
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
        raise Unreachable(_what_failed(error, target)) from None


async def _read(answer: httpcore.Response, most: int) -> bytes:
    """At most `most` bytes of the body; what comes after them is not waited for."""
    data = bytearray()
    async for chunk in paced(answer.aiter_stream()):
        data += chunk
        if len(data) >= most:
            break
    return bytes(data[:most])


def _what_failed(error: Exception, target: Target) -> str:
    """In words of our own: those of the library repeat what the other machine sent."""
    place = f"'{target.host}' with port {target.port}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate of {place} is not accepted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"{place} does not speak TLS as it should"
        cause = cause.__cause__ or cause.__context__  # the pool takes the cause away, but not the context
    if isinstance(error, httpcore.ConnectError | httpcore.ConnectTimeout):
        return f"no connection to {place} could be made"
    if isinstance(error, httpcore.ProtocolError):
        return f"{place} does not speak HTTP as it should, or ended in the middle of its answer"
    return f"the connection to {place} broke"


def _masked(value: bytes, used: dict[str, str]) -> bytes:
    return placeholders.masked(value, len(value), used)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")
