"""The evaluation of picture marks: attacks give pictures, thresholds fit tails, one picture is measured whole."""

import argparse
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image, ImageDraw

from genworkers.evaluation import marks, picture_marks, safety
from genworkers.evaluation.picture_attacks import ATTACKS
from genworkers.evaluation.picture_mark_readings import KINDS, measure, nulls
from genworkers.evaluation.picture_marks import add_arguments, moving, threshold


@pytest.fixture
def sticker(tmp_path: Path) -> Path:
    picture = Image.new("RGBA", (512, 512))
    ImageDraw.Draw(picture).ellipse((30, 30, 480, 480), fill="#ffc83d", outline="#402a32", width=20)
    picture.save(tmp_path / "sticker.png")
    return tmp_path / "sticker.png"


@pytest.mark.parametrize("num_channels", [3, 4])
def test_every_attack_gives_a_picture_again(num_channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (120, 100, num_channels), dtype=np.uint8)
    for name, attack in ATTACKS.items():
        attacked = attack(pixels, np.random.default_rng(1))
        assert attacked.dtype == np.uint8, name
        assert attacked.ndim == 3, name
        assert attacked.shape[2] in (3, 4), name


def test_threshold_follows_the_tail_of_what_unmarked_pictures_give() -> None:
    """Where z**2 / 2 is exponential, z is beyond t with probability exp(-t**2 / 2)."""
    null_z = np.sqrt(2.0 * np.random.default_rng(0).exponential(size=200_000))
    for fpr in (1e-3, 1e-6):
        assert threshold(null_z, fpr) == pytest.approx(np.sqrt(-2.0 * np.log(fpr)), rel=0.03)


@pytest.mark.slow
def test_a_sticker_is_measured_in_every_kind_and_after_every_attack(sticker: Path) -> None:
    readings, qualities = measure(sticker, with_rival=False, kinds=KINDS)
    assert [(each.kind, each.attack) for each in readings] == [(kind, attack) for kind in KINDS for attack in ATTACKS]
    assert all(each.is_recovered and each.is_found and each.bit_frac > 0.9 for each in readings)
    assert [each.kind for each in qualities] == list(KINDS)
    assert all(44.5 < each.psnr_visible_db < 47.0 and 0.9 < each.ssim <= 1.0 for each in qualities)


@pytest.mark.slow
def test_unmarked_pictures_give_a_low_z_for_each_key(sticker: Path) -> None:
    highest, least_p = nulls(sticker, "none", num_keys=2)
    assert len(highest) == 2
    assert max(highest) < 9.0
    assert least_p > 1e-3


@pytest.mark.slow
def test_animations_are_read_as_they_are_served(sticker: Path) -> None:
    figures = moving([sticker] * 2, num_frames=2)
    assert list(figures) == ["webp", "gif", "mp4"]
    # Of so flat a picture WebP leaves too little.
    assert all(figures[name]["found_frac"] == figures[name]["together_frac"] == 1 for name in ("gif", "mp4"))


@pytest.mark.parametrize("module", [marks, safety])
def test_every_part_of_a_measurement_is_offered_with_its_arguments(module: ModuleType) -> None:
    command = [sys.executable, "-m", module.__name__]
    assert "{text,pictures}" in subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    of_part = subprocess.run([*command, "pictures", "--help"], capture_output=True, text=True, check=True)
    assert "--corpus" in of_part.stdout


def test_missing_rival_is_named_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    monkeypatch.setattr(picture_marks, "RIVAL_PACKAGE", "no_such_package")
    with pytest.raises(SystemExit, match="pip install --no-deps invisible-watermark"):
        picture_marks.run(parser.parse_args(["--out", str(tmp_path)]))
