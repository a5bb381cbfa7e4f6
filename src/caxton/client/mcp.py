"""MCP calls to a server's /mcp. Each is a request of its own (revision 2026-07-28): a restart of the server ends none.

Async, unlike the other calls: who speaks MCP has many under way, and cancels some. A call that is cancelled hangs up,
which cancels it at the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import httpx
import msgspec

from caxton.client.address import LOOPBACK_HOSTS, parse_server_url, token_headers, trust
from caxton.client.stream import read_events
from caxton.client.transport import ApiProblem
from caxton.core.errors.client import ServerTimeout, ServerUnreachable, UnexpectedAnswer
from caxton.core.views.problem import Problem
from caxton.version import VERSION

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

REVISION = "2026-07-28"

SILENCE_S = 60.0
"""The server says something each 15 s while a call goes on; after so much silence the connection is dead."""

MAX_ANSWER_BYTES = 16 << 20
"""An agent's answer of 1 MiB is in it twice, once as text with each quote escaped. Guards against a mad server."""

_CONNECT_TIMEOUT_S = 5.0
_PATH = "/mcp"
_CHANGED = "notifications/tools/list_changed"
_ACCEPT = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": REVISION}
_ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": REVISION,
    "io.modelcontextprotocol/clientInfo": {"name": "caxton", "version": VERSION},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class RpcRefused(Exception):
    """The server answered with an error of JSON-RPC."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


class McpLink:
    """Speaks MCP to one server as one principal, in one workspace. Close it in the event loop that used it."""

    def __init__(
        self, server: str, token: str | None, *, workspace: str = "default", ca_file: str | None = None,
        certificate: str | None = None,
    ) -> None:  # fmt: skip
        self.server = parse_server_url(server)
        url = httpx.URL(self.server)
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={**token_headers(token), **_ACCEPT},
            params={"workspace": workspace},
            verify=trust(ca_file, certificate) if url.scheme == "https" else True,
            # A proxy from the environment must not see what goes to this machine's own server.
            trust_env=url.host not in LOOPBACK_HOSTS,
            follow_redirects=False,
            timeout=httpx.Timeout(SILENCE_S, connect=_CONNECT_TIMEOUT_S, pool=None),
            limits=httpx.Limits(max_connections=None),
        )
        self._count = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def list_tools(self, cursor: str | None = None) -> dict[str, Any]:
        """The result of `tools/list`. Raises `RpcRefused`, `ApiProblem`, `ServerUnreachable`, …"""
        return await self._ask("tools/list", {} if cursor is None else {"cursor": cursor})

    async def call_tool(self, name: str, arguments: dict[str, Any], meta: dict[str, Any]) -> dict[str, Any]:
        """The result of `tools/call`; `meta` goes along, but for what is this connection's own. Raises as above."""
        own = {key: value for key, value in meta.items() if key == "traceparent"}
        return await self._ask("tools/call", {"name": name, "arguments": arguments, "_meta": own})

    async def changes(self) -> AsyncGenerator[None]:
        """Once when the server listens, and at each change of the list of tools. Ends with the connection."""
        params = {"notifications": {"toolsListChanged": True}}
        method = "subscriptions/listen"
        request = self._http.build_request("POST", _PATH, content=self._body(method, params), headers=_headers(method))
        response = await self._send(request)
        try:
            if not response.is_success:
                self._result(response, await self._read(response))
            yield
            rest = b""
            async for chunk in response.aiter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > MAX_ANSWER_BYTES:
                    raise UnexpectedAnswer(self.server, "a notice without end")
                for line in lines:
                    if line.startswith(b"data:") and _CHANGED.encode() in line:
                        yield
        except httpx.TransportError as exc:
            raise ServerUnreachable(self.server, str(exc) or type(exc).__name__) from exc
        finally:
            await response.aclose()

    async def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        named = {"Mcp-Name": params["name"]} if "name" in params else {}
        request = self._http.build_request(
            "POST", _PATH, content=self._body(method, params), headers={**_headers(method), **named}
        )
        response = await self._send(request)
        try:
            data = await self._read(response)
        except httpx.TimeoutException as exc:
            raise ServerTimeout(self.server, SILENCE_S) from exc
        except httpx.TransportError as exc:
            raise ServerUnreachable(self.server, str(exc) or type(exc).__name__) from exc
        finally:
            await response.aclose()
        return self._result(response, data)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._http.send(request, stream=True)
        except httpx.ConnectTimeout as exc:
            raise ServerUnreachable(self.server, "no connection in time") from exc
        except httpx.TimeoutException as exc:
            raise ServerTimeout(self.server, SILENCE_S) from exc
        except httpx.TransportError as exc:
            raise ServerUnreachable(self.server, str(exc) or type(exc).__name__) from exc

    async def _read(self, response: httpx.Response) -> bytes:
        data = bytearray()
        async for chunk in response.aiter_bytes():
            data += chunk
            if len(data) > MAX_ANSWER_BYTES:
                raise UnexpectedAnswer(self.server, f"an answer of more than {MAX_ANSWER_BYTES} bytes")
        return bytes(data)

    def _body(self, method: str, params: dict[str, Any]) -> bytes:
        self._count += 1
        meta = {**params.get("_meta", {}), **_ENVELOPE}
        message = {"jsonrpc": "2.0", "id": self._count, "method": method, "params": {**params, "_meta": meta}}
        return msgspec.json.encode(message)

    def _result(self, response: httpx.Response, data: bytes) -> dict[str, Any]:
        kind = response.headers.get("content-type", "")
        try:
            if kind.startswith("text/event-stream"):
                said = [msgspec.json.decode(event.data) for event in read_events([data])]
                answer = next(one for one in said if "id" in one)
            else:
                answer = msgspec.json.decode(data)
            if kind.startswith("application/problem+json"):
                raise ApiProblem(msgspec.convert(answer, Problem))
            if "error" in answer:
                error = answer["error"]
                raise RpcRefused(error["code"], error["message"], error.get("data"))
            return answer["result"]
        except (msgspec.MsgspecError, StopIteration, KeyError, TypeError) as exc:
            raise UnexpectedAnswer(self.server, f"it said {response.status_code}, and nothing that is MCP") from exc


def _headers(method: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "Mcp-Method": method}
