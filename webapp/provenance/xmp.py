"""Says "made by a trained algorithm" in a file for the many tools that read XMP but not C2PA. Bytes in, bytes out.

Where a packet stands in each kind of file: Adobe, "XMP Specification Part 3: Storage in Files" (2020); for WebP: the
"WebP Container Specification". What is none of these, or holds a packet already, stays as it is.
"""

import struct
import zlib
from collections.abc import Callable
from xml.sax.saxutils import quoteattr

from webapp.provenance.manifest import PROVIDER, GenerationFacts

_PNG_HEAD_BYTES = 8 + 25  # the signature and IHDR, which always comes first
_PNG_KEYWORD = b"XML:com.adobe.xmp"
_JPEG_NAME = b"http://ns.adobe.com/xap/1.0/\x00"
_GIF_NAME = b"\x21\xff\x0bXMP DataXMP"
# A reader that does not know the block skips through this tail wherever it enters: see Part 3, section 1.1.2.
_GIF_TAIL = b"\x01" + bytes(range(255, -1, -1)) + b"\x00"
_MP4_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_WEBP_HAS_XMP, _WEBP_HAS_ALPHA = 0x04, 0x10


def packet(facts: GenerationFacts) -> bytes:
    """The XMP packet of one artifact: what made it, IPTC's DigitalSourceType and the artifact's id."""
    tool = quoteattr(f"{PROVIDER} {facts.software_version}")
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        f"xmp:CreatorTool={tool} Iptc4xmpExt:DigitalSourceType={quoteattr(facts.source_type)} "
        f"Iptc4xmpExt:DigImageGUID={quoteattr(facts.artifact_id.urn)}/>"
        '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


def with_source_type(data: bytes, media_type: str, facts: GenerationFacts) -> bytes:
    """The same file with an XMP packet (IPTC DigitalSourceType)."""
    write = _WRITERS.get(media_type)
    return data if write is None or b"x:xmpmeta" in data else write(data, packet(facts))


def _in_png(png: bytes, xmp: bytes) -> bytes:
    if png[12:16] != b"IHDR":
        return png
    body = b"iTXt" + _PNG_KEYWORD + b"\x00\x00\x00\x00\x00" + xmp
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_PNG_HEAD_BYTES] + chunk + png[_PNG_HEAD_BYTES:]


def _in_jpeg(jpeg: bytes, xmp: bytes) -> bytes:
    if jpeg[:2] != b"\xff\xd8":
        return jpeg
    has_jfif = jpeg[2:4] == b"\xff\xe0"  # which must stay first
    place = 4 + int.from_bytes(jpeg[4:6], "big") if has_jfif else 2
    body = _JPEG_NAME + xmp
    return jpeg[:place] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[place:]


def _in_webp(webp: bytes, xmp: bytes) -> bytes:
    if webp[:4] != b"RIFF" or webp[8:12] != b"WEBP":
        return webp
    chunks = webp[12:]
    if chunks[:4] == b"VP8X":
        chunks = chunks[:8] + bytes([chunks[8] | _WEBP_HAS_XMP]) + chunks[9:]
    else:
        chunks = _webp_head(chunks) + chunks
    body = b"WEBP" + chunks + b"XMP " + struct.pack("<I", len(xmp)) + xmp + b"\x00" * (len(xmp) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_head(chunks: bytes) -> bytes:
    """The VP8X chunk of a file that had none, because it was a single picture without metadata."""
    if chunks[:4] == b"VP8L":
        bits = int.from_bytes(chunks[9:13], "little")
        width_less_1, height_less_1 = bits & 0x3FFF, bits >> 14 & 0x3FFF
        flags = _WEBP_HAS_XMP | (_WEBP_HAS_ALPHA if bits >> 28 & 1 else 0)
    else:
        width_less_1 = (int.from_bytes(chunks[14:16], "little") & 0x3FFF) - 1
        height_less_1 = (int.from_bytes(chunks[16:18], "little") & 0x3FFF) - 1
        flags = _WEBP_HAS_XMP
    size = width_less_1.to_bytes(3, "little") + height_less_1.to_bytes(3, "little")
    return b"VP8X" + struct.pack("<I", 10) + bytes([flags, 0, 0, 0]) + size


def _in_gif(gif: bytes, xmp: bytes) -> bytes:
    if gif[:4] != b"GIF8" or len(gif) < 14:
        return gif
    has_colours = gif[10] & 0x80
    place = 13 + (3 * 2 ** ((gif[10] & 7) + 1) if has_colours else 0)
    return gif[:place] + _GIF_NAME + xmp + _GIF_TAIL + gif[place:]


def _in_mp4(mp4: bytes, xmp: bytes) -> bytes:
    if mp4[4:8] != b"ftyp":
        return mp4
    return mp4 + struct.pack(">I", 24 + len(xmp)) + b"uuid" + _MP4_UUID + xmp


def _in_svg(svg: bytes, xmp: bytes) -> bytes:
    start = svg.find(b"<svg")
    place = svg.find(b">", start) + 1
    if start < 0 or place == 0 or svg[place - 2 : place - 1] == b"/":
        return svg
    return svg[:place] + b"<metadata>" + xmp + b"</metadata>" + svg[place:]


_WRITERS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "image/png": _in_png,
    "image/jpeg": _in_jpeg,
    "image/webp": _in_webp,
    "image/gif": _in_gif,
    "video/mp4": _in_mp4,
    "image/svg+xml": _in_svg,
}
