"""What the numbers about pictures mean."""

import numpy as np
import pytest

from genworkers.evaluation.pictures import contact_sheet, on_white, psnr_db


def plain(value: int, alpha: int = 255) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    pixels = np.full((16, 16, 4), value, np.uint8)
    pixels[..., 3] = alpha
    return pixels


def test_nothing_is_white() -> None:
    assert on_white(plain(0, alpha=0)).min() == 1.0


def test_psnr_of_a_known_error() -> None:
    assert psnr_db(plain(100), plain(100)) == 60.0
    assert psnr_db(plain(0), plain(51)) == pytest.approx(13.98, abs=0.01)
    with pytest.raises(ValueError, match="same size"):
        psnr_db(plain(0), np.zeros((8, 8, 4), np.uint8))


def test_a_contact_sheet_has_a_place_for_every_picture() -> None:
    sheet = contact_sheet([plain(0)] * 5, list("abcde"), num_columns=3, cell_px=32)
    assert sheet.size == (96, 96)
    assert sheet.getpixel((16, 16)) == (0, 0, 0)
