"""A picture in other formats: WebP, JPEG and SVG, each made from the original when first asked for, signed and kept."""

import io

from PIL import Image

from webapp import processes
from webapp.catalog import selectors as catalog
from webapp.errors import AppError, echo, problem
from webapp.gallery import selectors, services
from webapp.gallery.models import Artifact, ArtifactFile
from webapp.provenance import services as provenance
from webapp.provenance.manifest import unmarked
from webapp.provenance.services import GenerationFacts, MarkFacts, SignedFile

FORMAT_OF = {
    "image/png": "png",
    "image/webp": "webp",
    "image/gif": "gif",
    "video/mp4": "mp4",
    "text/plain": "txt",
}
MEDIA_TYPE_OF = {"webp": "image/webp", "jpeg": "image/jpeg", "svg": "image/svg+xml"}
WEBP_QUALITY = 90
JPEG_QUALITY = 92
WHITE = "#ffffff"


def formats_of(artifact: Artifact) -> list[str]:
    """The formats that an artifact can be had in, its own first. Only a picture at rest can be converted."""
    original = selectors.file_of(artifact, ArtifactFile.Role.ORIGINAL)
    if original is None:
        return []
    own = _format_of(original)
    return [own, *MEDIA_TYPE_OF] if own == "png" else [own]


def _format_of(original: ArtifactFile) -> str:
    media_type = original.media_type.partition(";")[0].strip()
    return FORMAT_OF.get(media_type, media_type)


def in_format(artifact: Artifact, name: str) -> ArtifactFile:
    """The artifact's file in this format: the original, or its conversion, which is made if there is none yet.

    Args:
        name: one of `formats_of`; empty means the original's own.

    Raises:
        AppError: format_unknown, conversion_failed, pictures_busy, storage_full.
        FileNotFoundError: the artifact has no original, or its bytes are gone.
    """
    original = selectors.file_of(artifact, ArtifactFile.Role.ORIGINAL)
    if original is None:
        raise FileNotFoundError(f"artifact {artifact.id} has no original")
    formats = formats_of(artifact)
    if name in ("", formats[0]):
        return original
    if name not in formats:
        raise _unknown(name, formats)
    return converted(artifact, ArtifactFile.Role(name))


def converted(artifact: Artifact, role: ArtifactFile.Role) -> ArtifactFile:
    """The original as WebP, JPEG or SVG; two callers at once get the same file.

    Args:
        artifact: one whose original is a PNG.

    Raises:
        AppError: conversion_failed, pictures_busy, storage_full.
        FileNotFoundError: the artifact has no original, or its bytes are gone.
    """
    known = selectors.file_of(artifact, role)
    if known is not None:
        return known
    original = _signed_original(artifact)
    media_type = MEDIA_TYPE_OF[role]
    data = _converted(original.data, role, artifact)
    mark = mark_of(artifact, role)
    facts = GenerationFacts(
        artifact_id=artifact.id,
        job_id=artifact.job_id,
        title=f"{artifact.kind} {artifact.index + 1}",
        net=artifact.net,
        checkpoint_sha256=artifact.checkpoint_sha256,
        created_at=artifact.created_at,
        software_version=artifact.versions.get("tessera", ""),
        mark=mark,
    )
    parent = provenance.copy_of(original, "c2pa.transcoded", facts.title)
    copy = provenance.sign(data, media_type, facts=facts, ingredients=[parent])
    return services.store_copy(artifact, role, copy, original_label=original.manifest_label, mark=mark)


def mark_of(artifact: Artifact, role: str) -> MarkFacts:
    """The mark in one file of an artifact: that of its original, which paths and flat colours cannot carry."""
    if role == ArtifactFile.Role.SVG:
        return unmarked("Traced as paths: a mark lives in pixels.")
    record = artifact.mark
    return MarkFacts(record.scheme, record.key_id, record.payload, record.note)


def _signed_original(artifact: Artifact) -> SignedFile:
    file = selectors.file_of(artifact, ArtifactFile.Role.ORIGINAL)
    if file is None:
        raise FileNotFoundError(f"artifact {artifact.id} has no original")
    with selectors.open_bytes(file) as opened:
        data: bytes = opened.read()
    credential = file.credential
    return SignedFile(
        data=data,
        media_type=file.media_type,
        sidecar=None,
        manifest_label=credential.manifest_label,
        issuer=credential.issuer,
        certificate_sha256=credential.certificate_sha256,
        is_embedded=credential.is_embedded,
        signed_at=credential.signed_at,
    )


def _converted(png: bytes, role: str, artifact: Artifact) -> bytes:
    net = catalog.net(artifact.net)
    is_pixel_art = net is not None and net.config.get("upscaling") == "nearest"
    if role == ArtifactFile.Role.SVG:
        return _as_svg(png, is_pixel_art=is_pixel_art)
    target = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        if role == ArtifactFile.Role.WEBP:
            image.save(target, "WEBP", lossless=is_pixel_art, quality=WEBP_QUALITY)
        else:
            on_ground(image, artifact.request.get("background", "")).save(target, "JPEG", quality=JPEG_QUALITY)
    return target.getvalue()


def on_ground(image: Image.Image, background: str) -> Image.Image:
    """The picture without transparency: on this colour, or on white where it is no colour. RGB."""
    colour = background if background.startswith("#") else WHITE
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, colour), rgba).convert("RGB")


def _as_svg(png: bytes, *, is_pixel_art: bool) -> bytes:
    svg = processes.answer_of("webapp.gallery.picture_tracer", png, *(["pixel-art"] if is_pixel_art else []))
    if not svg:
        message = "This picture has too many small parts to be drawn as SVG. Take PNG, WebP or JPEG."
        raise AppError("conversion_failed", 422, message)
    return svg


def _unknown(name: str, formats: list[str]) -> AppError:
    allowed = " or ".join(formats)
    problems = [problem("format", "format_unknown", "this artifact cannot be had in this format", name, allowed)]
    message = f"This artifact cannot be had as {echo(name)!r}; only as {allowed}."
    return AppError("format_unknown", 422, message, problems=problems)
