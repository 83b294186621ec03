"""How long four pictures take in the image engine alone, with previews and files: `python -m benchmarks.bench_image`.

What is timed is what a worker does for a job: every step's preview as WebP, every result as PNG with a thumbnail.
"""

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from genworkers.codecs.image_bytes import to_png, to_webp
from genworkers.contract import ImageRequest
from genworkers.engine.image_engine import ImageEngine, ImageResult, load_image_engine

NET_FOLDER = Path(__file__).resolve().parent.parent / "genworkers" / "weights" / "mosaic"


@dataclass(frozen=True)
class Timing:
    """One job, in seconds from submit; the bytes of the median preview."""

    first_preview_s: float
    first_picture_s: float
    done_s: float
    preview_bytes: float


def time_one(engine: ImageEngine, request: ImageRequest, seed: int) -> Timing:
    """Run one job and encode everything that it yields."""
    began = time.perf_counter()
    ticket = engine.submit(request, seed=seed, deadline_s=300)
    first_preview_s = first_picture_s = 0.0
    preview_bytes = []
    while not ticket.is_done:
        for item in ticket.read(1.0):
            if isinstance(item, ImageResult):
                to_png(item.pixels)
                to_webp(item.pixels, quality=85, max_px=256)
                first_picture_s = first_picture_s or time.perf_counter() - began
            else:
                preview_bytes.append(len(to_webp(item.preview)))
                first_preview_s = first_preview_s or time.perf_counter() - began
    return Timing(first_preview_s, first_picture_s, time.perf_counter() - began, statistics.median(preview_bytes))


def main() -> None:
    """Print one JSON line of medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", type=Path, default=NET_FOLDER)
    parser.add_argument("--jobs", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--steps", type=int, default=ImageRequest(prompt="a red apple").num_steps)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    engine = load_image_engine(options.net)
    engine.start()
    style = engine.styles[0]
    request = ImageRequest(
        prompt="a red apple", style=style, num_images=options.pictures, num_steps=options.steps, size_px=512
    )
    time_one(engine, request, seed=0)  # the first job warms up
    timings = [time_one(engine, request, seed=seed) for seed in range(1, options.jobs + 1)]
    engine.close()
    medians = {
        name: round(statistics.median(getattr(timing, name) for timing in timings), 3)
        for name in ("first_preview_s", "first_picture_s", "done_s", "preview_bytes")
    }
    setting = {"pictures": options.pictures, "steps": options.steps, "threads": options.threads, "jobs": options.jobs}
    print(json.dumps(setting | medians))


if __name__ == "__main__":
    main()
