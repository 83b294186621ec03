"""Turns a finished run into the spark checkpoint, its card and sheets: `python -m scripts.publish_spark --help`.

It trains nothing. Run it again whenever the mosaic net, whose tokenizer it draws with, is published anew.
"""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from genworkers import checkpoints
from genworkers.contract.image import ImageRequest
from genworkers.engine.image_loading import load_image_engine
from genworkers.nets.gan import SparkConfig
from scripts.publishing import (
    LICENCE_OF_ENCODER,
    LICENCES_OF_PICTURES,
    LICENCES_OF_WORDS,
    PROMPTS,
    STYLES,
    draw,
    ending,
    last_scores,
    options_of,
    write_sheets,
)

LICENCES = [*LICENCES_OF_PICTURES, *LICENCES_OF_WORDS, LICENCE_OF_ENCODER]
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
        f"* {run['step']} steps of 64 pictures or composed scenes in {run['spent_s'] // 60} minutes on one CPU core;",
        "  Muon for the generator's matrices, Adam for all else.",
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
        *ending(LIMITS, LICENCES),
    ]
    return "\n".join(lines)


def main() -> None:
    """Publish."""
    parser = options_of(__doc__, "spark")
    parser.add_argument("--run", type=Path, default=Path("runs/spark"))
    parser.add_argument("--mosaic", type=Path, default=Path("genworkers/weights/mosaic"))
    parser.add_argument("--noise-scale", type=float, default=1.0)
    parser.add_argument("--snapped", action="store_true", help="paint the nearest codes, not the latents between them")
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
    if not options.without_sheets:
        write_sheets(engine, "spark", options)
    engine.close()
    print(json.dumps({"draft_ms": training["draft_ms"], **scores}, indent=2))


if __name__ == "__main__":
    main()
