"""Says "made by a trained algorithm" in a PNG for the many tools that read XMP but not C2PA. Bytes in, bytes out."""

import struct
import zlib
from xml.sax.saxutils import quoteattr

from webapp.provenance.manifest import PROVIDER, SOURCE_TYPE, GenerationFacts

_PNG_HEAD_BYTES = 8 + 25  # the signature and IHDR, which always comes first
_KEYWORD = b"XML:com.adobe.xmp"


def _packet(facts: GenerationFacts) -> bytes:
    tool = quoteattr(f"{PROVIDER} {facts.software_version}")
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        f"xmp:CreatorTool={tool} Iptc4xmpExt:DigitalSourceType={quoteattr(SOURCE_TYPE)} "
        f"Iptc4xmpExt:DigImageGUID={quoteattr(facts.artifact_id.urn)}/>"
        '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


def with_source_type(png: bytes, facts: GenerationFacts) -> bytes:
    """The same picture with an XMP packet (IPTC DigitalSourceType).

    A picture that has a packet near its start keeps its own; what is no PNG stays as it is.
    """
    if png[12:16] != b"IHDR" or _KEYWORD in png[: 1 << 16]:
        return png
    body = b"iTXt" + _KEYWORD + b"\x00\x00\x00\x00\x00" + _packet(facts)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_PNG_HEAD_BYTES] + chunk + png[_PNG_HEAD_BYTES:]
