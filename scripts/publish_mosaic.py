"""Turns finished training runs into a checkpoint, its card, its numbers and a contact sheet.

`python -m scripts.publish_mosaic --help`. It trains nothing; the numbers come from the checkpoint as it will be served.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genworkers import checkpoints
from genworkers.codecs.image_bytes import Pixels, resize, unpremultiply
from genworkers.contract import ImageRequest
from genworkers.engine.image_engine import ImageEngine, ImageResult
from genworkers.engine.image_loading import load_image_engine
from genworkers.engine.mosaic import Sampling
from genworkers.evaluation.pictures import contact_sheet, psnr_db, recall_of_own_picture
from genworkers.nets.fsq_tokenizer import FsqTokenizer, TokenizerConfig
from genworkers.nets.masked_transformer import MosaicConfig
from genworkers.training.sticker_data import is_held_out, load_stickers, read_captions

PROMPTS = ("red apple", "cat", "rocket", "heart", "snowman", "pizza", "sun", "tree", "car", "house", "fish", "kitten")
SHEET_SEED = 0
RECALL_SEED = 0
NUM_RECALL = 100

LICENCES = [
    "Fluent Emoji, flat (pictures; both nets): MIT, Copyright (c) Microsoft Corporation",
    "Twemoji (pictures; tokenizer only): CC BY 4.0, Copyright Twitter, Inc and other contributors",
    "Unicode CLDR (names and keywords): Unicode License v3, Copyright (c) 2015-2024 Unicode, Inc.",
    "emojilib (keywords): MIT, Copyright (c) 2014 Mu-An Chiou",
    "all-MiniLM-L6-v2 (text encoder, installed beside this checkpoint, not part of it): Apache-2.0",
]
LIMITS = [
    "It has seen one style of small flat stickers and 1,410 concepts; what is far from them comes out as a blob.",
    "It largely remembers its training pictures: for a known concept expect a close copy of the sticker it saw.",
    "Counts, positions, several things at once and written words do not follow the prompt.",
    "Small details (eyes, whiskers, letters) are soft or lost: a picture is only 64 codes.",
    "English only; words unknown to the text encoder mean little.",
]


def last_scores(run: Path) -> dict[str, Any]:
    """Step, seconds and scores of the newest checkpoint in a run's log."""
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    newest: dict[str, Any] = [row for row in rows if "scores" in row][-1]
    return newest


def draw(engine: ImageEngine, request: ImageRequest, seed: int) -> Pixels:
    """The first picture of a request."""
    ticket = engine.submit(request, seed=seed, deadline_s=600)
    while not ticket.is_done:
        for item in ticket.read(1.0):
            if isinstance(item, ImageResult):
                return item.pixels
    raise RuntimeError(f"no picture for {request.prompt!r}")


def painted_again(tokenizer: FsqTokenizer, small: Pixels) -> Pixels:
    """A premultiplied 64 px picture through codes and back, straight alpha at 64 px."""
    with torch.inference_mode():
        codes = tokenizer.encode(torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255.0)
        painted = torch.nn.functional.avg_pool2d(tokenizer.decode(codes), 2)
    return unpremultiply(painted[0].permute(1, 2, 0).numpy())


def tokenizer_psnr_db(tokenizer: FsqTokenizer, corpus: Path, cache: Path, style: str) -> dict[str, float]:
    """Mean PSNR at 64 px on white over held-out concepts, and over as many trained ones."""
    stickers = load_stickers(corpus, style, cache)
    held_out = [row for row, key in enumerate(stickers.keys) if is_held_out(key)]
    trained = [row for row, key in enumerate(stickers.keys) if not is_held_out(key)][:: len(stickers.keys) // 150]
    scores = {}
    for name, rows in (("held_out", held_out), ("trained", trained)):
        each = [
            psnr_db(
                painted_again(tokenizer, stickers.small[row]),
                unpremultiply(stickers.small[row].astype(np.float32) / 255.0),
            )
            for row in rows
        ]
        scores[name] = round(float(np.mean(each)), 2)
    return scores


def recall(engine: ImageEngine, corpus: Path, cache: Path, style: str) -> dict[str, float]:
    """Draw trained concepts by their names and look whether their own picture is the nearest of all trained ones."""
    stickers, captions = load_stickers(corpus, style, cache), read_captions(corpus)
    rows = [row for row, key in enumerate(stickers.keys) if not is_held_out(key)]
    gallery = [unpremultiply(stickers.small[row].astype(np.float32) / 255.0) for row in rows]
    own = list(range(0, len(rows), len(rows) // NUM_RECALL))[:NUM_RECALL]
    drawn = [
        resize(draw(engine, ImageRequest(prompt=captions[stickers.keys[rows[place]]].name), RECALL_SEED), 64)
        for place in own
    ]
    found = recall_of_own_picture(drawn, gallery, own)
    return {name: round(value, 3) for name, value in asdict(found).items()}


def card_text(training: dict[str, Any]) -> str:
    """The card: what it is, what it was trained on, what it can and cannot do."""
    tokenizer, mosaic = training["tokenizer"], training["transformer"]
    decoder = training.get("decoder", {"step": 0, "spent_s": 0})
    lines = [
        "# Mosaic",
        "",
        "Draws small stickers with transparency from English prompts. Two nets trained here from scratch: an FSQ",
        "tokenizer (64 px picture to 8x8 codes, painted back at 128 px) and a masked Transformer that fills the codes",
        "in. Prompts are read by all-MiniLM-L6-v2, which is installed beside it. Files are enlarged to 512 or 1024 px.",
        "",
        "## Training",
        "",
        f"* Tokenizer: {tokenizer['step']} steps of 32 pictures in {tokenizer['spent_s'] // 60} minutes.",
        f"* Its decoder alone: {decoder['step']} steps of 32 in {decoder['spent_s'] // 60} minutes.",
        f"* Masked Transformer: {mosaic['step']} steps of 64 pictures in {mosaic['spent_s'] // 60} minutes.",
        "",
        "All on one shared CPU core. Every concept whose key's sha256 is a multiple of ten was held out of all three.",
        "",
        "## Measured",
        "",
        "```json",
        json.dumps(training["measured"], indent=2),
        "```",
        "",
        "`tokenizer_psnr_db`: on white at 64 px. `masked_cross_entropy`: nats a hidden code, captions by name; a",
        "uniform guess has 6.91. `recall`: 100 trained concepts drawn by name with the first seed; how often their own",
        "picture is the nearest, or among the five nearest, of all trained ones. It measures memory, not invention.",
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
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--tokenizer", type=Path, default=Path("runs/tokenizer"))
    parser.add_argument("--decoder", type=Path, help="a later run that trained the tokenizer's decoder alone")
    parser.add_argument("--mosaic", type=Path, default=Path("runs/mosaic"))
    parser.add_argument("--style", default="fluent-flat", help="the set that the style `flat` was trained on")
    parser.add_argument("--out", type=Path, default=Path("genworkers/weights/mosaic"))
    parser.add_argument("--sheet", type=Path, default=Path("docs/experiments/first-image-contact-sheet.png"))
    parser.add_argument("--choice-temperature", type=float, default=Sampling().choice_temperature)
    parser.add_argument("--temperature", type=float, default=Sampling().temperature)
    parser.add_argument("--without-measures", action="store_true", help="only weights and sheet: an early snapshot")
    options = parser.parse_args()
    torch.set_num_threads(1)

    tokenizer = FsqTokenizer(TokenizerConfig()).eval()
    tokenizer.load_state_dict(
        torch.load((options.decoder or options.tokenizer) / "resume.pt", weights_only=True)["average"]
    )
    transformer = torch.load(options.mosaic / "resume.pt", weights_only=True)["average"]
    training: dict[str, Any] = {
        "tokenizer": last_scores(options.tokenizer),
        "transformer": last_scores(options.mosaic),
        **({"decoder": last_scores(options.decoder)} if options.decoder else {}),
        "measured": {"masked_cross_entropy": last_scores(options.mosaic)["scores"]},
    }
    facts = checkpoints.CheckpointFacts(
        name="mosaic",
        kind="image",
        family="mosaic",
        title="Mosaic",
        config={
            "tokenizer": asdict(tokenizer.config),
            "transformer": asdict(MosaicConfig(num_codes=tokenizer.config.num_codes)),
            "sampling": {"choice_temperature": options.choice_temperature, "temperature": options.temperature},
        },
        styles={"flat": "Flat sticker"},
        licences=LICENCES,
        training=training,
        limits=LIMITS,
    )
    weights = {"tokenizer": tokenizer.state_dict(), "transformer": transformer}
    checkpoints.save(options.out, facts, weights=weights, other_parts={}, card=card_text(training))

    engine = load_image_engine({options.out.name: options.out})
    engine.start()
    if not options.without_measures:
        served = FsqTokenizer(tokenizer.config).eval()
        manifest = checkpoints.load_manifest(options.out)
        tensors = checkpoints.load_tensors(options.out, manifest, "tokenizer")
        checkpoints.fill_net(served, tensors, path=options.out)
        training["measured"]["tokenizer_psnr_db"] = tokenizer_psnr_db(
            served, options.corpus, options.cache, options.style
        )
        training["measured"]["recall"] = recall(engine, options.corpus, options.cache, options.style)
        checkpoints.save(options.out, facts, weights=weights, other_parts={}, card=card_text(training))
    pictures = [draw(engine, ImageRequest(prompt=prompt), SHEET_SEED) for prompt in PROMPTS]
    engine.close()
    options.sheet.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(pictures, PROMPTS, num_columns=6, cell_px=144).save(options.sheet, optimize=True)
    print(json.dumps(training["measured"], indent=2))


if __name__ == "__main__":
    main()
