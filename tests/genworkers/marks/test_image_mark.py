"""The picture mark: what it survives, what it leaves alone, and that nothing is found where nothing is."""

import hashlib
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from genworkers.marks import bch, image_mark
from genworkers.marks.image_mark import PSNR_DB, ImageMarkFinding, embed, findings
from genworkers.marks.keys import MarkKey
from genworkers.marks.picture_pattern import TILE_CHIPS, patterns_of
from genworkers.marks.picture_residual import Pixels, Tiles, _whitened, all_scales

PAYLOAD = 0xABCDEF123


def _key(name: str) -> MarkKey:
    return MarkKey(name, hashlib.sha256(name.encode()).digest())


OURS, OTHERS = _key("ours"), [_key("older"), _key("of another workspace")]


def _sticker(side_px: int = 512, ground: str | None = None) -> Pixels:
    """A flat face with sharp edges, as our nets draw them; without a ground it is transparent around it."""
    picture = Image.new("RGBA", (side_px, side_px), ground or (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)

    def round_part(left: float, top: float, right: float, bottom: float, colour: str) -> None:
        draw.ellipse([side_px * each for each in (left, top, right, bottom)], fill=colour)

    round_part(0.06, 0.06, 0.94, 0.94, "#ffc83d")
    round_part(0.27, 0.3, 0.4, 0.48, "#402a32")
    round_part(0.6, 0.3, 0.73, 0.48, "#402a32")
    draw.rectangle([side_px * each for each in (0.3, 0.62, 0.7, 0.72)], fill="#bb1d80")
    return np.array(picture)


def _pixel_art() -> Pixels:
    colours = np.random.default_rng(5).integers(0, 256, (8, 4), dtype=np.uint8)
    colours[:, 3] = 255
    small = colours[np.random.default_rng(6).integers(0, 8, (64, 64))]
    return small.repeat(8, axis=0).repeat(8, axis=1)


def _resized(pixels: Pixels, side_px: int) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((side_px, side_px), Image.Resampling.LANCZOS))


def _through(pixels: Pixels, **how: Any) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, **how)
    with Image.open(buffer) as image:
        return np.asarray(image)


def _on_white(pixels: Pixels) -> Pixels:
    page = Image.new("RGBA", (pixels.shape[1], pixels.shape[0]), "white")
    return np.array(Image.alpha_composite(page, Image.fromarray(pixels)).convert("RGB"))


@pytest.fixture(scope="module")
def marked() -> Pixels:
    return embed(_sticker(), OURS, PAYLOAD)


def detect(pixels: Pixels, keys: list[MarkKey]) -> ImageMarkFinding | None:
    return next(iter(findings(pixels, keys)), None)


def _assert_found(found: ImageMarkFinding | None) -> None:
    assert found is not None
    assert (found.key_id, found.payload, found.is_agreed) == ("ours", PAYLOAD, True)
    assert found.p_value <= image_mark.MAX_P


@pytest.mark.parametrize("shape", [(512, 512), (300, 517), (1024, 700), (200, 200)])
def test_what_was_written_is_read_at_any_size_and_shape(shape: tuple[int, int]) -> None:
    opaque = _sticker(1024, "#7dd3fc")[: shape[0], : shape[1], :3].copy()
    found = detect(embed(opaque, OURS, PAYLOAD), [*OTHERS, OURS])
    _assert_found(found)
    assert found is not None
    assert found.num_corrected_bits <= 5


@pytest.mark.parametrize("payload", [0, 1, (1 << 36) - 1])
def test_every_payload_can_be_carried(payload: int) -> None:
    found = detect(embed(_sticker(), OURS, payload), [OURS])
    assert found is not None
    assert found.payload == payload


@pytest.mark.slow
@pytest.mark.parametrize(
    "attacked",
    [
        lambda pixels: _through(_on_white(pixels), format="JPEG", quality=75),
        lambda pixels: _through(_on_white(pixels), format="JPEG", quality=50),
        lambda pixels: _resized(pixels, 256),
        lambda pixels: _resized(pixels, 1024),
        lambda pixels: _resized(pixels, 128),
        lambda pixels: pixels[130:400, 90:360],
        lambda pixels: _through(_resized(pixels[50:460, 50:460], 512), format="WEBP", quality=85),
        lambda pixels: np.pad(_on_white(pixels), ((90, 60), (128, 128), (0, 0)), constant_values=255),
        lambda pixels: np.ascontiguousarray(pixels[:, ::-1]),
        lambda pixels: np.asarray(Image.fromarray(_on_white(pixels)).quantize(32).convert("RGB")),
        lambda pixels: _through(_resized(pixels, 256), format="WEBP", quality=85),
    ],
    ids=["JPEG75", "JPEG50", "half", "double", "emoji", "crop", "refit", "margins", "mirrored", "palette", "thumbnail"],
)
def test_mark_survives_what_happens_to_pictures(marked: Pixels, attacked: Any) -> None:
    _assert_found(detect(attacked(marked), [*OTHERS, OURS]))


def test_only_light_that_can_be_seen_is_changed_and_only_as_far_as_asked(marked: Pixels) -> None:
    original = _sticker()
    visible = original[..., 3] > 0
    assert np.array_equal(marked[..., 3], original[..., 3])
    assert np.array_equal(marked[~visible], original[~visible])
    errors = marked[visible][:, :3].astype(float) - original[visible][:, :3]
    assert 10 * np.log10(255**2 / np.square(errors).mean()) == pytest.approx(PSNR_DB, abs=0.2)
    assert np.abs(errors).max() <= 8


def test_same_picture_and_payload_are_marked_alike_and_other_payloads_elsewhere(marked: Pixels) -> None:
    assert np.array_equal(embed(_sticker(), OURS, PAYLOAD), marked)
    changes = [embed(_sticker(), OURS, payload)[..., :3].astype(float) - _sticker()[..., :3] for payload in (1, 2)]
    assert abs(np.corrcoef(changes[0].ravel(), changes[1].ravel())[0, 1]) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("pixels", [_sticker(), _sticker(512, "#1e293b"), _pixel_art()], ids=["clear", "dark", "art"])
def test_nothing_is_found_where_nothing_was_written_or_by_another_key(pixels: Pixels) -> None:
    assert detect(pixels, [OURS, *OTHERS]) is None
    assert detect(embed(pixels, OURS, PAYLOAD), OTHERS) is None
    assert detect(embed(pixels, OURS, PAYLOAD), []) is None


@pytest.mark.parametrize("second", [OURS, OTHERS[0]], ids=["same key", "other key"])
def test_of_two_marks_over_each_other_both_are_reported(marked: Pixels, second: MarkKey) -> None:
    twice = embed(marked, second, 42)
    found = findings(twice, [OURS, *OTHERS])
    assert {(each.key_id, each.payload) for each in found} == {("ours", PAYLOAD), (second.key_id, 42)}
    assert all(each.is_agreed for each in found)


def test_an_echo_elsewhere_in_the_tile_is_told_from_a_second_mark_by_its_corner(marked: Pixels) -> None:
    """Of 120 pictures of ours, marked once, two had an echo whose payload looked sure."""
    found = detect(marked, [OURS])
    assert found is not None
    down, right = found.corner_chips
    assert not image_mark._is_echo(replace(found, payload=42), found)
    assert not image_mark._is_echo(replace(found, corner_chips=((down + 31.5) % 32, right)), found)
    assert image_mark._is_echo(replace(found, corner_chips=((down + 7.0) % 32, right)), found)
    assert image_mark._is_echo(replace(found, is_mirrored=True), found)
    assert not image_mark._is_echo(replace(found, key_id="older", is_mirrored=True), found)


@pytest.mark.parametrize("attacked", [lambda pixels: pixels[:, ::-1], lambda pixels: pixels[100:460, 60:420]])
def test_both_of_two_marks_of_one_key_are_told_from_echoes_after_mirroring_and_cropping(attacked: Any) -> None:
    twice = embed(embed(_sticker(512, "#7dd3fc"), OURS, PAYLOAD), OURS, 42)
    found = findings(np.ascontiguousarray(attacked(twice)), [OURS])
    assert {each.payload for each in found} == {PAYLOAD, 42}


def test_a_payload_that_took_many_corrections_is_not_agreed_though_the_key_is_sure() -> None:
    """Noisy tiles about as strong as can just be found: of wrong payloads none, or next to none, may be agreed."""
    chance = np.random.default_rng(3)
    patterns = patterns_of(OURS.derived(image_mark.PURPOSE))
    num_tried = image_mark.NUM_PLACES * len(all_scales())
    agreed, wrong = 0, list[ImageMarkFinding]()
    for payload in chance.integers(image_mark.NUM_PAYLOADS, size=300).tolist():
        noisy = 0.43 * patterns.tile(bch.encode(payload)) + chance.normal(size=TILE_CHIPS**2)
        tiles = Tiles(*_whitened(noisy.astype(np.float32).reshape(1, TILE_CHIPS, TILE_CHIPS)), np.array([128.0]))
        found = [each for each in image_mark._of_key(tiles, OURS, num_tried) if each.p_value <= image_mark.MAX_P]
        agreed += any(each.is_agreed for each in found)
        wrong += [each for each in found if each.payload != payload]
    assert agreed > 50
    assert len(wrong) > 5
    assert not any(each.is_agreed for each in wrong)


@pytest.mark.slow
def test_frames_of_an_animation_are_read_together() -> None:
    chance = np.random.default_rng(3)
    frames = []
    for _ in range(6):
        noise = chance.normal(0.0, 60.0, (512, 512, 3))
        frame = embed(_sticker(512, "#7dd3fc"), OURS, PAYLOAD, psnr_db=48.0)[..., :3]
        frames.append(np.rint(np.clip(frame + noise, 0, 255)).astype(np.uint8))
    assert detect(frames[0], [OURS]) is None
    _assert_found(detect(np.stack(frames), [OURS]))


@pytest.mark.parametrize("side_px", [1, 3, 16, 31])
def test_tiny_pictures_are_marked_without_error_and_nothing_false_is_found(side_px: int) -> None:
    tiny = np.full((side_px, side_px, 4), 200, dtype=np.uint8)
    written = embed(tiny, OURS, PAYLOAD)
    assert written.shape == tiny.shape
    assert detect(written, OTHERS) is None


@pytest.mark.parametrize("shape", [(1, 900, 3), (700, 2, 4), (3, 4, 3)])
def test_narrow_pictures_are_read_without_error(shape: tuple[int, int, int]) -> None:
    assert detect(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8), [OURS]) is None


def test_fully_transparent_picture_comes_back_as_it_was() -> None:
    clear = np.zeros((512, 512, 4), dtype=np.uint8)
    assert np.array_equal(embed(clear, OURS, PAYLOAD), clear)
    assert detect(clear, [OURS]) is None


@pytest.mark.parametrize("level", [0, 255])
def test_plain_black_and_plain_white_carry_a_mark_too(level: int) -> None:
    plain = np.full((512, 512, 3), level, dtype=np.uint8)
    assert detect(plain, [OURS]) is None
    _assert_found(detect(embed(plain, OURS, PAYLOAD), [OURS]))


@pytest.mark.parametrize(
    ("pixels", "shape"),
    [
        (np.zeros((8, 8), dtype=np.uint8), r"uint8 \(8, 8\)"),
        (np.zeros((8, 8, 2), dtype=np.uint8), r"uint8 \(8, 8, 2\)"),
        (np.zeros((0, 8, 3), dtype=np.uint8), r"uint8 \(0, 8, 3\)"),
        (np.zeros((8, 8, 3)), r"float64 \(8, 8, 3\)"),
    ],
)
def test_what_is_no_colour_picture_is_refused_with_its_shape(pixels: Any, shape: str) -> None:
    with pytest.raises(ValueError, match=shape):
        embed(pixels, OURS, PAYLOAD)
    with pytest.raises(ValueError, match=shape):
        detect(pixels, [OURS])


def test_payload_and_psnr_out_of_range_are_refused_with_their_values() -> None:
    for payload in (-1, 1 << 36):
        with pytest.raises(ValueError, match=rf"payload must be 0 .. 2\*\*36 - 1, got {payload}"):
            embed(_sticker(64), OURS, payload)
    with pytest.raises(ValueError, match="psnr_db must be 30 to 60, got 20"):
        embed(_sticker(64), OURS, PAYLOAD, psnr_db=20.0)
