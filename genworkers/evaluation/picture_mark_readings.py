"""One picture marked, attacked and read again, by our mark and by its rival dwtDctSvd; and unmarked ones, read too."""

import hashlib
import importlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genworkers.codecs.image_bytes import Pixels, from_bytes
from genworkers.evaluation.picture_attacks import ATTACKS, laid_on, resized
from genworkers.marks import bch, image_mark
from genworkers.marks.keys import MarkKey

RIVAL_PACKAGE = "imwatermark"
RIVAL = "dwtDctSvd"
RIVAL_BITS = 32
RIVAL_SURE = {1e-3: 26, 1e-6: 30}  # so many of 32 coin tosses right: binomial tails 2.7e-4 and 1.2e-7
KINDS = ("transparent", "on white", "opaque")  # marked with alpha and kept so, then laid on white, or marked opaque
WHITE = "#ffffff"
GROUNDS = (WHITE, "#ffcc00", "#1e293b", "#7dd3fc")
SIZE_PX = 512


@dataclass(frozen=True)
class Reading:
    """What was read of one picture after one attack.

    Attributes:
        kind: one of KINDS.
        bit_frac: share of its bits that were read rightly, before correction.
        is_recovered: whether the whole message is right.
        strength: what decides whether a mark is there: ours z, the rival's number of right bits.
        is_found: whether `detect` reports it, at a false-positive rate of at most 1e-6 that nothing was fitted for.
    """

    who: str
    kind: str
    attack: str
    bit_frac: float
    is_recovered: bool
    strength: float
    is_found: bool


@dataclass(frozen=True)
class Quality:
    """How near a marked picture is to the unmarked one, on white: the whole of it, and where it is not transparent."""

    who: str
    kind: str
    psnr_db: float
    psnr_visible_db: float
    ssim: float
    embed_ms: float
    detect_ms: float


def key_of(name: str) -> MarkKey:
    """A key for an evaluation: its secret is the hash of its name."""
    return MarkKey(name, hashlib.sha256(name.encode()).digest())


def picture(path: Path) -> Pixels:
    """A file as RGBA, SIZE_PX wide at least."""
    pixels = from_bytes(path.read_bytes())
    return pixels if max(pixels.shape[:2]) >= SIZE_PX else resized(pixels, SIZE_PX / max(pixels.shape[:2]))


def measure(path: Path, with_rival: bool, *, kinds: Sequence[str]) -> tuple[list[Reading], list[Quality]]:
    """Mark one picture in every kind, attack it in all ways and read it again."""
    seed = int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:8])
    chance = np.random.default_rng(seed)
    ground = GROUNDS[seed % len(GROUNDS)]
    readings, qualities = [], []
    for kind in kinds:
        pixels = laid_on(picture(path), ground) if kind == "opaque" else picture(path)
        for who in ("ours", RIVAL)[: 2 if with_rival else 1]:
            own, quality = _measured(who, kind, pixels, chance)
            readings += own
            qualities.append(quality)
    return readings, qualities


def _measured(who: str, kind: str, pixels: Pixels, chance: np.random.Generator) -> tuple[list[Reading], Quality]:
    payload = int(chance.integers(image_mark.NUM_PAYLOADS))
    shown = laid_on(pixels, WHITE)
    started = time.process_time()
    marked = image_mark.embed(pixels, KEY, payload) if who == "ours" else _rival_embed(shown, payload)
    embedded = time.process_time()
    if kind == "on white":
        marked = laid_on(marked, WHITE)
    readings = [
        read(who, kind, name, np.ascontiguousarray(attack(marked, chance)), payload) for name, attack in ATTACKS.items()
    ]
    read_s = (time.process_time() - embedded) / len(ATTACKS)
    seen = laid_on(marked, WHITE).astype(np.float64)
    errors = np.square(seen - shown).mean(-1)
    visible = pixels[..., 3] > 0 if pixels.shape[2] == 4 else np.ones(errors.shape, np.bool_)
    quality = Quality(
        who,
        kind,
        _psnr_db(errors),
        _psnr_db(errors[visible]) if visible.any() else np.inf,
        _ssim(seen, shown),
        1000.0 * (embedded - started),
        1000.0 * read_s,
    )
    return readings, quality


def read(who: str, kind: str, attack: str, pixels: Pixels, payload: int) -> Reading:
    """Look for a payload in a picture."""
    if who == RIVAL:
        num_right = RIVAL_BITS - (_rival_decode(pixels) ^ payload & (1 << RIVAL_BITS) - 1).bit_count()
        is_whole, is_found = num_right == RIVAL_BITS, num_right >= RIVAL_SURE[1e-6]
        return Reading(who, kind, attack, num_right / RIVAL_BITS, is_whole, num_right, is_found)
    surest = next(iter(image_mark.candidates(pixels, [KEY])), None)
    if surest is None:
        return Reading(who, kind, attack, 0.5, False, 0.0, False)
    written = sum(int(bit) << place for place, bit in enumerate(bch.encode(payload)))
    bit_frac = 1.0 - (written ^ surest.read_bits).bit_count() / bch.NUM_BITS
    is_found = surest.p_value <= image_mark.MAX_P
    return Reading(who, kind, attack, bit_frac, surest.payload == payload, surest.z, is_found)


def _rival_embed(shown: Pixels, payload: int) -> Pixels:
    encoder = importlib.import_module(RIVAL_PACKAGE).WatermarkEncoder()
    encoder.set_watermark("bits", [payload >> place & 1 for place in range(RIVAL_BITS)])
    return np.asarray(encoder.encode(np.ascontiguousarray(shown[..., ::-1]), RIVAL), dtype=np.uint8)[..., ::-1]


def _rival_decode(pixels: Pixels) -> int:
    """0 for pictures below 256 x 256 px, which the package refuses."""
    shown = np.ascontiguousarray(laid_on(pixels, WHITE)[..., ::-1])
    if shown.shape[0] * shown.shape[1] < 256 * 256:
        return 0
    decoder = importlib.import_module(RIVAL_PACKAGE).WatermarkDecoder("bits", RIVAL_BITS)
    return sum(int(bit) << place for place, bit in enumerate(decoder.decode(shown, RIVAL)))


def nulls(path: Path, attack: str, *, num_keys: int) -> tuple[list[float], float]:
    """The highest z of each of many keys in a picture that none of them marked, and the least p-value of all."""
    chance = np.random.default_rng(len(attack))
    pixels = np.ascontiguousarray(ATTACKS[attack](picture(path), chance))
    keys = [key_of(f"{path.name} {index}") for index in range(num_keys)]
    found = image_mark.candidates(pixels, keys)
    highest = [max((each.z for each in found if each.key_id == key.key_id), default=0.0) for key in keys]
    return highest, min((each.p_value for each in found), default=1.0)


def _psnr_db(errors: NDArray[np.float64]) -> float:
    return float(10.0 * np.log10(255.0**2 / max(float(errors.mean()), 1e-9)))


def _ssim(ours: NDArray[np.float64], real: Pixels) -> float:
    """Wang, Bovik, Sheikh, Simoncelli 2004, eq. 13, of luma. Differs from the paper: flat 8 px windows, 4 px apart."""
    first, second = (
        np.lib.stride_tricks.sliding_window_view(light @ [0.299, 0.587, 0.114], (8, 8))[::4, ::4]
        for light in (ours, real.astype(np.float64))
    )
    means, variances = [each.mean((2, 3)) for each in (first, second)], [each.var((2, 3)) for each in (first, second)]
    covariance = (first * second).mean((2, 3)) - means[0] * means[1]
    near_0, near_0_squared = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2
    likeness = (2.0 * means[0] * means[1] + near_0) * (2.0 * covariance + near_0_squared)
    likeness /= (means[0] ** 2 + means[1] ** 2 + near_0) * (variances[0] + variances[1] + near_0_squared)
    return float(likeness.mean())


KEY = key_of("evaluation")
