"""Settings: what is refused, which place wins, and that each value says where it came from."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from caxton.core.errors.server import InvalidConfig
from caxton.core.redact import REMOVED
from caxton.server.config.catalogue import SETTINGS
from caxton.server.config.effective import EffectiveValue, default_data_dir, effective
from caxton.server.config.file import MAX_CONFIG_BYTES, MAX_KEY_DOTS, parse_config
from caxton.server.config.secrets import public, secrets_of
from caxton.server.config.settings import is_loopback, load

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of the real home is read."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


def written(home: Path, text: str) -> Path:
    """The file that is read when none is named."""
    path = home / "config" / "caxton" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def refusal(
    overrides: Mapping[str, object] | None = None, environment: Mapping[str, str] | None = None
) -> InvalidConfig:
    with pytest.raises(InvalidConfig) as caught:
        load(overrides or {}, environment or {})
    return caught.value


def value_of(key: str, overrides: Mapping[str, object], environment: Mapping[str, str]) -> tuple[Any, str]:
    """(value, source)."""
    found = {value.key: value for value in effective(overrides, environment)}[key]
    return found.value, found.source


# --- typos ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("[server]\nprot = 1", "server.port"),
        ("[server]\nPort = 1", "server.port"),
        ("[sever]\nport = 1", "server.port"),
        ("[log]\nlevle = 'info'", "log.level"),
        ("server.data-dir = '/tmp'", "server.data_dir"),
    ],
)
def test_mistyped_key_in_the_file_is_refused_with_the_nearest(home: Path, text: str, meant: str) -> None:
    path = written(home, text)
    error = refusal()
    assert error.source == str(path)
    assert f"did you mean {meant}?" in str(error)


def test_mistyped_section_is_refused_even_when_it_is_empty(home: Path) -> None:
    written(home, "[sever]\n")
    assert "did you mean [server]?" in str(refusal())


@pytest.mark.parametrize(
    ("name", "meant"),
    [("CAXTON_PROT", "CAXTON_PORT"), ("CAXTON_DATADIR", "CAXTON_DATA_DIR"), ("CAXTON_LOGLEVEL", "CAXTON_LOG_LEVEL")],
)
def test_mistyped_variable_is_refused_with_the_nearest(name: str, meant: str) -> None:
    error = refusal(environment={name: "1"})
    assert error.source == "environment"
    assert f"did you mean {meant}?" in str(error)


def test_variable_like_none_of_ours_is_refused_all_the_same() -> None:
    assert "'CAXTON_ZZZZZZZZ'" in str(refusal(environment={"CAXTON_ZZZZZZZZ": "1"}))


def test_mistyped_flag_is_refused() -> None:
    assert "did you mean server.port?" in str(refusal({"prot": 1}))


@pytest.mark.parametrize(
    "name",
    [
        "CAXTON_SERVER", "CAXTON_TOKEN", "CAXTON_CONTEXT", "CAXTON_CONTEXTS", "CAXTON_OUTPUT", "CAXTON_CA_FILE",
        "CAXTON_CRASH_AT", "PATH", "CAXTONIA",
    ],
)  # fmt: skip
def test_variables_of_the_command_line_and_of_others_do_not_matter(name: str) -> None:
    assert load({}, {name: "x"}) == load({}, {})


# --- values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("port", "http"), ("port", -1), ("port", 65536), ("port", True), ("port", 80.0), ("port", ""),
        ("port", "9" * 5000), ("port", "\uff18"), ("host", 1), ("data_dir", ""), ("data_dir", 5),
        ("data_dir", "a\0b"), ("data_dir", "~nobody-of-this-name/x"), ("tls_cert", 1), ("insecure", "maybe"),
        ("insecure", 1), ("drain_timeout", "-1s"), ("drain_timeout", "soon"), ("drain_timeout", float("nan")),
        ("max_instances", 0), ("max_instances", "1e3"), ("max_instances", 1_000_001), ("allowed_hosts", 5),
        ("allowed_hosts", [1]), ("allowed_hosts", {"a": 1}), ("log.level", "loud"), ("log.level", 3),
    ],
)  # fmt: skip
def test_value_that_breaks_its_rule_is_refused_with_its_source(key: str, value: object) -> None:
    error = refusal({key: value})
    assert error.source == "flag"
    assert (key if "." in key else f"server.{key}") in str(error)


@pytest.mark.parametrize(
    "name", [setting.variable for setting in SETTINGS if setting.variable != "CAXTON_ALLOWED_HOSTS"]
)
def test_bad_value_of_a_variable_names_the_variable(name: str) -> None:
    assert refusal(environment={name: "\0?"}).source == name


@pytest.mark.parametrize("text", ["[server]\nport = '80 80'", "[server.port]\nx = 1", "server = {port = [1]}"])
def test_bad_value_in_the_file_names_the_file(home: Path, text: str) -> None:
    path = written(home, text)
    error = refusal()
    assert (error.source, "server.port" in str(error)) == (str(path), True)


def test_certificate_without_its_key_is_refused() -> None:
    refusal({"tls_cert": "/cert.pem"})
    refusal({"tls_key": "/key.pem"})


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "", "::", "192.168.1.1", "example.com", "127.example.com", "[::]", "10.0.0.1"],  # noqa: S104
)
def test_address_that_others_can_reach_is_refused_without_tls(host: str) -> None:
    error = refusal({"host": host})
    assert error.source == "server.host"
    assert load({"host": host, "tls_cert": "/c", "tls_key": "/k"}, {}).tls_cert == Path("/c")
    assert load({"host": host, "insecure": True}, {}).insecure


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.1", "localhost", "LOCALHOST", "::1", "[::1]", "0:0:0:0:0:0:0:1"]
)
def test_loopback_needs_no_tls(host: str) -> None:
    assert is_loopback(host)
    assert load({"host": host}, {}).host == host


# --- files that are no settings ------------------------------------------------------------------------------------

BOMBS = {
    "too large": b"#" * (MAX_CONFIG_BYTES + 1),
    "such a key behind a text that looks like a comment": b"server = {x = '''\n# ''', " + b"a." * 32_000 + b"a = 1}",
    "such a key between other ends of lines": b"server = {'\xe2\x80\xa8'." + b"a." * 32_000 + b"a = 'x'}",
    "a key of 32,000 parts": b"server." + b"a." * 32_000 + b"a = 1",
    "a section of 32,000 parts": b"[" + b"a." * 32_000 + b"a]",
    "such a key in an inline table": b"server = {" + b"a." * 32_000 + b"a = 1}",
    "such a key behind a quoted =": b"'='." + b"a." * 32_000 + b"a = 1",
    "such a key behind text of several lines": b'server = {x = """\n""", ' + b"a." * 32_000 + b'a = "."}',
    "such a key of quoted parts": b"server." + b"'a' . " * 10_000 + b"a = 1",
    "a text that never ends": b'[server]\nhost = "' + b'\\"' * 32_000,
    "a text that never ends, not even its last sign": b"[server]\nhost = '" + b'"\\' * 32_000,
    "a deep list": b"x = " + b"[" * 60_000,
    "a deep table": b"x = " + b"{a=" * 20_000,
    "a number of 60,000 digits": b"[server]\nport = " + b"9" * 60_000,
    "no UTF-8": b"[server]\nhost = '\xff'",
    "no TOML": b"server:\n  port: 8080\n",
    "a key twice": b"[server]\nport = 1\nport = 2\n",
    "a section twice": b"[server]\n[server]\n",
    "a value without a section": b"port = 8080",
    "a list of sections": b"[[server]]\nport = 1",
    "an impossible date": b"[server]\nport = 2026-13-45",
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS.keys())
def test_file_that_is_no_configuration_is_refused_at_once(data: bytes) -> None:
    began = time.process_time()
    with pytest.raises(InvalidConfig) as caught:
        parse_config(data, "config.toml")
    assert caught.value.source == "config.toml"
    assert len(str(caught.value)) < 500
    assert time.process_time() - began < 0.2  # the dotted ones take seconds and a gigabyte when they are parsed


def test_dots_in_values_and_comments_are_no_bomb() -> None:
    hosts = ", ".join(f"'h{n}.example.com'" for n in range(MAX_KEY_DOTS))
    dots = "." * 200
    text = f"# {dots}\n[server] # {dots}\nallowed_hosts = [{hosts}] # {dots}\ndata_dir = '/a/{dots}'\n"
    assert parse_config(text.encode(), "f")["server.data_dir"] == f"/a/{dots}"


def test_named_file_that_is_missing_is_refused(home: Path) -> None:
    for overrides, environment in (
        ({"config": home / "absent.toml"}, {}),
        ({}, {"CAXTON_CONFIG": str(home / "absent.toml")}),
        ({}, {"CAXTON_CONFIG": "~nobody-of-this-name/config.toml"}),
    ):
        assert "absent" in str(refusal(overrides, environment)) or "nobody" in str(refusal(overrides, environment))


def test_file_without_an_end_is_refused() -> None:
    assert refusal({"config": "/dev/zero"}).source == "/dev/zero"


def test_file_that_cannot_be_read_is_refused(home: Path) -> None:
    (home / "directory").mkdir()
    assert refusal({"config": home / "directory"}).source == str(home / "directory")


# --- precedence ----------------------------------------------------------------------------------------------------


def test_flag_beats_variable_beats_file_beats_default(home: Path) -> None:
    path = written(home, "[server]\nport = 3\n")
    assert value_of("server.port", {"port": 1}, {"CAXTON_PORT": "2"}) == (1, "flag")
    assert value_of("server.port", {"port": None}, {"CAXTON_PORT": "2"}) == (2, "CAXTON_PORT")
    assert value_of("server.port", {}, {}) == (3, str(path))
    path.unlink()
    assert value_of("server.port", {}, {}) == (8080, "default")


def test_named_file_is_read_instead_of_the_usual_one(home: Path) -> None:
    written(home, "[server]\nport = 1\n[log]\nlevel = 'error'\n")
    by_flag, by_variable = home / "flag.toml", home / "variable.toml"
    by_flag.write_text("[server]\nport = 2\n", encoding="utf-8")
    by_variable.write_text("[server]\nport = 3\n", encoding="utf-8")
    environment = {"CAXTON_CONFIG": str(by_variable)}
    assert value_of("server.port", {}, environment) == (3, str(by_variable))
    assert value_of("server.port", {"config": by_flag}, environment) == (2, str(by_flag))
    assert value_of("log.level", {"config": by_flag}, environment) == ("info", "default")


def test_every_setting_has_a_value_and_a_source_and_they_are_unique() -> None:
    values = effective({}, {})
    assert [value.key for value in values] == [setting.key for setting in SETTINGS]
    assert {value.source for value in values} == {"default"}
    assert len({setting.variable for setting in SETTINGS}) == len(SETTINGS)


def test_texts_from_the_environment_become_what_they_mean(home: Path) -> None:
    settings = load(
        {},
        {
            "CAXTON_PORT": "0", "CAXTON_DATA_DIR": "~/here", "CAXTON_ALLOWED_HOSTS": " a.example, ,b.example ",
            "CAXTON_INSECURE": "Yes", "CAXTON_DRAIN_TIMEOUT": "250ms", "CAXTON_MAX_INSTANCES": "7",
            "CAXTON_LOG_LEVEL": "WARNING",
        },
    )  # fmt: skip
    assert (settings.port, settings.data_dir, settings.allowed_hosts) == (0, home / "here", ["a.example", "b.example"])
    assert (settings.insecure, settings.drain_timeout_s, settings.max_instances) == (True, 0.25, 7)
    assert settings.log_level == "warning"


def test_data_goes_below_the_xdg_data_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_data_dir() == str(home / "data" / "caxton")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert default_data_dir() == str(home / ".local" / "share" / "caxton")
    assert load({}, {}).data_dir == Path(default_data_dir())


@pytest.mark.parametrize("size", ["1 MiB", "1", 1, "2097151"])
def test_recorder_too_small_to_turn_is_refused_with_what_it_may_be(size: object) -> None:
    with pytest.raises(InvalidConfig, match=r"from 2 MiB to 1024 TiB, or 0, which turns it off"):
        load({"recorder.size": size}, {})


@pytest.mark.parametrize(("size", "read"), [("2 MiB", 2 << 20), (0, 0), ("0", 0)])
def test_recorder_may_be_small_or_off(size: object, read: int) -> None:
    assert load({"recorder.size": size}, {}).recorder_bytes == read


def test_secret_settings_are_told_of_by_name_only() -> None:
    settings = load({"telemetry.headers": "authorization=Basic hush,x-team=other-hush"}, {})
    told = public(settings.effective)
    assert told["telemetry.headers"] == {"value": REMOVED, "source": "flag"}
    assert told["server.port"] == {"value": 8080, "source": "default"}
    assert {"Basic hush", "hush", "other-hush"} <= secrets_of(settings.effective)
    assert public(load({}, {}).effective)["telemetry.headers"]["value"] is None


def test_password_in_a_url_is_a_secret_of_any_setting() -> None:
    assert secrets_of([EffectiveValue("telemetry.endpoint", "http://me:hush@host", "flag")]) == {"hush"}
