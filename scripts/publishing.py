"""What the publish scripts of image nets share: their options, the prompts of the sheets, the end of every card."""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from genworkers.codecs.image_bytes import Pixels
from genworkers.contract.image import ImageRequest
from genworkers.engine.image_engine import ImageEngine, ImageItem, ImageResult
from genworkers.engine.painter import Inputs
from genworkers.evaluation.pictures import contact_sheet
from genworkers.training.sticker_data import read_captions

# Style ids in the order of the nets' style tables, with what people read and the set behind each.
STYLES = {
    "flat": ("Flat", "fluent-flat"),
    "bold": ("Bold", "twemoji"),
    "3d": ("Soft 3D", "fluent-3d"),
}
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
SHEET_QUALITY = 85
NUM_UNPICKED = 32
MANY = 12  # pictures; a sheet with more has smaller rows
LICENCES_OF_PICTURES = [
    "Fluent Emoji, flat and 3D (pictures of the styles flat and 3d; mosaic's tokenizer also: colour): MIT, "
    "Copyright (c) Microsoft Corporation",
    "Twemoji (pictures of the style bold): CC BY 4.0, Copyright Twitter, Inc and other contributors",
]
LICENCES_OF_WORDS = [
    "Unicode CLDR (names and keywords): Unicode License v3, Copyright (c) 2015-2024 Unicode, Inc.",
    "emojilib (keywords): MIT, Copyright (c) 2014 Mu-An Chiou",
]
LICENCE_OF_ENCODER = "all-MiniLM-L6-v2 (text encoder, installed beside this checkpoint, not part of it): Apache-2.0"
Result = TypeVar("Result")


def options_of(about: str, name: str) -> argparse.ArgumentParser:
    """A parser with what all of them ask for; `name` is the net's."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--out", type=Path, default=Path("genworkers/weights") / name)
    parser.add_argument("--sheets", type=Path, default=Path("docs/experiments"), help="folder for the sheets")
    parser.add_argument("--date", default="2026-11-21", help="begins the names of the sheets")
    parser.add_argument("--without-sheets", action="store_true", help="only the checkpoint")
    return parser


def last_scores(run: Path) -> dict[str, Any]:
    """Step, seconds and scores of the newest checkpoint in a run's log."""
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    newest: dict[str, Any] = [row for row in rows if "scores" in row][-1]
    return newest


def unpicked(corpus: Path) -> list[tuple[str, str]]:
    """Prompts and styles of the sheet that nobody chose: every so many-th name of all concepts, styles in turn."""
    names = [caption.name for _, caption in sorted(read_captions(corpus).items())]
    chosen = names[:: len(names) // NUM_UNPICKED][:NUM_UNPICKED]
    return [(name, list(STYLES)[place % len(STYLES)]) for place, name in enumerate(chosen)]


def draw(engine: ImageEngine, request: ImageRequest, seed: int, inputs: Inputs | None = None) -> Pixels:
    """The first picture of a request."""
    return first(engine, request, seed, lambda item: item.pixels if isinstance(item, ImageResult) else None, inputs)


def first(
    engine: ImageEngine,
    request: ImageRequest,
    seed: int,
    wanted: Callable[[ImageItem], Result | None],
    inputs: Inputs | None = None,
) -> Result:
    """The first thing that is wanted among what the engine gives for a request."""
    ticket = engine.submit(request, seed=seed, deadline_s=600, inputs=inputs)
    while not ticket.is_done:
        for item in ticket.read(1.0):
            found = wanted(item)
            if found is not None:
                return found
    raise RuntimeError(f"nothing was drawn for {request.prompt!r}")


def write_sheet(path: Path, pictures: Sequence[Pixels], labels: Sequence[str], *, num_columns: int = 8) -> None:
    """Write a contact sheet; labels are cut to what fits."""
    sheet = contact_sheet(pictures, [label[:24] for label in labels], num_columns=num_columns, cell_px=144)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=SHEET_QUALITY, method=6)


def write_sheets(engine: ImageEngine, net: str, options: argparse.Namespace) -> None:
    """Draw the sheets of a net of stickers: prompts and composed prompts in its first style, and the unpicked one."""
    style = next(iter(STYLES))
    sheets = {
        "prompts": [(prompt, style) for prompt in PROMPTS],
        "composed": [(prompt, style) for prompt in COMPOSED],
        "samples": unpicked(options.corpus),
    }
    for name, asked in sheets.items():
        requests = [ImageRequest(prompt=text, net=net, style=style) for text, style in asked]
        pictures = [draw(engine, request, SHEET_SEED) for request in requests]
        num_columns = 8 if len(asked) > MANY else 6
        path = options.sheets / f"{options.date}-{net}-{name}.webp"
        write_sheet(path, pictures, [text for text, _ in asked], num_columns=num_columns)


def ending(limits: Sequence[str], licences: Sequence[str]) -> list[str]:
    """The last lines of a card."""
    return [
        "## Limits",
        "",
        *[f"* {limit}" for limit in limits],
        "",
        "## Sets, licences and attribution",
        "",
        *[f"* {licence}" for licence in licences],
        "",
    ]
