"""Marks pictures before they become files, says how texts are marked, and takes the fingerprints of both."""

import secrets
from collections.abc import Sequence
from typing import overload
from uuid import UUID

from genworkers.codecs.image_bytes import Pixels
from genworkers.marks import fingerprint, image_mark, text_mark
from genworkers.marks.keys import MarkKey
from webapp.provenance import mark_keys
from webapp.provenance.manifest import MarkFacts, unmarked
from webapp.provenance.models import MarkRecord
from webapp.provenance.services import FingerprintFacts

NOT_DRAWN = "Next to nothing in it was left to chance, which leaves no room for a mark."
NOTHING_SEEN = "Nothing in it can be seen, so there is nothing to mark."
WEAK = "Marked, but too short, or with too little left to chance, for the mark to be found again for sure."


def key_of(workspace_id: UUID) -> MarkKey:
    """The key that marks what this workspace makes now."""
    return MarkKey(*mark_keys.key_in_use(workspace_id))


def new_picture_mark(key: MarkKey, frames: Sequence[Pixels]) -> MarkFacts:
    """A mark for these pictures that no others under this key have; none where every pixel is transparent."""
    if not any(frame[..., 3].any() for frame in frames):
        return unmarked(NOTHING_SEEN)
    while True:
        payload = f"{secrets.randbelow(image_mark.NUM_PAYLOADS):09x}"
        if not MarkRecord.objects.filter(key_id=key.key_id, payload=payload).exists():
            return MarkFacts(image_mark.SCHEME, key.key_id, payload)


def marked(pixels: Pixels, key: MarkKey, mark: MarkFacts) -> Pixels:
    """The same picture with the mark in it, if there is one."""
    return image_mark.embed(pixels, key, int(mark.payload, 16)) if mark.is_there else pixels


class MarkedFrames(Sequence[Pixels]):
    """The frames of a walk, each marked when it is read, as they are made: all at once would fill the memory."""

    def __init__(self, frames: Sequence[Pixels], key: MarkKey, mark: MarkFacts) -> None:
        self._frames, self._key, self._mark = frames, key, mark

    def __len__(self) -> int:
        """How many there are."""
        return len(self._frames)

    @overload
    def __getitem__(self, index: int) -> Pixels: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pixels]: ...
    def __getitem__(self, index: int | slice) -> Pixels | list[Pixels]:
        """One frame, or several."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return marked(self._frames[index], self._key, self._mark)


def text_mark_of(key: MarkKey, strength: float) -> MarkFacts:
    """How a text is marked that was drawn with this key, so strongly."""
    standing = text_mark.standing(strength)
    if standing == "not_drawn":
        return unmarked(NOT_DRAWN)
    return MarkFacts(text_mark.SCHEME, key.key_id, note=WEAK if standing == "weak" else "")


def picture_fingerprint(pixels: Pixels) -> FingerprintFacts:
    """What a picture looks like."""
    return _facts(fingerprint.of_picture(pixels))


def text_fingerprint(text: str) -> FingerprintFacts:
    """What a text reads like."""
    return _facts(fingerprint.of_text(text))


def _facts(value: bytes) -> FingerprintFacts:
    return FingerprintFacts(value.hex(), tuple(fingerprint.bands(value)))
