"""The commands and the file in docs/howto/contain-a-failing-agent.md do what the page says."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from caxton.cli.agent_config import read_agent_config
from caxton.core.views.agents import Bulkhead, CircuitBreaker
from tests.cli_runner import caxton
from tests.docs.tables import block, read_page
from tests.integration.test_cli import node, shared_node

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli_runner import CliRunner
    from tests.integration.fake_node import RunningNode

__all__ = ["caxton", "node", "shared_node"]

PAGE = read_page("howto/contain-a-failing-agent.md")
COMMANDS = re.findall(r"(?m)^\$ caxton (.+)$", PAGE)


def test_page_changes_settings() -> None:
    assert sum(command.startswith("config set ") for command in COMMANDS) >= 5


@pytest.mark.parametrize("command", COMMANDS)
def test_command_on_the_page_works(command: str, caxton: CliRunner, node: RunningNode) -> None:
    assert caxton("deploy", "ping.wasm", "--name", "sorter").code == 0
    assert caxton(*shlex.split(command)).code == 0


def test_file_on_the_page_says_what_the_commands_set(tmp_path: Path) -> None:
    file = tmp_path / "agent-config.yaml"
    file.write_text(block(PAGE, "yaml"), encoding="utf-8")
    spec = read_agent_config(file, default_name="sorter")
    assert spec.circuit_breaker == CircuitBreaker(threshold=20, timeout="60s")
    assert spec.bulkhead == Bulkhead(max_waiting=50)
