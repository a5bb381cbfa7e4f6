"""Which server to ask, and with which token.

A small file names servers ("contexts") and keeps their tokens; a server that starts here writes its entry.
Flags come before CAXTON_SERVER and CAXTON_TOKEN, those before the file. A token from the file goes only to
the server it stands beside, and one from CAXTON_TOKEN only to CAXTON_SERVER when both are set.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from caxton.client import DEFAULT_SERVER, LOOPBACK_HOSTS, CaxtonClient, parse_server_url
from caxton.core.errors.command_line import ContextNotFound, FileUnreadable
from caxton.core.errors.server import InvalidConfig
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.suggest import nearest
from caxton.security.files import write_private

LOCAL = "local"
"""The context of the server that was started last on this machine."""

MAX_CONTEXTS_BYTES = 1 << 20
"""The file holds a few lines; more is something else."""


class Context(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One server as the command line reaches it."""

    server: str
    token: str | None = None
    data_dir: str | None = None
    """Where the server keeps its data, if that is on this machine."""
    ca_file: str | None = None
    """Authorities to trust instead of the system's."""
    certificate: str | None = None
    """The server's own certificate, for one on this machine: no other is accepted."""

    def __repr__(self) -> str:
        return f"Context({self.server!r})"  # never the token


class Contexts(msgspec.Struct, kw_only=True):
    """The contexts file."""

    current: str | None = None
    """The context that counts when nothing else is said."""
    contexts: dict[str, Context] = {}


class Target(msgspec.Struct, kw_only=True, frozen=True):
    """The server to ask and the token to show it."""

    server: str
    token: str | None
    ca_file: str | None = None
    certificate: str | None = None

    def __repr__(self) -> str:
        return f"Target({self.server!r})"  # never the token

    def client(
        self, *, timeout_s: float = 30.0, anonymous: bool = False, workspace: str = DEFAULT_WORKSPACE
    ) -> CaxtonClient:
        """A client for this server; with its token, unless it is to be anonymous."""
        return CaxtonClient(
            self.server,
            None if anonymous else self.token,
            ca_file=self.ca_file,
            certificate=self.certificate,
            timeout_s=timeout_s,
            workspace=workspace,
        )

    @property
    def sends_token_openly(self) -> bool:
        """Whether the token would cross a network unencrypted."""
        from urllib.parse import urlsplit

        parsed = urlsplit(self.server)
        return self.token is not None and parsed.scheme == "http" and parsed.hostname not in LOOPBACK_HOSTS


def contexts_path() -> Path:
    """Where the contexts file is: CAXTON_CONTEXTS, or below XDG_CONFIG_HOME or ~/.config."""
    named = os.environ.get("CAXTON_CONTEXTS")
    return Path(named) if named else _own_directory() / "contexts.json"


def read_contexts() -> Contexts:
    """The contexts file, empty when there is none. Raises `InvalidConfig` when it is damaged."""
    path = contexts_path()
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONTEXTS_BYTES)
    except FileNotFoundError:
        return Contexts()
    except OSError as exc:
        raise FileUnreadable(str(path), exc.strerror or "unknown reason") from exc
    try:
        return msgspec.json.decode(data, type=Contexts)
    except msgspec.DecodeError as exc:
        reason = f"it is damaged ({exc}); remove it, a starting server writes it again"
        raise InvalidConfig(str(path), reason) from exc


def write_contexts(contexts: Contexts) -> None:
    """Replace the contexts file in one step; readable by its owner alone, like our own directory."""
    path = contexts_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.parent == _own_directory():  # another one is not ours to close
        path.parent.chmod(0o700)
    data = msgspec.json.format(msgspec.json.encode(contexts), indent=2)
    write_private(path, data + b"\n")


def remember_local(server: str, *, token: str, data_dir: Path, certificate: str | None = None) -> Context | None:
    """Write down a server that has started here, and make it current if no other is; returns what stood there."""
    contexts = read_contexts()
    before = contexts.contexts.get(LOCAL)
    server = _by_number(parse_server_url(server))
    contexts.contexts[LOCAL] = Context(server=server, token=token, data_dir=str(data_dir), certificate=certificate)
    if contexts.current not in contexts.contexts:
        contexts.current = LOCAL
    write_contexts(contexts)
    return before


def restore_local(data_dir: Path, before: Context) -> None:
    """A server here has ended: name the one that was named before it, unless yet another one is."""
    contexts = read_contexts()
    local = contexts.contexts.get(LOCAL)
    if local is not None and local.data_dir == str(data_dir):
        contexts.contexts[LOCAL] = before
        write_contexts(contexts)


def choose_target(*, server: str | None, token: str | None, context: str | None) -> Target:
    """The server and token that flags, environment and contexts file amount to.

    Raises:
        ContextNotFound: `context` is not in the file.
        InvalidValue: the address is none.
    """
    contexts = read_contexts()
    named = _named(contexts, context or os.environ.get("CAXTON_CONTEXT"))
    env_server, env_token = os.environ.get("CAXTON_SERVER"), os.environ.get("CAXTON_TOKEN")
    if context is not None and server is None:  # a context named on the command line comes before the environment
        env_server = env_token = None
    address = parse_server_url(server or env_server or (named.server if named else DEFAULT_SERVER))
    if env_server and not _is_same(address, env_server):
        env_token = None  # it belongs to the environment's server
    entry = _entry_for(contexts, named, address)
    return Target(
        server=address,
        token=token or env_token or (entry.token if entry else None),
        ca_file=os.environ.get("CAXTON_CA_FILE") or (entry.ca_file if entry else None),
        certificate=entry.certificate if entry else None,
    )


def local_server() -> Context | None:
    """The server that was started here last, if the contexts file knows one."""
    return read_contexts().contexts.get(LOCAL)


def local_data_dir() -> Path | None:
    """The data directory of the local server, if the contexts file knows one."""
    local = local_server()
    return Path(local.data_dir) if local and local.data_dir else None


def _own_directory() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME")
    base = Path(home) if home and Path(home).is_absolute() else Path.home() / ".config"
    return base / "caxton"


def _named(contexts: Contexts, wanted: str | None) -> Context | None:
    if wanted is None:
        return contexts.contexts.get(contexts.current or "")
    if wanted not in contexts.contexts:
        raise ContextNotFound(wanted, nearest=nearest(wanted, contexts.contexts))
    return contexts.contexts[wanted]


def _entry_for(contexts: Contexts, named: Context | None, address: str) -> Context | None:
    """The entry whose server is at `address`: the named one if it is, else any other."""
    entries = ([named] if named else []) + list(contexts.contexts.values())
    return next((entry for entry in entries if _is_same(entry.server, address)), None)


def _is_same(one: str, other: str) -> bool:
    return _by_number(parse_server_url(one)) == _by_number(parse_server_url(other))


def _by_number(server: str) -> str:
    """`localhost` as 127.0.0.1: the name may also mean ::1, where somebody else could wait for a token.

    Not for https, where the certificate is made out to the name and tells who it is.
    """
    return server.replace("http://localhost", "http://127.0.0.1", 1) if _is_localhost(server) else server


def _is_localhost(server: str) -> bool:
    return server == "http://localhost" or server.startswith("http://localhost:")
