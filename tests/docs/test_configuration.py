"""docs/reference/configuration.md lists the settings that the server has."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import cast

import pytest

import caxton
from caxton.cli.exits import exit_code_for
from caxton.cli.server import serve, start
from caxton.core.errors.server import InvalidConfig
from caxton.security.tokens import ADMIN_LIFETIME_S, RENEW_BELOW_S
from caxton.server.config.catalogue import SETTINGS, Setting
from caxton.server.config.effective import default_data_dir, effective
from caxton.server.config.file import MAX_CONFIG_BYTES, MAX_KEY_DOTS, default_config_file, parse_config
from caxton.server.config.settings import load
from caxton.server.node import EXIT_STORAGE
from tests.docs.tables import assert_same, block, read_page, rows, section, word, words

PAGE = read_page("reference/configuration.md")
ROWS = {word(row[0]): row for row in rows(PAGE, "Setting", "Variable")}
EXAMPLE = block(section(PAGE, "## config.toml"), "toml")


def shown(key: str, value: object) -> str:
    """A default as the page writes it."""
    if value in (None, [], {}):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return ", ".join(f"`{part}`" for part in cast("list[str]", value))
    is_duration = isinstance(value, float) and not key.endswith("_ratio")
    return f"`{value:g}s`" if is_duration else f"`{value}`"


def test_every_setting_has_a_line_and_every_line_its_setting() -> None:
    listed = [word(row[0]) for row in rows(PAGE, "Setting", "Variable")]
    assert_same("settings", code=[setting.key for setting in SETTINGS], page=listed)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_variable_and_default_are_right(setting: Setting) -> None:
    _, variable, _, default, _, _ = ROWS[setting.key]
    assert word(variable) == setting.variable
    if setting.key != "server.data_dir":
        assert default == shown(setting.key, setting.default)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_values_on_the_page_are_accepted(setting: Setting) -> None:
    for example in words(ROWS[setting.key][4]):
        setting.read(example)


def test_bounds_of_numbers_are_right() -> None:
    for key in ("server.port", "server.max_instances"):
        low, high = (int(text) for text in words(ROWS[key][4]))
        for wrong in (low - 1, high + 1):
            with pytest.raises(InvalidConfig):
                load({key: wrong}, {})


@pytest.mark.parametrize("command", [serve, start], ids=["serve", "start"])
def test_flags_are_those_of_the_command(command: object) -> None:
    assert callable(command)
    taken = set(inspect.signature(command).parameters) - {"cli", "ready_fd", "config", "timeout"}
    listed = {word(row[2]).removeprefix("--").replace("-", "_"): key for key, row in ROWS.items() if row[2]}
    assert set(listed) == taken
    assert {f"server.{flag}" for flag in taken} == set(listed.values())


def test_a_flag_comes_before_a_variable_and_that_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[server]\nport = 1\nhost = '::1'\nmax_instances = 3\n", encoding="utf-8")
    values = effective({"config": file, "port": 2}, {"CAXTON_PORT": "4", "CAXTON_HOST": "127.0.0.2"})
    found = {value.key: (value.value, value.source) for value in values}
    assert found["server.port"] == (2, "flag")
    assert found["server.host"] == ("127.0.0.2", "CAXTON_HOST")
    assert found["server.max_instances"] == (3, str(file))
    assert found["log.level"] == ("info", "default")


def test_example_is_a_valid_file_with_every_setting(tmp_path: Path) -> None:
    assert_same("settings in the example", code=[s.key for s in SETTINGS], page=parse_config(EXAMPLE.encode(), "page"))
    file = tmp_path / "config.toml"
    file.write_text(EXAMPLE, encoding="utf-8")
    settings = load({"config": file}, {})
    assert (settings.port, settings.drain_timeout_s, settings.log_level) == (8443, 30.0, "warning")


def test_default_places_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = re.fullmatch(r"`\$XDG_DATA_HOME/(\S+)`, else `~/(\S+)`", ROWS["server.data_dir"][3])
    file = re.search(r"`\$XDG_CONFIG_HOME/(\S+)`, else `~/(\S+)`", PAGE)
    assert directory is not None
    assert file is not None
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/config")
    assert (default_data_dir(), str(default_config_file())) == (f"/data/{directory[1]}", f"/config/{file[1]}")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert default_data_dir() == f"/home/ada/{directory[2]}"
    assert str(default_config_file()) == f"/home/ada/{file[2]}"


def test_limits_of_the_file_are_right() -> None:
    assert f"It may have {MAX_CONFIG_BYTES >> 10} KiB, and a key {MAX_KEY_DOTS} dots." in " ".join(PAGE.split())


def test_variables_of_the_command_line_do_not_stop_the_server() -> None:
    client_page = read_page("reference/cli.md")
    variables = set(re.findall(r"CAXTON_[A-Z_]+", client_page))
    assert "CAXTON_SERVER" in variables
    effective({}, {name: "x" for name in variables if name not in {s.variable for s in SETTINGS} | {"CAXTON_CONFIG"}})
    with pytest.raises(InvalidConfig):
        effective({}, {"CAXTON_NO_SUCH_THING": "x"})


def test_exit_codes_are_right() -> None:
    listed = [int(word(row[0])) for row in rows(section(PAGE, "## Exit codes"), "Code")]
    codes = ("INVALID_CONFIG", "PORT_IN_USE", "DATA_DIR_IN_USE", "STORAGE_FAILED", "DATA_DIR_UNUSABLE")
    assert listed == sorted({0, EXIT_STORAGE, *(int(exit_code_for(code)) for code in codes)})


def test_files_of_the_data_directory_are_right() -> None:
    table = rows(section(PAGE, "## The data directory"), "Path")
    source = "".join(file.read_text(encoding="utf-8") for file in Path(caxton.__file__).parent.rglob("*.py"))
    names = [name.rstrip("/").rpartition("/")[2] for row in table for name in words(row[0])]
    assert [name for name in names if f'"{name.removesuffix("-wal").removesuffix("-shm")}"' not in source] == []
    token = next(row[1] for row in table if words(row[0]) == ["admin.token"])
    assert re.findall(r"\d+", token) == [str(seconds // 86_400) for seconds in (ADMIN_LIFETIME_S, RENEW_BELOW_S)]


HOWTO_FILES = [
    (page, content)
    for page in ("howto/run-as-a-service.md", "howto/behind-tls.md", "howto/export-telemetry.md")
    for content in re.findall(r"^```toml\n(.*?)^```$", read_page(page), re.DOTALL | re.MULTILINE)
]


@pytest.mark.parametrize(("page", "content"), HOWTO_FILES)
def test_files_in_the_howtos_are_valid(page: str, content: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(content, encoding="utf-8")
    load({"config": file}, {})


def test_unit_is_not_started_again_after_a_wrong_setting() -> None:
    unit = block(read_page("howto/run-as-a-service.md"), "ini")
    assert f"RestartPreventExitStatus={exit_code_for('INVALID_CONFIG')}\n" in unit
