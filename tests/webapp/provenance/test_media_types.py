"""Files are what their first bytes say, whatever they are called."""

import pytest

from tests.webapp.provenance.samples import PICTURE, PNG, TEXT, WEBP, encoded
from webapp.provenance.media_types import UNKNOWN, media_type_of


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (PNG, "image/png"),
        (WEBP, "image/webp"),
        (encoded(PICTURE.convert("RGB"), "JPEG"), "image/jpeg"),
        (encoded(PICTURE, "GIF"), "image/gif"),
        (encoded(PICTURE, "TIFF"), "image/tiff"),
        (encoded(PICTURE, "AVIF"), "image/avif"),
        (b"\0\0\0\x20ftypisom", "video/mp4"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml"),
        (b"\xef\xbb\xbf\n<SVG>", "image/svg+xml"),
        (
            b'<!-- drawn --> <!-- again -->\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "a.dtd">\n<svg ',
            "image/svg+xml",
        ),
        (b'<?xml version="1.0"?><?a b?><!DOCTYPE svg [ <!ENTITY a "<b>"> ]><svg:svg>', "image/svg+xml"),
        (b"How to draw a circle: <svg><circle r='9'/></svg>", "text/plain"),
        (b"<!-- an <svg> is shown here --><p>Words</p>", "text/plain"),
        (b"<!doctype html><html><svg></svg></html>", "text/plain"),
        (b"<!---->" * 500 + b"<svgs", "text/plain"),
        (b"%PDF-1.7", "application/pdf"),
        (TEXT, "text/plain"),
        ("Ein müder Bär.".encode(), "text/plain"),
        ("Ein müder Bär.".encode("latin-1"), UNKNOWN),
        (b"a\0b", UNKNOWN),
        (b"\x7fELF\x02\x01\x01\x00", UNKNOWN),
    ],
)
def test_what_a_file_is(data: bytes, media_type: str) -> None:
    assert media_type_of(data) == media_type
