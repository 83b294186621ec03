"""Animations read back: every frame, its time, its colours and its alpha, in all three kinds of file."""

import io

import av
import numpy as np
import pytest
from PIL import Image

from genworkers.codecs import animation
from genworkers.codecs.animation import AnimationTooLargeError, FileFormat, to_animation
from genworkers.codecs.image_bytes import Pixels, lay_on

SIZE_PX = 64


def disc(place: float) -> Pixels:
    """An opaque disc whose hue and place depend on `place`, 0..1, on nothing."""
    rows, columns = np.mgrid[:SIZE_PX, :SIZE_PX]
    is_inside = np.hypot(rows - 32, columns - (16 + 32 * place)) < 14
    pixels = np.zeros((SIZE_PX, SIZE_PX, 4), dtype=np.uint8)
    pixels[is_inside] = (220, round(40 + 160 * place), 60, 255)
    return pixels


FRAMES = [disc(place) for place in np.linspace(0, 1, 9)]


def read(data: bytes) -> list[Pixels]:
    """Every frame of a WebP or GIF."""
    frames = []
    with Image.open(io.BytesIO(data)) as image:
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGBA")))
    return frames


def read_mp4(data: bytes) -> list[Pixels]:
    """Every frame of an MP4, without alpha."""
    with av.open(io.BytesIO(data), "r") as file:
        return [np.asarray(frame.to_ndarray(format="rgb24")) for frame in file.decode(video=0)]


@pytest.mark.parametrize("file_format", ["webp", "gif"])
def test_frames_come_back_with_their_colours_and_alpha(file_format: FileFormat) -> None:
    found = read(to_animation(FRAMES, file_format, 12))
    assert len(found) == len(FRAMES)
    for frame, expected in zip(found, FRAMES, strict=True):
        is_inside = (expected[..., 3] == 255) & (frame[..., 3] == 255)
        assert is_inside.sum() > 0.95 * (expected[..., 3] == 255).sum()
        assert np.abs(frame[..., :3].astype(int) - expected[..., :3])[is_inside].mean() < 8
        assert (frame[expected[..., 3] == 0][:, 3] > 0).mean() < 0.02


def test_an_mp4_shows_every_frame_on_white() -> None:
    found = read_mp4(to_animation(FRAMES, "mp4", 12))
    assert len(found) == len(FRAMES)
    for frame, expected in zip(found, FRAMES, strict=True):
        assert np.abs(frame.astype(int) - lay_on(expected, "#ffffff")[..., :3]).mean() < 4
    assert found[0][0, 0].min() > 250


def test_an_mp4_can_be_played_before_all_of_it_has_come() -> None:
    data = to_animation(FRAMES, "mp4", 12)
    assert 0 < data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("file_format", ["webp", "gif", "mp4"])
def test_a_background_lies_under_every_frame(file_format: FileFormat) -> None:
    data = to_animation(FRAMES, file_format, 10, background="#1e5ac8")
    found = read_mp4(data) if file_format == "mp4" else read(data)
    for frame in found:
        assert np.abs(frame[0, 0, :3].astype(int) - (30, 90, 200)).max() < 10
        if file_format != "mp4":
            assert frame[..., 3].min() == 255


@pytest.mark.parametrize("file_format", ["webp", "gif", "mp4"])
def test_the_same_frames_give_the_same_bytes(file_format: FileFormat) -> None:
    assert to_animation(FRAMES, file_format, 24) == to_animation(FRAMES, file_format, 24)


@pytest.mark.parametrize(("file_format", "fps"), [("webp", 12), ("webp", 7), ("gif", 12), ("gif", 30)])
def test_an_animation_lasts_as_long_as_it_should(file_format: FileFormat, fps: int) -> None:
    with Image.open(io.BytesIO(to_animation(FRAMES, file_format, fps))) as image:
        assert image.info["loop"] == 0
        lasted_ms = 0
        for index in range(len(FRAMES)):
            image.seek(index)
            image.load()
            lasted_ms += image.info["duration"]
    assert lasted_ms == pytest.approx(1000 * len(FRAMES) / fps, abs=10)


def test_a_gif_has_no_colour_that_no_frame_has() -> None:
    shown = np.concatenate([frame[frame[..., 3] > 0] for frame in read(to_animation(FRAMES, "gif", 12))])
    assert shown[:, 0].min() > 200
    assert shown[:, 2].max() < 80


@pytest.mark.parametrize("file_format", ["webp", "gif", "mp4"])
def test_one_frame_and_a_frame_with_nothing_on_it_are_fine(file_format: FileFormat) -> None:
    assert to_animation([np.zeros((8, 8, 4), dtype=np.uint8)], file_format, 1)


def test_frames_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="frame 1 has shape"):
        to_animation([FRAMES[0], FRAMES[0][:32]], "webp", 12)


@pytest.mark.parametrize(("num_frames", "fps"), [(0, 12), (241, 12), (2, 0), (2, 31)])
def test_numbers_out_of_range_are_named(num_frames: int, fps: int) -> None:
    with pytest.raises(ValueError, match=f"got {num_frames} at {fps}"):
        to_animation(FRAMES[:1] * num_frames, "webp", fps)


def test_an_odd_size_cannot_be_an_mp4() -> None:
    with pytest.raises(ValueError, match="even width"):
        to_animation([FRAMES[0][:63]], "mp4", 12)


def test_an_unknown_kind_of_file_is_named() -> None:
    with pytest.raises(ValueError, match="webp, gif, mp4"):
        to_animation(FRAMES, "avi", 12)  # type: ignore[arg-type]


def test_a_file_that_is_too_large_is_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(animation, "MAX_BYTES", 100)
    with pytest.raises(AnimationTooLargeError, match="fewer frames"):
        to_animation(FRAMES, "gif", 12)
