"""A corpus of character layers as the real one is laid out, drawn from rectangles: few kinds, few colours."""

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from genworkers.training.character_composer import Composer
from genworkers.training.character_layers import load_layers

SKINS = {"Ivory": (240, 210, 180), "Brown": (130, 80, 50)}
OTHER_SKINS = {"Green": (80, 200, 80), "Blue": (60, 90, 220)}
CLOTH = {"Blue": (40, 60, 200), "Green": (30, 150, 60), "Red": (200, 40, 40), "Tan": (210, 180, 130)}
HAIR = {"Black": (40, 40, 50), "Blonde": (230, 200, 90)}
METALS = {"Gold": (220, 180, 40), "Iron": (120, 120, 130)}
EYES = {"Blue": (90, 150, 250), "Gray": (150, 150, 160)}
OUTLINE = (42, 23, 34)

# Rows and columns of each thing's rectangle inside the figure's part of the frame.
KINDS: dict[str, tuple[tuple[int, int, int, int], dict[str, tuple[int, int, int]]]] = {
    "Head/Head 01 - Feminine": ((16, 26, 26, 38), SKINS),
    "Head/Head 02 - Masculine": ((16, 26, 25, 39), SKINS),
    "Head/Head 03 - Elderly": ((17, 27, 26, 38), SKINS),
    "Head/Head Overlay - Eyes": ((21, 22, 29, 32), EYES),
    "Body/Body 01 - Feminine Thin": ((26, 58, 24, 40), SKINS),
    "Body/Body 02 - Masculine Thin": ((26, 58, 22, 42), SKINS),
    "Hair/Short 01 - Buzzcut": ((14, 18, 26, 38), HAIR),
    "Hair/Medium 01 - Page": ((12, 19, 24, 40), HAIR),
    "Hair/Medium 01 - Page/_Behind": ((19, 30, 22, 42), HAIR),
    "Hair/Facial Hair 07 - Medium Beard": ((24, 28, 28, 36), HAIR),
    "Head Accessories/Helm 03 - Norman": ((11, 19, 25, 39), METALS),
    "Head Accessories/Eyewear 01 - Glasses": ((20, 23, 28, 36), METALS),
}
for _kind, _left in (("Feminine", 24), ("Masculine", 22)):
    _right = 64 - _left
    _place = f"Clothing/{_kind} Thin"
    KINDS[f"{_place}/Torso/Shirt 04 - T-shirt"] = ((28, 40, _left, _right), CLOTH)
    KINDS[f"{_place}/Torso/Shirt 09 - Polo"] = ((27, 40, _left, _right), CLOTH)
    KINDS[f"{_place}/Legs/Pants 03 - Pants"] = ((40, 54, _left, _right), CLOTH)
    KINDS[f"{_place}/Legs/Pants 05 - Overalls"] = ((34, 54, _left + 3, _right - 3), CLOTH)
    KINDS[f"{_place}/Feet/Shoes 01 - Shoes"] = ((54, 60, _left, _right), CLOTH)
    KINDS[f"{_place}/Feet/Shoes 02 - Boots"] = ((50, 60, _left, _right), CLOTH)
    KINDS[f"{_place}/Accessories/Neckwear 01 - Bowtie"] = ((27, 29, 30, 34), CLOTH)


def tiny_composer(folder: Path) -> Composer:
    """A composer of tiny layers."""
    write_tiny_characters(folder)
    return Composer(load_layers(folder, folder / "cache"))


def write_tiny_characters(corpus: Path) -> None:
    """`corpus/characters/layers.tar`."""
    (corpus / "characters").mkdir(parents=True)
    with tarfile.open(corpus / "characters" / "layers.tar", "w") as tar:
        for kind, (place, colours) in KINDS.items():
            _add(tar, kind, place, next(iter(colours.values())))  # each kind once beside its folder, as it comes
            for colour, rgb in colours.items():
                _add(tar, f"{kind}/{colour}", place, rgb)
            if colours is SKINS:
                for colour, rgb in OTHER_SKINS.items():
                    _add(tar, f"{kind}/_Alternate Colors/{colour}", place, rgb)
        _add(tar, "Head Accessories/Eyewear 03 - Eyepatch", (20, 24, 27, 31), (60, 20, 20))


def _add(tar: tarfile.TarFile, name: str, place: tuple[int, int, int, int], rgb: tuple[int, int, int]) -> None:
    top, bottom, left, right = place
    sheet = np.zeros((4, 64, 192, 4), dtype=np.uint8)
    for row in range(4):
        # Every direction is one pixel narrower, so that they can be told apart.
        area = sheet[row, top:bottom, left : right - row]
        area[..., :3] = rgb
        area[..., 3] = 255
        area[:, ::3, :3] = [channel * 3 // 4 for channel in rgb]  # a darker shade
        area[0, :, :3] = OUTLINE
    buffer = io.BytesIO()
    Image.fromarray(sheet.reshape(256, 192, 4), mode="RGBA").save(buffer, "PNG")
    entry = tarfile.TarInfo(f"layers/{name}.png")
    entry.size = buffer.tell()
    buffer.seek(0)
    tar.addfile(entry, buffer)
