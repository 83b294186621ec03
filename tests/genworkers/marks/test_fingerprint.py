"""Fingerprints: the same picture or text after light edits, and others told apart."""

import io
import random
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from genworkers.contract.fingerprints import MIN_WORDS_ALIKE, PICTURE, SAME, TEXT, num_words, similarity
from genworkers.marks.fingerprint import Pixels, bands, of_picture, of_text

STORY = (
    "Once there was a small boat that wanted to see the end of the river. Every morning it asked the heron how far the "
    "sea was, and every morning the heron said that it was one day further than a small boat can go. So the boat left "
    "at night, when herons sleep, and when the sun came up there was no bank on either side and the water was salt."
)


def _sticker(body: str = "#ffc83d", mouth: tuple[int, int, int, int] = (150, 320, 360, 370)) -> Pixels:
    picture = Image.new("RGBA", (512, 512))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((30, 30, 480, 480), fill=body)
    draw.ellipse((140, 150, 210, 250), fill="#402a32")
    draw.ellipse((300, 150, 370, 250), fill="#402a32")
    draw.rectangle(mouth, fill="#bb1d80")
    return np.array(picture)


def _jpeg(pixels: Pixels, quality: int) -> Pixels:
    page = Image.new("RGBA", (pixels.shape[1], pixels.shape[0]), "white")
    buffer = io.BytesIO()
    Image.alpha_composite(page, Image.fromarray(pixels)).convert("RGB").save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


@pytest.mark.parametrize(
    "attacked",
    [
        lambda pixels: _jpeg(pixels, 50),
        lambda pixels: np.asarray(Image.fromarray(pixels).resize((128, 128), Image.Resampling.LANCZOS)),
        lambda pixels: np.asarray(Image.fromarray(pixels).resize((700, 700), Image.Resampling.BICUBIC)),
        lambda pixels: np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1))),
    ],
    ids=["JPEG50", "128px", "700px", "blur"],
)
def test_the_same_picture_is_found_by_a_band_and_called_the_same(attacked: Any) -> None:
    ours, seen = of_picture(_sticker()), of_picture(attacked(_sticker()))
    assert similarity(ours, seen) >= SAME[PICTURE]
    assert set(bands(ours)) & set(bands(seen))


@pytest.mark.parametrize(
    "other",
    [_sticker(body="#ff7043"), _sticker(mouth=(150, 320, 360, 440)), np.ascontiguousarray(_sticker()[::-1])],
    ids=["colour", "mouth", "upside down"],
)
def test_pictures_that_visibly_differ_are_not_the_same(other: Pixels) -> None:
    assert similarity(of_picture(_sticker()), of_picture(other)) < SAME[PICTURE]


def test_transparent_and_laid_on_white_are_one_picture_and_plain_ones_are_told_apart() -> None:
    clear, black = np.zeros((64, 64, 4), np.uint8), np.zeros((64, 64, 3), np.uint8)
    assert of_picture(clear) == of_picture(black + np.uint8(255))
    assert similarity(of_picture(clear), of_picture(black)) < SAME[PICTURE]
    assert len(of_picture(clear[:1, :1])) == len(of_picture(_sticker()))


def test_text_with_a_tenth_of_its_words_changed_is_the_same() -> None:
    words = (STORY * 2).split()
    for place in random.Random(1).sample(range(len(words)), len(words) // 10):
        words[place] = "something"
    ours, seen = of_text(STORY * 2), of_text(" ".join(words))
    assert similarity(ours, seen) >= SAME[TEXT]
    assert set(bands(ours)) & set(bands(seen))


def test_case_punctuation_and_spaces_of_a_text_do_not_count_but_words_do() -> None:
    assert of_text("A cat,  a DOG!") == of_text("a cat a dog")
    assert of_text("ﬁne ｗｏｒｄｓ here now") == of_text("fine words here now")
    assert similarity(of_text(STORY), of_text("Down by the harbour an old fisherman mended his nets and sang.")) < 0.1


@pytest.mark.parametrize("text", ["", "hi", "two words", "🙂🙂", "?!"])
def test_short_texts_are_like_themselves_only(text: str) -> None:
    assert similarity(of_text(text), of_text(text)) == 1.0
    assert similarity(of_text(text), of_text(STORY)) < SAME[TEXT]


def test_a_picture_is_never_like_a_text_and_bands_fit_a_signed_64_bit_column() -> None:
    picture, text = of_picture(_sticker()), of_text(STORY)
    assert similarity(picture, text) == 0.0
    assert not set(bands(picture)) & set(bands(text))
    assert all(0 <= band < 1 << 38 for band in bands(picture) + bands(text))
    assert len(set(bands(text))) == 42
    assert len(set(bands(picture))) == 21


def test_what_is_no_colour_picture_is_refused_with_its_shape() -> None:
    with pytest.raises(ValueError, match=r"uint8 \(8, 8\)"):
        of_picture(np.zeros((8, 8), np.uint8))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("\U0001f6f6!", 0),
        ("It's a boat.", 4),
        ("2024年的小船", 5),
        ("ボートです", 5),
        ("ha " * 10**6, MIN_WORDS_ALIKE),
    ],
)
def test_words_are_counted_in_scripts_with_and_without_spaces(text: str, expected: int) -> None:
    assert num_words(text) == expected
