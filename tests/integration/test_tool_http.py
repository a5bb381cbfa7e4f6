"""The built-in tool `http`: what it answers is what its schemas say, and what goes wrong is told as trouble."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from caxton.tools.builtin.http import FETCH, MAX_FETCHED_BYTES, HttpSource
from caxton.tools.source import Call, Failure, Outcome, Result
from tests.integration.scripted_web import always, answer, drip, endless, web

if TYPE_CHECKING:
    from caxton.egress.policy import Policy
    from caxton.tools.source import Source

INPUT = jsonschema_rs.validator_for(FETCH.input_schema, offline=True)
OUTPUT = jsonschema_rs.validator_for(FETCH.output_schema or {}, offline=True)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """As the server runs."""
    return "asyncio", {"use_uvloop": True}


async def call(policy: Policy, *, tool: str = "fetch", within_s: float = 30, **arguments: object) -> Outcome:
    assert INPUT.is_valid(arguments)
    source: Source = HttpSource("web", policy)
    call = Call(tool=tool, arguments=arguments, workspace="w", agent="a", key="k", until=time.monotonic() + within_s)
    outcome = source.call(call)
    return outcome if isinstance(outcome, Result | Failure) else await outcome


async def answered(policy: Policy, **arguments: Any) -> dict[str, Any]:
    outcome = await call(policy, **arguments)
    assert isinstance(outcome, Result)
    assert outcome.structured is not None
    assert OUTPUT.is_valid(outcome.structured)
    assert not outcome.is_error
    return outcome.structured


async def trouble(policy: Policy, **arguments: Any) -> str:
    outcome = await call(policy, **arguments)
    assert isinstance(outcome, Failure)
    return outcome.trouble


async def test_text_comes_as_text_with_status_and_headers() -> None:
    async with web(always(answer(404, "grüß".encode(), "x-a: 1", "X-A: 2"))) as there:
        url = f"http://api.test:{there.port}/"
        said = await answered(there.policy(), url=url, method="PUT", headers={"X-B": "c"}, body="ä")
    assert said["headers"].pop("content-length") == "6"
    assert said == {"status": 404, "url": url, "headers": {"x-a": "1, 2"}, "body": "grüß", "truncated": False}
    assert there.heads[0].endswith("\r\n\r\nä".encode())


async def test_bytes_come_and_go_as_base64() -> None:
    async with web(always(answer(200, b"\xff\x00"))) as there:
        said = await answered(
            there.policy(),
            url=f"http://api.test:{there.port}/",
            method="POST",
            body_base64=base64.b64encode(b"\xfe").decode(),
        )
    assert base64.b64decode(said["body_base64"]) == b"\xff\x00"
    assert there.heads[0].endswith(b"\r\n\r\n\xfe")


async def test_long_body_is_cut_and_says_so_and_no_letter_is_cut_through() -> None:
    async with web(endless) as there:
        said = await answered(there.policy(), url=f"http://api.test:{there.port}/")
    assert (len(said["body"]), said["truncated"]) == (MAX_FETCHED_BYTES, True)
    async with web(always(answer(200, "aü€".encode()))) as there:
        cut = [
            (await answered(there.policy(), url=f"http://api.test:{there.port}/", max_bytes=most))["body"]
            for most in range(7)
        ]
    assert cut == ["", "a", "a", "aü", "aü", "aü", "aü€"]


async def test_redirect_may_be_left_alone() -> None:
    async with web(always(answer(302, b"", "location: http://169.254.169.254/"))) as there:
        policy, url = there.policy(), f"http://api.test:{there.port}/"
        assert (await answered(policy, url=url, follow_redirects=False))["status"] == 302
        assert await trouble(policy, url=url) == "refused"


async def test_what_goes_wrong_is_told_as_trouble() -> None:
    async def silent(request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.get_running_loop().create_future()

    async with web(silent) as there:
        policy, url = there.policy(), f"http://api.test:{there.port}/"
        assert await trouble(policy, url="http://169.254.169.254/") == "refused"
        assert await trouble(policy, url="http://api.test@evil.test/") == "invalid"
        assert await trouble(policy, url=url, headers={"Host": "x"}) == "invalid"
        assert await trouble(policy, url=url, body_base64="%%") == "invalid"
        assert await trouble(policy, url=url, headers={"x": "{{secret:NONE}}"}) == "refused"
        assert await trouble(policy, url=url, within_s=0.2) == "timeout"
        assert await trouble(policy, url=url, within_s=-1) == "timeout"
        assert await trouble(policy, url=url, tool="delete") == "not_found"
    assert await trouble(policy, url=url) == "unavailable"


async def test_call_that_is_cancelled_ends_its_connection() -> None:
    asked = asyncio.Event()

    async def slow(request: bytes, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await drip(request, writer)

    async with web(slow) as there, asyncio.timeout(10):
        task = asyncio.ensure_future(call(there.policy(), url=f"http://api.test:{there.port}/"))
        await asked.wait()
        task.cancel()
        await there.gone.wait()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_view_counts_and_shows_no_secret() -> None:
    async with web(always(answer(200, b"x"))) as there:
        policy = there.policy(secrets={"KEY": "s3cr3t-value"})
        source = HttpSource("web", policy)
        await call(policy, url=f"http://api.test:{there.port}/")
        await call(policy, url="http://10.0.0.1/")
    assert source.view() == {"state": "ready", "requests": 2, "connections": 1, "bytes_in": 1, "refused": {"host": 1}}
    assert "s3cr3t" not in repr(source)
    assert await source.list_tools() == [FETCH]
    await source.close()
    await source.close()


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"url": 1},
        {"url": "x", "method": "TRACE"},
        {"url": "x", "headers": {"a": 1}},
        {"url": "x", "body": "a", "body_base64": "YQ=="},
        {"url": "x", "max_bytes": MAX_FETCHED_BYTES + 1},
        {"url": "x", "proxy": "http://evil"},
    ],
)
def test_schema_refuses_other_arguments(arguments: dict[str, Any]) -> None:
    assert not INPUT.is_valid(arguments)
