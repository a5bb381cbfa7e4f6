"""Breaks the code on purpose, one promise at a time, and sees that a test fails each time: `python tests/mutants.py`.

Works in a copy of the tree. A mutant that survives, or whose place is not found any more, is an error. Not part of
`scripts/test`: each mutant is a test run of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUS = ("tests/unit/bus",)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One broken promise."""

    promise: str
    file: str
    """Below src/caxton."""
    old: str
    new: str
    tests: tuple[str, ...] = BUS


MUTANTS = (
    Mutant(
        "acknowledge before the commit",
        "bus/journal.py",
        "        statements = self._take()\n        if not statements:",
        "        self._tell(waiting)\n        waiting = []\n"
        "        statements = self._take()\n        if not statements:",
    ),
    Mutant(
        "a reply leaves before the commit",
        "bus/replies.py",
        "self._journal.after_commit(partial(waiter.replied, envelope))",
        "waiter.replied(envelope)",
    ),
    Mutant(
        "nested JSON hides behind an escaped quotation mark",
        "messages/codec.py",
        """data.replace(b"\\\\\\\\", b"").replace(b'\\\\"', b"")""",
        """data.replace(b'\\\\"', b"")""",
        ("tests/unit/messages",),
    ),
    Mutant(
        "no fsync at each commit",
        "storage/database.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = NORMAL",
        ("tests/unit/storage",),
    ),
    Mutant(
        "a transaction that fails stays half done",
        "storage/database.py",
        'connection.execute("ROLLBACK")',
        'connection.execute("COMMIT")',
        ("tests/unit/storage",),
    ),
    Mutant(
        "messages swapped in the mailbox",
        "bus/bus.py",
        "        box.inbox.append(envelope)\n        if box.is_open and not box.queued",
        "        box.inbox.appendleft(envelope)\n        if box.is_open and not box.queued",
    ),
    Mutant(
        "dropped when the mailbox is full",
        "bus/turn.py",
        "            if target.is_full(len(data)):\n                return WOULD_BLOCK",
        "            if target.is_full(len(data)):\n                return OK",
    ),
    Mutant(
        "what a failed handler did happens all the same",
        "bus/bus.py",
        "        receiver, envelope = box.receiver, turn.envelope\n        turn.release()",
        "        receiver, envelope = box.receiver, turn.envelope\n        self._apply(turn)",
    ),
    Mutant(
        "sends of a handler are not journalled",
        "bus/bus.py",
        "            born[envelope.seq] = envelope\n            if target",
        "            if target",
    ),
    Mutant(
        "a dead letter is lost",
        "bus/journal.py",
        "            (_INSERT_DEAD, self._dead),\n",
        "",
    ),
    Mutant(
        "every message is written",
        "bus/journal.py",
        "            if not envelope.kept:\n                self.born.pop(envelope.seq, None)",
        "            pass",
    ),
    Mutant(
        "a guest may say who sent a message",
        "bus/turn.py",
        "        message.sender = self._receiver.name\n",
        "        message.sender = message.sender or self._receiver.name\n",
    ),
    Mutant(
        "attempts are forgotten",
        "bus/journal.py",
        "            self._attempts[envelope.seq] = envelope.attempt",
        "            pass",
    ),
    Mutant(
        "two servers on one directory",
        "server/datadir.py",
        "fcntl.LOCK_EX | fcntl.LOCK_NB",
        "fcntl.LOCK_SH | fcntl.LOCK_NB",
        ("tests/unit/server", "tests/integration/test_config_lock.py"),
    ),
    Mutant(
        "a guest that computes is never stopped",
        "sandbox/guest.py",
        "        if self._cpu_ns + now_ns - self._slice_began_ns > self.limits.cpu_time_s * 1e9:",
        "        if False:",
        ("tests/unit/sandbox",),
    ),
    Mutant(
        "a cache file is loaded unchecked",
        "sandbox/compile.py",
        "        if not hmac.compare_digest(mac, self._mac(path.name, compiled)):",
        "        if False:",
        ("tests/unit/sandbox/test_compile.py",),
    ),
    Mutant(
        "the fourth crash is forgiven",
        "agents/lifecycle.py",
        "    if len(crashes) > MAX_RESTARTS:",
        "    if len(crashes) > MAX_RESTARTS + 1:",
        ("tests/unit/agents/test_lifecycle.py",),
    ),
    Mutant(
        "a route without an action is open",
        "security/policy.py",
        "raise Forbidden(",
        "return None  # Forbidden(",
        ("tests/unit/security", "tests/unit/api/test_guard.py"),
    ),
)


def run_tests(tree: Path, tests: tuple[str, ...]) -> bool:
    """Whether all of them pass in `tree`."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=tree, capture_output=True, check=False).returncode == 0


def survives(mutant: Mutant, tree: Path) -> bool:
    """Apply `mutant`, run its tests, and put the file back."""
    path = tree / "src" / "caxton" / mutant.file
    good = path.read_text(encoding="utf-8")
    if good.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.promise}: its place in {mutant.file} is there {good.count(mutant.old)} times")
    path.write_text(good.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return run_tests(tree, mutant.tests)
    finally:
        path.write_text(good, encoding="utf-8")


def main() -> int:
    survivors = 0
    with tempfile.TemporaryDirectory() as place:
        tree = Path(place) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv", "__pycache__", "node_modules"))
        for mutant in MUTANTS:
            alive = survives(mutant, tree)
            survivors += alive
            sys.stdout.write(f"{'SURVIVES' if alive else 'caught  '}  {mutant.promise}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(MUTANTS) - survivors} passed, {survivors} failed\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
