"""The stickers corpus as arrays and captions: read from its tar files, resized once, kept in a cache folder.

Concepts (keys), never files, are held out: the same concept in another style is not new.
"""

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genworkers.codecs.image_bytes import premultiply, resize_premultiplied

PREMULTIPLIED_PX = (64, 128)


@dataclass(frozen=True)
class Caption:
    """What one concept is called: its name and words that go with it."""

    key: str
    name: str
    keywords: tuple[str, ...]


@dataclass(frozen=True)
class StickerSet:
    """All pictures of one style, sorted by key; premultiplied uint8 arrays (M, px, px, 4)."""

    style: str
    keys: tuple[str, ...]
    small: NDArray[np.uint8]
    large: NDArray[np.uint8]


def is_held_out(key: str) -> bool:
    """True for the tenth of all concepts that nobody trains on."""
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % 10 == 0


def read_captions(corpus: Path) -> dict[str, Caption]:
    """Captions by concept key from `corpus/stickers/captions.jsonl`."""
    captions = {}
    for line in (corpus / "stickers" / "captions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        keywords = tuple(dict.fromkeys(word.strip().lower() for word in row["keywords"] if word.strip()))
        captions[row["key"]] = Caption(row["key"], row["name"], keywords)
    return captions


def load_stickers(corpus: Path, style: str, cache: Path) -> StickerSet:
    """Read one style, or its cached arrays when `cache` already has them."""
    cached = cache / f"stickers-{style}.npz"
    if not cached.exists():
        keys, small, large = _read_tar(corpus / "stickers" / f"px128-{style}.tar")
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(cached, keys=np.array(keys), small=small, large=large)
    with np.load(cached) as arrays:
        return StickerSet(style, tuple(arrays["keys"].tolist()), arrays["small"], arrays["large"])


def trained_and_held_out(stickers: StickerSet) -> tuple[list[int], list[int]]:
    """Row numbers of the pictures to train on, and of those held out."""
    rows = range(len(stickers.keys))
    held_out = [row for row in rows if is_held_out(stickers.keys[row])]
    return [row for row in rows if not is_held_out(stickers.keys[row])], held_out


def _read_tar(path: Path) -> tuple[list[str], NDArray[np.uint8], NDArray[np.uint8]]:
    pictures: dict[str, list[NDArray[np.uint8]]] = {}
    with tarfile.open(path) as tar:
        for member in tar:
            handle = tar.extractfile(member)
            if handle is None:
                continue
            with Image.open(io.BytesIO(handle.read())) as image:
                floats = premultiply(np.asarray(image.convert("RGBA")))
            pictures[Path(member.name).stem] = [
                np.rint(resize_premultiplied(floats, size) * 255.0).astype(np.uint8) for size in PREMULTIPLIED_PX
            ]
    keys = sorted(pictures)
    small, large = (np.stack([pictures[key][i] for key in keys]) for i in range(2))
    return keys, small, large


def caption_choices(caption: Caption, keyword_counts: dict[str, int], num_mixed: int = 4) -> list[tuple[str, float]]:
    """Texts that may stand for one concept in training, with their chances (which sum to 1).

    The name plain and with an article, the name with one to three of its keywords, and single keywords: rare ones more
    often, since "red" says little about an apple and "kitten" much about a cat.

    Args:
        keyword_counts: in how many concepts each keyword occurs.
        num_mixed: how many mixtures of name and keywords; always the same ones for the same concept.
    """
    article = "an" if caption.name[:1].lower() in "aeiou" else "a"
    choices = [(caption.name, 0.25), (f"{article} {caption.name}", 0.2)]
    keywords = [word for word in caption.keywords if word != caption.name]
    if not keywords:
        return [(text, chance / 0.45) for text, chance in choices]
    random = np.random.default_rng(int(hashlib.sha256(caption.key.encode()).hexdigest()[:15], 16))
    for _ in range(num_mixed):
        picked = random.choice(keywords, size=min(len(keywords), int(random.integers(1, 4))), replace=False)
        choices.append((", ".join([caption.name, *picked.tolist()]), 0.3 / num_mixed))
    rarity = [1.0 / keyword_counts[word] for word in keywords]
    return choices + [(word, 0.25 * share / sum(rarity)) for word, share in zip(keywords, rarity, strict=True)]
