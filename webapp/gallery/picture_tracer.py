"""Traces one picture as SVG in a process of its own (`webapp/processes.py`), and imports nothing of ours.

Tracing takes as long as the picture is restless, and holds the interpreter meanwhile. PNG in; SVG out.
"""

import io
import re
import resource
import sys

import vtracer
from PIL import Image, ImageFilter

CPU_S = 20
MEMORY_BYTES = 2 * 1024**3
TRACED_PX = 512
NUM_COLOURS = 48
SEEN_ALPHA = 128
FRAME_PX = 1  # a clear frame: without one, vtracer takes a little transparency for black

_SIZE = re.compile(r'width="\d+" height="\d+"')


def traced(png: bytes, *, is_pixel_art: bool) -> str:
    """The picture as SVG of the same width and height, in few colours; what is half transparent is there or not.

    Args:
        is_pixel_art: keep straight edges instead of smooth ones.
    """
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    width, height = image.size
    image.thumbnail((TRACED_PX, TRACED_PX), Image.Resampling.NEAREST if is_pixel_art else Image.Resampling.LANCZOS)
    is_seen = image.getchannel("A").point(lambda alpha: 255 if alpha >= SEEN_ALPHA else 0)
    few = image.convert("RGB").quantize(NUM_COLOURS, dither=Image.Dither.NONE).convert("RGB")
    if not is_pixel_art:
        few = few.filter(ImageFilter.ModeFilter(3))
    few.putalpha(is_seen)
    edge_px = 0 if is_seen.getextrema()[0] else FRAME_PX
    framed = Image.new("RGBA", (few.width + 2 * edge_px, few.height + 2 * edge_px))
    framed.paste(few, (edge_px, edge_px))
    flat = io.BytesIO()
    framed.save(flat, "PNG")
    svg: str = vtracer.convert_raw_image_to_svg(
        flat.getvalue(),
        img_format="png",
        mode="polygon" if is_pixel_art else "spline",
        filter_speckle=1 if is_pixel_art else 4,
        color_precision=8 if is_pixel_art else 7,
        layer_difference=1 if is_pixel_art else 8,
        path_precision=0 if is_pixel_art else 2,
    )
    box = f'width="{width}" height="{height}" viewBox="{edge_px} {edge_px} {few.width} {few.height}"'
    return _SIZE.sub(box, svg, count=1)


def main() -> None:
    """Answer for the PNG on standard input; `pixel-art` as an argument keeps its corners."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    svg = traced(sys.stdin.buffer.read(), is_pixel_art="pixel-art" in sys.argv[1:])
    sys.stdout.buffer.write(svg.encode())


if __name__ == "__main__":
    main()
