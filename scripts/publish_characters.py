"""Turns a finished characters run into a checkpoint, its card, its accuracy and a sheet of samples.

`python -m scripts.publish_characters --help`. It trains nothing; the figures come from the checkpoint as it is served.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genworkers import checkpoints
from genworkers.codecs.image_bytes import Pixels
from genworkers.contract.image import ImageRequest
from genworkers.engine.image_engine import ImageEngine
from genworkers.engine.image_loading import load_image_engine
from genworkers.evaluation.characters import accuracy_by_attribute, accuracy_table
from genworkers.nets.masked_transformer import MosaicConfig
from genworkers.training.character_captions import full_caption, varied_caption
from genworkers.training.character_classifier import CharacterJudge
from genworkers.training.character_composer import Character, Composer, read_corpus
from genworkers.training.character_layers import load_layers
from genworkers.training.character_mosaic import CAPTION_TOKENS, HEAD_WIDTH
from genworkers.training.character_reading import CharacterReader, attributes_of
from genworkers.training.character_tokenizer import CharacterCodes, load_character_codes
from scripts.publishing import LICENCE_OF_ENCODER, SHEET_SEED, draw, ending, last_scores, options_of, write_sheet

NAME = "characters"
NUM_JUDGED = 500
NUM_REAL = 200
NUM_SHEET = 32
CREDITS = "lpc_characters--LICENCE_*Credits.txt"
LICENCES = [
    "LPC Revised, character layers (all pictures): CC BY 3.0 or OGA-BY 3.0; artists and sources in attributions.md",
    LICENCE_OF_ENCODER,
]
LIMITS = [
    "It draws one kind of picture: standing game characters of 64 px in the style of the Liberated Pixel Cup.",
    "It knows the words of its set: 18 haircuts, 6 helms, 7 beards, 9 tops, 7 trousers, 4 shoes and socks, and the "
    "colour names of the artists (navy, mint, tumeric ...); other words for clothes or colours are guessed or ignored.",
    "A picture is made of 4,096 patterns of 8 px and one colour a thing: it cannot draw what no layer has.",
    "A mask changes what stands at a place, not its colour: colours are decided for the whole figure at once.",
    "A start picture must be such a character in the middle of the frame; anything else becomes the nearest one.",
    "English only.",
]
SWATCH_PX = 64


def to_indices(pixels: Pixels, palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Palette numbers (64, 64) of a picture that was enlarged by a whole factor."""
    factor = len(pixels) // SWATCH_PX
    small = pixels[factor // 2 :: factor, factor // 2 :: factor].astype(np.int64)
    distance = np.abs(small[:, :, None, :3] - palette[1:, :3].astype(np.int64)).sum(-1)
    nearest = (distance.argmin(-1) + 1).astype(np.uint8)
    return np.where(small[..., 3] < 128, np.uint8(0), nearest)


def compare(
    reader: CharacterReader, pictures: Sequence[NDArray[np.uint8]], asked: Sequence[Character]
) -> dict[str, float]:
    """Accuracy by attribute, and the share of pixels of figures that the layers explain."""
    readings = [reader.read(indices, character) for indices, character in zip(pictures, asked, strict=True)]
    shown = [attributes_of(reading.character) for reading in readings]
    shares = accuracy_by_attribute([attributes_of(character) for character in asked], shown)
    return {**shares, "pixels explained": 1.0 - float(np.mean([reading.unexplained_frac for reading in readings]))}


def real_ones(composer: Composer, corpus: Path) -> tuple[list[NDArray[np.uint8]], list[Character]]:
    """Held-out finished pictures of the corpus as palette numbers."""
    pictures, characters = read_corpus(corpus)
    rows = [row for row, character in enumerate(characters) if character.is_held_out][:NUM_REAL]
    opaque = [np.dstack([pictures[row], np.full((64, 64), 255, dtype=np.uint8)]) for row in rows]
    return [to_indices(picture, composer.frames.palette) for picture in opaque], [characters[row] for row in rows]


def card_text(training: dict[str, Any]) -> str:
    """The card: what it is, what it was trained on, how well it obeys."""
    run, measured = training["transformer"], training["measured"]
    lines = [
        "# Characters",
        "",
        "Draws game characters as pixel art from prompts that say skin, hair, clothes, direction and ground in words:",
        "64 px frames, enlarged eightfold or sixteenfold with sharp pixels. A masked Transformer trained here from",
        "scratch reads the prompt through all-MiniLM-L6-v2 (installed beside it) and fills in 64 codes: 28 for the",
        "pattern of each tile of the figure, 9 for the colours of its things, the others for the ground. The tokenizer",
        "is a table of 4,096 patterns that was counted, not trained.",
        "",
        "## How well it obeys",
        "",
        f"{measured['num_judged']} new characters whose pair of top and bottom colours was held out of training (a",
        "tenth of all pairs, by sha256), each described in full, one picture each, standard preset, first seed. Share",
        "of pictures, in percent, that show what was asked for; `all of them`: without a single mistake. `drawn`: this",
        "net. `codes`: the same characters through the tokenizer alone, the ceiling. `real`: held-out pictures of the",
        f"corpus ({NUM_REAL}), how far the judge can be trusted.",
        "",
        f"Judged by a classifier trained on composed pictures, {measured['classifier_steps']} steps of 64, which",
        "shares nothing with the net. It cannot know what does not show, such as a beard from behind:",
        "",
        *accuracy_table(measured["accuracy"]["classifier"]),
        "",
        "Judged by comparison with what the layers give: one attribute is changed at a time to what explains more",
        "pixels; what does not show counts as right:",
        "",
        *accuracy_table(measured["accuracy"]["comparison"]),
        "",
        f"* Figure pixels that the tokenizer gives back exactly: {100 * measured['tokenizer']['figure_pixels']:.2f} %.",
        f"* One picture of 12 steps: {1000 * measured['seconds_a_picture']:.0f} ms on one core shared with other work.",
        "",
        "## Training",
        "",
        f"* {run['step']} steps of 32 composed characters in {run['spent_s'] // 60} minutes on one CPU core;",
        "  always new ones, in words that change: other orders, other words, clauses left out.",
        f"* Nats a hidden code on held-out characters: {run['scores']['cross_entropy']:.3f} (a uniform guess: 8.36).",
        f"* Codes right with none given: {100 * run['scores']['blind_accuracy']:.1f} %.",
        "",
        *ending(LIMITS, LICENCES),
    ]
    return "\n".join(lines)


def artists(corpus: Path) -> bytes:
    """The credits of all layers, as their artists wrote them."""
    files = sorted((corpus / "licences").glob(CREDITS))
    source = (corpus / "licences" / "lpc_characters--SOURCE.txt").read_text(encoding="utf-8")
    parts = ["# Artists of the layers that the net learned from", "", "```text", source.strip()]
    for file in files:
        title = file.stem.partition("LICENCE_")[2].replace("_", " ")
        parts += ["", f"== {title} ==", "", file.read_text(encoding="utf-8", errors="replace").strip()]
    return ("\n".join([*parts, "```"]) + "\n").encode()


def measure(
    engine: ImageEngine, codes: CharacterCodes, judge: CharacterJudge, corpus: Path, num_judged: int
) -> dict[str, Any]:
    """The figures of the card."""
    composer, reader = codes.composer, CharacterReader(codes.composer, codes.materials)
    random = np.random.default_rng(7)
    asked = [composer.draw(random, held_out=True) for _ in range(num_judged)]
    began = time.monotonic()
    drawn = [draw(engine, ImageRequest(prompt=full_caption(character), net=NAME), SHEET_SEED) for character in asked]
    seconds = (time.monotonic() - began) / len(asked)
    through_codes = codes.tokenizer.decode_indices(codes.of(asked)).numpy().astype(np.uint8)
    sets = {
        "drawn": ([to_indices(pixels, composer.frames.palette) for pixels in drawn], asked),
        "codes": (list(through_codes), asked),
        "real": real_ones(composer, corpus),
    }
    accuracy = {
        "classifier": {
            name: accuracy_by_attribute([attributes_of(character) for character in wanted], judge.read(pictures))
            for name, (pictures, wanted) in sets.items()
        },
        "comparison": {name: compare(reader, pictures, wanted) for name, (pictures, wanted) in sets.items()},
    }
    return {
        "num_judged": num_judged,
        "classifier_steps": judge.num_steps,
        "accuracy": accuracy,
        "seconds_a_picture": round(seconds, 4),
    }


def main() -> None:
    """Publish."""
    parser = options_of(__doc__, NAME)
    parser.add_argument("--tokenizer", type=Path, default=Path("runs/character-tokenizer"))
    parser.add_argument("--mosaic", type=Path, default=Path("runs/character-mosaic"))
    parser.add_argument("--judge", type=Path, default=Path("runs/character-classifier"))
    parser.add_argument("--judged", type=int, default=NUM_JUDGED, help="how many pictures to draw and judge")
    parser.add_argument("--choice-temperature", type=float, default=1.0)
    parser.add_argument("--temperature", type=float, default=0.4)
    options = parser.parse_args()
    torch.set_num_threads(1)

    composer = Composer(load_layers(options.corpus, options.cache))
    codes = load_character_codes(options.tokenizer / "tokenizer.pt", composer)
    state = torch.load(options.mosaic / "resume.pt", weights_only=True)["average"]
    width = state["norm.weight"].shape[0]
    shape = MosaicConfig(
        num_codes=codes.tokenizer.config.num_codes,
        num_tiles=codes.tokenizer.config.num_tiles,
        caption_tokens=CAPTION_TOKENS,
        width=width,
        num_layers=1 + max(int(name.split(".")[1]) for name in state if name.startswith("layers.")),
        num_heads=width // HEAD_WIDTH,
    )
    training: dict[str, Any] = {"transformer": last_scores(options.mosaic), "measured": {}}
    facts = checkpoints.CheckpointFacts(
        name=options.out.name,
        kind="image",
        family="mosaic",
        title="Characters",
        config={
            "tokenizer": asdict(codes.tokenizer.config),
            "transformer": asdict(shape),
            "sampling": {"choice_temperature": options.choice_temperature, "temperature": options.temperature},
            "upscaling": "nearest",
        },
        styles={"sprite": "Game sprite"},
        licences=LICENCES,
        training=training,
        limits=LIMITS,
    )
    weights = {"tokenizer": codes.tokenizer.state_dict(), "transformer": state}
    parts = {"attributions": ("attributions.md", artists(options.corpus))}
    checkpoints.save(options.out, facts, weights=weights, other_parts=parts, card="# Characters\n")

    judge = CharacterJudge.load(options.judge)
    engine = load_image_engine({NAME: options.out})
    engine.start()
    scores = json.loads((options.tokenizer / "scores.json").read_text(encoding="utf-8"))
    training["measured"] = {"tokenizer": scores, **measure(engine, codes, judge, options.corpus, options.judged)}
    checkpoints.save(options.out, facts, weights=weights, other_parts=parts, card=card_text(training))
    print(json.dumps(training["measured"], indent=2))

    if options.without_sheets:
        engine.close()
        return
    random = np.random.default_rng(8)
    asked = [composer.draw(random, held_out=True) for _ in range(NUM_SHEET)]
    texts = [varied_caption(character, random) for character in asked]
    pictures = [draw(engine, ImageRequest(prompt=text, net=NAME), SHEET_SEED) for text in texts]
    engine.close()
    write_sheet(
        options.sheets / f"{options.date}-characters-samples.webp", pictures, [str(i + 1) for i in range(NUM_SHEET)]
    )
    for number, text in enumerate(texts, 1):
        print(f"{number}. {text}")


if __name__ == "__main__":
    main()
