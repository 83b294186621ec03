"""What is marked, when, and what is not."""

import numpy as np
import pytest

from genworkers.codecs.image_bytes import Pixels
from genworkers.marks import image_mark
from genworkers.tasks import marking
from tests.factories import WorkspaceFactory
from webapp.provenance.manifest import MarkFacts, unmarked

pytestmark = pytest.mark.django_db


class Counting(list[Pixels]):
    """Frames that know which of them were read."""

    def __init__(self, frames: list[Pixels]) -> None:
        super().__init__(frames)
        self.read: list[int] = []

    def __getitem__(self, index: int) -> Pixels:  # type: ignore[override]
        self.read.append(index)
        return super().__getitem__(index)


def test_frames_are_marked_one_by_one_as_they_are_read() -> None:
    key = marking.key_of(WorkspaceFactory.create().id)
    grey = np.full((256, 256, 4), (120, 120, 120, 255), np.uint8)
    frames = Counting([grey] * 5)
    mark = MarkFacts(image_mark.SCHEME, key.key_id, "00000002a")
    marked = marking.MarkedFrames(frames, key, mark)
    assert (len(marked), frames.read) == (5, [])
    found = next(iter(image_mark.findings(marked[3], [key])))
    assert frames.read == [3]
    assert (found.key_id, found.payload) == (key.key_id, 42)
    assert len(marked[1:3]) == 2
    assert frames.read == [3, 1, 2]


def test_a_picture_of_nothing_stays_as_it_is_and_says_so() -> None:
    key = marking.key_of(WorkspaceFactory.create().id)
    nothing = np.zeros((64, 64, 4), np.uint8)
    mark = marking.new_picture_mark(key, [nothing, nothing])
    assert mark == unmarked(marking.NOTHING_SEEN)
    assert marking.marked(nothing, key, mark) is nothing
    assert marking.new_picture_mark(key, [nothing, nothing + 255]).scheme == image_mark.SCHEME
