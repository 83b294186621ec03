"""How long image jobs take in the engine alone, with previews and files: `python -m benchmarks.bench_image`.

What is timed is what a worker does for a job: every preview as WebP, every result as PNG with a thumbnail; of a draft
its WebP only. Every prompt is new, so that it must be read. Nets that are not installed are left out.
"""

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from genworkers.checkpoints import MANIFEST
from genworkers.codecs.image_bytes import Pixels, shrink, to_png, to_webp
from genworkers.contract.image import ImageRequest, Walk
from genworkers.engine.image_engine import ImageEngine, ImageStep, WalkResult
from genworkers.engine.image_loading import load_image_engine

NETS = Path(__file__).resolve().parent.parent / "genworkers" / "weights"
PROMPT = "a red apple left of a blue cat"
JOBS = {
    "mosaic, 4 pictures, draft": ImageRequest(prompt=PROMPT, num_images=4, preset="draft"),
    "mosaic, 4 pictures, standard": ImageRequest(prompt=PROMPT, num_images=4),
    "mosaic, 4 pictures, fine": ImageRequest(prompt=PROMPT, num_images=4, preset="fine"),
    "mosaic, 1 picture, standard": ImageRequest(prompt=PROMPT),
    "mosaic, 1 picture of 1024 px, standard": ImageRequest(prompt=PROMPT, size_px=1024),
    "characters, 4 pictures, standard": ImageRequest(prompt=PROMPT, net="characters", num_images=4),
    "spark, 1 draft": ImageRequest(prompt=PROMPT, net="spark", is_draft=True),
    "spark, 4 drafts": ImageRequest(prompt=PROMPT, net="spark", is_draft=True, num_images=4),
    "drift, 1 picture": ImageRequest(prompt=PROMPT, net="drift"),
    "drift, 32 frames": ImageRequest(prompt=PROMPT, net="drift", walk=Walk(route="random", num_frames=32)),
}


@dataclass(frozen=True)
class Timing:
    """One job: seconds from submit, and what its previews weigh together."""

    first_shown_s: float
    done_s: float
    num_previews: int
    preview_bytes: int


def time_one(engine: ImageEngine, request: ImageRequest, seed: int) -> Timing:
    """Run one job and encode everything that it yields."""
    request = request.model_copy(update={"prompt": f"{request.prompt} {seed}"})
    began = time.perf_counter()
    ticket = engine.submit(request, seed=seed, deadline_s=300)
    first_shown_s, previews = 0.0, []
    while not ticket.is_done:
        for item in ticket.read(1.0):
            if isinstance(item, ImageStep):
                if item.preview is None or request.is_draft:
                    continue
                previews.append(len(to_webp(item.preview, quality=50)))
            elif isinstance(item, WalkResult):
                for frame in item.frames:
                    to_file(frame)
            elif request.is_draft:
                previews.append(len(to_webp(item.pixels, quality=80)))
            else:
                to_file(item.pixels)
            first_shown_s = first_shown_s or time.perf_counter() - began
    return Timing(first_shown_s, time.perf_counter() - began, len(previews), sum(previews))


def to_file(pixels: Pixels) -> None:
    """The file of a result and its thumbnail."""
    to_png(pixels)
    to_webp(shrink(pixels, 256), quality=85, max_px=256)


def main() -> None:
    """Print one JSON line a kind of job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", type=Path, default=NETS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    wanted = {job.net for job in JOBS.values()}
    folders = {
        path.parent.name: path.parent for path in options.nets.glob(f"*/{MANIFEST}") if path.parent.name in wanted
    }
    engine = load_image_engine(folders, num_threads=options.threads)
    engine.start()
    jobs = {name: job for name, job in JOBS.items() if job.net in folders}
    timings: dict[str, list[Timing]] = {name: [] for name in jobs}
    for number in range(options.rounds + 1):
        for name, job in jobs.items():
            timing = time_one(engine, job, number)
            if number:  # the first round warms up
                timings[name].append(timing)
    engine.close()
    for name, each in timings.items():
        medians = {
            field: round(statistics.median(getattr(timing, field) for timing in each), 3)
            for field in ("first_shown_s", "done_s", "num_previews", "preview_bytes")
        }
        print(json.dumps({"job": name, "best_s": round(min(timing.done_s for timing in each), 3)} | medians))


if __name__ == "__main__":
    main()
