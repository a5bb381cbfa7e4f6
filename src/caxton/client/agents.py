"""Calls about agents: deploy, look, stop, start, scale, remove."""

from __future__ import annotations

from typing import Any

import msgspec

from caxton.client.transport import DEPLOY_TIMEOUT_S, Timeout, Transport, agent_path
from caxton.core.views.agents import AgentSpec, AgentView
from caxton.core.views.settings import AgentPatch, AgentSettings


class _Agents(msgspec.Struct):
    agents: list[AgentView]
    total: int


class AgentCalls(Transport):
    """What can be asked about agents."""

    def deploy(self, spec: AgentSpec, module: bytes) -> AgentView:
        """Deploy a new agent. Refused with AGENT_ALREADY_EXISTS when the name is taken."""
        return self._upload("POST", "/api/v1/agents", spec, module)

    def replace(self, spec: AgentSpec, module: bytes | None = None) -> AgentView:
        """Put a new version in an agent's place; without `module` only its settings change."""
        return self._upload("PUT", agent_path(spec.name), spec, module)

    def agents(
        self,
        *,
        status: str | None = None,
        capability: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[AgentView]:
        """The deployed agents, all or those of one status or capability."""
        query = {"status": status, "capability": capability, "limit": limit, "offset": offset}
        return self._get("/api/v1/agents", _Agents, query).agents

    def agent(self, name: str) -> AgentView:
        """One agent as it is now."""
        return self._get(agent_path(name), AgentView)

    def stop(self, name: str, *, force: bool = False) -> AgentView:
        """Stop an agent after the messages it is handling, or at once with `force`. Its mail is kept."""
        return self._post(f"{agent_path(name)}/stop", {"force": force}, AgentView)

    def start(self, name: str) -> AgentView:
        """Start an agent that was stopped or has failed."""
        return self._post(f"{agent_path(name)}/start", None, AgentView)

    def scale(self, name: str, replicas: int) -> AgentView:
        """Give an agent this many instances."""
        return self._post(f"{agent_path(name)}/scale", {"replicas": replicas}, AgentView)

    def settings(self, name: str) -> AgentSettings:
        """The settings of an agent that can be changed while it runs."""
        return self._get(f"{agent_path(name)}/config", AgentSettings)

    def configure(self, name: str, patch: AgentPatch) -> AgentSettings:
        """Change settings of an agent while it runs; returns those that hold, once they are on disk."""
        body = msgspec.json.encode(patch)
        response = self._request("PATCH", f"{agent_path(name)}/config", body=body, timeout=Timeout(DEPLOY_TIMEOUT_S))
        return self._decode(response, AgentSettings)

    def remove(self, name: str, *, force: bool = False, forget: bool = False) -> None:
        """Remove an agent after the messages it is handling, or at once with `force`.

        Later mail waits for the next agent of the name, unless the name goes too (`forget`).
        """
        self._request("DELETE", agent_path(name), query={"force": force, "forget": forget})

    def _upload(self, method: str, path: str, spec: AgentSpec, module: bytes | None) -> AgentView:
        parts: dict[str, Any] = {"config": (None, msgspec.json.encode(spec), "application/json")}
        if module is not None:
            parts["wasm"] = (f"{spec.name}.wasm", module, "application/wasm")
        with self._errors(DEPLOY_TIMEOUT_S):
            response = self._http.request(method, path, files=parts, timeout=Timeout(DEPLOY_TIMEOUT_S).for_httpx())
        return self._decode(self._checked(response), AgentView)
