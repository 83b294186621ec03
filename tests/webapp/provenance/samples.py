"""Things to sign, for the tests of credentials and of the gallery's door."""

import io
import uuid
from datetime import UTC, datetime

from PIL import Image

from webapp.provenance.services import FingerprintFacts, GenerationFacts, MarkFacts

TEXT = "Once upon a time there was a brave little boat. \U0001f6f6\n".encode()
# 120 words, enough to be known by
STORY = " ".join(
    f"The {animal} went to the {place}."
    for animal in ("fox", "owl", "hen", "cow", "dog")
    for place in ("sea", "hill", "town", "wood")
)
TILES = Image.effect_mandelbrot((64, 64), (-2.0, -1.5, 1.0, 1.5), 60).convert("RGBA")
PICTURE = TILES.resize((512, 512), Image.Resampling.NEAREST)

MARK = MarkFacts("picture.1", "0123456789ab", "0fedcba98")
FINGERPRINT = FingerprintFacts("50" + "00ff" * 42, (255, 1 << 32 | 255))


def encoded(image: Image.Image, form: str) -> bytes:
    """The picture as a file."""
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


PNG = encoded(PICTURE, "PNG")
WEBP = encoded(PICTURE.resize((256, 256)), "WEBP")


def facts_of(
    artifact_id: uuid.UUID | None = None, job_id: uuid.UUID | None = None, mark: MarkFacts = MARK
) -> GenerationFacts:
    """What a manifest says of something made just now."""
    return GenerationFacts(
        artifact_id=artifact_id or uuid.uuid4(),
        job_id=job_id or uuid.uuid4(),
        title="image 1",
        net="mosaic",
        checkpoint_sha256="c" * 64,
        created_at=datetime.now(UTC),
        software_version="0.1.0",
        mark=mark,
    )
