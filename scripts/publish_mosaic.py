"""Turns finished runs into the mosaic checkpoint, its card and sheets: `python -m scripts.publish_mosaic --help`.

It trains nothing. `python -m genworkers.evaluation.image --net mosaic --card` measures the checkpoint afterwards.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genworkers import checkpoints
from genworkers.codecs.image_bytes import Pixels, unpremultiply
from genworkers.contract.image import ImageRequest
from genworkers.engine.image_engine import ImageEngine, ImageResult
from genworkers.engine.image_loading import load_image_engine
from genworkers.engine.mosaic import Sampling
from genworkers.evaluation.pictures import contact_sheet, psnr_db
from genworkers.nets.fsq_tokenizer import FsqTokenizer, TokenizerConfig
from genworkers.nets.masked_transformer import MosaicConfig
from genworkers.training.mosaic_data import CAPTION_TOKENS
from genworkers.training.sticker_data import load_stickers, read_captions, trained_and_held_out

# Style ids in the order of the net's style table, with what people read and the set behind each.
STYLES = {
    "flat": ("Flat", "fluent-flat"),
    "bold": ("Bold", "twemoji"),
    "3d": ("Soft 3D", "fluent-3d"),
}
OUTLINES = {"flat": "crisp", "bold": "crisp", "3d": "soft"}
PROMPTS = (
    *("red apple", "cat", "rocket", "heart", "snowman", "pizza", "sun", "tree", "car", "house", "fish", "kitten"),
    *("a smiling face", "guitar", "umbrella", "cactus", "octopus", "birthday cake", "castle", "bicycle"),
    *("coffee", "unicorn", "a crying baby", "treasure"),
)
COMPOSED = (
    *("a blue apple", "a purple cat", "a green heart", "two hearts", "three stars", "four fish"),
    *("a cat left of a dog", "a sun above a house", "a rocket and a star", "a small key"),
    *("a mushroom in the top left", "a yellow banana on a blue background"),
)
SHEET_SEED = 0
NUM_UNPICKED = 32

LICENCES = [
    "Fluent Emoji, flat and 3D (pictures of the styles flat and 3d; tokenizer also: colour): MIT, "
    "Copyright (c) Microsoft Corporation",
    "Twemoji (pictures of the style bold): CC BY 4.0, Copyright Twitter, Inc and other contributors",
    "Noto Emoji and Blob Emoji (pictures; tokenizer only): Apache-2.0, Copyright Google LLC",
    "EmojiTwo (pictures; tokenizer only): CC BY 4.0, Copyright the EmojiTwo contributors, from artwork of EmojiOne",
    "FxEmojis (pictures; tokenizer only): CC BY 4.0, Copyright Mozilla Foundation",
    "Unicode CLDR (names and keywords): Unicode License v3, Copyright (c) 2015-2024 Unicode, Inc.",
    "emojilib (keywords): MIT, Copyright (c) 2014 Mu-An Chiou",
    "all-MiniLM-L6-v2 (text encoder, installed beside this checkpoint, not part of it): Apache-2.0",
]
LIMITS = [
    "It has seen three styles of small stickers and about 1,480 concepts; what is far from them comes out as a blob.",
    "For a known concept expect something close to the sticker it saw.",
    "Colours and backgrounds follow the prompt better than counts and positions do; three things at once rarely do.",
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


def tokenizer_psnr_db(tokenizer: FsqTokenizer, corpus: Path, cache: Path) -> dict[str, dict[str, float]]:
    """Mean PSNR at 64 px on white by style, over held-out concepts and over as many trained ones."""
    scores: dict[str, dict[str, float]] = {}
    for style, (_, folder) in STYLES.items():
        stickers = load_stickers(corpus, folder, cache)
        trained, held_out = trained_and_held_out(stickers)
        parts = {"held_out": held_out, "trained": trained[:: len(trained) // len(held_out)][: len(held_out)]}
        scores[style] = {}
        for name, rows in parts.items():
            each = [
                psnr_db(
                    painted_again(tokenizer, stickers.small[row]),
                    unpremultiply(stickers.small[row].astype(np.float32) / 255.0),
                )
                for row in rows
            ]
            scores[style][name] = round(float(np.mean(each)), 2)
    return scores


def unpicked(corpus: Path) -> list[tuple[str, str]]:
    """Prompts and styles of the sheet that nobody chose: every so many-th name of all concepts, styles in turn."""
    names = [caption.name for _, caption in sorted(read_captions(corpus).items())]
    chosen = names[:: len(names) // NUM_UNPICKED][:NUM_UNPICKED]
    return [(name, list(STYLES)[place % len(STYLES)]) for place, name in enumerate(chosen)]


def card_text(training: dict[str, Any]) -> str:
    """The card: what it is, what it was trained on, what it can and cannot do."""
    decoder, mosaic = training["decoder"], training["transformer"]
    lines = [
        "# Mosaic",
        "",
        "Draws small stickers with transparency from English prompts, in three styles that can be mixed. Two nets",
        "trained here from scratch: an FSQ tokenizer (64 px picture to 8x8 codes, painted back at 128 px) and a masked",
        "Transformer that fills the codes in. Prompts are read by all-MiniLM-L6-v2, installed beside it. Files are",
        "enlarged to 512 or 1024 px.",
        "",
        "## Styles",
        "",
        *[f"* `{style}` ({title}): learned from {folder}" for style, (title, folder) in STYLES.items()],
        "",
        "## Training",
        "",
        f"* Tokenizer: {training['tokenizer_steps']} steps of 32 pictures of eight styles and composed scenes.",
        f"* Its decoder alone, against a judge of patches: {decoder['step']} steps of 16 in {decoder['spent_s'] // 60}"
        " minutes."
        if decoder
        else "* No adversarial finish: the decoder was not better to the eye with it.",
        f"* Masked Transformer: {mosaic['step']} steps of 64 pictures in {mosaic['spent_s'] // 60} minutes; three of",
        "  ten pictures are scenes composed from stickers (colours, counts, places, relations, sizes, backgrounds).",
        "",
        "All on shared CPU cores. Every concept whose key's sha256 is a multiple of ten was held out of all of it.",
        "",
        "## Measured in training",
        "",
        "```json",
        json.dumps(training["measured"], indent=2),
        "```",
        "",
        "`tokenizer_psnr_db`: on white at 64 px, by style. `masked_cross_entropy`: nats a hidden code, captions by",
        "name (a uniform guess has 8.03): held-out concepts by style, trained ones, and new scenes.",
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
    parser.add_argument("--tokenizer", type=Path, nargs="+", default=[Path("runs/tokenizer")], help="runs, in order")
    parser.add_argument("--decoder", type=Path, help="a later run that trained the tokenizer's decoder alone")
    parser.add_argument("--mosaic", type=Path, default=Path("runs/mosaic"))
    parser.add_argument("--out", type=Path, default=Path("genworkers/weights/mosaic"))
    parser.add_argument("--sheets", type=Path, default=Path("docs/experiments"), help="folder for the sheets")
    parser.add_argument("--date", default="2026-11-21", help="begins the names of the sheets")
    parser.add_argument("--choice-temperature", type=float, default=Sampling().choice_temperature)
    parser.add_argument("--temperature", type=float, default=Sampling().temperature)
    parser.add_argument("--without-sheets", action="store_true", help="only the checkpoint")
    options = parser.parse_args()
    torch.set_num_threads(1)

    tokenizer = FsqTokenizer(TokenizerConfig()).eval()
    last_run = options.decoder or options.tokenizer[-1]
    tokenizer.load_state_dict(torch.load(last_run / "resume.pt", weights_only=True)["average"])
    transformer = torch.load(options.mosaic / "resume.pt", weights_only=True)["average"]
    training: dict[str, Any] = {
        "tokenizer": last_scores(options.tokenizer[-1]),
        "tokenizer_steps": sum(last_scores(run)["step"] for run in options.tokenizer),
        "decoder": last_scores(options.decoder) if options.decoder else {},
        "transformer": last_scores(options.mosaic),
        "measured": {"masked_cross_entropy": last_scores(options.mosaic)["scores"]},
    }
    shape = MosaicConfig(num_codes=tokenizer.config.num_codes, num_styles=len(STYLES), caption_tokens=CAPTION_TOKENS)
    facts = checkpoints.CheckpointFacts(
        name="mosaic",
        kind="image",
        family="mosaic",
        title="Mosaic",
        config={
            "tokenizer": asdict(tokenizer.config),
            "transformer": asdict(shape),
            "sampling": {"choice_temperature": options.choice_temperature, "temperature": options.temperature},
            "outlines": OUTLINES,
        },
        styles={style: title for style, (title, _) in STYLES.items()},
        licences=LICENCES,
        training=training,
        limits=LIMITS,
    )
    training["measured"]["tokenizer_psnr_db"] = tokenizer_psnr_db(tokenizer, options.corpus, options.cache)
    weights = {"tokenizer": tokenizer.state_dict(), "transformer": transformer}
    checkpoints.save(options.out, facts, weights=weights, other_parts={}, card=card_text(training))
    print(json.dumps(training["measured"], indent=2))
    if options.without_sheets:
        return

    engine = load_image_engine(options.out)
    engine.start()
    options.sheets.mkdir(parents=True, exist_ok=True)
    sheets = {
        "mosaic-prompts": [(prompt, next(iter(STYLES))) for prompt in PROMPTS],
        "mosaic-composed": [(prompt, next(iter(STYLES))) for prompt in COMPOSED],
        "mosaic-styles": [(prompt, style) for style in STYLES for prompt in PROMPTS[:8]],
        "mosaic-samples": unpicked(options.corpus),
    }
    for name, asked in sheets.items():
        pictures = [draw(engine, ImageRequest(prompt=text, style=style), SHEET_SEED) for text, style in asked]
        labels = [text[:24] for text, _ in asked]
        sheet = contact_sheet(pictures, labels, num_columns=8 if len(asked) > 12 else 6, cell_px=144)
        sheet.save(options.sheets / f"{options.date}-{name}.png", optimize=True)
    engine.close()


if __name__ == "__main__":
    main()
