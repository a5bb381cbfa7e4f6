"""A peer that speaks FIPA's string encoding, a real server process and a real guest."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from caxton.core.views.agents import AgentSpec
from caxton.messages.fipa_string import decode_fipa
from caxton.testing.guests import example
from tests.acceptance.served import served

if TYPE_CHECKING:
    from pathlib import Path

ACL = "application/fipa-acl"
REQUEST = """(request
 :sender (agent-identifier :name buyer@box:1099/JADE :addresses (sequence http://box:7778/acc))
 :receiver (set (agent-identifier :name echo@caxton))
 :content "((price \\"größe 3\\"))"
 :language fipa-sl
 :protocol fipa-request
 :reply-with buyer1700000000000
 :reply-by +00000000T000100000
 :conversation-id C17_1)"""


def test_peer_asks_in_fipas_encoding_and_is_answered_in_it(tmp_path: Path) -> None:
    with served(tmp_path) as (_, client):
        client.deploy(AgentSpec(name="echo"), example("echo"))
        token = (tmp_path / "data" / "admin.token").read_text(encoding="ascii").strip()
        connection = http.client.HTTPConnection(urlsplit(client.server).netloc, timeout=30)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": f"{ACL}; charset=utf-8", "Accept": ACL}
        connection.request("POST", "/api/v1/messages?wait=20s", REQUEST.encode(), headers)
        answer = connection.getresponse()
        reply = decode_fipa(answer.read(), wall_us=0)
        connection.close()
        assert (answer.status, answer.headers["content-type"]) == (200, f"{ACL}; charset=utf-8")
        assert (reply.sender, reply.receiver, reply.conversation_id) == ("echo", "client:admin", "C17_1")
        assert (reply.protocol, reply.in_reply_to) == ("fipa-request", "buyer1700000000000")
        (asked, _) = client.conversation("C17_1")
        assert (asked.sender, asked.language, bytes(asked.content)) == (
            "client:admin", "fipa-sl", '"((price \\"größe 3\\"))"'.encode(),
        )  # fmt: skip
