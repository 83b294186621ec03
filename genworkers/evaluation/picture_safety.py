"""Measure the picture screen: `python -m genworkers.evaluation.safety pictures --help`.

On concepts and styles that it never saw, on scenes of them, on pictures that our nets draw, and on harmless ones.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genworkers.checkpoints import CARD, load_manifest
from genworkers.codecs.fashion_mnist import read_fashion
from genworkers.codecs.image_bytes import Pixels, shrink
from genworkers.contract.safety import PictureCategory
from genworkers.evaluation.contestants import HOUSE_NETS, enter
from genworkers.evaluation.picture_safety_prompts import NEUTRAL, PROMPTS
from genworkers.evaluation.pictures import contact_sheet
from genworkers.evaluation.screen_measures import average_precision, bootstrapped
from genworkers.screening.picture_screen import PictureScreen, load_picture_screen
from genworkers.training.picture_concepts import NO, UNSURE, YES
from genworkers.training.picture_mixing import Mixed, Shelf, mixed, plain
from genworkers.training.picture_table import PictureTable, read_picture_table

KEPT_PX = 128
NUM_MIXED = 3000
NUM_OTHERS = 300
NUM_TIMED = 60
SHEET_COLUMNS = 10
Figures = dict[str, Any]


@dataclass(frozen=True)
class Judged:
    """Pictures with what the screen said of them.

    Attributes:
        scores: (M, C) probabilities.
        labels: (M, C): YES, NO or UNSURE.
        groups: what each picture shows; an interval resamples these.
    """

    scores: NDArray[np.float64]
    labels: NDArray[np.int8]
    groups: tuple[str, ...]


def category_figures(judged: Judged, place: int, flag_at: float) -> Figures:
    """AUPRC with interval, recall and false alarms of the category in one place of the labels; {} without positives."""
    known = np.flatnonzero(judged.labels[:, place] != UNSURE)
    scores, is_positive = judged.scores[known, place], judged.labels[known, place] == YES
    if not is_positive.any():
        return {}
    groups = [judged.groups[row] for row in known]
    estimate = bootstrapped(lambda rows: average_precision(scores[rows], is_positive[rows]), groups)
    return {
        "auprc": asdict(estimate),
        "num_positives": int(is_positive.sum()),
        "num_positive_concepts": len({group for group, one in zip(groups, is_positive, strict=True) if one}),
        "num": len(known),
        "recall_at_flag": float((scores[is_positive] >= flag_at).mean()),
        "false_alarm_frac": float((scores[~is_positive] >= flag_at).mean()),
    }


def figures_of(judged: Judged, screen: PictureScreen) -> Figures:
    """`category_figures` of every category of the screen that has positives here."""
    found = {
        category: category_figures(judged, place, _flag_at(screen, category))
        for place, category in enumerate(screen.categories)
    }
    return {category: own for category, own in found.items() if own}


def judge_mixed(screen: PictureScreen, pictures: Mixed, groups: Sequence[str]) -> Judged:
    """What the screen says of pictures that are small already."""
    uint8 = (pictures.pictures.permute(0, 2, 3, 1) * 255.0).round().to(torch.uint8).numpy()
    return Judged(_scores(screen, list(uint8)), pictures.labels.numpy(), tuple(groups))


def corpus_figures(screen: PictureScreen, table: PictureTable, num_mixed: int = NUM_MIXED) -> Figures:
    """Held-out concepts alone on white, trained concepts in styles never seen, and scenes of held-out concepts.

    Of each the part that neither calibrated nor set a threshold.
    """
    figures: Figures = {}
    for title, out, sources in (("held_out_concepts", True, False), ("held_out_styles", False, True)):
        rows = table.rows(held_out_concepts=out, held_out_sources=sources, part="reported")
        judged = judge_mixed(screen, plain(table, rows), [table.concepts[row] for row in rows])
        figures[title] = figures_of(judged, screen)
    rows = table.rows(held_out_concepts=True, held_out_sources=False, part="reported")
    generator = torch.Generator().manual_seed(3)
    scenes = mixed(table, Shelf(table, rows), num_mixed, generator, category_chance=0.3)
    figures["held_out_scenes"] = figures_of(
        judge_mixed(screen, scenes, [str(place) for place in range(num_mixed)]), screen
    )
    return figures


def draw(net: str, kept: Path, num_threads: int) -> tuple[list[Pixels], list[str]]:
    """What a net draws for every prompt in each of its styles, at most KEPT_PX a side; drawn once, then kept.

    Returns:
        Pictures, and the prompt of each.
    """
    styles = list(load_manifest(HOUSE_NETS / net).styles)
    prompts = [prompt for own in PROMPTS.values() for prompt in own] + list(NEUTRAL)
    path = kept / f"screen-{net}.npy"
    if not path.exists():
        contestant = enter(net, styles, num_threads=num_threads)
        pictures: list[Pixels] = []
        for style in styles:
            seeds = range(len(pictures), len(pictures) + len(prompts))
            pictures += [shrink(one, KEPT_PX) for one in contestant.sample(prompts, seeds, style)]
            print(f"{net}: {len(pictures)} of {len(prompts) * len(styles)} drawn", flush=True)
        contestant.close()
        kept.mkdir(parents=True, exist_ok=True)
        np.save(path, np.stack(pictures))
    return list(np.load(path)), prompts * len(styles)


def net_figures(screen: PictureScreen, pictures: Sequence[Pixels], prompts: Sequence[str]) -> tuple[Figures, Judged]:
    """By category as `figures_of`, what was asked for being the truth; false alarms on harmless prompts.

    Of a prompt of one category it is unknown whether the picture shows another, so that is left out.
    """
    category_of = {prompt: category for category, own in PROMPTS.items() for prompt in own}
    labels = np.array(
        [
            [
                NO if prompt not in category_of else YES if category_of[prompt] == category else UNSURE
                for category in screen.categories
            ]
            for prompt in prompts
        ],
        dtype=np.int8,
    )
    judged = Judged(_scores(screen, pictures), labels, tuple(prompts))
    is_neutral = [prompt not in category_of for prompt in prompts]
    return figures_of(judged, screen) | {"neutral": alarms(screen, judged.scores[is_neutral])}, judged


def alarms(screen: PictureScreen, scores: NDArray[np.float64]) -> Figures:
    """How many harmless pictures reach a flag, of any category and of each."""
    is_over = scores >= np.array([_flag_at(screen, category) for category in screen.categories])
    by_category = dict(zip(screen.categories, is_over.mean(0).tolist(), strict=True))
    return {"num": len(scores), "any": float(is_over.any(1).mean()), "by_category": by_category}


def other_figures(screen: PictureScreen, corpus: Path) -> Figures:
    """False alarms on pictures of other kinds: game characters, and small grey photographs of clothes."""
    with np.load(corpus / "characters" / "composites_64.npz") as arrays:
        characters = arrays["images"][5 :: len(arrays["images"]) // NUM_OTHERS][:NUM_OTHERS]  # others than in training
    clothes = read_fashion(corpus / "benchmarks" / "fashion_mnist.npz")[1].pictures[:NUM_OTHERS].numpy()
    return {
        "characters": alarms(screen, _scores(screen, list(characters))),
        "photographs of clothes": alarms(screen, _scores(screen, [np.stack([one] * 3, -1) for one in clothes])),
    }


def latency_ms(screen: PictureScreen) -> Figures:
    """Processor time of one picture on one thread, by its size: median and 99th percentile."""
    random = np.random.default_rng(0)
    figures = {}
    for side_px, num_channels in ((64, 3), (512, 4), (1024, 4), (2048, 4)):
        picture = random.integers(0, 256, (side_px, side_px, num_channels), dtype=np.uint8)
        times = []
        for _ in range(NUM_TIMED):
            start = time.process_time()
            screen.screen([picture])
            times.append(1000.0 * (time.process_time() - start))
        middle, slow = np.quantile(times[5:], [0.5, 0.99])
        figures[f"{side_px} px"] = {"p50": round(float(middle), 2), "p99": round(float(slow), 2)}
    return figures


def mistakes(screen: PictureScreen, judged: Judged, pictures: Sequence[Pixels]) -> tuple[list[Pixels], list[str]]:
    """Harmless prompts that were flagged, and prompts of a category that were not, with what the screen said."""
    shown, words = [], []
    flags = np.array([_flag_at(screen, category) for category in screen.categories])
    for row, picture in enumerate(pictures):
        wrong = (judged.labels[row] != UNSURE) & ((judged.scores[row] >= flags) != (judged.labels[row] == YES))
        for place in np.flatnonzero(wrong):
            shown.append(picture)
            words.append(f"{screen.categories[place][:7]} {judged.scores[row, place]:.2f} {judged.groups[row][:14]}")
    return shown, words


def table(figures: Mapping[str, Figures]) -> str:
    """Markdown: AUPRC with interval and number of positives, one row a category, one column a set of pictures."""
    categories = list(dict.fromkeys(name for own in figures.values() for name in own if name != "neutral"))
    lines = ["| category | " + " | ".join(figures) + " |", "|---" * (1 + len(figures)) + "|"]
    for category in categories:
        lines.append(f"| {category} | " + " | ".join(_cell(own.get(category)) for own in figures.values()) + " |")
    return "\n".join(lines)


def _cell(own: Figures | None) -> str:
    if not own:
        return "-"
    auprc = own["auprc"]
    return (
        f"{auprc['value']:.2f} ({auprc['low']:.2f} to {auprc['high']:.2f}), recall {own['recall_at_flag']:.2f}, "
        f"n {own['num_positives']} of {own['num_positive_concepts']}"
    )


def _scores(screen: PictureScreen, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
    found = screen.screen(pictures)
    return np.array([[one.scores[category] for category in screen.categories] for one in found])


def _flag_at(screen: PictureScreen, category: PictureCategory) -> float:
    flag_at = screen.thresholds[category]["flag_at"]
    return 1.1 if flag_at is None else flag_at


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `run`."""
    parser.add_argument("--screen", type=Path, default=HOUSE_NETS / "screens" / "picture")
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--nets", nargs="*", default=["mosaic", "spark", "drift"], help="whose pictures are screened")
    parser.add_argument("--drawn", type=Path, default=Path("runs/evaluation"), help="where pictures of nets are kept")
    parser.add_argument("--out", type=Path, help="where to keep the figures as JSON")
    parser.add_argument("--sheet", type=Path, help="where to put a sheet of mistakes on pictures of the first net")
    parser.add_argument("--card", action="store_true", help="write the table on the card of the screen")
    parser.add_argument("--threads", type=int, default=1)


def run(options: argparse.Namespace) -> None:
    """Measure, print, and keep what was asked for."""
    torch.set_num_threads(options.threads)
    screen = load_picture_screen(options.screen)
    figures = corpus_figures(screen, read_picture_table(options.corpus, options.cache))
    for net in options.nets:
        pictures, prompts = draw(net, options.drawn, options.threads)
        figures[net], judged = net_figures(screen, pictures, prompts)
        if options.sheet and net == options.nets[0]:
            shown, words = mistakes(screen, judged, pictures)
            contact_sheet(shown, words, num_columns=SHEET_COLUMNS, cell_px=KEPT_PX).save(options.sheet, quality=80)
    others = other_figures(screen, options.corpus) | {net: figures[net]["neutral"] for net in options.nets}
    figures_all = {"screen": screen.version, "auprc": figures, "false_alarms": others, "latency_ms": latency_ms(screen)}
    shown_table = table(figures)
    print(shown_table)
    print(json.dumps({"false_alarms": others, "latency_ms": figures_all["latency_ms"]}, indent=1))
    if options.out:
        options.out.write_text(json.dumps(figures_all, indent=1) + "\n", encoding="utf-8")
    if options.card:
        card = (options.screen / CARD).read_text(encoding="utf-8").partition("\n## Evaluation\n")[0]
        (options.screen / CARD).write_text(f"{card.rstrip()}\n\n## Evaluation\n\n{shown_table}\n", encoding="utf-8")
