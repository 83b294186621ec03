"""What a file really is, by its first bytes: names and declared types of strangers' files are not believed."""

import re

_BY_START = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
)
_BY_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_BY_BRAND = {b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic"}
_HEAD_BYTES = 4096
# What may stand before the first element of an SVG: BOM, spaces, declarations, comments and a document type. Each is
# matched once and for all (?>), so that no file makes the search long.
_SVG = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*+(?:(?><\?.*?\?>|<!--.*?-->|<!doctype[^>\[]*(?:\[.*?\])?\s*>)\s*+)*+<svg[\s:/>]", re.I | re.S
)
UNKNOWN = "application/octet-stream"


def media_type_of(data: bytes) -> str:
    """The media type of a whole file; `application/octet-stream` for what is neither known nor text in UTF-8."""
    for start, media_type in _BY_START:
        if data.startswith(start):
            return media_type
    if data[:4] == b"RIFF":
        return _BY_RIFF.get(data[8:12], UNKNOWN)
    if data[4:8] == b"ftyp":
        return _BY_BRAND.get(data[8:12], "video/mp4")
    if _SVG.match(data[:_HEAD_BYTES]):
        return "image/svg+xml"
    return "text/plain" if _is_text(data) else UNKNOWN


def _is_text(data: bytes) -> bool:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return "\0" not in text
