"""`caxton serve` on a disk that fails once the file FAIL is there. `python fault_child.py FAIL serve …`"""

from __future__ import annotations

import sys
from pathlib import Path

from caxton.cli.main import main
from caxton.testing.faults import FaultVfs, io_error

fail = Path(sys.argv[1])
disk = FaultVfs(for_all=True)
disk.is_recording = False


def before_sync(_number: int, _file: str) -> None:
    if fail.exists():
        raise io_error(at_sync=True)


disk.before_sync = before_sync
sys.exit(main(sys.argv[2:]))
