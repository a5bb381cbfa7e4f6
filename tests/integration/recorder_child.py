"""Records without end, to be killed; `python recorder_child.py DIRECTORY FIRST`. Says what is kept."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from caxton.recorder.recorder import open_recorder

RING_BYTES = 2 << 20


def main() -> None:
    recorder = open_recorder(Path(sys.argv[1]), RING_BYTES)
    for n in itertools.count(int(sys.argv[2])):
        text = f"{n}-" * (1 + n % 40)
        recorder.add((0, n, "default", "a", "b", f"m-{n}", "c", b'inform"', "", 1, n, n, n, len(text), text))
        if n % 7 == 0:
            recorder.flush()
            os.write(1, f"{n}\n".encode())


if __name__ == "__main__":
    main()
