"""Turns finished runs into the mosaic checkpoint, its card and sheets: `python -m scripts.publish_mosaic --help`.

It trains nothing. `python -m genworkers.evaluation.image --net mosaic --card` measures the checkpoint afterwards.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genworkers import checkpoints
from genworkers.codecs.image_bytes import Pixels, unpremultiply
from genworkers.contract.image import ImageRequest
from genworkers.engine.image_engine import ImageEngine
from genworkers.engine.image_loading import load_image_engine
from genworkers.engine.mosaic import Sampling
from genworkers.engine.painter import Inputs
from genworkers.evaluation.pictures import psnr_db
from genworkers.nets.fsq_tokenizer import FsqTokenizer, TokenizerConfig
from genworkers.nets.masked_transformer import MosaicConfig
from genworkers.training.mosaic_data import CAPTION_TOKENS
from genworkers.training.sticker_data import load_stickers, trained_and_held_out
from scripts.publishing import (
    LICENCE_OF_ENCODER,
    LICENCES_OF_PICTURES,
    LICENCES_OF_WORDS,
    PROMPTS,
    SHEET_SEED,
    STYLES,
    draw,
    ending,
    last_scores,
    options_of,
    write_sheet,
    write_sheets,
)

OUTLINES = {"flat": "crisp", "bold": "crisp", "3d": "soft"}
# What is drawn first, where it is marked (left, top, right, bottom as shares of the side), what is asked for there.
INPAINTS = (
    ("red apple", (0.5, 0.0, 1.0, 0.45), "a green leaf"),
    ("house", (0.0, 0.5, 1.0, 1.0), "a red house"),
    ("cat", (0.2, 0.0, 0.8, 0.35), "a top hat"),
    ("tree", (0.0, 0.0, 1.0, 0.6), "a purple tree"),
    ("a smiling face", (0.1, 0.2, 0.9, 0.6), "sunglasses"),
    ("pizza", (0.5, 0.5, 1.0, 1.0), "a blue heart"),
)

LICENCES = [
    *LICENCES_OF_PICTURES,
    "Noto Emoji and Blob Emoji (pictures; tokenizer only): Apache-2.0, Copyright Google LLC",
    "EmojiTwo (pictures; tokenizer only): CC BY 4.0, Copyright the EmojiTwo contributors, from artwork of EmojiOne",
    "FxEmojis (pictures; tokenizer only): CC BY 4.0, Copyright Mozilla Foundation",
    *LICENCES_OF_WORDS,
    LICENCE_OF_ENCODER,
]
NO_ID = "00000000-0000-0000-0000-000000000000"  # the pictures are given as pixels
LIMITS = [
    "It has seen three styles of small stickers and about 1,480 concepts; what is far from them comes out as a blob.",
    "For a known concept expect something close to the sticker it saw.",
    "Colours and backgrounds follow the prompt better than counts and positions do; three things at once rarely do.",
    "Small details (eyes, whiskers, letters) are soft or lost: a picture is only 64 codes.",
    "English only; words unknown to the text encoder mean little.",
]


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
        "  ten pictures, later five, are scenes composed from stickers (colours, counts, places, relations, sizes,",
        "  backgrounds).",
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
        *ending(LIMITS, LICENCES),
    ]
    return "\n".join(lines)


def write_inpaints(engine: ImageEngine, path: Path) -> None:
    """A sheet of what was drawn first, the same with the marked part taken out, and what was drawn there."""
    pictures, labels = [], []
    for prompt, (left, top, right, bottom), wanted in INPAINTS:
        start = draw(engine, ImageRequest(prompt=prompt), SHEET_SEED)
        side = len(start)
        mask = np.zeros((side, side), dtype=np.bool_)
        mask[round(top * side) : round(bottom * side), round(left * side) : round(right * side)] = True
        marked = start.copy()
        marked[mask] = (255, 0, 255, 255)
        request = ImageRequest(prompt=wanted, start_image=NO_ID, mask=NO_ID, strength=1.0)
        painted = draw(engine, request, SHEET_SEED, Inputs(start=start, mask=mask))
        pictures += [start, marked, painted]
        labels += [prompt, "marked", wanted]
    write_sheet(path, pictures, labels, num_columns=6)


def main() -> None:
    """Publish."""
    parser = options_of(__doc__, "mosaic")
    parser.add_argument("--tokenizer", type=Path, nargs="+", default=[Path("runs/tokenizer")], help="runs, in order")
    parser.add_argument("--decoder", type=Path, help="a later run that trained the tokenizer's decoder alone")
    parser.add_argument("--mosaic", type=Path, default=Path("runs/mosaic"))
    parser.add_argument("--choice-temperature", type=float, default=Sampling().choice_temperature)
    parser.add_argument("--temperature", type=float, default=Sampling().temperature)
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

    engine = load_image_engine({"mosaic": options.out})
    engine.start()
    write_sheets(engine, "mosaic", options)
    of_styles = [(prompt, style) for style in STYLES for prompt in PROMPTS[:8]]
    pictures = [draw(engine, ImageRequest(prompt=text, style=style), SHEET_SEED) for text, style in of_styles]
    write_sheet(options.sheets / f"{options.date}-mosaic-styles.webp", pictures, [text for text, _ in of_styles])
    write_inpaints(engine, options.sheets / f"{options.date}-mosaic-inpaints.webp")
    engine.close()


if __name__ == "__main__":
    main()
