"""How strong the marks in pictures are: quality, what they survive, what is found where nothing is; beside dwtDctSvd.

`python -m genworkers.evaluation.marks pictures`. Start at `run`. The pictures are ours (`our_pictures.py`), the
attacks are in `picture_attacks.py`.
"""

import argparse
import importlib.util
import json
import random
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from genworkers.codecs import frames
from genworkers.codecs.animation import FileFormat, to_animation
from genworkers.evaluation.our_pictures import draw_ours, stickers
from genworkers.evaluation.picture_attacks import ATTACKS
from genworkers.evaluation.picture_mark_readings import (
    KEY,
    KINDS,
    RIVAL,
    RIVAL_PACKAGE,
    RIVAL_SURE,
    Quality,
    Reading,
    measure,
    nulls,
    picture,
    read,
)
from genworkers.marks import image_mark

HOW_TO_INSTALL = (
    "the rival is the package invisible-watermark: pip install --no-deps invisible-watermark opencv-python-headless "
    "PyWavelets; or leave it out with --without-rival"
)
NUM_ATTACKED = 200
FITTED_FRAC = 0.01
FPRS = (1e-3, 1e-6)


Result = TypeVar("Result")


def threshold(null_z: NDArray[np.float64], fpr: float) -> float:
    """The z that unmarked pictures exceed at a rate: beyond its 99 % quantile z**2 / 2 is taken to be exponential.

    That is the shape of a normal tail and of the bound that `image_mark.py` states; the rate of decay is fitted (mean
    excess, the maximum-likelihood estimate).
    """
    halves = np.square(null_z) / 2.0
    begin = float(np.quantile(halves, 1.0 - FITTED_FRAC))
    excess = halves[halves > begin] - begin
    return float(np.sqrt(2.0 * (begin + excess.mean() * np.log(FITTED_FRAC / fpr))))


def moving(files: Sequence[Path], *, num_frames: int) -> dict[str, dict[str, float]]:
    """The same payload in every frame of an animation; what is read from one frame of the file and from all."""
    figures: dict[str, dict[str, float]] = {}
    formats: tuple[FileFormat, ...] = ("webp", "gif", "mp4")
    for file_format in formats:
        one, all_frames = [], []
        for start in range(0, len(files) - num_frames + 1, num_frames):
            marked = [image_mark.embed(picture(path), KEY, start) for path in files[start : start + num_frames]]
            data = to_animation(marked, file_format, 12)
            shown = frames.of_film(data) if file_format == "mp4" else frames.of_picture(data)
            one += [read("ours", file_format, "one frame", frame, start) for frame in shown]
            together = next(iter(image_mark.candidates(np.stack(shown), [KEY])))
            all_frames.append(together.payload == start and together.p_value <= image_mark.MAX_P)
        figures[file_format] = {
            "bit_frac": float(np.mean([each.bit_frac for each in one])),
            "recovered_frac": float(np.mean([each.is_recovered for each in one])),
            "found_frac": float(np.mean([each.is_found for each in one])),
            "together_frac": float(np.mean(all_frames)),
        }
    return figures


def table(figures: dict[str, Any]) -> str:
    """Markdown: a row an attack; for ours and the rival bit accuracy, message, and how often they are found."""
    whos = list(figures["robustness"])
    lines = []
    for kind in figures["robustness"][whos[0]]:
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


def _means(qualities: Sequence[Quality]) -> dict[str, float]:
    names = ("psnr_db", "psnr_visible_db", "ssim", "embed_ms", "detect_ms")
    return {name: float(np.mean([asdict(each)[name] for each in qualities])) for name in names}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/marks"), help="where pictures and figures are kept")
    parser.add_argument("--num", type=int, default=520, help="pictures of ours that are marked")
    parser.add_argument(
        "--num-unmarked", type=int, default=2000, help="other pictures, in which nothing is to be found"
    )
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--num-keys", type=int, default=25, help="keys that are tried on each of those")
    parser.add_argument("--num-frames", type=int, default=8, help="frames of an animation")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--rival-every", type=int, default=1, help=f"measure {RIVAL} on every so many-th picture")
    parser.add_argument("--without-rival", action="store_true", help=f"do not measure {RIVAL}")


def run(options: argparse.Namespace) -> None:
    """Measure everything, print the tables and keep the figures in `figures.json`."""
    if not options.without_rival and importlib.util.find_spec(RIVAL_PACKAGE) is None:
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
        measured = _watched("marked", len(marked), pool.map(partial(measure, kinds=options.kinds), marked, has_rival))
    null_z = np.array([z for highest, _ in null_pairs for z in highest])
    null_p = np.array([least for _, least in null_pairs])
    sure = {fpr: threshold(null_z, fpr) for fpr in FPRS}
    readings = [each for own, _ in measured for each in own]
    qualities = [each for _, own in measured for each in own]
    figures: dict[str, Any] = {
        "num": len(marked),
        "num_unmarked": len(pairs),
        "num_null": len(null_z),
        "threshold_z": {str(fpr): least for fpr, least in sure.items()},
        "null_z": {str(share): float(np.quantile(null_z, share)) for share in (0.5, 0.99, 0.999, 0.9999, 1.0)},
        "least_null_p": float(null_p.min()),
        "quality": {},
        "robustness": {},
        "moving": moving(marked[: 5 * options.num_frames], num_frames=options.num_frames),
    }
    for who in dict.fromkeys(each.who for each in readings):
        own_sure = sure if who == "ours" else {fpr: float(least) for fpr, least in RIVAL_SURE.items()}
        figures["quality"][who], figures["robustness"][who] = {}, {}
        for kind in options.kinds:
            figures["quality"][who][kind] = _means([each for each in qualities if (each.who, each.kind) == (who, kind)])
            own = [each for each in readings if (each.who, each.kind) == (who, kind)]
            figures["robustness"][who][kind] = {
                attack: _summary([each for each in own if each.attack == attack], own_sure) for attack in ATTACKS
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
