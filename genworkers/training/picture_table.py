"""What the picture screen learns from: stickers, icons and game tiles with what each one shows, and harmless others."""

import hashlib
import io
import json
import lzma
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from genworkers.codecs.fashion_mnist import read_fashion
from genworkers.codecs.image_bytes import premultiply
from genworkers.training.judge_data import STYLES
from genworkers.training.picture_concepts import KNOWN, NO, UNSURE, YES, icon_concept, icon_labels, sticker_labels
from genworkers.training.sticker_data import is_held_out, load_stickers, read_captions

CALIBRATING_SOURCES, REPORTED_SOURCES = frozenset({"fxemoji", "lucide"}), frozenset({"emojitwo", "bootstrap"})
HELD_OUT_SOURCES = CALIBRATING_SOURCES | REPORTED_SOURCES
# What is held out calibrates and sets thresholds, or figures are reported of it: never both.
Part: TypeAlias = Literal["calibrating", "reported"]
SOURCES_OF_PART: dict[Part, frozenset[str]] = {"calibrating": CALIBRATING_SOURCES, "reported": REPORTED_SOURCES}
ICON_SETS = frozenset(
    {"game_icons", "mdi", "phosphor_fill", "phosphor_duotone", "phosphor_regular", "lucide", "bootstrap"}
)
NUM_OTHERS = 1200  # game characters, and as many photographs of clothes
NUM_OTHER_CONCEPTS = 200  # so that they are drawn as often as 200 things
_WEAPON_TILES = re.compile(r"(?:old/)?item/weapon(?:/artefact|/ranged)?\Z")
_PLAIN_TILES = re.compile(
    r"(?:old/)?(?:item/(?:armour|ring|amulet|scroll|book|food|gold)|(?:dc-)?dngn/(?:floor|wall|doors|water|trees)"
    r"|(?:dc-)?mon/animals)\Z"
)


@dataclass(frozen=True)
class PictureTable:
    """Single drawn things, M rows.

    Attributes:
        pictures: (M, 4, 64, 64) uint8, premultiplied.
        labels: (M, C) int8: YES, NO or UNSURE for each category of KNOWN.
        concepts: what each row shows; variants and styles of one thing share it. Held out is a concept, never a row.
        names: what each row is called, in words.
        sources: the sticker style or icon set of each row.
        is_icon: (M,) bool: black shapes that may have any colour.
        is_held_out: (M,) bool: by concept.
    """

    pictures: Tensor
    labels: Tensor
    concepts: tuple[str, ...]
    names: tuple[str, ...]
    sources: tuple[str, ...]
    is_icon: Tensor
    is_held_out: Tensor

    def rows(self, *, held_out_concepts: bool, held_out_sources: bool, part: Part | None = None) -> list[int]:
        """Rows whose concept and whose source are held out or not.

        Args:
            part: only those whose held-out concept and held-out source are both for this; None is all of them.
        """
        return [
            row
            for row, (is_out, source) in enumerate(zip(self.is_held_out.tolist(), self.sources, strict=True))
            if is_out == held_out_concepts
            and (source in HELD_OUT_SOURCES) == held_out_sources
            and (part is None or not is_out or _part_of(self.concepts[row]) == part)
            and (part is None or not held_out_sources or source in SOURCES_OF_PART[part])
        ]


def _part_of(concept: str) -> Part:
    """Half of the concepts each, by a hash that has nothing to do with which are held out."""
    return "reported" if hashlib.sha256(f"half {concept}".encode()).digest()[0] % 2 else "calibrating"


@dataclass
class _Rows:
    pictures: list[NDArray[np.uint8]]
    labels: list[list[int]]
    concepts: list[str]
    names: list[str]
    sources: list[str]

    def add(self, picture: NDArray[np.uint8], labels: list[int], concept: str, name: str, source: str) -> None:
        self.pictures.append(picture)
        self.labels.append(labels)
        self.concepts.append(concept)
        self.names.append(name)
        self.sources.append(source)


def read_picture_table(corpus: Path, cache: Path) -> PictureTable:
    """Everything that the corpus has; from the cache folder where it was read before (delete `screen-*` to read anew).

    An icon that is called like a sticker is the same concept as that sticker.
    """
    cached = cache / "screen-pictures.npy"
    if not cached.exists():
        rows = _read(corpus, cache)
        cache.mkdir(parents=True, exist_ok=True)
        facts = {"concepts": rows.concepts, "names": rows.names, "sources": rows.sources, "labels": rows.labels}
        (cache / "screen-labels.json").write_text(json.dumps(facts), encoding="utf-8")
        np.save(cached, np.stack(rows.pictures))
    facts = json.loads((cache / "screen-labels.json").read_text(encoding="utf-8"))
    return tabulate(np.load(cached), facts["labels"], facts["concepts"], facts["names"], facts["sources"])


def tabulate(
    pictures: NDArray[np.uint8],
    labels: Sequence[Sequence[int]],
    concepts: Sequence[str],
    names: Sequence[str],
    sources: Sequence[str],
) -> PictureTable:
    """A table of premultiplied pictures (M, 64, 64, 4)."""
    return PictureTable(
        pictures=torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(),
        labels=torch.tensor(labels, dtype=torch.int8),
        concepts=tuple(concepts),
        names=tuple(names),
        sources=tuple(sources),
        is_icon=torch.tensor([source in ICON_SETS for source in sources]),
        is_held_out=torch.tensor([is_held_out(concept) for concept in concepts]),
    )


def _read(corpus: Path, cache: Path) -> _Rows:
    rows = _Rows([], [], [], [], [])
    captions = read_captions(corpus)
    for style in STYLES:
        stickers = load_stickers(corpus, style, cache)
        for key, picture in zip(stickers.keys, stickers.small, strict=True):
            rows.add(picture, sticker_labels(key), key, captions[key].name, style)
    _read_icons(corpus, {caption.name: key for key, caption in captions.items()}, rows)
    _read_tiles(corpus, rows)
    with np.load(corpus / "characters" / "composites_64.npz") as arrays:
        characters = arrays["images"][:: len(arrays["images"]) // NUM_OTHERS][:NUM_OTHERS]
    _add_harmless(list(characters), "game character", "characters", rows)
    clothes = read_fashion(corpus / "benchmarks" / "fashion_mnist.npz")[0].pictures[:NUM_OTHERS].numpy()
    large = [np.asarray(Image.fromarray(one).convert("RGB").resize((64, 64))) for one in clothes]
    _add_harmless(large, "photograph of clothes", "photographs", rows)
    return rows


def _add_harmless(pictures: Sequence[NDArray[np.uint8]], name: str, source: str, rows: _Rows) -> None:
    """Opaque pictures (64, 64, 3) that show none of the categories."""
    for number, picture in enumerate(pictures):
        opaque = np.concatenate([picture, np.full_like(picture[..., :1], 255)], -1)
        rows.add(opaque, [NO] * len(KNOWN), f"{name} {number % NUM_OTHER_CONCEPTS}", name, source)


def _read_icons(corpus: Path, key_of_name: dict[str, str], rows: _Rows) -> None:
    with lzma.open(corpus / "icons" / "captions.jsonl.xz", "rt", encoding="utf-8") as lines:
        facts_of = {row["file"]: row for row in map(json.loads, lines)}
    for name, image in _images(corpus / "icons" / "icons64.tar"):
        facts = facts_of.get(name)
        if facts is None:
            continue
        picture = np.zeros((64, 64, 4), dtype=np.uint8)
        picture[..., 3] = 255 - np.asarray(image.convert("L").resize((64, 64)))
        concept = icon_concept(facts["name"])
        labels = icon_labels(facts["style"], facts["name"], facts["tags"])
        words = concept.replace("-", " ")
        rows.add(picture, labels, key_of_name.get(words, concept), words, facts["style"])


def _read_tiles(corpus: Path, rows: _Rows) -> None:
    """Game tiles of folders that say what is in them: weapons, and things that are in no category."""
    with lzma.open(corpus / "pixelart" / "captions.jsonl.xz", "rt", encoding="utf-8") as lines:
        name_of = {row["file"]: row["name"] for row in map(json.loads, lines)}
    unsure = [UNSURE] * len(KNOWN)
    weapon = [YES if category == "weapons" else unknown for category, unknown in zip(KNOWN, unsure, strict=True)]
    for name, image in _images(corpus / "pixelart" / "tiles32.tar"):
        folder = name.rpartition("/")[0]
        is_weapon = _WEAPON_TILES.match(folder) is not None
        if name not in name_of or image.size != (32, 32) or not (is_weapon or _PLAIN_TILES.match(folder)):
            continue
        premultiplied = np.rint(premultiply(np.asarray(image.convert("RGBA"))) * 255.0).astype(np.uint8)
        labels = weapon if is_weapon else [NO] * len(KNOWN)
        rows.add(premultiplied.repeat(2, 0).repeat(2, 1), labels, f"tile {name_of[name]}", name_of[name], "pixelart")


def _images(path: Path) -> list[tuple[str, Image.Image]]:
    """The pictures of a tar file by their names in it."""
    found: list[tuple[str, Image.Image]] = []
    with tarfile.open(path) as tar:
        for member in tar:
            handle = tar.extractfile(member) if member.name.endswith((".png", ".webp")) else None
            if handle is not None:
                with Image.open(io.BytesIO(handle.read())) as image:
                    image.load()
                    found.append((member.name.removeprefix("./"), image))
    return found
