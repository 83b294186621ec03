"""The checkpoint folder of the picture screen: weights, calibration, recommended thresholds and a card."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from genworkers.checkpoints import NET_PART, CheckpointFacts, save
from genworkers.contract.safety import PictureCategory
from genworkers.nets.picture_tagger import PictureTagger
from genworkers.screening.calibration import Calibration
from genworkers.screening.picture_screen import CALIBRATION_PART
from genworkers.training.picture_table import HELD_OUT_SOURCES

Thresholds = Mapping[PictureCategory, Mapping[str, float | None]]
LICENCES = [
    "Fluent Emoji (flat, colour, high contrast, 3D): MIT, Copyright (c) Microsoft Corporation",
    "Noto Emoji and Blob Emoji: Apache-2.0, Copyright Google LLC",
    "Twemoji: CC BY 4.0, Copyright Twitter, Inc and other contributors",
    "EmojiTwo and FxEmojis (held out): CC BY 4.0, Copyright the EmojiTwo contributors; Mozilla Foundation",
    "game-icons.net: CC BY 3.0, by their authors (Lorc, Delapouite, Skoll, sbed and others)",
    "Material Design Icons: Apache-2.0; Phosphor: MIT; Lucide (held out): ISC; Bootstrap Icons (held out): MIT",
    "Dungeon Crawl Stone Soup tiles: CC0",
    "Fashion-MNIST (as pictures without any category): MIT, Copyright (c) 2017 Zalando SE",
    "LPC characters (as pictures without any category): CC BY 3.0 or OGA-BY 3.0, by their authors; their names are in "
    "attributions.md of the net `characters`",
]
LIMITS = [
    "It knows drawings. Of photographs it has seen small grey ones of clothes only; of others nothing is known.",
    "No head for nudity and none for nations: the corpus has no naked people and no flags. They are not among the "
    "scores, which is not the same as a score of 0.",
    "gestures is one gesture, the middle finger, in nine drawings. What is rude in other places (OK hand, horns, "
    "thumb) is not told apart.",
    "What people wear or use is never a category: a headscarf is not religion, a wheelchair not medical.",
    "A thing that takes less than about a fifth of the width of the picture is often missed: it reads 64 x 64 px.",
    "Words in a picture are not read.",
]


def write_screen(
    folder: Path,
    net: PictureTagger,
    calibrations: Mapping[PictureCategory, Calibration],
    thresholds: Thresholds,
    training: dict[str, Any],
) -> None:
    """Write the folder.

    Args:
        thresholds: recommended `flag_at`, `review_at` and `block_at` of each category, None for never.
        training: what is known of the run, for the manifest.
    """
    content = {name: asdict(calibration) for name, calibration in calibrations.items()}
    facts = CheckpointFacts(
        name=folder.name,
        kind="image",
        family="picture-screen",
        title="Picture screen",
        config={
            "net": asdict(net.config),
            "thresholds": dict(thresholds),
        },
        licences=LICENCES,
        training=training | {"held_out_sources": sorted(HELD_OUT_SOURCES)},
        limits=LIMITS,
    )
    save(
        folder,
        facts,
        weights={NET_PART: net.state_dict()},
        other_parts={CALIBRATION_PART: ("calibration.json", (json.dumps(content) + "\n").encode())},
        card=_card(net, facts, thresholds),
    )


def _card(net: PictureTagger, facts: CheckpointFacts, thresholds: Thresholds) -> str:
    rows = [
        f"| {category} | " + " | ".join("never" if one is None else str(one) for one in thresholds[category].values())
        for category in net.config.categories
    ]
    return "\n".join(
        [
            "# Picture screen",
            "",
            "Says of one picture how likely it shows each of "
            f"{len(net.config.categories)} categories: {', '.join(net.config.categories)}. A small residual net over "
            "64 x 64 px, trained from nothing on composed pictures of the stickers and icons below; it shares no "
            "weights with the nets that draw or with those that judge them in evaluations. Probabilities are "
            "calibrated for pictures of which each category is in one of twenty. The thresholds are where one in two "
            "hundred harmless stickers of held-out concepts is flagged. Half of what is held out calibrated and set "
            "the thresholds; figures of it are of the other half.",
            "",
            "| category | flag at | review at | block at |",
            "|---|---|---|---|",
            *(f"{row} |" for row in rows),
            "",
            "## Limits",
            "",
            *(f"- {limit}" for limit in facts.limits),
            "",
            "## Trained on",
            "",
            *(f"- {licence}" for licence in facts.licences),
            "",
        ]
    )
