"""An image job in OpenAI's words: its pictures as one answer, or as a stream of previews and finished pictures."""

import io
import re
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from PIL import Image

from genworkers.contract.events import Preview
from webapp.api.openai import picture_links
from webapp.api.openai.generation import sse
from webapp.api.openai.listening import Ending, Event, heard
from webapp.api.openai.picture_answers import InputTokens, Picture, PicturesResponse, PictureUsage
from webapp.api.openai.picture_translation import PictureCall
from webapp.errors import AppError, not_found
from webapp.gallery import conversions
from webapp.gallery import selectors as gallery
from webapp.gallery.models import Artifact

_WORD_OR_SIGN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Partial:
    """A picture on its way, in the format and the size that it will have. `number` counts those of one picture."""

    index: int
    number: int
    data: str = field(repr=False)


@dataclass(frozen=True)
class Finished:
    """A kept picture."""

    index: int
    artifact_id: str
    seed: int
    data: str = field(repr=False)
    url: str


class PictureReply:
    """How one image job is told.

    Args:
        job: its snapshot as JSON.
        is_kept: the job goes on when the reader leaves.
    """

    def __init__(self, call: PictureCall, job: dict[str, Any], *, is_kept: bool) -> None:
        self._call, self._job, self._is_kept = call, job, is_kept
        self._num_partials_sent = [0] * call.request.num_images
        self._num_tiles = 0
        self._finished: list[Finished] = []

    async def pieces(self) -> AsyncGenerator[Partial | Finished | None, None]:
        """Previews as the stream asks for them, then the pictures; None when nothing has happened.

        Raises:
            AppError: the job came to no good end.
        """
        async with aclosing(heard(UUID(self._job["id"]), is_kept=self._is_kept)) as happenings:
            async for happening in happenings:
                if isinstance(happening, Ending):
                    for finished in await self._kept(happening):
                        yield finished
                elif happening is None:
                    yield None
                elif isinstance(happening, dict) and happening["kind"] == "preview":
                    partial = await self._partial(happening)
                    if partial is not None:
                        yield partial

    async def _partial(self, event: Event) -> Partial | None:
        """The preview, if it is time for the next one of its picture."""
        preview = Preview.model_validate(event, strict=False)
        self._num_tiles = preview.num_tiles
        number = self._num_partials_sent[preview.index]
        is_due = preview.step * (self._call.num_partials + 1) >= preview.num_steps * (number + 1)
        if not self._call.is_stream or number >= self._call.num_partials or not is_due:
            return None
        if preview.step >= preview.num_steps:
            return None  # the picture itself comes next
        self._num_partials_sent[preview.index] += 1
        webp = b64decode(preview.image.partition(",")[2])
        data = await sync_to_async(_enlarged, thread_sensitive=False)(webp, self._call)
        return Partial(preview.index, number, b64encode(data).decode())

    async def _kept(self, ending: Ending) -> list[Finished]:
        if ending.status in ("blocked", "held"):
            raise AppError(code="content_filter", http_status=400, message=ending.message)
        if ending.status != "succeeded":
            raise ending.error()
        found: list[Finished] = await database_sync_to_async(_finished)(UUID(self._job["id"]), self._call)
        if not found:
            raise not_found("picture")
        return found

    def add(self, piece: Partial | Finished) -> None:
        """Put a piece to the whole answer."""
        if isinstance(piece, Finished):
            self._finished.append(piece)

    def whole(self) -> dict[str, Any]:
        """The answer, once every piece was added."""
        pictures = [
            Picture(
                b64_json=None if self._call.has_urls else one.data,
                url=one.url if self._call.has_urls else None,
                artifact=one.artifact_id,
                seed=one.seed,
            )
            for one in self._finished
        ]
        response = PicturesResponse(
            **self._look(), created=self._created, data=pictures, usage=self._usage(len(self._finished))
        )
        return response.model_dump(exclude_none=True)

    def opening(self) -> list[str]:
        """Nothing: the first event is a picture."""
        return []

    def event(self, piece: Partial | Finished) -> str:
        """One picture as a stream tells it."""
        told: dict[str, Any] = self._look() | {
            "created_at": self._created,
            "index": piece.index,
            "b64_json": piece.data,
        }
        if isinstance(piece, Partial):
            kind = f"{self._call.event_prefix}.partial_image"
            return sse({"type": kind, "partial_image_index": piece.number} | told, kind)
        kind = f"{self._call.event_prefix}.completed"
        told |= {"artifact": piece.artifact_id, "seed": piece.seed, "usage": self._usage(1).model_dump()}
        return sse({"type": kind} | told, kind)

    def closing(self) -> list[str]:
        """Nothing: the last picture was the last word."""
        return []

    @property
    def _created(self) -> int:
        return int(datetime.fromisoformat(self._job["created_at"]).timestamp())

    def _look(self) -> dict[str, Any]:
        request = self._call.request
        return {
            "background": "transparent" if request.background == "transparent" else "opaque",
            "output_format": self._call.output_format,
            "quality": self._call.quality,
            "size": f"{request.size_px}x{request.size_px}",
        }

    def _usage(self, num_pictures: int) -> PictureUsage:
        text = len(_WORD_OR_SIGN.findall(self._call.request.typed_text))
        image = self._num_tiles if self._call.request.start_image else 0
        drawn = self._num_tiles * num_pictures
        return PictureUsage(
            input_tokens=text + image,
            input_tokens_details=InputTokens(text_tokens=text, image_tokens=image),
            output_tokens=drawn,
            total_tokens=text + image + drawn,
        )


def _enlarged(webp: bytes, call: PictureCall) -> bytes:
    size_px, background = call.request.size_px, call.request.background
    target = io.BytesIO()
    with Image.open(io.BytesIO(webp)) as image:
        large = image.convert("RGBA").resize((size_px, size_px), Image.Resampling.BICUBIC)
    if call.output_format == "jpeg" or background != "transparent":
        large = conversions.on_ground(large, background)
    large.save(target, call.output_format.upper(), **({"compress_level": 1} if call.output_format == "png" else {}))
    return target.getvalue()


def _finished(job_id: UUID, call: PictureCall) -> list[Finished]:
    kept = gallery.with_facts(Artifact.objects.filter(job_id=job_id, status=Artifact.Status.KEPT)).order_by("index")
    return [_told(artifact, call) for artifact in kept]


def _told(artifact: Artifact, call: PictureCall) -> Finished:
    file = conversions.in_format(artifact, call.output_format)
    data = ""
    if not call.has_urls:
        with gallery.open_bytes(file) as opened:
            data = b64encode(opened.read()).decode()
    url = picture_links.link_to(artifact.id, call.output_format) if call.has_urls else ""
    return Finished(artifact.index, str(artifact.id), artifact.seed, data, url)
