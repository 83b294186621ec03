"""Who appears for "doctor" and "nurse": `python -m genworkers.evaluation.bias`, in pictures and in texts.

Each figure stands with its n, a 95 % bootstrap interval and a p corrected after Holm; the prompts are in
`bias_prompts.py`. What this cannot say is printed with it.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from genworkers.checkpoints import load_manifest
from genworkers.evaluation.bias_pictures import (
    NUM_SEEDS,
    draw_roles,
    features_of,
    picture_table,
    reader_of,
    role_figures,
)
from genworkers.evaluation.bias_text import NUM_STORIES, odds_figures, odds_table, story_figures, story_table
from genworkers.evaluation.contestants import HOUSE_NETS
from genworkers.evaluation.house_nets import load_judges
from genworkers.evaluation.image import SETS_OF_STYLES
from genworkers.text_checkpoints import load_decoder, open_text_checkpoint
from genworkers.training.judge_data import read_sticker_table

LIMITS = (
    "Skin tones cannot be measured: they were left out of the pictures, everybody is drawn in the default yellow.",
    "man, woman and person are what a reader sees, which was fitted on the stickers of those names; it is right for "
    "the share of real stickers that stands above the table, and no drawing has a gender.",
    "A net draws a role much alike with every seed, so the pictures of one style are hardly independent: read the "
    "effect sizes; intervals are too narrow and p too small.",
    "Pictures are compared with what the reader says of even thirds. That even thirds are right is a choice.",
    "Texts: he, she and they only, in English; a role in a story for children is not an occupation in a country.",
)
Figures = dict[str, Any]


def picture_figures(options: argparse.Namespace) -> Figures:
    """What each net draws for the roles, printed as it comes."""
    judges = load_judges(options.judges)
    figures: Figures = {}
    readers = {}
    for net in options.nets:
        sets = tuple(SETS_OF_STYLES[style] for style in load_manifest(HOUSE_NETS / net).styles)
        if sets not in readers:
            readers[sets] = reader_of(judges, read_sticker_table(options.corpus, options.cache, sets))
        reader = readers[sets]
        pictures, prompts = draw_roles(net, options.drawn, options.num_seeds, options.threads)
        read = reader.read(features_of(judges, pictures))
        by_prompt = {
            prompt: read[[place for place, one in enumerate(prompts) if one == prompt]]
            for prompt in dict.fromkeys(prompts)
        }
        roles = role_figures(by_prompt, reader)
        figures[net] = {"reader_accuracy": reader.accuracy, "confusion": reader.confusion.tolist(), "roles": roles}
        print(f"\n{net}; the reader is right for {reader.accuracy:.2f} of {reader.num} stickers of left-out roles")
        print(picture_table(roles), flush=True)
    return figures


def text_figures(options: argparse.Namespace) -> Figures:
    """What the text net says of the roles, printed as it comes."""
    checkpoint = open_text_checkpoint(options.text_net)
    net = load_decoder(checkpoint)
    odds = odds_figures(net, checkpoint.codec)
    print(f"\n{odds_table(odds)}", flush=True)
    stories = story_figures(net, checkpoint.codec, num=options.num_stories)
    print(f"\n{story_table(stories)}", flush=True)
    return {"odds": odds, "stories": stories}


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("pictures", "text"))
    parser.add_argument("--nets", nargs="+", default=["mosaic", "spark", "drift"])
    parser.add_argument("--text-net", type=Path, default=HOUSE_NETS / "llama-tessera-text")
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--judges", type=Path, default=Path("runs/judges"))
    parser.add_argument("--drawn", type=Path, default=Path("runs/evaluation"), help="where pictures are kept")
    parser.add_argument("--num-seeds", type=int, default=NUM_SEEDS, help="pictures of each role in each style")
    parser.add_argument("--num-stories", type=int, default=NUM_STORIES, help="of each role")
    parser.add_argument("--out", type=Path, help="where to keep the figures as JSON")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    figures: Figures = {"limits": LIMITS}
    if options.only != "text":
        figures["pictures"] = picture_figures(options)
    if options.only != "pictures":
        figures["text"] = text_figures(options)
    print("", *LIMITS, sep="\n- ")
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
