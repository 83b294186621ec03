"""A request of any size is refused before a byte of it is on disk, whoever asks and however it is sent."""

import json
from collections.abc import Sequence

import pytest
from asgiref.testing import ApplicationCommunicator

from webapp.asgi import application
from webapp.body_limit import MAX_REQUEST_BYTES

CHUNK = b"x" * 5_000_000
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'


async def answer(path: str, chunks: Sequence[bytes], num_announced: int | None) -> tuple[int, str]:
    headers = [(b"host", b"localhost"), (b"content-type", b"multipart/form-data; boundary=b")]
    if num_announced is not None:
        headers.append((b"content-length", str(num_announced).encode()))
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    asked = ApplicationCommunicator(application, scope | {"client": ("127.0.0.1", 1), "http_version": "1.1"})
    for chunk in chunks:
        await asked.send_input({"type": "http.request", "body": chunk, "more_body": True})
    start = await asked.receive_output(30)
    body = b""
    while True:
        event = await asked.receive_output(30)
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    await asked.send_input({"type": "http.disconnect"})
    return start["status"], body.decode()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/verify/", "/api/v1/verify", "/v1/images/edits", "/accounts/login/"])
async def test_what_is_announced_too_large_is_not_even_read(path: str) -> None:
    status, body = await answer(path, [], MAX_REQUEST_BYTES + 1)
    assert status == 413
    assert "body_too_large" in body


@pytest.mark.django_db(transaction=True)
async def test_what_grows_too_large_is_dropped() -> None:
    chunks = [HEAD, *[CHUNK] * (MAX_REQUEST_BYTES // len(CHUNK) + 1)]
    status, body = await answer("/api/v1/verify", chunks, None)
    assert (status, json.loads(body)["code"]) == (413, "body_too_large")
