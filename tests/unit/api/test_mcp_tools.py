"""What an agent's reply becomes for an MCP client, whatever it says."""

from __future__ import annotations

import msgspec
import pytest

from caxton.api.mcp_tools import NOT_DONE, Ask, Send, answer_of, schema_of
from caxton.messages.message import AclMessage


def reply(content: bytes, performative: str = "inform") -> AclMessage:
    message = AclMessage(performative=performative, receiver="client:ann", content=msgspec.Raw(content))
    message.sender, message.message_id = "a", "m-1"
    return message


@pytest.mark.parametrize("performative", NOT_DONE)
def test_reply_that_says_it_was_not_done_is_an_error(performative: str) -> None:
    answer = answer_of(reply(b'"no"', performative))
    assert (answer.is_error, answer.text, answer.structured) == (True, "no", {"result": "no"})


@pytest.mark.parametrize("performative", ["inform", "agree", "propose"])
def test_other_replies_are_none(performative: str) -> None:
    assert not answer_of(reply(b"1", performative)).is_error


@pytest.mark.parametrize(
    ("content", "text", "structured"),
    [
        (b"", "null", {"result": None}),
        (b'{"a": 1}', '{"a": 1}', {"a": 1}),
        (b"[1]", "[1]", {"result": [1]}),
        (b'"\\ud800"', '"\\ud800"', None),
    ],
)
def test_content_is_text_and_an_object_if_it_can_be_one(
    content: bytes, text: str, structured: dict[str, object] | None
) -> None:
    answer = answer_of(reply(content))
    assert (answer.text, answer.structured) == (text, structured)


@pytest.mark.parametrize("arguments", [Send, Ask])
def test_schema_is_that_of_an_object_which_takes_nothing_else(arguments: type[msgspec.Struct]) -> None:
    schema = schema_of(arguments)
    assert (schema["type"], schema["additionalProperties"]) == ("object", False)
    assert set(schema["properties"]) == set(arguments.__struct_fields__)
    assert all("description" in one for one in schema["properties"].values())
