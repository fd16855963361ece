"""Answers of the sidecar's own over HTTP/2."""

from urllib.parse import unquote

import pytest

from sidecar.core.errors import RequestRefused
from sidecar.core.problem import render
from sidecar.http2.header_block import response_head
from sidecar.http2.hpack import Decoder
from sidecar.http2.messages import own_answer


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", b""),
        ("plain, with: 'signs'", b"plain, with: 'signs'"),
        ("100 % ä", b"100 %25 %C3%A4"),
        (" ", b"%20"),
        (" a", b"%20a"),
        ("a  ", b"a %20"),
        ("  a b ", b"%20 a b%20"),
        ("\ta\r\n", b"%09a%0D%0A"),
        ("a\u2028", b"a%E2%80%A8"),
    ],
)
def test_a_grpc_message_is_a_valid_field(text: str, message: bytes) -> None:
    """Whatever the text begins or ends with; a client decodes all of it."""
    wire, _ = own_answer(render(RequestRefused(400, text), "id"), grpc=True, head_only=False)
    head = response_head(Decoder(max_list=10_000).decode(wire))
    assert head.values(b"grpc-message") == [message]
    assert unquote(message.decode()) == text
