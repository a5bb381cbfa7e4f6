"""Every route asks the guard, and the guard asks the policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.api.app import all_routes, as_handler, build_litestar
from caxton.api.edge import Edge
from caxton.api.hosts import HostPolicy
from caxton.api.meter import Meter
from caxton.api.operation import Operation, Route
from caxton.api.reply import Reply
from caxton.api.request import Limits
from caxton.security.policy import ACTIONS, PUBLIC
from caxton.security.tokens import TokenVerifier
from caxton.testing.fakes.clock import FakeClock
from caxton.testing.fakes.node import FakeNode
from tests.unit.security.forgeries import FORGERIES, Forge

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.api.request import ApiRequest
    from tests.unit.api.conftest import Api


def operations() -> list[Operation]:
    import asyncio

    routes = all_routes(FakeNode().services, version="0", stopping=asyncio.Event())
    return [route.operation for route in routes]


OPERATIONS = operations()
IDS = [f"{operation.method} {operation.path}" for operation in OPERATIONS]


def path_of(operation: Operation) -> str:
    return operation.path.replace("{name}", "echo").replace("{id}", "1")


@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
async def test_no_token_opens_only_what_is_public(operation: Operation, api: Api) -> None:
    answer = await api(operation.method, path_of(operation), token=None)
    if operation.action in PUBLIC:
        assert answer.status == 200
    else:
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
        assert answer.headers["www-authenticate"] == 'Bearer realm="caxton"'


@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
async def test_a_wrong_token_opens_nothing(operation: Operation, api: Api) -> None:
    answer = await api(operation.method, path_of(operation), token="wrong")  # noqa: S106
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
async def test_a_role_without_rights_opens_only_what_is_public(operation: Operation, api: Api) -> None:
    answer = await api(operation.method, path_of(operation), token=api.token_for("nobody"))
    if operation.action in PUBLIC:
        assert answer.status == 200
    else:
        assert (answer.status, answer.code) == (403, "FORBIDDEN")
        assert answer.json["details"] == {"principal": "tester", "action": operation.action}


@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
async def test_a_viewer_gets_past_the_guard_exactly_where_the_policy_says(operation: Operation, api: Api) -> None:
    query = "for=1ms" if "for" in operation.known else ""  # a stream that ends
    answer = await api(operation.method, path_of(operation), query=query, token=api.token_for("viewer"))
    assert (answer.status == 403) == ("viewer" not in ACTIONS[operation.action])


@pytest.mark.parametrize("make", FORGERIES.values(), ids=FORGERIES.keys())
async def test_every_forged_token_gets_the_same_answer(make: Callable[[Forge], str], api: Api) -> None:
    token = make(Forge(api.key, int(api.clock.wall_s))).encode("utf-8").decode("latin-1")
    answer = await api("GET", "/api/v1/agents", token=token or " ", x_trace_id="a" * 32, x_request_id="r")
    none = await api("GET", "/api/v1/agents", token=None, x_trace_id="a" * 32, x_request_id="r")
    assert (answer.status, answer.headers, answer.body) == (none.status, none.headers, none.body)
    assert answer.status == 401


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Basic dTpw", "bearer", "Token x", "{token}", "Bearer,{token}"]
)
async def test_an_authorization_header_of_another_kind_is_refused(value: str, api: Api) -> None:
    answer = await api("GET", "/api/v1/agents", token=None, authorization=value.format(token=api.token))
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")


async def test_the_scheme_is_read_without_regard_to_case(api: Api) -> None:
    assert (await api("GET", "/api/v1/agents", token=None, authorization=f"bEARER {api.token}")).status == 200


async def test_an_expired_token_is_refused_on_public_routes_too(api: Api) -> None:
    api.clock.advance(4000)
    assert (await api("GET", "/health")).status == 401


def test_every_route_declares_an_action_that_the_policy_knows() -> None:
    """Walks the framework's own table, so that a route added past `all_routes` is found as well."""
    verifier = TokenVerifier([], FakeClock())
    app = build_litestar([Route(operation, nothing) for operation in OPERATIONS], verifier)
    seen: set[tuple[str, str]] = set()
    for route in app.routes:
        for handler in getattr(route, "route_handlers", []):
            if handler.http_methods == {"OPTIONS"}:
                assert handler.opt == {}  # made by the framework; without an action the guard denies it
                continue
            assert handler.opt["action"] in ACTIONS
            seen |= {(method, route.path) for method in handler.http_methods}
    assert len(seen) == len(OPERATIONS)


async def nothing(request: ApiRequest) -> Reply:
    return Reply(b"{}")


@pytest.mark.parametrize(("roles", "status"), [(("admin",), 403), (None, 401)])
async def test_a_route_that_declares_no_action_is_denied_to_everybody(
    roles: tuple[str, ...] | None, status: int, api: Api
) -> None:
    handler = as_handler(Route(OPERATIONS[0], nothing))
    handler.opt = {}
    inner = build_litestar([], TokenVerifier([api.key], api.clock))
    inner.register(handler)
    api.app = Edge(inner, HostPolicy(), Limits(), api.stopping, Meter())
    token = None if roles is None else api.token_for(*roles)
    assert (await api("GET", "/health", token=token)).status == status


@pytest.mark.parametrize("method", ["OPTIONS", "PATCH", "HEAD", "TRACE", "CONNECT", "get", "PROPFIND"])
async def test_a_method_that_the_api_does_not_have_is_refused(method: str, api: Api) -> None:
    answer = await api(method, "/api/v1/agents")
    assert (answer.status, answer.code) == (405, "METHOD_NOT_ALLOWED")
    assert "access-control-allow-origin" not in answer.headers


async def test_a_method_that_a_route_does_not_have_is_refused_with_those_it_has(api: Api) -> None:
    answer = await api("DELETE", "/api/v1/agents")
    assert (answer.status, answer.code, answer.headers["allow"]) == (405, "METHOD_NOT_ALLOWED", "GET, POST")
