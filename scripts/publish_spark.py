"""Turns a finished run into the spark checkpoint, its card and sheets: `python -m scripts.publish_spark --help`.

It trains nothing. Run it again whenever the mosaic net, whose tokenizer it draws with, is published anew.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from genworkers import checkpoints
from genworkers.contract.image import ImageRequest
from genworkers.engine.image_loading import load_image_engine
from genworkers.evaluation.pictures import contact_sheet
from genworkers.nets.gan import SparkConfig
from scripts.publish_mosaic import COMPOSED, PROMPTS, SHEET_SEED, STYLES, draw, last_scores, unpicked

LICENCES = [
    "Fluent Emoji, flat and 3D (pictures): MIT, Copyright (c) Microsoft Corporation",
    "Twemoji (pictures of the style bold): CC BY 4.0, Copyright Twitter, Inc and other contributors",
    "Unicode CLDR (names and keywords): Unicode License v3, Copyright (c) 2015-2024 Unicode, Inc.",
    "emojilib (keywords): MIT, Copyright (c) 2014 Mu-An Chiou",
    "all-MiniLM-L6-v2 (text encoder, installed beside this checkpoint, not part of it): Apache-2.0",
]
LIMITS = [
    "It is made for drafts: one step, much softer and more often wrong than mosaic.",
    "It reads the prompt as one vector: of several things, counts and places little is left.",
    "For a known concept expect something close to the sticker it saw; what is unknown comes out as a blob.",
    "Pictures of one prompt vary little.",
]


def card_text(training: dict[str, Any]) -> str:
    """The card: what it is, what it was trained on, what it can and cannot do."""
    run = training["generator"]
    lines = [
        "# Spark",
        "",
        "Draws drafts of small stickers from English prompts in one step, in the latents of mosaic's tokenizer,",
        "which has to be installed beside it. A text-conditional GAN trained here from scratch: the generator first",
        "learned to hit each picture with the noise that came nearest, then a discriminator joined (relativistic",
        "pairing loss, R1 and R2, no normalisation).",
        "",
        "## Training",
        "",
        f"* {run['step']} steps of 96 pictures or composed scenes in {run['spent_s'] // 60} minutes, on a small share",
        "  of one CPU core.",
        "* Every concept whose key's sha256 is a multiple of ten was held out.",
        "",
        "## Watched in training",
        "",
        "```json",
        json.dumps(training["watched"], indent=2),
        "```",
        "",
        "On 300 trained concepts, in latents. `distinct_concepts`: different nearest real pictures over prompts (1:",
        "none twice). `own_is_nearest`: how often it is the one asked for. `coverage`: real pictures with a drawn one",
        "nearer than their fifth neighbour. `variety`: distance of two draws of a prompt over that of other prompts.",
        "",
        f"A draft takes {training['draft_ms']} ms through the engine (median of 20, text encoder and painting",
        "included, on a shared core).",
        "",
        "## Limits",
        "",
        *[f"* {limit}" for limit in LIMITS],
        "",
        "## Sets, licences and attribution",
        "",
        *[f"* {licence}" for licence in LICENCES],
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/spark"))
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--mosaic", type=Path, default=Path("genworkers/weights/mosaic"))
    parser.add_argument("--out", type=Path, default=Path("genworkers/weights/spark"))
    parser.add_argument("--sheets", type=Path, default=Path("docs/experiments"), help="folder for the sheets")
    parser.add_argument("--date", default="2026-11-21", help="begins the names of the sheets")
    parser.add_argument("--noise-scale", type=float, default=1.0)
    parser.add_argument("--snapped", action="store_true", help="paint the nearest codes, not the latents between them")
    parser.add_argument("--without-sheets", action="store_true", help="only the checkpoint")
    options = parser.parse_args()
    torch.set_num_threads(1)

    scores = last_scores(options.run)
    training: dict[str, Any] = {
        "generator": {name: scores[name] for name in ("step", "spent_s")},
        "watched": scores["scores"],
        "draft_ms": None,
        "measured": {},
    }
    tokenizer_sha256 = checkpoints.load_manifest(options.mosaic).files["tokenizer"]["sha256"]
    facts = checkpoints.CheckpointFacts(
        name="spark",
        kind="image",
        family="spark",
        title="Spark",
        config={
            "net": asdict(SparkConfig(num_styles=len(STYLES))),
            "tokenizer_of": "mosaic",
            "tokenizer_sha256": tokenizer_sha256,
            "sampling": {"noise_scale": options.noise_scale, "is_snapped": options.snapped},
        },
        styles={style: title for style, (title, _) in STYLES.items()},
        licences=LICENCES,
        training=training,
        limits=LIMITS,
    )
    weights = {"net": torch.load(options.run / "resume.pt", weights_only=True)["average"]}
    checkpoints.save(options.out, facts, weights=weights, other_parts={}, card=card_text(training))

    engine = load_image_engine({"mosaic": options.mosaic, "spark": options.out})
    engine.start()
    seconds = []
    for seed in range(21):
        start = time.perf_counter()
        draw(engine, ImageRequest(prompt=PROMPTS[seed], net="spark", is_draft=True), seed)
        seconds.append(time.perf_counter() - start)
    training["draft_ms"] = round(sorted(seconds[1:])[10] * 1000)
    checkpoints.save(options.out, facts, weights=weights, other_parts={}, card=card_text(training))
    sheets = {
        "spark-prompts": [(prompt, next(iter(STYLES))) for prompt in PROMPTS],
        "spark-composed": [(prompt, next(iter(STYLES))) for prompt in COMPOSED],
        "spark-samples": unpicked(options.corpus),
    }
    for name, asked in {} if options.without_sheets else sheets.items():
        pictures = [
            draw(engine, ImageRequest(prompt=text, net="spark", style=style), SHEET_SEED) for text, style in asked
        ]
        labels = [text[:24] for text, _ in asked]
        sheet = contact_sheet(pictures, labels, num_columns=8 if len(asked) > 12 else 6, cell_px=144)
        sheet.save(options.sheets / f"{options.date}-{name}.png", optimize=True)
    engine.close()
    print(json.dumps({"draft_ms": training["draft_ms"], **scores}, indent=2))


if __name__ == "__main__":
    main()
