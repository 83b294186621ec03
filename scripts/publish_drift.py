"""Turns a finished run into the drift checkpoint, its map, card and sheets: `python -m scripts.publish_drift --help`.

It trains nothing, but looks through the latent space: attribute directions, the map, the scale of strangeness. Run it
again whenever the mosaic net, whose tokenizer it paints with, is published anew.
"""

import io
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from genworkers import checkpoints
from genworkers.codecs.image_bytes import Pixels, unpremultiply
from genworkers.contract.image import ImageRequest, Walk
from genworkers.engine.image_engine import ImageEngine, WalkResult
from genworkers.engine.image_loading import load_image_engine
from genworkers.nets.fsq_tokenizer import FsqTokenizer
from genworkers.nets.vae import DriftConfig, DriftPlaces, DriftVae
from genworkers.training.drift_places import (
    ATTRIBUTES,
    MAP_SIDE,
    NUM_QUANTILES,
    Attribute,
    direction_between,
    lay_out,
    quantiles_of,
    told_apart,
)
from genworkers.training.latent_data import LatentSet, load_latents, load_tokenizer
from genworkers.training.train_drift import places_of
from scripts.publish_spark import LICENCES
from scripts.publishing import SHEET_SEED, STYLES, ending, first, last_scores, options_of, write_sheet, write_sheets

LIMITS = [
    "A picture is 96 numbers here: fine parts are soft, and what lies between two pictures is a blend of them.",
    "It reads the prompt as one vector: of several things, counts and places little is left.",
    "Directions were found by comparing captions; each changes other things a little too.",
    "Strangeness compares with small stickers alone: a photograph is strange whatever it shows.",
]
LEAST_TOLD_APART = 0.65
NUM_MOVED = 60
MOVED_BY = 2.0  # standard deviations
TILE_PX = 64
MAP_QUALITY = 60
WALK_FRAMES = 10


def paint(net: DriftVae, tokenizer: FsqTokenizer, places: Tensor) -> Tensor:
    """Places (B, Z) to premultiplied pictures (B, 4, 64, 64) in 0..1."""
    painted = []
    with torch.inference_mode():
        for part in places.split(36):
            with torch.autocast("cpu", torch.bfloat16):
                large = tokenizer.decode_latents(net.decode(part))
            painted.append(F.avg_pool2d(large, 2))
    return torch.cat(painted)


def _chroma(red: float, green: float, blue: float) -> Callable[[Tensor], Tensor]:
    weights = torch.tensor([red, green, blue]).view(1, 3, 1, 1)

    def measure(pictures: Tensor) -> Tensor:
        return (pictures[:, :3] * weights).sum((1, 2, 3)) / pictures[:, 3].sum((1, 2)).clamp(min=1.0)

    return measure


def _centre(axis: int) -> Callable[[Tensor], Tensor]:
    def measure(pictures: Tensor) -> Tensor:
        alpha = pictures[:, 3].sum(3 - axis)  # along the other one: (B, 64)
        return (alpha * torch.arange(alpha.shape[1])).sum(1) / alpha.sum(1).clamp(min=1.0)

    return measure


def _coverage(pictures: Tensor) -> Tensor:
    return pictures[:, 3].mean((1, 2))


# What must grow, in pixels, when a picture moves along a direction; for the others no such number is at hand.
MEASURES: dict[str, Callable[[Tensor], Tensor]] = {
    "redder": _chroma(1.0, -0.5, -0.5),
    "yellower": _chroma(0.5, 0.5, -1.0),
    "greener": _chroma(-0.5, 1.0, -0.5),
    "bluer": _chroma(-0.5, -0.5, 1.0),
    "more purple": _chroma(0.5, -1.0, 0.5),
    "darker": _chroma(-0.3, -0.6, -0.1),
    "larger": _coverage,
    "on a ground": _coverage,
    "more to the right": _centre(2),
    "higher": lambda pictures: -_centre(1)(pictures),
}


def find_directions(
    net: DriftVae, tokenizer: FsqTokenizer, data: LatentSet, places: Tensor
) -> tuple[list[Attribute], Tensor, dict[str, dict[str, float | None]]]:
    """The attributes that prove true on pictures which they were not found on, and their directions (A, Z)."""
    is_scene = data.concept < 0
    is_test = torch.where(is_scene, torch.arange(len(places)) % 10 == 0, data.is_held_out)
    shown = ((~is_scene) & data.is_held_out).nonzero()[:NUM_MOVED, 0]
    kept, directions, proofs = [], [], {}
    for attribute in ATTRIBUTES:
        ends = torch.tensor([attribute.end_of(words) for words in data.said])
        ends[is_scene != attribute.of_scenes] = 0
        found_on = ~is_test & (is_scene == attribute.of_scenes)
        if min(int((ends[found_on] == end).sum()) for end in (1, -1)) < 10:
            continue
        direction = direction_between(places[found_on], ends[found_on])
        proof: dict[str, float | None] = {"told_apart": told_apart(places[is_test], ends[is_test], direction)}
        proof["grows_frac"] = None
        if attribute.name in MEASURES:
            measure = MEASURES[attribute.name]
            further = measure(paint(net, tokenizer, places[shown] + MOVED_BY * direction))
            back = measure(paint(net, tokenizer, places[shown] - MOVED_BY * direction))
            proof["grows_frac"] = float((further > back).float().mean())
        proofs[attribute.name] = {name: None if value is None else round(value, 3) for name, value in proof.items()}
        is_true = (proof["told_apart"] or 0) >= LEAST_TOLD_APART and (proof["grows_frac"] or 1.0) >= 0.75
        proofs[attribute.name]["is_kept"] = float(is_true)
        if is_true:
            kept.append(attribute)
            directions.append(direction)
    return kept, torch.stack(directions), proofs


def map_webp(net: DriftVae, tokenizer: FsqTokenizer, anchors: Tensor) -> bytes:
    """What is painted at each anchor (side, side, Z), as one WebP file."""
    side = len(anchors)
    tiles = paint(net, tokenizer, anchors.flatten(0, 1)).permute(0, 2, 3, 1).numpy()
    atlas = Image.new("RGBA", (side * TILE_PX, side * TILE_PX))
    for place, tile in enumerate(tiles):
        atlas.paste(Image.fromarray(unpremultiply(tile)), (place % side * TILE_PX, place // side * TILE_PX))
    buffer = io.BytesIO()
    atlas.save(buffer, format="WEBP", quality=MAP_QUALITY, method=6)
    return buffer.getvalue()


def card_text(training: dict[str, Any]) -> str:
    """The card: what it is, what it was trained on, what it can and cannot do."""
    run = training["autoencoder"]
    rows = [
        f"| {name} | {proof['told_apart']} | {'-' if proof['grows_frac'] is None else proof['grows_frac']} "
        f"| {'yes' if proof['is_kept'] else 'no'} |"
        for name, proof in training["directions"].items()
    ]
    lines = [
        "# Drift",
        "",
        "A variational autoencoder over the latents of mosaic's tokenizer, which has to be installed beside it:",
        "pictures have places in a space of 96 dimensions, prompts have places too, and one can walk between them,",
        "along attributes, at random, or click on a map. It also says how unlike what it learned a picture is.",
        "",
        "## Training",
        "",
        f"* {run['step']} steps in {run['spent_s'] // 60} minutes, on one CPU core; in the last fifth of the time",
        "  the text prior alone.",
        "* Every concept whose key's sha256 is a multiple of ten was held out.",
        "",
        "```json",
        json.dumps(training["scores"], indent=2),
        "```",
        "",
        "`error`: mean square in latents (-1..1). `nats`: information in a place. `prior`: nats a dimension of a place",
        "under what its name makes of it, without the constant.",
        "",
        "## Directions",
        "",
        "Found as the difference of the mean places of captions, checked on others. Told apart: the chance that of two",
        "test pictures the one whose caption says so lies further along. Grows: how often the pixels of a held-out",
        f"sticker change as the name says between {-MOVED_BY} and +{MOVED_BY} standard deviations.",
        "",
        "| direction | told apart | grows | kept |",
        "|---|---|---|---|",
        *rows,
        "",
        *ending(LIMITS, LICENCES),
    ]
    return "\n".join(lines)


def write_walks(engine: ImageEngine, path: Path, direction: str) -> None:
    """A sheet of three walks, ten frames each: between prompts, at random, along a direction."""
    walks = [
        ("red apple", Walk(to_prompt="snowman", num_frames=WALK_FRAMES, is_loop=False)),
        ("cat", Walk(route="random", num_frames=WALK_FRAMES, is_loop=True)),
        ("heart", Walk(route="direction", direction=direction, distance=4.0, num_frames=WALK_FRAMES, is_loop=False)),
    ]
    frames: list[Pixels] = []
    for prompt, walk in walks:
        request = ImageRequest(prompt=prompt, net="drift", walk=walk)
        frames += first(
            engine, request, SHEET_SEED, lambda item: list(item.frames) if isinstance(item, WalkResult) else None
        )
    labels = [f"{walk.route} {frame + 1}" for _, walk in walks for frame in range(WALK_FRAMES)]
    write_sheet(path, frames, labels, num_columns=WALK_FRAMES)


def main() -> None:
    """Publish."""
    parser = options_of(__doc__, "drift")
    parser.add_argument("--run", type=Path, default=Path("runs/drift"))
    parser.add_argument("--tokenizer", type=Path, default=Path("runs/tokenizer_final/resume.pt"))
    parser.add_argument("--num-scenes", type=int, default=11700, help="as in the training")
    parser.add_argument("--mosaic", type=Path, default=Path("genworkers/weights/mosaic"))
    parser.add_argument("--temperature", type=float, default=0.5, help="of pictures around the place of their words")
    options = parser.parse_args()
    torch.set_num_threads(1)

    tokenizer = load_tokenizer(options.tokenizer)
    sets = [folder for _, folder in STYLES.values()]
    data = load_latents(options.corpus, options.cache, sets, tokenizer, num_scenes=options.num_scenes)
    config = DriftConfig(num_styles=len(STYLES))
    net = DriftVae(config).eval()
    net.load_state_dict(torch.load(options.run / "resume.pt", weights_only=True)["average"])
    places = places_of(net, data.latents[:, 0])[0]  # (M, Z)
    kept, directions, proofs = find_directions(net, tokenizer, data, places)

    trained = data.trained_rows[data.concept[data.trained_rows] >= 0]
    generator = torch.Generator().manual_seed(0)
    one_each = {int(data.concept[row]): int(row) for row in trained[torch.randperm(len(trained), generator=generator)]}
    candidates = torch.tensor(sorted(one_each.values()))
    standing = candidates[lay_out(places[candidates], MAP_SIDE, generator)]  # (side, side) rows
    known = DriftPlaces(
        config.latent_width,
        map_side=MAP_SIDE,
        num_directions=len(kept),
        channels=config.channels,
        num_quantiles=NUM_QUANTILES,
    )
    known.anchors.copy_(places[standing])
    known.directions.copy_(directions)
    with torch.inference_mode():
        seen = data.latents[trained, 0].float()
        known.error_scale.copy_((net.decode(places[trained]) - seen).square().mean((0, 2, 3)).sqrt())
        held_out = data.is_held_out.nonzero()[:, 0]
        strangeness = net.strangeness(data.latents[held_out, 0].float(), known.error_scale)
        known.strangeness_quantiles.copy_(quantiles_of(strangeness))

    scores = last_scores(options.run)
    training: dict[str, Any] = {
        "autoencoder": {name: scores[name] for name in ("step", "spent_s")},
        "scores": scores["scores"],
        "directions": proofs,
        "measured": {},
    }
    facts = checkpoints.CheckpointFacts(
        name="drift",
        kind="image",
        family="drift",
        title="Drift",
        config={
            "net": asdict(config),
            "tokenizer_of": "mosaic",
            "tokenizer_sha256": checkpoints.load_manifest(options.mosaic).files["tokenizer"]["sha256"],
            "sampling": {"temperature": options.temperature},
            "map_labels": [[data.names[int(data.concept[row])] for row in line] for line in standing],
        },
        styles={style: title for style, (title, _) in STYLES.items()},
        directions={attribute.name: attribute.title for attribute in kept},
        licences=LICENCES,
        training=training,
        limits=LIMITS,
    )
    weights = {"net": net.state_dict(), "places": known.state_dict()}
    atlas = {"map": ("map.webp", map_webp(net, tokenizer, known.anchors))}
    checkpoints.save(options.out, facts, weights=weights, other_parts=atlas, card=card_text(training))
    if not options.without_sheets:
        engine = load_image_engine({"mosaic": options.mosaic, "drift": options.out})
        engine.start()
        write_sheets(engine, "drift", options)
        write_walks(engine, options.sheets / f"{options.date}-drift-walks.webp", kept[0].name)
        engine.close()
    print(json.dumps(proofs, indent=2))


if __name__ == "__main__":
    main()
