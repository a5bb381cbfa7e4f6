from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.cli.agent_config import MAX_CONFIG_BYTES, read_agent_config
from caxton.cli.agent_spec import agent_spec
from caxton.core.errors.error import CaxtonError
from caxton.core.views.agents import AgentSpec, Resources

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli_runner import CliRunner

GOOD = """\
name: order-processor
version: 1.10
runtime: wasm
capabilities:
  - order-processing
  - inventory-checking
resources:
  memory: 128MB
  timeout: 30s
"""


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "agent-config.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refusal(tmp_path: Path, text: str | bytes) -> CaxtonError:
    with pytest.raises(CaxtonError) as caught:
        read_agent_config(written(tmp_path, text), default_name="x")
    return caught.value


def test_every_key_is_read_and_a_version_stays_as_it_is_written(tmp_path: Path) -> None:
    assert read_agent_config(written(tmp_path, GOOD), default_name="x") == AgentSpec(
        name="order-processor",
        version="1.10",
        runtime="wasm",
        capabilities=["order-processing", "inventory-checking"],
        resources=Resources(memory="128MB", timeout="30s"),
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name: a\nreplics: 3\n", "line 2: there is no key 'replics'; did you mean 'replicas'?"),
        ("resources:\n  memroy: 1MB\n", "line 2: there is no key 'resources.memroy'; did you mean 'memory'?"),
        ("name: a\nxyzzy: 1\n", "line 2: there is no key 'xyzzy'; known are name"),
        ("name: a\nname: b\n", "line 2: the key 'name' stands here a second time"),
        ("name: a\nreplicas: three\n", "line 2: replicas: expected `int`, got `str`"),
        ("name: a\ncapabilities:\n- 1\n", "line 3: capabilities: expected `str | object`, got `int`"),
        ("name: a\nresources:\n  memory: [1]\n", "line 3: resources.memory: "),
        ("name: {\n", "line 2: "),
        ("a: 1\n---\nb: 1\n", "line 2: "),
    ],
)
def test_mistake_is_told_with_its_line(tmp_path: Path, text: str, place: str) -> None:
    error = refusal(tmp_path, text)
    assert error.code == "INVALID_CONFIG"
    assert place in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "name: &n a\nversion: *n\n",
        "name: " + "[" * 5000 + "]" * 5000,
        "a: &a [1]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        "name: !!python/object/apply:os.system [id]\n",
        "name: \x01\n",
        b"name: \xff\xfe\n",
        "version: 2026-13-45\n",
        "replicas: " + "9" * 5000 + "\n",
        "- a\n- b\n",
        "",
        "just text",
        "? [a]\n: b\n",
    ],
)
def test_tricks_and_garbage_are_refused(tmp_path: Path, text: str | bytes) -> None:
    assert refusal(tmp_path, text).code == "INVALID_CONFIG"


def test_file_over_the_limit_is_not_read_on(tmp_path: Path) -> None:
    assert refusal(tmp_path, "#" * (MAX_CONFIG_BYTES + 1)).code == "FILE_UNREADABLE"


def test_flags_come_before_the_file_and_leave_the_rest_of_it(tmp_path: Path) -> None:
    said = {"name": None, "replicas": 3, "memory": "16MB", "timeout": None, "capabilities": None}
    spec = agent_spec(said, config=written(tmp_path, GOOD), default_name="x")
    assert (spec.name, spec.replicas) == ("order-processor", 3)
    assert spec.resources == Resources(memory="16MB", timeout="30s")


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (["--memory", "16XB"], "INVALID_VALUE"),
        (["--timeout", "soon"], "INVALID_VALUE"),
        (["--timeout", "-5s"], "INVALID_VALUE"),
        (["--name", "../x"], "INVALID_NAME"),
        (["--name", "a" * 300], "INVALID_NAME"),
        (["--name", ""], "INVALID_NAME"),
        (["--capability", "no spaces"], "INVALID_NAME"),
        (["--config", "missing.yaml"], "FILE_NOT_FOUND"),
        (["--config", "."], "FILE_UNREADABLE"),
    ],
)
def test_bad_flag_is_refused_before_a_server_is_asked(caxton: CliRunner, flags: list[str], code: str) -> None:
    (caxton.home / "ping.wasm").write_bytes(b"\0asm")
    outcome = caxton("deploy", "ping.wasm", *flags, "-o", "json")
    assert outcome.problem()["code"] == code
    assert outcome.code == (3 if code == "FILE_NOT_FOUND" else 4)


@pytest.mark.parametrize(
    ("name", "exit_code"), [("missing.wasm", 3), (".", 4), ("/dev/zero", 4), ("not readable.wasm", 4)]
)
def test_module_that_cannot_be_read_is_told(caxton: CliRunner, name: str, exit_code: int) -> None:
    (caxton.home / "not readable.wasm").write_bytes(b"\0asm")
    outcome = caxton("deploy", name, "-o", "json")
    assert outcome.code == exit_code


def test_pipe_in_place_of_a_module_does_not_make_the_command_wait(caxton: CliRunner) -> None:
    import os

    os.mkfifo(caxton.home / "fifo")
    assert caxton("deploy", "fifo").code == 4
