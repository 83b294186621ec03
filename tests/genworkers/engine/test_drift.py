"""Drift on a tiny random net: where pictures begin, where walks lead, and that company changes nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genworkers.codecs.image_bytes import Pixels
from genworkers.contract.image import ImageRequest, Walk
from genworkers.engine.drift import DriftPainter, DriftPicture, there_and_back
from genworkers.engine.errors import EngineError
from genworkers.engine.painter import PREVIEW_PX, Inputs
from tests.genworkers.tiny_latents import WIDTH, tiny_drift
from tests.genworkers.tiny_mosaic import tiny_canvas, tiny_reader

NOTHING = Inputs()


def some_picture(seed: int, height_px: int = 40, width_px: int = 64) -> Pixels:
    """Noise, which no two seeds share."""
    return np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 4), dtype=np.uint8)


@pytest.fixture
def painter(tmp_path: Path) -> DriftPainter:
    """Random weights, the same every time."""
    return tiny_drift(tiny_canvas(), tiny_reader(tmp_path))


def begun(painter: DriftPainter, inputs: Inputs = NOTHING, seed: int = 5, **asked: Any) -> DriftPicture:
    """The one picture or walk of a request."""
    [picture] = painter.begin(ImageRequest(**({"prompt": "red apple"} | asked)), seed, inputs)
    return picture


def walk(painter: DriftPainter, inputs: Inputs = NOTHING, seed: int = 5, **walked: Any) -> torch.Tensor:
    """The places of a walk from "red apple"."""
    return begun(painter, inputs, seed, walk=Walk(**walked)).places


def drawn(painter: DriftPainter, picture: DriftPicture) -> list[Pixels]:
    """All its frames."""
    while not picture.is_finished:
        painter.advance([picture])
    return list(painter.develop(picture))


def test_a_picture_comes_in_one_step(painter: DriftPainter) -> None:
    picture = begun(painter)
    assert (picture.num_steps, picture.num_decided) == (1, 0)
    [pixels] = drawn(painter, picture)
    assert pixels.shape == (512, 512, 4)
    assert pixels.dtype == np.uint8
    assert picture.num_decided == picture.num_tiles
    assert painter.preview(picture).shape == (PREVIEW_PX, PREVIEW_PX, 4)


def test_the_second_picture_is_the_first_of_the_next_seed(painter: DriftPainter) -> None:
    _, second = painter.begin(ImageRequest(prompt="cat", num_images=2), 7, NOTHING)
    [alone] = painter.begin(ImageRequest(prompt="cat"), 8, NOTHING)
    assert second.seed == alone.seed == 8
    assert torch.equal(second.places, alone.places)
    np.testing.assert_array_equal(drawn(painter, second)[0], drawn(painter, alone)[0])


def test_words_and_styles_move_the_place(painter: DriftPainter) -> None:
    apple = begun(painter).places
    assert not torch.equal(apple, begun(painter, prompt="cat").places)
    flat, rounded = (begun(painter, style=style).places for style in ("flat", "round"))
    half = begun(painter, style="flat", style_mix="round", style_mix_frac=0.5).places
    assert torch.equal(apple, flat)
    assert not torch.equal(flat, rounded)
    assert not torch.equal(half, flat)
    assert torch.equal(begun(painter, style="flat", style_mix="round", style_mix_frac=1.0).places, rounded)


def test_strength_leads_from_the_start_picture_to_the_words(painter: DriftPainter) -> None:
    given = Inputs(start=some_picture(1))
    kept, half, gone = (begun(painter, given, strength=strength).places for strength in (0.0, 0.5, 1.0))
    torch.testing.assert_close(kept, begun(painter, given, strength=0.0, prompt="cat").places)
    torch.testing.assert_close(gone, begun(painter).places)
    assert torch.dist(kept, half) < torch.dist(kept, gone)


def test_a_point_of_the_map_is_a_place_whatever_the_words(painter: DriftPainter) -> None:
    places = [begun(painter, prompt=prompt, map_point=[0.5, 0.5]).places for prompt in ("cat", "red apple")]
    assert torch.equal(*places)
    assert not torch.equal(places[0], begun(painter, map_point=[0.9, 0.1]).places)


@pytest.mark.parametrize("is_loop", [True, False])
@pytest.mark.parametrize("num_frames", [2, 3, 8, 33])
def test_a_walk_between_two_places_touches_both_exactly(painter: DriftPainter, is_loop: bool, num_frames: int) -> None:
    given = Inputs(start=some_picture(1), end=some_picture(2))
    end_id = "0" * 8 + "-0000-4000-8000-" + "0" * 12
    places = walk(painter, given, end_image=end_id, num_frames=num_frames, is_loop=is_loop)
    start = begun(painter, Inputs(start=some_picture(1)), strength=0.0).places[0]
    end = begun(painter, Inputs(start=some_picture(2)), strength=0.0).places[0]
    assert places.shape == (num_frames, WIDTH)
    turn = num_frames // 2 if is_loop else num_frames - 1
    torch.testing.assert_close(places[0], start)
    torch.testing.assert_close(places[turn], end)


def test_a_walk_leads_from_words_to_words_and_to_the_map(painter: DriftPainter) -> None:
    to_cat = walk(painter, to_prompt="cat", num_frames=4, is_loop=False)
    torch.testing.assert_close(to_cat[0], begun(painter).places[0])
    torch.testing.assert_close(to_cat[-1], begun(painter, prompt="cat").places[0])
    to_map = walk(painter, end_point=[0.2, 0.8], num_frames=4, is_loop=False)
    torch.testing.assert_close(to_map[-1], begun(painter, map_point=[0.2, 0.8]).places[0])


@pytest.mark.parametrize("distance", [2.0, -3.0])
def test_a_direction_goes_as_far_as_it_is_told(painter: DriftPainter, distance: float) -> None:
    places = walk(painter, route="direction", direction="rounder", distance=distance, num_frames=9, is_loop=True)
    steps = places - places[0]
    direction = steps[4] / distance
    torch.testing.assert_close(steps[2] * 2, steps[4])
    redder = walk(painter, route="direction", direction="redder", distance=1.0, num_frames=2)
    assert not torch.allclose(redder[1] - redder[0], direction)


def test_an_unknown_direction_is_named_with_the_known_ones(painter: DriftPainter) -> None:
    with pytest.raises(EngineError, match=r"'happier'.*redder, rounder") as caught:
        walk(painter, route="direction", direction="happier")
    assert caught.value.code == "direction_unknown"


def test_a_random_walk_is_smooth_and_comes_back_when_it_shall(painter: DriftPainter) -> None:
    closed = walk(painter, route="random", num_frames=24, is_loop=True)
    open_ended = walk(painter, route="random", num_frames=24, is_loop=False)
    steps = (closed.roll(-1, 0) - closed).norm(dim=-1)
    assert steps.max() < (closed - closed[0]).norm(dim=-1).max()
    assert torch.dist(open_ended[0], open_ended[-1]) > torch.dist(closed[0], closed[-1])
    assert torch.equal(closed, walk(painter, route="random", num_frames=24, is_loop=True))
    assert not torch.equal(closed[5], walk(painter, seed=6, route="random", num_frames=24, is_loop=True)[5])


def test_a_walk_is_painted_in_chunks_with_a_preview_after_each(painter: DriftPainter) -> None:
    picture = begun(painter, walk=Walk(route="random", num_frames=10))
    assert picture.num_steps == 3
    with pytest.raises(ValueError, match="before its first step"):
        painter.preview(picture)
    shown = []
    while not picture.is_finished:
        painter.advance([picture])
        shown.append(painter.preview(picture))
    frames = painter.develop(picture)
    assert len(frames) == 10
    assert all(frame.shape == (512, 512, 4) for frame in frames)
    np.testing.assert_array_equal(frames[-2:][1], frames[9])
    assert not np.array_equal(shown[0], shown[1])


def test_a_walk_is_the_same_alone_and_in_company(painter: DriftPainter) -> None:
    asked = Walk(route="random", num_frames=6)
    alone = drawn(painter, begun(painter, walk=asked))
    mine = begun(painter, walk=asked)
    others = painter.begin(ImageRequest(prompt="cat", num_images=3), 1, NOTHING)
    painter.advance([others[0], mine])
    painter.advance([mine, others[1], others[2]])
    np.testing.assert_array_equal(np.stack(list(painter.develop(mine))), np.stack(alone))


def test_unlikeness_is_a_share_and_the_shape_of_a_picture_does_not_matter(painter: DriftPainter) -> None:
    assert 0.0 <= painter.unlikeness(some_picture(1)) <= 1.0
    square = np.zeros((64, 64, 4), dtype=np.uint8)
    wide = np.zeros((64, 128, 4), dtype=np.uint8)
    assert painter.unlikeness(square) == painter.unlikeness(wide)


def test_there_and_back_never_shows_the_start_twice() -> None:
    assert there_and_back(4) == [0.0, 0.5, 1.0, 0.5]
    assert there_and_back(5) == [0.0, 0.5, 1.0, 1.0, 0.5]
    assert there_and_back(2) == [0.0, 1.0]
    assert there_and_back(3) == [0.0, 1.0, 1.0]
