"""The committed mosaic checkpoint draws what it is known to draw."""

from pathlib import Path

import numpy as np
import pytest

from genworkers.codecs.image_bytes import Pixels
from genworkers.contract.image import ImageRequest
from genworkers.engine.image_engine import ImageEngine, ImageResult
from genworkers.engine.image_loading import load_image_engine

MOSAIC_FOLDER = Path(__file__).resolve().parents[3] / "genworkers" / "weights" / "mosaic"


@pytest.fixture(scope="module")
def engine() -> ImageEngine:
    return load_image_engine({"mosaic": MOSAIC_FOLDER})


def draw(engine: ImageEngine, prompt: str, seed: int) -> Pixels:
    ticket = engine.submit(ImageRequest(prompt=prompt), seed=seed, deadline_s=60)
    while not ticket.is_done:
        for item in ticket.read(5.0):
            if isinstance(item, ImageResult):
                return item.pixels
    raise AssertionError("no picture")


def test_a_red_apple_is_red_and_round_on_nothing(engine: ImageEngine) -> None:
    engine.start()
    pixels = draw(engine, "red apple", seed=0)
    engine.close()
    assert pixels.shape == (512, 512, 4)
    assert pixels[0, 0, 3] < 16
    assert pixels[256, 256, 3] > 240
    seen = pixels[pixels[..., 3] > 200][:, :3].astype(int)
    is_red = (seen[:, 0] > 150) & (seen[:, 1] < 110) & (seen[:, 2] < 110)
    assert 0.4 < len(seen) / 512**2 < 0.95
    assert float(np.mean(is_red)) > 0.6
