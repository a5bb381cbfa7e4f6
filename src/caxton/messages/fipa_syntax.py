"""The syntax of FIPA's string encoding: words, texts, expressions in parentheses. Pure; knows nothing of messages.

A `Cursor` goes over the bytes once, from left to right. It never goes back and never calls itself, so hostile text
costs no more than any other text of its length.

Source: FIPA SC00070I, lexical rules; where the grammar leaves a choice, what JADE's StringACLCodec writes and reads.
"""

from __future__ import annotations

import re

from caxton.core.errors.error import quoted
from caxton.core.errors.messages import InvalidMessage
from caxton.messages.codec import MAX_JSON_DEPTH

MAX_NESTED_PARTS = 100_000
"""Words, texts and parentheses within expressions of one message: nobody reads them, and each costs a microsecond.
Addresses of ten thousand receivers are fewer."""

_SHOWN_BYTES = 24

_BLANKS = re.compile(rb"[ \t\r\n]*")
_ATOM = re.compile(rb"[^\x00-\x20()]+")
_SIZED = re.compile(rb'#([0-9]{1,9})"')
_CLOSING_QUOTE = re.compile(rb'(?<!\\)"')
_WORD = re.compile(rb"[A-Za-z!$%&'*,./;<=>?\[\\\]^_`{|}~][!$%&'*-~#]*", re.ASCII)
"""What is written bare: FIPA's words, without those that another reader could take for something else (a quote inside,
a sign or colon in front, letters beyond ASCII)."""


class Cursor:
    """Reads one thing after another; blanks in front of it are left out."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        """Offset of the next byte."""
        self.began = 0
        """Where the word or value that was read last begins."""
        self.is_bare = True
        """Whether that was a word, neither text nor in parentheses."""
        self._parts = 0

    def failed(self, expected: str, *, at: int | None = None, field: str | None = None) -> InvalidMessage:
        """The error that says where, what was expected and what stands there instead."""
        place = self.at if at is None else at
        before = self.data[:place].decode("utf-8", "replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        rest = self.data[place : place + _SHOWN_BYTES].decode("utf-8", "replace")
        found = quoted(rest) if rest else "the end"
        return InvalidMessage(f"line {line}, column {column}: expected {expected}, found {found}", field=field)

    def next_is(self, mark: bytes) -> bool:
        """Whether `mark`, one byte, comes next."""
        found = _BLANKS.match(self.data, self.at)
        if found is not None:
            self.at = found.end()
        return self.data[self.at : self.at + 1] == mark

    def take(self, mark: bytes) -> bool:
        """Go past `mark` if it comes next."""
        found = self.next_is(mark)
        self.at += found
        return found

    def expect(self, mark: bytes, what: str) -> None:
        """Go past `mark`; raises `InvalidMessage` if something else comes."""
        if not self.take(mark):
            raise self.failed(what)

    def end(self) -> None:
        """Raises `InvalidMessage` unless nothing is left."""
        if not self.next_is(b""):
            raise self.failed("the end of the message")

    def word(self, what: str) -> str:
        """A word. Raises `InvalidMessage`: something else comes, and `what` was expected."""
        if self.next_is(b'"') or (found := _ATOM.match(self.data, self.at)) is None:
            raise self.failed(what)
        self.began, self.at = self.at, found.end()
        return found[0].decode()

    def keyword(self, *wanted: str) -> str:
        """One of some words, in lower case; raises `InvalidMessage` for any other."""
        found = self.word(" or ".join(wanted)).lower()
        if found not in wanted:
            raise self.failed(" or ".join(wanted), at=self.began)
        return found

    def value(self, what: str) -> str:
        """A word, number, date or text; of an expression in parentheses the text as it stands there."""
        is_nested = self.next_is(b"(")
        begin = self.at
        is_text = self.data[begin : begin + 1] in (b'"', b"#")
        found = self._nested(what) if is_nested else self._text() if is_text else self.word(what)
        self.began, self.is_bare = begin, not (is_nested or is_text)
        return found

    def _text(self) -> str:
        r"""What stands in quotes, where only `\"` is an escape, or after `#LENGTH"`, where none is."""
        begin = self.at
        if self.data[begin : begin + 1] == b"#":
            sized = _SIZED.match(self.data, begin)
            if sized is None:
                raise self.failed('a length and a quote after "#"')
            self.at = sized.end() + int(sized[1])
            if self.at > len(self.data):
                raise self.failed(f"{int(sized[1])} bytes of text", at=sized.end())
            raw = self.data[sized.end() : self.at]
        else:
            closing = _CLOSING_QUOTE.search(self.data, begin + 1)
            if closing is None:
                raise self.failed("a closing quote for the text that begins here", at=begin)
            self.at = closing.end()
            raw = self.data[begin + 1 : closing.start()].replace(b'\\"', b'"')
        try:
            return raw.decode()
        except UnicodeDecodeError as exc:  # the length ends within a character
            raise self.failed("text in UTF-8", at=begin) from exc

    def _nested(self, what: str) -> str:
        begin, depth = self.at, 0
        while True:
            if self.take(b"("):
                depth += 1
            elif self.take(b")"):
                depth -= 1
            elif self.data[self.at : self.at + 1] in (b'"', b"#"):
                self._text()
            else:
                self.word('")"')
            if not depth:
                return self.data[begin : self.at].decode()
            self._parts += 1
            if self._parts > MAX_NESTED_PARTS:
                raise self.failed(f"at most {MAX_NESTED_PARTS:,} parts within parentheses", at=begin)
            if depth > MAX_JSON_DEPTH:
                raise self.failed(f"{what} that is nested at most {MAX_JSON_DEPTH} levels deep", at=begin)


def word_or_text(value: str) -> bytes:
    """`value` bare if it is a word that every reader takes for one, else as a text."""
    data = value.encode()
    return data if _WORD.fullmatch(data) else text(value)


def text(value: str) -> bytes:
    r"""`value` in quotes, or with its length if it ends in `\`, which would hide the closing quote."""
    data = value.encode()
    if data.endswith(b"\\"):
        return b'#%d"%b' % (len(data), data)
    return b'"%b"' % data.replace(b'"', b'\\"')
