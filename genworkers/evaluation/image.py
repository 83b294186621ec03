"""Measure an image net: `python -m genworkers.evaluation.image --net mosaic` (or a checkpoint's folder).

The net draws through the engine, as it is served; the judges are those of `house_nets.py`. Every figure stands beside
what real pictures reach under the same judge. Start at `evaluate`.
"""

import argparse
import hashlib
import json
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from genworkers.checkpoints import load_manifest
from genworkers.evaluation.composition import TESTS, judge
from genworkers.evaluation.contestants import checkpoint_folder, enter
from genworkers.evaluation.exam import QUICK, Exam, Sizes, make_exam
from genworkers.evaluation.house_nets import Judges, batch_of, load_judges
from genworkers.evaluation.image_metrics import (
    Features,
    Memory,
    frechet_distance,
    kernel_distance,
    precision_to_coverage,
)
from genworkers.evaluation.image_table import legend, table, write_card
from genworkers.evaluation.pictures import contact_sheet
from genworkers.evaluation.retrieval import retrieve_captions
from genworkers.evaluation.samplers import Sampler
from genworkers.training.judge_data import STYLES

Figures = dict[str, Any]

SETS_OF_STYLES = {
    "flat": "fluent-flat",
    "bold": "twemoji",
    "classic": "noto",
    "3d": "fluent-3d",
    "color": "fluent-color",
    "contrast": "fluent-high-contrast",
    "blob": "blobmoji",
    **{name: name for name in STYLES},
}
CHUNK = 32
SHEET_PX = 128
NUM_ON_SHEET = 32


def evaluate(batch: Tensor, exam: Exam, judges: Judges) -> Figures:
    """Everything that is measured of one net.

    Args:
        batch: what it drew for `exam.tasks`, (n, 3, 64, 64) on white.

    Returns:
        distances, overlap, retrieval, composition and memorisation, each with what real pictures reach.
    """
    drawn = {name: batch[part] for name, part in exam.parts.items()}
    real = {name: exam.real(rows) for name, rows in (("seen", exam.seen), ("held_out", exam.held_out))}
    others = judges.features(exam.real(exam.others))
    spread = np.sqrt(others.var(0).mean())  # so that a feature of real pictures has variance 1 on average
    others /= spread
    features = {"ours": judges.features(drawn["seen"]) / spread, "real": judges.features(real["seen"]) / spread}
    return {
        "styles": list(exam.styles),
        "num": {name: part.stop - part.start for name, part in exam.parts.items()},
        "judges": judges.sha256,
        "distances": _distances(features, others),
        "overlap": {name: asdict(precision_to_coverage(own, others)) for name, own in features.items()},
        "retrieval": {name: _retrieval(drawn[name], real[name], exam, judges, name) for name in real},
        "composition": _composition(drawn, exam, judges),
        "memorisation": _memorisation(drawn, exam),
    }


def _distances(features: dict[str, Features], others: Features) -> Figures:
    frechet = {name: frechet_distance(own, others) for name, own in features.items()}
    subset = len(others) // 2  # fewer than all, so that the subsets vary
    kernel = {name: asdict(kernel_distance(own, others, subset=subset)) for name, own in features.items()}
    return {"frechet": frechet, "frechet_ratio": frechet["ours"] / frechet["real"], "kernel": kernel}


def _retrieval(drawn: Tensor, real: Tensor, exam: Exam, judges: Judges, part: str) -> Figures:
    """Captions are told from those of the same part (seen or held out) only, one caption a concept."""
    rows = (exam.seen if part == "seen" else exam.held_out).tolist()
    row_of_key = {exam.table.keys[row]: row for row in rows}
    keys = list(row_of_key)
    captions = judges.text_vectors([exam.caption(row_of_key[key]) for key in keys])
    own = [keys.index(exam.table.keys[row]) for row in rows]
    return {
        name: asdict(retrieve_captions(judges.picture_vectors(pictures), captions, own))
        for name, pictures in (("ours", drawn), ("real", real))
    }


def _composition(drawn: dict[str, Tensor], exam: Exam, judges: Judges) -> Figures:
    """Share of right answers, and of right attributes alone, for each test. A concept's look is the mean over its
    stickers in all styles but the one that is judged."""
    looks = judges.looks_of_single(exam.real(torch.arange(len(exam.table.keys))))
    rows_of_key: dict[str, list[int]] = {}
    for row, key in enumerate(exam.table.keys):
        rows_of_key.setdefault(key, []).append(row)
    look_in: dict[str, dict[str, Tensor]] = {}
    for set_name in exam.styles.values():
        style = STYLES.index(set_name)
        look_in[set_name] = {}
        for key, rows in rows_of_key.items():
            kept = [row for row in rows if int(exam.table.style[row]) != style] or rows
            look_in[set_name][key] = F.normalize(looks[kept].mean(0), dim=0)
    figures: Figures = {}
    for part, questions in exam.questions.items():
        pictures = {"ours": drawn[f"composition_{part}"], "real": exam.question_pictures[part]}
        figures[part] = {test: {"num": sum(one.test == test for one in questions)} for test in TESTS}
        for name, own in pictures.items():
            answers = [
                judge(question, scene, look_in[question.scene.style])
                for question, scene in zip(questions, judges.scenes(own), strict=True)
            ]
            for test in TESTS:
                of_test = [answer for answer, one in zip(answers, questions, strict=True) if one.test == test]
                figures[part][test][name] = float(np.mean([answer.is_right for answer in of_test]))
                figures[part][test][f"{name}_attribute"] = float(
                    np.mean([answer.is_attribute_right for answer in of_test])
                )
    return figures


def _memorisation(drawn: dict[str, Tensor], exam: Exam) -> Figures:
    """Nearest training pictures by plain pixels at 32 px on white, for each part of the exam."""
    trained, held_out = (
        _pixel_features(exam.real(exam.rows_of(held_out=is_held_out))) for is_held_out in (False, True)
    )
    memory = Memory(trained, held_out)
    return {name: asdict(memory.compare(_pixel_features(own))) for name, own in drawn.items()}


def _pixel_features(batch: Tensor) -> Features:
    return np.asarray(F.avg_pool2d(batch, 2).flatten(1).numpy(), dtype=np.float64)


def draw_all(exam: Exam, sample: Sampler, kept: Path) -> Tensor:
    """Draw every task of an exam, (n, 3, 64, 64) on white; goes on where an earlier run that kept its pictures stopped.

    Args:
        kept: file for what has been drawn so far, as bytes; of this net and this exam only.
    """
    done = torch.from_numpy(np.load(kept)) if kept.exists() else torch.zeros(0, 3, 64, 64, dtype=torch.uint8)
    while len(done) < len(exam.tasks):
        _, same_style = next(groupby(exam.tasks[len(done) : len(done) + CHUNK], lambda task: task.style))
        tasks = list(same_style)
        pictures = sample([task.prompt for task in tasks], [task.seed for task in tasks], tasks[0].style)
        done = torch.cat([done, (batch_of(pictures) * 255.0).round().clamp(0, 255).to(torch.uint8)])
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, done.numpy())
        print(f"{len(done)} of {len(exam.tasks)} drawn", flush=True)
    return done.float() / 255.0


def main() -> None:
    """Measure one net, and others beside it by the same exam."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", default="mosaic", help="[TITLE=]NET: a house net, a folder, dcgan:FILE, beta-vae:FILE")
    parser.add_argument("--against", nargs="*", default=[], help="others, for columns of their own; as --net")
    parser.add_argument("--styles", nargs="+", metavar="STYLE[=SET]", help="only these; SET is the corpus's name of it")
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--judges", type=Path, default=Path("runs/judges"))
    parser.add_argument("--out", type=Path, default=Path("runs/evaluation"), help="where pictures and figures are kept")
    parser.add_argument("--num-seen", type=int, default=Sizes().num_seen)
    parser.add_argument("--num-held-out", type=int, default=Sizes().num_held_out)
    parser.add_argument("--num-questions", type=int, default=Sizes().num_questions)
    parser.add_argument("--quick", action="store_true", help="a small exam, to see that all works")
    parser.add_argument("--only-draw", action="store_true", help="draw and keep the pictures, judge them later")
    parser.add_argument("--card", action="store_true", help="write figures and table into the checkpoint of --net")
    parser.add_argument("--sheet", type=Path, help="write a sheet of the first 32 pictures of --net, none picked")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.card and ":" in options.net:
        parser.error(f"--card: {options.net} has no card")

    own_styles = () if ":" in options.net else load_manifest(checkpoint_folder(options.net.rpartition("=")[2])).styles
    chosen = [style.partition("=") for style in options.styles or own_styles]
    styles = {style: set_name or SETS_OF_STYLES[style] for style, _, set_name in chosen}
    sizes = QUICK if options.quick else Sizes(options.num_seen, options.num_held_out, options.num_questions)
    exam = make_exam(options.corpus, options.cache, styles, sizes)

    figures: dict[str, Figures] = {}
    for place, spec in enumerate([options.net, *options.against]):
        contestant = enter(spec, list(own_styles or styles), num_threads=options.threads)
        digest = hashlib.sha256(f"{contestant.sha256} {exam.tasks}".encode()).hexdigest()[:12]
        kept = options.out / f"{contestant.title}-{digest}.npy"
        batch = draw_all(exam, contestant.sample, kept)
        contestant.close()
        if options.sheet and place == 0:
            _sheet(batch, exam).save(options.sheet, quality=85, method=6)
        if not options.only_draw:
            own = evaluate(batch, exam, load_judges(options.judges)) | {"net": contestant.sha256}
            kept.with_suffix(".json").write_text(json.dumps(own, indent=2) + "\n", encoding="utf-8")
            figures[contestant.title] = own
    if options.card and figures:
        write_card(checkpoint_folder(options.net.rpartition("=")[2]), figures, options.sheet)
    if figures:
        print(json.dumps(figures))
        print(table(figures))
        print(legend(next(iter(figures.values()))))


def _sheet(batch: Tensor, exam: Exam) -> Image.Image:
    first = (batch[:NUM_ON_SHEET].permute(0, 2, 3, 1).numpy() * 255.0).astype(np.uint8)
    opaque = np.concatenate([first, np.full_like(first[..., :1], 255)], -1)
    labels = [task.prompt for task in exam.tasks[:NUM_ON_SHEET]]
    return contact_sheet(list(opaque), labels, num_columns=8, cell_px=SHEET_PX)


if __name__ == "__main__":
    main()
