"""Frames to one moving file: animated WebP, GIF and MP4. The same frames give the same bytes.

Frames are straight-alpha pictures as in image_bytes.py, all of one size. They are read one at a time, so that a caller
may make them when they are asked for. Start at `to_animation`.
"""

import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeAlias

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from PIL import Image

from genworkers.codecs.image_bytes import Pixels, lay_on

FileFormat: TypeAlias = Literal["webp", "gif", "mp4"]
MEDIA_TYPE_OF: dict[FileFormat, str] = {"webp": "image/webp", "gif": "image/gif", "mp4": "video/mp4"}

MAX_FRAMES = 240
MAX_FPS = 30
MAX_BYTES = 48 * 2**20
TRANSPARENT = "transparent"
WHITE = "#ffffff"
WEBP_QUALITY = 80
WEBP_ALPHA_QUALITY = 60  # alpha is off by 0.5 of 255 on average, and files are 38 % smaller
WEBP_METHOD = 2  # 4 makes files 5 % smaller and takes twice as long, measured on 32 frames of 512 px
MP4_QUALITY = (
    18  # x264's constant rate factor, less is better: 42 dB from the frames; 23 halves the file and gives 40 dB
)
NUM_PALETTE_FRAMES = 12
PALETTE_PX = 128
TRANSPARENT_INDEX = 255
GIF_TICK_MS = 10


class AnimationTooLargeError(ValueError):
    """The file would be larger than MAX_BYTES; the message says what makes it smaller."""


def to_animation(frames: Sequence[Pixels], file_format: FileFormat, fps: int, background: str = TRANSPARENT) -> bytes:
    """One file that shows the frames in turn and begins again.

    WebP keeps alpha as it is, GIF shows a pixel or does not, MP4 (H.264) is opaque.

    Args:
        frames: 1 to MAX_FRAMES pictures (H, W, 4) of one size; for MP4 of an even one.
        fps: pictures a second, 1 to MAX_FPS. GIF counts in 1/100 s and is on time on average.
        background: a colour like #ffcc00, laid under every frame. "transparent" leaves WebP and GIF so; MP4 gets white.

    Raises:
        ValueError: frames or fps are out of range, or the frames' sizes differ.
        AnimationTooLargeError: the file would have more than MAX_BYTES.
    """
    if not 1 <= len(frames) <= MAX_FRAMES or not 1 <= fps <= MAX_FPS:
        raise ValueError(
            f"needs 1 to {MAX_FRAMES} frames and 1 to {MAX_FPS} pictures a second, got {len(frames)} at {fps}"
        )
    encode = _ENCODER_OF.get(file_format)
    if encode is None:
        raise ValueError(f"file_format must be one of {', '.join(_ENCODER_OF)}, got {file_format!r}")
    encoded = encode(frames, fps, background)
    if len(encoded) > MAX_BYTES:
        raise AnimationTooLargeError(
            f"The animation would have {len(encoded) / 2**20:.0f} MB, and {MAX_BYTES / 2**20:.0f} MB is the most. "
            "Ask for fewer frames, the smaller size, or MP4."
        )
    return encoded


def _laid(frames: Sequence[Pixels], background: str) -> Iterator[Pixels]:
    shape: tuple[int, ...] | None = None
    for index in range(len(frames)):
        frame = frames[index]
        if frame.ndim != 3 or frame.shape[2] != 4 or frame.shape != (shape or frame.shape):
            raise ValueError(f"frame {index} has shape {frame.shape}, expected {shape or '(H, W, 4)'}")
        shape = frame.shape
        yield lay_on(frame, background)


def _durations_ms(num_frames: int, fps: int, tick_ms: int) -> list[int]:
    """How long each frame stands, in whole ticks, so that no frame is off by more than half a tick."""
    ends = [round(index * 1000 / fps / tick_ms) * tick_ms for index in range(num_frames + 1)]
    return [end - start for start, end in pairwise(ends)]


def _to_webp(frames: Sequence[Pixels], fps: int, background: str) -> bytes:
    images = (Image.fromarray(frame, mode="RGBA") for frame in _laid(frames, background))
    buffer = io.BytesIO()
    next(images).save(
        buffer,
        format="WEBP",
        save_all=True,
        append_images=images,
        duration=_durations_ms(len(frames), fps, 1),
        loop=0,
        quality=WEBP_QUALITY,
        alpha_quality=WEBP_ALPHA_QUALITY,
        method=WEBP_METHOD,
    )
    return buffer.getvalue()


def _to_gif(frames: Sequence[Pixels], fps: int, background: str) -> bytes:
    palette = _palette(frames, background)
    images = (_indexed(frame, palette) for frame in _laid(frames, background))
    buffer = io.BytesIO()
    next(images).save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=images,
        duration=_durations_ms(len(frames), fps, GIF_TICK_MS),
        loop=0,
        disposal=2,
        transparency=TRANSPARENT_INDEX,
        optimize=False,
    )
    return buffer.getvalue()


def _palette(frames: Sequence[Pixels], background: str) -> Image.Image:
    """255 colours for the whole animation, from frames spread over it; the last place means transparent."""
    num_looked_at = min(len(frames), NUM_PALETTE_FRAMES)
    places = np.linspace(0, len(frames) - 1, num_looked_at).round().astype(int)
    step = max(1, frames[0].shape[0] // PALETTE_PX)
    seen = [_visible_colours(frames[int(place)][::step, ::step], background) for place in places]
    colours = np.concatenate(seen) if sum(map(len, seen)) else np.zeros((1, 3), dtype=np.uint8)
    found = Image.fromarray(colours[None], mode="RGB").quantize(
        TRANSPARENT_INDEX, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
    )
    entries = (found.getpalette() or [])[: 3 * TRANSPARENT_INDEX]
    palette = Image.new("P", (1, 1))
    # Places that no colour needs repeat the first one, so that nothing is drawn with a colour that never was there.
    palette.putpalette(entries + entries[:3] * (256 - len(entries) // 3))
    return palette


def _visible_colours(pixels: Pixels, background: str) -> Pixels:
    """The colours (N, 3) of the pixels that a GIF shows."""
    shown = lay_on(pixels, background)
    colours: Pixels = lay_on(shown, WHITE)[..., :3][shown[..., 3] >= 128]
    return colours


def _indexed(pixels: Pixels, palette: Image.Image) -> Image.Image:
    """One frame in the palette's colours. Half-transparent edges are laid on white, as most pages are."""
    colours = Image.fromarray(np.ascontiguousarray(lay_on(pixels, WHITE)[..., :3]), mode="RGB")
    indices = np.array(colours.quantize(palette=palette, dither=Image.Dither.NONE))
    indices[indices == TRANSPARENT_INDEX] = 0
    indices[pixels[..., 3] < 128] = TRANSPARENT_INDEX
    image = Image.fromarray(indices, mode="P")
    image.putpalette(palette.getpalette() or [])
    return image


def _to_mp4(frames: Sequence[Pixels], fps: int, background: str) -> bytes:
    height_px, width_px = frames[0].shape[:2]
    if height_px % 2 or width_px % 2:
        raise ValueError(f"MP4 needs an even width and height, got {width_px} x {height_px} px")
    # A file, not memory: what a player needs first is moved to the front in a second pass.
    with tempfile.TemporaryDirectory(prefix="tessera-") as folder:
        path = Path(folder) / "walk.mp4"
        with av.open(str(path), "w", format="mp4", options={"movflags": "faststart", "fflags": "bitexact"}) as file:
            stream = file.add_stream("libx264", rate=fps, options={"crf": str(MP4_QUALITY), "preset": "veryfast"})
            stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
            stream.time_base = Fraction(1, fps)
            context = stream.codec_context
            context.thread_count = 1
            context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
            context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
            for pixels in _laid(frames, WHITE if background == TRANSPARENT else background):
                light = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[..., :3]), format="rgb24")
                frame = light.reformat(
                    format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
                )
                file.mux(stream.encode(frame))
            file.mux(stream.encode())
        return path.read_bytes()


_ENCODER_OF: dict[FileFormat, Callable[[Sequence[Pixels], int, str], bytes]] = {
    "webp": _to_webp,
    "gif": _to_gif,
    "mp4": _to_mp4,
}
