"""Run within a network namespace where every address is this machine: attacks the way out, and counts packets.

Prints one JSON object: `tried`, what came of each attempt; `seen`, the first packets of connections by destination.
A server answers on every address; DNS is on 127.0.0.53. So whatever is let out arrives, and is counted by the kernel.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
import threading
from collections import Counter
from itertools import count

import httpx2
import uvloop

from caxton.egress.fetch import fetch
from caxton.egress.hosts import parse_hosts
from caxton.egress.policy import Policy
from caxton.egress.refused import EgressError
from caxton.egress.request import Request
from caxton.egress.transport import capped_transport

PORT = 8080
GOOD, GOOD6, METADATA = "93.184.216.34", "2606:4700::1", "169.254.169.254"
LAST = "127.0.0.99"
"""Connected to at the end: when that has been counted, so has all before it."""
_A, _AAAA = 1, 28

NAMES: dict[str, list[list[str]]] = {
    "good.test": [[GOOD]],
    "good6.test": [[GOOD6]],
    "metadata.test": [[METADATA]],
    "loopback.test": [["127.0.0.1"]],
    "loopback6.test": [["::1"]],
    "zero.test": [["0.0.0.0"]],  # noqa: S104
    "mapped.test": [["::ffff:169.254.169.254"]],
    "nat64.test": [["64:ff9b::a9fe:a9fe"]],
    "sixtofour.test": [["2002:a9fe:a9fe::1"]],
    "private.test": [["10.0.0.1"]],
    "unique.test": [["fd00::1"]],
    "mixed.test": [[GOOD, "10.0.0.2"], [GOOD6, "fd00::2"]],
    "rebind.test": [[GOOD], [METADATA]],
}
"""What a name's DNS says: the first answer, the second, and so on from the first."""

URLS = (
    f"http://good.test:{PORT}/",
    f"http://good6.test:{PORT}/",
    f"http://{GOOD}:{PORT}/",
    *(f"http://{name}:{PORT}/" for name in NAMES if not name.startswith("good")),
    *(f"http://rebind.test:{PORT}/" for _ in range(8)),
    *(
        f"http://{host}:{PORT}/"
        for host in (
            METADATA, "127.0.0.1", "localhost", "[::1]", "[::]", "0.0.0.0", "2130706433", "2852039166", "0xa9fea9fe",  # noqa: S104
            "0251.0376.0251.0376", "0177.0.0.1", "0x7f.1", "127.1", "169.254.43518", "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]", "[::169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]",
            "[fe80::1%25lo]", "[fe80::1]", "[fd00::1]", "\uff11\uff16\uff19.254.169.254",
            "169\u3002254\u3002169\u3002254", "169.254.169.254.",
            "good.test@169.254.169.254", "169.254.169.254%2f@good.test", "169%2e254.169.254",
            "good.test.", "evil.test", "10.0.0.1", "224.0.0.1",
        )
    ),
    f"http://{METADATA}\\@good.test:{PORT}/",
    f"http://{METADATA}:{PORT}#@good.test/",
    f"http://good.test:{PORT}@{METADATA}/",
    *(
        f"http://good.test:{PORT}/to?{place}"
        for place in (
            f"http://{METADATA}:{PORT}/", f"//{METADATA}:{PORT}/", f"http://localhost:{PORT}/", f"http://[::1]:{PORT}/",
            f"http://[::ffff:a9fe:a9fe]:{PORT}/", f"http://2852039166:{PORT}/", f"http://metadata.test:{PORT}/",
            f"http://rebind.test:{PORT}/", f"http://good.test:{PORT}@{METADATA}:{PORT}/", "http://good.test:22/",
        )
    ),
)  # fmt: skip


class Sniffer:
    """Counts the first packet of every TCP connection, whoever makes it."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.has_seen_last = threading.Event()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))  # ETH_P_ALL
        self._socket.bind(("lo", 0))
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            frame, (_, _, kind, *_) = self._socket.recvfrom(2048)
            if kind == socket.PACKET_OUTGOING:  # each packet on lo is seen twice
                self._look(frame)

    def _look(self, frame: bytes) -> None:
        protocol = frame[12:14]
        if protocol == b"\x08\x00":
            kind, to, tcp = frame[23], socket.inet_ntop(socket.AF_INET, frame[30:34]), 14 + (frame[14] & 15) * 4
        elif protocol == b"\x86\xdd":
            kind, to, tcp = frame[20], socket.inet_ntop(socket.AF_INET6, frame[38:54]), 54
        else:
            return
        if kind == socket.IPPROTO_TCP and frame[tcp + 13] & 0x12 == 0x02:  # SYN without ACK
            self.seen[f"{to} {struct.unpack('!H', frame[tcp + 2 : tcp + 4])[0]}"] += 1
            if to == LAST:
                self.has_seen_last.set()


def serve_names() -> None:
    """A DNS server whose answers change."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.53", 53))
    asked = {name: {_A: count(), _AAAA: count()} for name in NAMES}

    def run() -> None:
        while True:
            query, client = server.recvfrom(512)
            end = query.index(0, 12)
            name = _name(query[12:end])
            kind = int.from_bytes(query[end + 1 : end + 3], "big")
            found = (
                NAMES[name][next(asked[name][kind]) % len(NAMES[name])] if name in NAMES and kind in (_A, _AAAA) else []
            )
            server.sendto(_answer(query[: end + 5], kind, found, is_known=name in NAMES), client)

    threading.Thread(target=run, daemon=True).start()


def _name(data: bytes) -> str:
    labels: list[str] = []
    while data:
        labels.append(data[1 : data[0] + 1].decode("ascii"))
        data = data[data[0] + 1 :]
    return ".".join(labels).lower()


def _answer(question: bytes, kind: int, addresses: list[str], *, is_known: bool) -> bytes:
    family = socket.AF_INET if kind == _A else socket.AF_INET6
    packed = [socket.inet_pton(family, text) for text in addresses if (":" in text) == (kind == _AAAA)]
    flags = 0x8180 if is_known else 0x8183
    head = question[:2] + struct.pack("!HHHHH", flags, 1, len(packed), 0, 0)
    records = (b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(data)) + data for data in packed)
    return head + question[12:] + b"".join(records)


async def serve_everywhere() -> None:
    """Answer on every address; `/to?URL` redirects."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1]
        to = b"HTTP/1.1 302 X\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n" % path[4:]
        writer.write(to if path.startswith(b"/to?") else b"HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\nhi")
        await writer.drain()
        writer.close()

    listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind(("::", PORT))
    await asyncio.start_server(serve, sock=listener)


async def attempt(url: str, policy: Policy) -> str:
    """By `fetch`."""
    try:
        return str((await fetch(Request(url=url, timeout_s=10), policy)).status)
    except EgressError as error:
        return getattr(error, "reason", type(error).__name__)


async def attempt_by_mcp(url: str, policy: Policy) -> str:
    """By the transport of MCP clients, which follows redirects here."""
    try:
        async with httpx2.AsyncClient(transport=capped_transport(policy), trust_env=False, timeout=10) as client:
            return str((await client.get(url, follow_redirects=True)).status_code)
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.RemoteProtocolError, UnicodeError) as error:
        return type(error).__name__


async def main(mode: str) -> None:
    sniffer = Sniffer()
    serve_names()
    await serve_everywhere()
    policy = Policy(allow=parse_hosts([*(f"{name}:{PORT}" for name in NAMES), f"{GOOD}:{PORT}", f"*.good.test:{PORT}"]))
    tried: dict[str, str] = {}
    if mode == "control":
        for host in (METADATA, "127.0.0.1", "fd00::1"):
            _, writer = await asyncio.open_connection(host, PORT)
            writer.close()
    else:
        for number, url in enumerate(URLS):
            tried[f"{number} {url}"] = await (attempt if mode == "fetch" else attempt_by_mcp)(url, policy)
    _, writer = await asyncio.open_connection(LAST, PORT)
    writer.close()
    assert await asyncio.to_thread(sniffer.has_seen_last.wait, 10)
    print(json.dumps({"tried": tried, "seen": sniffer.seen}))  # noqa: T201


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
