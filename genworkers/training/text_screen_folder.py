"""The checkpoint folder of the text screen: weights, calibration, recommended thresholds and a card."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from genworkers.checkpoints import NET_PART, CheckpointFacts, save
from genworkers.contract.safety import TEXT_CATEGORIES, TextCategory
from genworkers.nets.text_heads import TextHeads
from genworkers.screening.calibration import Calibration
from genworkers.screening.text_screen import CALIBRATION_PART

Thresholds = dict[TextCategory, dict[str, float]]
LICENCES = [
    "AdvBench, HarmBench, StrongREJECT (instructions): MIT, Copyright (c) their authors and the Center for AI Safety",
    "CatQA, DangerousQA, HarmfulQA (instructions): Apache-2.0, Copyright declare-lab",
    "CoCoNot (instructions and harmless contrasts): MIT, Copyright (c) Allen Institute for AI",
    "Hatemoji, the build set: CC BY 4.0, Hannah Rose Kirk and others",
    "Hate Speech and Offensive Language: MIT, Copyright (c) Thomas Davidson",
    "Adversarial Nibbler (prompts, votes): CC BY 4.0, Google and others",
    "Toxicity: MIT, Copyright (c) Surge AI; GPTFuzz questions: MIT, Copyright (c) Jiahao Yu",
    "Harmless prompts: COCO captions, T2I-CompBench, GenEval, PartiPrompts, prompts.chat, prompts of DiffusionDB: as "
    "gathered in the project's corpus, which holds no licence text of theirs",
    "Sticker names and keywords: Unicode License v3, Copyright (c) 2015-2024 Unicode, Inc.; emojilib, MIT",
    "Passages of books: classics, public domain; fairy tales of FairytaleQA, Apache-2.0; textbooks of OpenStax, Rice "
    "University, CC BY 4.0",
    "all-MiniLM-L6-v2 (text encoder, installed beside this checkpoint, not part of it): Apache-2.0",
]
LIMITS = [
    "English. Other languages are read letter by letter; nothing was measured there.",
    "Self-harm, sexual/minors, violence/graphic and threats have few examples in the sets: much of what it knows of "
    "them are sentences written for it, mildly worded. Coarse wording, slang and code words of these it may miss.",
    "Most labels beside hate are weak: by the kind that a set names, or by plain words.",
    "Bare words of nudity alone are taken for sexual/minors; of longer adult prompts few are.",
    "Hate that needs the world to be understood (irony, emoji in place of words, dog whistles) it often misses.",
    "Its probabilities hold for a mixture in which one text in ten is bad; where fewer are, it says too much.",
    "It reads 320 characters at a time: what only a whole page means, it does not see.",
    "The worst window of a text counts, whatever its length, so the longer a harmless text is, the likelier it is "
    "flagged: see the table by length. One bad sentence in a long text could not be told from that, so it stays so.",
]


def write_checkpoint(
    folder: Path,
    heads: TextHeads,
    calibrations: Sequence[Calibration],
    thresholds: Thresholds,
    training: dict[str, Any],
) -> None:
    """Weights, calibration, manifest and card; `genworkers.evaluation.safety` adds its table to the card."""
    knots = {name: asdict(one) for name, one in zip(TEXT_CATEGORIES, calibrations, strict=True)}
    facts = CheckpointFacts(
        name=folder.name,
        kind="text",
        family="text-screen",
        title="Text screen",
        config={"heads": asdict(heads.config), "thresholds": thresholds},
        licences=LICENCES,
        training=training,
        limits=LIMITS,
    )
    parts = {CALIBRATION_PART: ("calibration.json", (json.dumps(knots, indent=1) + "\n").encode())}
    save(folder, facts, weights={NET_PART: heads.state_dict()}, other_parts=parts, card=_card(thresholds, training))


def _card(thresholds: Thresholds, training: Mapping[str, Any]) -> str:
    levels = "\n".join(
        f"| {name} | {one['flag_at']} | {one['review_at']} | {one['block_at']} "
        f"| {training['positives'][name]} | {training['calibrating'][name]} |"
        for name, one in thresholds.items()
    )
    sources = ", ".join(f"{name} {count}" for name, count in training["rows"].items())
    return f"""# Text screen

Says for a prompt or a text how likely it is of nine categories: the eight of OpenAI's moderation endpoint (Markov et
al. 2022, arXiv:2208.03274) and illicit. The first layers of all-MiniLM-L6-v2, frozen, and a bag of hashed n-grams go
through one hidden layer; isotonic regression makes probabilities of its logits. A text is read as it stands and in
every spelling that undoes a disguise; the worst counts. What follows is the workspace's policy, not the screen's.

## Training

{training["epochs"]} passes over {sum(training["rows"].values())} rows, {training["spent_s"]} s in all on a CPU core.
A label may be unknown and has no part in the loss then: no set labels all nine.
Rows by source: {sources}. "written" are sentences made for this
screen: the thin categories, kind and unkind sentences about the same groups of people, and harmless ones that sound
like harm. Every positive row stands there once more in disguise. HateCheck, XSTest, HatemojiCheck, I2P and OpenAI's
samples were not used for anything.

| category | flag at | review at | block at | positives that trained | positives that calibrated |
|---|---|---|---|---|---|
{levels}

Self-harm should be answered with help, never with a plain block, whatever the number says.

## Limits

{chr(10).join(f"* {limit}" for limit in LIMITS)}

## Sets, licences and attribution

{chr(10).join(f"* {licence}" for licence in LICENCES)}
"""
