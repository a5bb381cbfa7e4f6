"""From an offset in a module to a line of its source, if it was built with debug information. Pure.

Reads the line tables of DWARF versions 2 to 5 as compilers put them into WebAssembly: custom sections `.debug_line`,
`.debug_line_str` and `.debug_str`, addresses counted from the beginning of the code section's contents.

The bytes are the guest author's and may say anything: what does not fit is as good as absent, and work is bounded.
Source: DWARF 5, section 6.2; "DWARF for WebAssembly" (yurydelendik.github.io/webassembly-dwarf).
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import NamedTuple

from caxton.sandbox.trap import printable

MAX_STEPS = 1_000_000
"""Of all line programs together, about a second; a debug build of 10 MiB has half of it."""

UNIT_STEPS = 20
"""What a unit counts beside its steps."""

MAX_FILES = 100_000
MAX_PATH_CHARS = 200

_LONGEST_TEXT = 4096
_CUSTOM, _CODE = 0, 10


class _Damaged(Exception):
    """The bytes do not say what they should."""


class _Sequence(NamedTuple):
    """Consecutive code: its rows are in order of address."""

    low: int
    high: int
    addresses: list[int]
    places: list[tuple[str, int]]


class SourceLines:
    """The line tables of one module. Making it takes up to a second: do that in a thread."""

    def __init__(self, wasm: bytes) -> None:
        self._code_begin = 0
        self._sequences: list[_Sequence] = []
        try:
            sections = self._sections(wasm)
            lines = sections.get(".debug_line", b"")
            texts = sections.get(".debug_line_str", b""), sections.get(".debug_str", b"")
            self._read(lines, *texts)
        except (_Damaged, struct.error, IndexError):
            pass  # what was read up to here is good
        self._sequences.sort(key=lambda sequence: sequence.low)
        self._lows = [sequence.low for sequence in self._sequences]

    def __bool__(self) -> bool:
        """Whether the module has line tables."""
        return bool(self._sequences)

    def find(self, offset: int) -> str | None:
        """`file:line` of the instruction at `offset` of the module, or None."""
        address = offset - self._code_begin
        at = bisect_right(self._lows, address) - 1
        if at < 0 or address >= self._sequences[at].high:
            return None
        sequence = self._sequences[at]
        for name, line in sequence.places[bisect_right(sequence.addresses, address) - 1 :: -1]:
            if line > 0:  # 0: the compiler's own doing, between lines
                return f"{name}:{line}"
        return None

    def _sections(self, wasm: bytes) -> dict[str, bytes]:
        """The custom sections by name; notes where the code begins."""
        found: dict[str, bytes] = {}
        reader = _Reader(wasm, 8)
        while not reader.is_over:
            kind, size = reader.u8(), reader.leb()
            begin = reader.at
            if kind == _CODE:
                self._code_begin = begin
            elif kind == _CUSTOM:
                name = reader.take(reader.leb())
                if name.startswith(b".debug_"):
                    found[name.decode("utf-8", "replace")] = wasm[reader.at : begin + size]
            reader.at = begin + size
        return found

    def _read(self, data: bytes, line_texts: bytes, texts: bytes) -> None:
        begin = 0
        left = MAX_STEPS
        while begin + 4 <= len(data) and left > 0:
            (length,) = struct.unpack_from("<I", data, begin)
            end = begin + 4 + length
            if end > len(data):  # also the 64-bit format, which no compiler uses for 32-bit memory
                raise _Damaged
            program = _Program(_Reader(data, begin + 4, end), line_texts, texts)
            left -= UNIT_STEPS + program.run(self._sequences, left)
            begin = end


class _Reader:
    """Bytes and how far they are read."""

    def __init__(self, data: bytes, at: int, end: int | None = None) -> None:
        self.data, self.at = data, at
        self._end = len(data) if end is None else end

    @property
    def is_over(self) -> bool:
        return self.at >= self._end

    def u8(self) -> int:
        if self.at >= self._end:
            raise _Damaged
        self.at += 1
        return self.data[self.at - 1]

    def u16(self) -> int:
        return self.fixed(2)

    def fixed(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > self._end:
            raise _Damaged
        part = self.data[self.at : self.at + size]
        self.at += size
        return part

    def leb(self, *, signed: bool = False) -> int:
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value - (1 << shift) if signed and byte & 0x40 else value
            if shift > 63:
                raise _Damaged

    def text(self) -> str:
        """Up to the next zero."""
        end = self.data.find(0, self.at, min(self._end, self.at + _LONGEST_TEXT))
        if end < 0:
            raise _Damaged
        found = self.data[self.at : end]
        self.at = end + 1
        return found.decode("utf-8", "replace")


class _Program:
    """One unit's line program: a header with files, then steps of a small machine that makes rows."""

    def __init__(self, reader: _Reader, line_texts: bytes, texts: bytes) -> None:
        self._reader, self._texts = reader, {0x1F: line_texts, 0x0E: texts}
        self._version = reader.u16()
        if not 2 <= self._version <= 5:
            raise _Damaged
        if self._version == 5:
            reader.take(2)  # sizes of address and segment selector
        header = reader.fixed(4)
        self._begin = reader.at + header
        self._step = reader.u8()
        if self._version >= 4:
            reader.u8()  # operations of one instruction: 1
        reader.u8()  # whether rows are statements by default: all count here
        line_base = reader.u8()
        self._line_base = line_base - 256 if line_base > 127 else line_base
        self._line_range = reader.u8()
        self._special = reader.u8()
        self._operands = [0, *reader.take(max(self._special - 1, 0))]
        if not self._line_range or not self._special:
            raise _Damaged
        self._files = self._files_of_5() if self._version == 5 else self._files_before_5()

    # --- the header ------------------------------------------------------------------------------------------

    def _files_before_5(self) -> list[str]:
        reader, directories, files = self._reader, [""], ["?"]  # both are counted from 1
        while name := reader.text():
            _room(directories)
            directories.append(name)
        while name := reader.text():
            _room(files)
            directory = reader.leb()
            reader.leb()  # its time
            reader.leb()  # its size
            files.append(_path(directories, directory, name))
        return files

    def _files_of_5(self) -> list[str]:
        directories = [name for name, _ in self._entries()]
        if directories:
            directories[0] = ""  # where the compiler ran, which is nobody's business
        return [_path(directories, directory, name) for name, directory in self._entries()]

    def _entries(self) -> list[tuple[str, int]]:
        reader = self._reader
        formats = [(reader.leb(), reader.leb()) for _ in range(reader.u8())]
        count = reader.leb()
        if count > MAX_FILES or (count and not formats):
            raise _Damaged
        entries: list[tuple[str, int]] = []
        for _ in range(count):
            values = {content: self._form(form) for content, form in formats}
            name, directory = values.get(1, "?"), values.get(2, 0)
            entries.append((str(name), directory if isinstance(directory, int) else 0))
        return entries

    def _form(self, form: int) -> str | int:
        reader = self._reader
        match form:
            case 0x08:
                return reader.text()
            case 0x1F | 0x0E:
                return _Reader(self._texts[form], reader.fixed(4)).text()
            case 0x0F:
                return reader.leb()
            case 0x0B | 0x05 | 0x06:
                return reader.fixed({0x0B: 1, 0x05: 2, 0x06: 4}[form])
            case 0x1E:
                reader.take(16)  # a checksum
                return 0
            case 0x09:
                reader.take(reader.leb())
                return 0
            case _:
                raise _Damaged

    # --- the machine -----------------------------------------------------------------------------------------

    def run(self, sequences: list[_Sequence], most: int) -> int:
        """Add what it says to `sequences`; returns how many steps it took, `most` at most."""
        reader = self._reader
        reader.at = self._begin
        steps = 0
        address, file, line = 0, 1, 1
        addresses: list[int] = []
        places: list[tuple[str, int]] = []

        def row() -> None:
            if not addresses or address >= addresses[-1]:
                addresses.append(address)
                places.append((self._files[file] if 0 <= file < len(self._files) else "?", line))

        while not reader.is_over and steps < most:
            steps += 1
            opcode = reader.u8()
            if opcode >= self._special:
                advance, back = divmod(opcode - self._special, self._line_range)
                address += advance * self._step
                line += self._line_base + back
                row()
            elif opcode == 0:
                size = reader.leb()
                after = reader.at + size
                extended = reader.u8() if size else -1
                if extended == 1:  # the end of a sequence
                    if addresses and 0 < addresses[0] < address:  # at 0 is what the linker threw away
                        sequences.append(_Sequence(addresses[0], address, addresses, places))
                    address, file, line, addresses, places = 0, 1, 1, [], []
                elif extended == 2:
                    address = reader.fixed(size - 1)
                reader.at = after
            elif opcode == 1:
                row()
            elif opcode == 2:
                address += reader.leb() * self._step
            elif opcode == 3:
                line += reader.leb(signed=True)
            elif opcode == 4:
                file = reader.leb()
            elif opcode == 8:
                address += (255 - self._special) // self._line_range * self._step
            elif opcode == 9:
                address += reader.u16()
            else:
                for _ in range(self._operands[opcode]):
                    reader.leb()
        return steps


def _room(names: list[str]) -> None:
    if len(names) > MAX_FILES:
        raise _Damaged


def _path(directories: list[str], directory: int, name: str) -> str:
    above = directories[directory] if 0 < directory < len(directories) else ""
    whole = name if not above or name.startswith("/") else f"{above}/{name}"
    return printable(whole, MAX_PATH_CHARS)
