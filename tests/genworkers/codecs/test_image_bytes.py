"""Pixels keep their colour and their transparency through resizing and files."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from genworkers.codecs.image_bytes import (
    enlarge_flat,
    from_bytes,
    premultiply,
    resize,
    resize_premultiplied,
    to_png,
    to_webp,
    unpremultiply,
)

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def white_disc(size: int = 64) -> Pixels:
    """White inside, transparent black outside: what shows a fringe at once."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    pixels = np.zeros((size, size, 4), np.uint8)
    pixels[np.hypot(x, y) < size / 3] = 255
    return pixels


@pytest.mark.parametrize("size", [512, 1024, 24])
def test_resizing_leaves_no_dark_fringe(size: int) -> None:
    resized = resize(white_disc(), size)
    visible = resized[..., 3] > 0
    assert visible.any()
    assert resized[visible][:, :3].min() >= 254


def test_resizing_leaves_no_ghost_rings_outside() -> None:
    resized = resize(white_disc(), 512)
    y, x = np.mgrid[:512, :512] - 255.5
    assert resized[..., 3][np.hypot(x, y) > 512 / 3 + 26].max() == 0


def edge_radii(alpha: np.ndarray[tuple[int, ...], np.dtype[Any]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """How far the outline of a centred disc is from the centre, for each direction, as a share of the width."""
    size = len(alpha)
    angles = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    steps = np.arange(size // 2)
    rows = np.rint((size - 1) / 2 + np.outer(np.sin(angles), steps)).astype(int)
    columns = np.rint((size - 1) / 2 + np.outer(np.cos(angles), steps)).astype(int)
    num_inside: np.ndarray[tuple[int], np.dtype[np.int64]] = (alpha[rows, columns] > alpha.max() / 2).sum(axis=1)
    return num_inside / size


def test_enlarging_a_flat_picture_turns_its_staircase_into_a_crisp_round_outline() -> None:
    disc = premultiply(white_disc(128))
    smooth, plain = enlarge_flat(disc, 512), resize_premultiplied(disc, 512)
    assert edge_radii(smooth[..., 3]).std() < 0.8 * edge_radii(plain[..., 3]).std()
    assert np.mean((smooth[..., 3] > 5) & (smooth[..., 3] < 250)) < 0.02
    visible = smooth[..., 3] > 0
    assert smooth[visible][:, :3].min() >= 253


@given(st.integers(0, 255), st.integers(0, 255), st.integers(1, 255))
@settings(max_examples=50, deadline=None)
def test_premultiplying_is_undone_within_what_alpha_can_hold(red: int, green: int, alpha: int) -> None:
    pixels = np.array([[[red, green, 0, alpha]]], np.uint8)
    assert np.abs(unpremultiply(premultiply(pixels)).astype(int) - pixels).max() <= 1


def test_colour_above_alpha_is_clamped() -> None:
    impossible = np.array([[[2.0, -1.0, 0.5, 0.5], [1.0, 1.0, 1.0, 0.0]]], np.float32)
    assert unpremultiply(impossible).tolist() == [[[255, 0, 255, 128], [0, 0, 0, 0]]]


def test_png_is_lossless_and_carries_text() -> None:
    pixels = resize(white_disc(), 128)
    data = to_png(pixels, {"Title": "Ein Kreis – ○"})
    np.testing.assert_array_equal(from_bytes(data), pixels)
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["Title"] == "Ein Kreis – ○"


def test_a_preview_is_about_a_kilobyte() -> None:
    random = np.random.default_rng(0)
    tiles = np.kron(random.integers(0, 255, (8, 8, 4), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    assert len(to_webp(tiles, quality=60)) < 2500


def test_webp_shrinks_and_keeps_alpha() -> None:
    back = from_bytes(to_webp(resize(white_disc(), 512), quality=80, max_px=256))
    assert back.shape == (256, 256, 4)
    assert back[0, 0, 3] == 0
    assert back[128, 128, 3] == 255


def test_quality_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.\.100, got 101"):
        to_webp(white_disc(), quality=101)
