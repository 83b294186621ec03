"""How strong the marks in pictures are: quality, what they survive, what is found where nothing is; beside dwtDctSvd.

`python -m genworkers.evaluation.picture_marks`. Start at `run`. The pictures are ours (`our_pictures.py`), the
attacks are in `picture_attacks.py`.
"""

import argparse
import hashlib
import importlib
import importlib.util
import json
import random
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genworkers.codecs.animation import FileFormat, to_animation
from genworkers.codecs.image_bytes import Pixels, from_bytes
from genworkers.evaluation.our_pictures import draw_ours
from genworkers.evaluation.picture_attacks import ATTACKS, laid_on, resized
from genworkers.marks import bch, image_mark
from genworkers.marks.keys import MarkKey

RIVAL = "dwtDctSvd"
RIVAL_BITS = 32
RIVAL_SURE = {1e-3: 26, 1e-6: 30}  # so many of 32 coin tosses right: binomial tails 2.7e-4 and 1.2e-7
HOW_TO_INSTALL = (
    "the rival is the package invisible-watermark: pip install --no-deps invisible-watermark opencv-python-headless "
    "PyWavelets; or leave it out with --without-rival"
)
GROUNDS = ("#ffffff", "#ffcc00", "#1e293b", "#7dd3fc")
SIZE_PX = 512
STICKER_TARS = ("px256-fluent-3d.tar", "px256-fluent-flat.tar", "px128-noto.tar")
NUM_ATTACKED = 200
FITTED_FRAC = 0.01
FPRS = (1e-3, 1e-6)


Result = TypeVar("Result")


@dataclass(frozen=True)
class Reading:
    """What was read of one picture after one attack.

    Attributes:
        kind: "transparent" or "opaque".
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


def measure(path: Path, with_rival: bool) -> tuple[list[Reading], list[Quality]]:
    """Mark one picture, transparent and opaque, attack it in all ways and read it again."""
    seed = int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:8])
    chance = np.random.default_rng(seed)
    original = picture(path)
    ground = GROUNDS[seed % len(GROUNDS)]
    readings, qualities = [], []
    for kind, pixels in {"transparent": original, "opaque": laid_on(original, ground)}.items():
        for who in ("ours", RIVAL)[: 2 if with_rival else 1]:
            own, quality = _measured(who, kind, pixels, chance)
            readings += own
            qualities.append(quality)
    return readings, qualities


def _measured(who: str, kind: str, pixels: Pixels, chance: np.random.Generator) -> tuple[list[Reading], Quality]:
    payload = int(chance.integers(image_mark.NUM_PAYLOADS))
    shown = laid_on(pixels, "#ffffff")
    started = time.process_time()
    marked = image_mark.embed(pixels, KEY, payload) if who == "ours" else _rival_embed(shown, payload)
    embedded = time.process_time()
    readings = [
        _read(who, kind, name, np.ascontiguousarray(attack(marked, chance)), payload)
        for name, attack in ATTACKS.items()
    ]
    read_s = (time.process_time() - embedded) / len(ATTACKS)
    seen = laid_on(marked, "#ffffff").astype(np.float64)
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


def _read(who: str, kind: str, attack: str, pixels: Pixels, payload: int) -> Reading:
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
    encoder = importlib.import_module("imwatermark").WatermarkEncoder()
    encoder.set_watermark("bits", [payload >> place & 1 for place in range(RIVAL_BITS)])
    return np.asarray(encoder.encode(np.ascontiguousarray(shown[..., ::-1]), RIVAL), dtype=np.uint8)[..., ::-1]


def _rival_decode(pixels: Pixels) -> int:
    """0 for pictures below 256 x 256 px, which the package refuses."""
    shown = np.ascontiguousarray(laid_on(pixels, "#ffffff")[..., ::-1])
    if shown.shape[0] * shown.shape[1] < 256 * 256:
        return 0
    decoder = importlib.import_module("imwatermark").WatermarkDecoder("bits", RIVAL_BITS)
    return sum(int(bit) << place for place, bit in enumerate(decoder.decode(shown, RIVAL)))


def nulls(path: Path, attack: str, *, num_keys: int) -> list[tuple[float, float]]:
    """z and p-value of the surest candidate of each of many keys in a picture that none of them marked."""
    chance = np.random.default_rng(len(attack))
    pixels = np.ascontiguousarray(ATTACKS[attack](picture(path), chance))
    keys = [key_of(f"{path.name} {index}") for index in range(num_keys)]
    surest: dict[str, tuple[float, float]] = {key.key_id: (0.0, 1.0) for key in keys}
    for found in image_mark.candidates(pixels, keys):
        surest[found.key_id] = max(surest[found.key_id], (found.z, found.p_value))
    return list(surest.values())


def threshold(null_z: NDArray[np.float64], fpr: float) -> float:
    """The z that unmarked pictures exceed at a rate: beyond its 99 % quantile z**2 / 2 is taken to be exponential.

    That is the shape of a normal tail and of the bound that `image_mark.py` states; the rate of decay is fitted (mean
    excess, the maximum-likelihood estimate).
    """
    halves = np.square(null_z) / 2.0
    begin = float(np.quantile(halves, 1.0 - FITTED_FRAC))
    excess = halves[halves > begin] - begin
    return float(np.sqrt(2.0 * (begin + excess.mean() * np.log(FITTED_FRAC / fpr))))


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


def moving(files: Sequence[Path], *, num_frames: int) -> dict[str, dict[str, float]]:
    """The same payload in every frame of an animation; what is read from one frame of the file and from all."""
    figures: dict[str, dict[str, float]] = {}
    formats: tuple[FileFormat, ...] = ("webp", "gif", "mp4")
    for file_format in formats:
        one, all_frames = [], []
        for start in range(0, len(files) - num_frames + 1, num_frames):
            marked = [image_mark.embed(picture(path), KEY, start) for path in files[start : start + num_frames]]
            shown = _frames(to_animation(marked, file_format, 12), file_format)
            one += [_read("ours", file_format, "one frame", frame, start) for frame in shown]
            together = next(iter(image_mark.candidates(np.stack(shown), [KEY])))
            all_frames.append(together.payload == start and together.p_value <= image_mark.MAX_P)
        figures[file_format] = {
            "bit_frac": float(np.mean([each.bit_frac for each in one])),
            "recovered_frac": float(np.mean([each.is_recovered for each in one])),
            "found_frac": float(np.mean([each.is_found for each in one])),
            "together_frac": float(np.mean(all_frames)),
        }
    return figures


def _frames(data: bytes, file_format: FileFormat) -> list[Pixels]:
    if file_format == "mp4":
        with importlib.import_module("av").open(BytesIO(data)) as file:
            return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    with Image.open(BytesIO(data)) as image:
        frames = []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGBA")))
        return frames


def stickers(corpus: Path, folder: Path, num: int) -> list[Path]:
    """Files of so many stickers of the corpus, which nobody marked."""
    folder.mkdir(parents=True, exist_ok=True)
    each = -(-num // len(STICKER_TARS))
    for name in STICKER_TARS:
        with tarfile.open(corpus / "stickers" / name) as tar:
            for member in tar.getmembers()[:each]:
                data = tar.extractfile(member)
                path = folder / f"{Path(name).stem}-{Path(member.name).name}"
                if data is not None and not path.exists():
                    path.write_bytes(data.read())
    return sorted(folder.iterdir())[:num]


def table(figures: dict[str, Any]) -> str:
    """Markdown: a row an attack; for ours and the rival bit accuracy, message, and how often they are found."""
    whos = list(figures["robustness"])
    lines = []
    for kind in ("transparent", "opaque"):
        lines += [f"\n**{kind.capitalize()}**\n"]
        lines += [
            "| attack | " + " | ".join(f"{who}: bits | message | TPR 1e-3 | TPR 1e-6 | found" for who in whos) + " |"
        ]
        lines += ["|---" * (1 + 5 * len(whos)) + "|"]
        for attack in ATTACKS:
            cells = []
            for who in whos:
                row = figures["robustness"][who][kind][attack]
                cells += [f"{row[name]:.3f}" for name in ("bits", "message", "tpr_1e-3", "tpr_1e-6", "found")]
            lines.append(f"| {attack} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _summary(readings: Sequence[Reading], sure: dict[float, float]) -> dict[str, float]:
    strength = np.array([each.strength for each in readings])
    return {
        "bits": float(np.mean([each.bit_frac for each in readings])),
        "message": float(np.mean([each.is_recovered for each in readings])),
        **{f"tpr_{fpr:.0e}".replace("e-0", "e-"): float((strength >= least).mean()) for fpr, least in sure.items()},
        "found": float(np.mean([each.is_found for each in readings])),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/marks"), help="where pictures and figures are kept")
    parser.add_argument("--num", type=int, default=520, help="pictures of ours that are marked")
    parser.add_argument(
        "--num-unmarked", type=int, default=2000, help="other pictures, in which nothing is to be found"
    )
    parser.add_argument("--num-keys", type=int, default=25, help="keys that are tried on each of those")
    parser.add_argument("--num-frames", type=int, default=8, help="frames of an animation")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--rival-every", type=int, default=1, help=f"measure {RIVAL} on every so many-th picture")
    parser.add_argument("--without-rival", action="store_true", help=f"do not measure {RIVAL}")


def run(options: argparse.Namespace) -> None:
    """Measure everything, print the tables and keep the figures in `figures.json`."""
    if not options.without_rival and importlib.util.find_spec("imwatermark") is None:
        raise SystemExit(HOW_TO_INSTALL)
    ours = draw_ours(options.out / "ours", options.corpus)
    random.Random(1).shuffle(ours)
    marked, others = ours[: options.num], ours[options.num :]
    attacked = others[:NUM_ATTACKED]
    plain = (others + stickers(options.corpus, options.out / "stickers", options.num_unmarked))[
        : max(0, options.num_unmarked - len(attacked))
    ]
    names = list(ATTACKS)
    with ProcessPoolExecutor(options.processes) as pool:
        pairs = [(path, "none") for path in plain] + [
            (path, names[index % len(names)]) for index, path in enumerate(attacked)
        ]
        null_pairs = _watched(
            "unmarked", len(pairs), pool.map(partial(nulls, num_keys=options.num_keys), *zip(*pairs, strict=True))
        )
        has_rival = [index % options.rival_every == 0 and not options.without_rival for index in range(len(marked))]
        measured = _watched("marked", len(marked), pool.map(measure, marked, has_rival))
    null = np.array([pair for of_picture in null_pairs for pair in of_picture])
    null_z, null_p = null.T
    sure = {fpr: threshold(null_z, fpr) for fpr in FPRS}
    readings = [each for own, _ in measured for each in own]
    qualities = [each for _, own in measured for each in own]
    whos = list(dict.fromkeys(each.who for each in readings))
    kinds = ("transparent", "opaque")
    figures: dict[str, Any] = {
        "num": len(marked),
        "num_unmarked": len(pairs),
        "num_null": len(null_z),
        "threshold_z": {str(fpr): least for fpr, least in sure.items()},
        "null_z": {str(share): float(np.quantile(null_z, share)) for share in (0.5, 0.99, 0.999, 0.9999, 1.0)},
        "least_null_p": float(null_p.min()),
        "quality": {
            who: {
                kind: {
                    name: float(
                        np.mean([asdict(each)[name] for each in qualities if (each.who, each.kind) == (who, kind)])
                    )
                    for name in ("psnr_db", "psnr_visible_db", "ssim", "embed_ms", "detect_ms")
                }
                for kind in kinds
            }
            for who in whos
        },
        "robustness": {
            who: {
                kind: {
                    attack: _summary(
                        [each for each in readings if (each.who, each.kind, each.attack) == (who, kind, attack)],
                        sure if who == "ours" else {fpr: float(least) for fpr, least in RIVAL_SURE.items()},
                    )
                    for attack in ATTACKS
                }
                for kind in kinds
            }
            for who in whos
        },
        "moving": moving(marked[: 5 * options.num_frames], num_frames=options.num_frames),
    }
    (options.out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({name: each for name, each in figures.items() if name != "robustness"}, indent=2))
    print(table(figures))


def _watched(what: str, num: int, results: Iterator[Result]) -> list[Result]:
    done = []
    for result in results:
        done.append(result)
        if len(done) % 20 == 0:
            print(f"{len(done)} of {num} {what} pictures", file=sys.stderr, flush=True)
    return done


KEY = key_of("evaluation")

if __name__ == "__main__":
    argument_parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(argument_parser)
    run(argument_parser.parse_args())
