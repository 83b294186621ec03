"""Editing with a mosaic: strength, masks, negative prompts, mixed styles, explanations, outlines."""

import base64
from pathlib import Path

import numpy as np
import pytest
import torch

from genworkers.codecs.image_bytes import Floats, Pixels
from genworkers.contract.image import ImageRequest
from genworkers.engine.canvas import Canvas
from genworkers.engine.errors import EngineError
from genworkers.engine.mosaic import MosaicPainter, MosaicPicture, Sampling
from genworkers.engine.painter import Inputs
from genworkers.nets.palette_tokenizer import PaletteTokenizer, PaletteTokenizerConfig
from tests.genworkers.tiny_mosaic import tiny_canvas, tiny_mosaic

START: Pixels = np.random.default_rng(0).integers(0, 256, (512, 512, 4), dtype=np.uint8)


@pytest.fixture
def painter(tmp_path: Path) -> MosaicPainter:
    return tiny_mosaic(tmp_path)


def begun(painter: MosaicPainter, inputs: Inputs, **asked: object) -> MosaicPicture:
    [picture] = painter.begin(ImageRequest.model_validate({"prompt": "a red apple", "num_steps": 6} | asked), 5, inputs)
    return picture


def finished(painter: MosaicPainter, inputs: Inputs, **asked: object) -> MosaicPicture:
    picture = begun(painter, inputs, **asked)
    while not picture.is_finished:
        painter.advance([picture])
    return picture


def developed(painter: MosaicPainter, picture: MosaicPicture) -> list[Pixels]:
    """The finished picture, however often it is begun again first."""
    while (frames := painter.develop(picture)) is None:
        while not picture.is_finished:
            painter.advance([picture])
    return frames


def test_strength_zero_keeps_every_tile_and_takes_one_step(painter: MosaicPainter) -> None:
    picture = finished(painter, Inputs(start=START), strength=0.0)
    assert picture.num_steps == 1
    assert torch.equal(picture.codes, tiny_canvas().codes_of(START))


def test_strength_one_draws_what_no_start_picture_would_have_drawn_differently(painter: MosaicPainter) -> None:
    other = np.zeros_like(START)
    first = finished(painter, Inputs(start=START), strength=1.0)
    assert torch.equal(first.codes, finished(painter, Inputs(start=other), strength=1.0).codes)


@pytest.mark.parametrize(("strength", "num_changed"), [(0.25, 16), (0.6, 38), (0.01, 1)])
def test_strength_is_the_share_of_tiles_drawn_anew(painter: MosaicPainter, strength: float, num_changed: int) -> None:
    picture = begun(painter, Inputs(start=START), strength=strength)
    assert int(picture.is_masked.sum()) == num_changed
    assert picture.num_steps == min(6, num_changed)


def test_pictures_of_one_request_choose_their_own_tiles(painter: MosaicPainter) -> None:
    request = ImageRequest(prompt="cat", num_images=2, strength=0.5)
    first, second = painter.begin(request, 5, Inputs(start=START))
    assert not torch.equal(first.is_masked, second.is_masked)


def test_a_mask_keeps_every_pixel_outside_it_and_redraws_the_tiles_it_touches(painter: MosaicPainter) -> None:
    mask = np.zeros((512, 512), bool)
    mask[100:230, 60:200] = True  # tiles are 64 px: rows 1 to 3, columns 0 to 3
    picture = begun(painter, Inputs(start=START, mask=mask), strength=1.0)
    expected = np.zeros((8, 8), bool)
    expected[1:4, 0:4] = True
    assert (picture.is_masked.view(8, 8).numpy() == expected).all()
    picture = finished(painter, Inputs(start=START, mask=mask), strength=1.0)
    [pixels] = developed(painter, picture)
    np.testing.assert_array_equal(pixels[~mask], START[~mask])
    assert (pixels[mask] != START[mask]).any(-1).mean() > 0.5


def test_an_empty_mask_gives_the_start_picture_itself(painter: MosaicPainter) -> None:
    picture = finished(painter, Inputs(start=START, mask=np.zeros((512, 512), bool)), strength=1.0)
    [pixels] = developed(painter, picture)
    np.testing.assert_array_equal(pixels, START)


def test_a_wide_start_picture_is_centred_on_nothing(painter: MosaicPainter) -> None:
    wide = np.full((100, 200, 4), 255, np.uint8)
    mask = np.zeros((100, 200), bool)
    mask[:, :50] = True
    picture = finished(painter, Inputs(start=wide, mask=mask), strength=1.0)
    [pixels] = developed(painter, picture)
    assert pixels.shape == (512, 512, 4)
    assert pixels[:120, :, 3].max() == 0
    assert (pixels[256, 300:500] == 255).all()


def test_guidance_leads_away_from_the_negative_prompt(painter: MosaicPainter) -> None:
    plain, negative = begun(painter, Inputs()), begun(painter, Inputs(), negative_prompt="cat")
    assert not plain.captions.is_token[1].any()
    assert torch.equal(negative.captions.states[0], plain.captions.states[0])
    assert torch.equal(negative.captions.states[1], begun(painter, Inputs(), prompt="cat").captions.states[0])


def test_a_blank_negative_prompt_is_none(painter: MosaicPainter) -> None:
    plain = finished(painter, Inputs(), guidance=5.0)
    assert torch.equal(plain.codes, finished(painter, Inputs(), guidance=5.0, negative_prompt="  ").codes)


def test_mixed_styles_lie_between_and_a_share_of_nothing_changes_nothing(painter: MosaicPainter) -> None:
    plain = finished(painter, Inputs(), style="flat")
    assert torch.equal(plain.codes, finished(painter, Inputs(), style_mix="round", style_mix_frac=0.0).codes)
    mixed = begun(painter, Inputs(), style_mix="round", style_mix_frac=0.25)
    assert mixed.captions.style[0].tolist() == [0.75, 0.25]
    whole = finished(painter, Inputs(), style_mix="round", style_mix_frac=1.0)
    assert torch.equal(whole.codes, finished(painter, Inputs(), style="round").codes)


def test_an_unknown_second_style_is_refused(painter: MosaicPainter) -> None:
    with pytest.raises(EngineError, match="no style 'oil'"):
        begun(painter, Inputs(), style_mix="oil")


def test_the_explanation_has_a_map_for_each_whole_word(painter: MosaicPainter) -> None:
    explanation = finished(painter, Inputs()).explanation
    assert explanation is not None
    assert explanation.words == ["a", "red", "apple"]
    maps = np.frombuffer(base64.b64decode(explanation.maps), np.uint8).reshape(3, 64)
    assert explanation.grid == 8
    assert maps.max() == 255
    assert (maps.astype(int).sum(0) > 0).all()


def test_kept_tiles_are_drawn_by_no_word(painter: MosaicPainter) -> None:
    picture = begun(painter, Inputs(start=START), strength=0.5)
    kept = ~picture.is_masked
    while not picture.is_finished:
        painter.advance([picture])
    explanation = picture.explanation
    assert explanation is not None
    maps = np.frombuffer(base64.b64decode(explanation.maps), np.uint8).reshape(3, 64)
    assert not maps[:, kept.numpy()].any()
    assert maps[:, ~kept.numpy()].any(0).all()


def test_nothing_is_explained_where_every_tile_was_kept(painter: MosaicPainter) -> None:
    assert finished(painter, Inputs(start=START), strength=0.0).explanation is None


def test_soft_styles_keep_soft_outlines() -> None:
    y, x = np.mgrid[:128, :128] - 63.5
    painted = np.repeat(np.clip((50 - np.hypot(x, y)) / 30, 0, 1)[..., None], 4, -1).astype(np.float32)
    canvas = tiny_canvas(soft_styles=frozenset({"round"}))
    share = {
        style: np.mean(~np.isin(canvas.enlarge(painted, ImageRequest(prompt="a", style=style))[..., 3], (0, 255)))
        for style in ("flat", "round")
    }
    assert share["round"] > 2 * share["flat"]


def test_pixel_art_is_enlarged_by_whole_factors_and_explained_only_where_a_figure_stands() -> None:
    config = PaletteTokenizerConfig(
        num_colours=3, num_patterns=4, num_shades=3, num_things=2, num_entries=3, num_grounds=2
    )
    tokenizer = PaletteTokenizer(config)
    tokenizer.palette[1:] = torch.tensor([[200, 10, 10, 255], [10, 200, 10, 255]], dtype=torch.uint8)
    tokenizer.grounds[:] = torch.tensor([1, 2])
    tokenizer.stands[:] = 1
    tokenizer.entries[:, 1] = 3
    canvas = Canvas(tokenizer, is_pixel_art=True, device=torch.device("cpu"))
    painted = canvas.paint(torch.full((64,), config.num_codes - 1))
    assert int(canvas.is_painted.sum()) == 28
    for size_px in (512, 1024):
        pixels = canvas.enlarge(painted, ImageRequest(prompt="a knight", size_px=size_px))
        assert pixels.shape == (size_px, size_px, 4)
        assert (pixels == [10, 200, 10, 255]).all()
    assert canvas.thumbnail(painted).shape == (64, 64, 4)


def test_a_picture_of_nothing_is_begun_again_but_not_for_ever(
    painter: MosaicPainter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(painter, "_sampling", Sampling(max_redraws=3))
    paint = painter._canvas.paint
    num_of_nothing = [2]

    def nothing_at_first(codes: torch.Tensor) -> Floats:
        num_of_nothing[0] -= 1
        return np.zeros_like(paint(codes)) if num_of_nothing[0] >= 0 else np.ones_like(paint(codes))

    monkeypatch.setattr(painter._canvas, "paint", nothing_at_first)

    def num_redraws(inputs: Inputs, **asked: object) -> int:
        picture = finished(painter, inputs, **asked)
        developed(painter, picture)
        return picture.num_redraws

    assert num_redraws(Inputs()) == 2
    num_of_nothing[0] = 100
    assert num_redraws(Inputs()) == 3
    assert num_redraws(Inputs(start=START), strength=0.5) == 0  # who begins with nothing may keep it
