"""The same seed gives the same pixels alone and in any company, for every family of nets."""

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genworkers.codecs.image_bytes import Pixels
from genworkers.contract.image import ImageRequest, Walk
from genworkers.engine.image_engine import ImageEngine, ImageItem, ImageResult, WalkResult
from genworkers.engine.painter import Inputs, Painter
from genworkers.engine.ticket import Ticket
from tests.genworkers.tiny_latents import tiny_drift, tiny_spark
from tests.genworkers.tiny_mosaic import tiny_canvas, tiny_mosaic, tiny_reader

NUM_MIXES = 20
START = Inputs(start=np.random.default_rng(0).integers(0, 256, (48, 64, 4), dtype=np.uint8))
MASKED = Inputs(start=START.start, mask=np.arange(48 * 64).reshape(48, 64) % 64 > 40)
CASES: tuple[tuple[ImageRequest, Inputs], ...] = (
    (ImageRequest(prompt="red apple", num_steps=6), Inputs()),
    (ImageRequest(prompt="cat", style="round", num_steps=9, negative_prompt="red"), Inputs()),
    (ImageRequest(prompt="a cat", style="flat", style_mix="round", style_mix_frac=0.3, preset="draft"), Inputs()),
    (ImageRequest(prompt="apple", num_steps=5, strength=0.5), START),
    (ImageRequest(prompt="apple", num_steps=4, strength=1.0), MASKED),
    (ImageRequest(prompt="red cat", net="spark", is_draft=True), Inputs()),
    (ImageRequest(prompt="a red cat", net="spark", style="round"), Inputs()),
    (ImageRequest(prompt="apple", net="drift"), Inputs()),
    (ImageRequest(prompt="cat", net="drift", strength=0.4), START),
    (ImageRequest(prompt="cat", net="drift", walk=Walk(to_prompt="apple", num_frames=7)), Inputs()),
)


def engine_in(folder: Path, lanes: int, num_threads: int) -> ImageEngine:
    canvas, reader = tiny_canvas(), tiny_reader(folder)
    painters: dict[str, Painter[Any]] = {
        "mosaic": tiny_mosaic(folder, lanes),
        "spark": tiny_spark(canvas, reader),
        "drift": tiny_drift(canvas, reader),
    }
    engine = ImageEngine(painters, num_threads=num_threads)
    engine.start()
    return engine


def pixels_of(ticket: Ticket[ImageItem]) -> dict[int, Sequence[Pixels]]:
    found: dict[int, Sequence[Pixels]] = {}
    end = time.monotonic() + 60
    while not ticket.is_done:
        assert time.monotonic() < end, "the ticket never ended"
        for item in ticket.read(1.0):
            if isinstance(item, ImageResult):
                found[item.index] = [item.pixels]
            elif isinstance(item, WalkResult):
                found[0] = list(item.frames)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("lanes", "num_threads"), [(1, 2), (3, 1)])
def test_equal_seeds_give_equal_pixels_in_twenty_random_mixes(tmp_path: Path, lanes: int, num_threads: int) -> None:
    engine = engine_in(tmp_path, lanes, num_threads)
    small = [(case.model_copy(update={"is_draft": True}), inputs) for case, inputs in CASES]  # enlarging takes longest
    alone = [pixels_of(engine.submit(case, seed=40, deadline_s=60, inputs=inputs))[0] for case, inputs in small]
    dice = random.Random(lanes)
    for _ in range(NUM_MIXES):
        chosen = [dice.randrange(len(CASES)) for _ in range(dice.randint(2, 6))]
        tickets = []
        for case in chosen:
            request, inputs = CASES[case]
            num_images = 1 if request.walk is not None else dice.randint(1, 3)
            place = dice.randrange(num_images)
            asked = request.model_copy(update={"num_images": num_images, "is_draft": True})
            tickets.append((case, place, engine.submit(asked, seed=40 - place, deadline_s=60, inputs=inputs)))
        for case, place, ticket in tickets:
            np.testing.assert_array_equal(np.stack(list(pixels_of(ticket)[place])), np.stack(list(alone[case])))
    engine.close()


@pytest.mark.slow
def test_a_family_beside_another_changes_nothing(tmp_path: Path) -> None:
    engine = engine_in(tmp_path, lanes=1, num_threads=2)
    cases = [CASES[0], CASES[5], CASES[9]]
    alone = [pixels_of(engine.submit(case, seed=3, deadline_s=60, inputs=inputs))[0] for case, inputs in cases]
    tickets = [engine.submit(case, seed=3, deadline_s=60, inputs=inputs) for case, inputs in cases]
    for before, ticket in zip(alone, tickets, strict=True):
        np.testing.assert_array_equal(np.stack(list(pixels_of(ticket)[0])), np.stack(list(before)))
    engine.close()
