"""`caxton debug bundle`: one archive for a bug report, without secrets."""

import io
import os
import tarfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from caxton.cli.command import Cli, OutputFormat, command
from caxton.core.errors.command_line import FileUnwritable
from caxton.core.errors.error import CaxtonError

FileOption = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="The archive to write; json: say as JSON what was written.",
    ),
]  # fmt: skip

ForceOption = Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    command(app, "bundle", "caxton debug bundle", "caxton debug bundle --output report.tar.gz")(bundle)


def bundle(cli: Cli, output: FileOption = None, force: ForceOption = False) -> None:
    """Gather what a bug report needs in one archive, with secrets taken out. Works without a server too."""
    from caxton.core.redact import redact_text

    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    path = Path(file_of(cli, output) or f"caxton-bundle-{stamp}.tar.gz")
    refuse_existing(path, force=force)
    with cli.screen.busy("Gathering"):
        files, missing = _gather(cli)
        known = _known_here(cli)
        clean = {name: redact_text(text, known) for name, text in files.items()}
        write_file(path, _archive(f"caxton-bundle-{stamp}", clean))
    facts = {"file": str(path), "files": sorted(clean), "missing": missing}

    def human() -> None:
        if missing:
            cli.screen.warn(f"the server's part is missing: {missing}")
        cli.screen.done(f"{path}: {len(clean)} files, {path.stat().st_size >> 10} KiB; secrets are taken out")
        cli.screen.hint(f"look through it before you send it: tar -xzf {path}")

    cli.screen.answer(facts, human)


def file_of(cli: Cli, output: str | None) -> str | None:
    """The file that --output names; where it names a format instead, that holds and there is none."""
    if output in list(OutputFormat):
        cli.output = OutputFormat(output)
        return None
    return output


def refuse_existing(path: Path, *, force: bool) -> None:
    """Raise `FileUnwritable` for a file that is there, unless it is to be replaced."""
    if not force and path.exists():
        raise FileUnwritable(str(path), "it is there already, and --force was not given")


def write_file(path: Path, data: bytes) -> None:
    """Readable by its owner alone. Raises `FileUnwritable`."""
    from caxton.security.files import write_private

    try:
        write_private(path, data)
    except (OSError, ValueError) as exc:
        raise FileUnwritable(str(path), getattr(exc, "strerror", None) or str(exc)) from exc


def _gather(cli: Cli) -> tuple[dict[str, str], str | None]:
    """Files by name, and why those of the server are missing, if they are."""
    import msgspec

    from caxton.cli.doctor import all_checks
    from caxton.version import VERSION

    def as_json(value: object) -> str:
        return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()

    files = {"cli.json": as_json({"version": VERSION, "umask": f"{_umask():04o}"})}
    try:
        files["doctor.json"] = as_json(all_checks(cli, {}))
    except Exception as exc:  # a machine that is out of order is what the report is about
        files["doctor.json"] = as_json({"failed": f"{type(exc).__name__}: {exc}"})
    try:
        with cli.client(None) as client:
            files |= {f"server/{_plain(name)}": text for name, text in client.bundle().files.items()}
    except CaxtonError as exc:
        files["server/missing.txt"] = str(exc)
        return files, str(exc)
    return files, None


def _known_here(cli: Cli) -> set[str]:
    """What this machine knows: tokens of the contexts file, the one that was given, secret settings."""
    from caxton.cli.contexts import read_contexts
    from caxton.cli.server import secret_settings

    found = {cli.token or "", os.environ.get("CAXTON_TOKEN", "")}
    with suppress(CaxtonError):
        found |= {context.token or "" for context in read_contexts().contexts.values()}
    return (found | secret_settings()) - {""}


def _plain(name: str) -> str:
    """The name of a file, whatever a server says."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name)[:100].lstrip(".") or "unnamed"


def _archive(folder: str, files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in sorted(files.items()):
            data = text.encode("utf-8", "replace")
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode, entry.mtime = len(data), 0o600, int(time.time())
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def _umask() -> int:
    now = os.umask(0o077)
    os.umask(now)
    return now
