"""Turns a finished text run into a checkpoint with its measures, card and samples.

`python -m scripts.publish_text --help`. It trains nothing; the numbers come from the checkpoint as it is stored. What
stands beside them (the net before, the n-gram model, the held-out texts) comes from `genworkers.evaluation.text`.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from genworkers.checkpoints import NET_PART, TOKENIZER_PART, CheckpointFacts, save
from genworkers.codecs.text_bpe import TextCodec
from genworkers.evaluation.text import SAMPLE_TOKENS, SAMPLING, SEED, Figures, evaluate, table
from genworkers.evaluation.text_fit import read_documents
from genworkers.text_checkpoints import load_decoder, open_text_checkpoint
from genworkers.training.text_data import storybook_credits

TITLE = "Llama Tessera Text"
NOTICE = "Built with Llama"
LICENCES = [
    "instruct-stories (child, stories, bedtime, slice-of-life, campfire, scenes, summaries, paraphrase): MIT, "
    "Copyright (c) 2024 Erik Hyrkas; its texts were written by Llama 3.1 (Llama 3.1 Community License, Copyright (c) "
    "Meta Platforms, Inc.): Built with Llama",
    "Storybooks of African Storybook and Pratham Books StoryWeaver: CC BY; titles and authors in attributions.md",
]
LIMITS = [
    "It writes simple English stories, scenes and descriptions and nothing else: it knows no facts, answers no "
    "questions and holds no dialogue.",
    "It often leaves out what was asked for: the card says how many of the requested words and subjects appear.",
    "Its summaries and rephrasings keep names and a few words of the passage and invent the rest: they cannot be "
    "relied on. It knows them for passages of 280 to 450 words; of a short one, as in all eight samples below, "
    "it tells a story of its own instead.",
    "Its heroes drift: names, things and places change within a story, and long stories lose their thread.",
    "Its stories sound alike, some begin with the same sentence: children, villages, forests, kindness, the Wild West; "
    "that is what it read.",
    "It reads and writes at most 768 tokens, prompt included, about 3,000 letters.",
    "It was not trained to refuse anything; what it writes is screened outside the net.",
]


def training_facts(run: Path, earlier: Sequence[Path]) -> dict[str, Any]:
    """The last value of everything that the run's log holds, its recipe, and the runs that it started from."""
    facts = _last_of_log(run)
    facts["recipe"] = json.loads((run / "run.json").read_text(encoding="utf-8"))["recipe"]
    facts["earlier_runs"] = [
        {name: value for name, value in _last_of_log(one).items() if name in ("step", "minutes", "num_tokens")}
        for one in earlier
    ]
    return facts


def curve(run: Path) -> list[dict[str, float]]:
    """The lines of a run's log that hold a held-out loss, each with the train loss before it."""
    points: list[dict[str, float]] = []
    train_loss = float("nan")
    for row in _log(run):
        train_loss = row.get("train_loss", train_loss)
        if "held_out_loss" in row:
            points.append(row | {"train_loss": train_loss})
    return points


def card_text(training: Mapping[str, Any], columns: Mapping[str, Figures]) -> str:
    """The card: what it is, what it read, what it can and cannot do.

    Args:
        columns: of the table; the first is this net's.
    """
    own = next(iter(columns.values()))
    runs = [*training["earlier_runs"], training]
    lines = [
        f"# {TITLE}",
        "",
        f"**{NOTICE}.** A small decoder that writes short stories, scenes and descriptions in simple English,",
        "trained here from scratch. It holds no weights of Llama; most of what it read was written by Llama 3.1, whose",
        "licence asks for the name and the notice. Its prompts:",
        '"Write a story about ...", "Write a story with the words ...", "Write a scene about ...", "Describe ...", and',
        '"Summarise:" or "Rephrase:" with a passage on the next line.',
        "",
        "## Training",
        "",
        f"{training['num_parameters']:,} parameters. {len(runs)} runs on one shared CPU core, each from the averaged",
        f"weights of the one before: {sum(run['step'] for run in runs):,} steps, "
        f"{sum(run['num_tokens'] for run in runs):,} tokens learnt in "
        f"{sum(run['minutes'] for run in runs):.0f} minutes;",
        f"the last run read {training['corpus_tokens']:,} tokens of text.",
        "Muon on the matrices, AdamW on the rest, a warmup-stable-decay schedule, the averaged weights are kept.",
        "One document in ten (by the sha256 of its key) was held out. Nothing was filtered for facts.",
        "",
        "## Measured",
        "",
        table(columns),
        "",
        f"Held-out documents: {own['num_bytes']['']:,} bytes. Texts: temperature {SAMPLING.temperature}, top-k "
        f"{SAMPLING.top_k}, top-p {SAMPLING.top_p}, seed {SEED}. What",
        "each measure counts: the docstrings of `genworkers/evaluation/text_measures.py`. The longest copied span is",
        f'"{own["longest_copied_span"]}".',
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in LIMITS),
        "",
        "## Data",
        "",
        *(f"- {licence}" for licence in LICENCES),
        "",
        f"## Samples, unedited, seed {SEED}, at most {SAMPLE_TOKENS} tokens",
        "",
    ]
    for prompt, text in own["samples"].items():
        shown = "  \n".join(f"**{line}**" for line in prompt.splitlines())
        lines += [shown, "", *(f"> {line}".rstrip() for line in text.splitlines()), ""]
    return "\n".join(lines)


def main() -> None:
    """Store the run's averaged weights, measure them as they are stored, and write the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--earlier", type=Path, action="append", default=[], help="run that this one started from")
    parser.add_argument("--documents", type=Path, required=True, help="of `genworkers.training.text_data`")
    parser.add_argument("--beside", type=Path, help="figures of `genworkers.evaluation.text` for the table")
    parser.add_argument("--out", type=Path, default=Path("genworkers/weights/llama-tessera-text"))
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    codec = TextCodec.from_file(arguments.run / "tokenizer.json")
    config = json.loads((arguments.run / "run.json").read_text(encoding="utf-8"))["config"]
    training = training_facts(arguments.run, arguments.earlier)
    facts = CheckpointFacts(
        name=arguments.out.name,
        kind="text",
        family="decoder",
        title=TITLE,
        notice=NOTICE,
        config=config,
        context_tokens=config["context_tokens"],
        licences=LICENCES,
        limits=LIMITS,
        training=training,
    )
    weights = {NET_PART: load_file(arguments.run / "average.safetensors")}
    attributions = "".join(f"- {line}\n" for line in storybook_credits(arguments.corpus))
    parts = {
        TOKENIZER_PART: ("tokenizer.json", codec.to_json()),
        "attributions": ("attributions.md", f"# Storybooks that the net read, CC BY\n\n{attributions}".encode()),
    }
    save(arguments.out, facts, weights=weights, other_parts=parts, card="")
    learnt, held_out = read_documents(arguments.documents)
    net = load_decoder(open_text_checkpoint(arguments.out))
    columns = {"this net": evaluate(net, codec, learnt, held_out)}
    if arguments.beside:
        beside: dict[str, Figures] = json.loads(arguments.beside.read_text(encoding="utf-8"))
        columns |= {"the net before" if "/" in name else name: figures for name, figures in beside.items()}
    save(arguments.out, facts, weights=weights, other_parts=parts, card=card_text(training, columns))
    content = json.dumps({"curve": curve(arguments.run), "columns": columns}, indent=1, ensure_ascii=False)
    (arguments.run / "figures.json").write_text(content + "\n", encoding="utf-8")
    print(table(columns))


def _log(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def _last_of_log(run: Path) -> dict[str, Any]:
    return {name: value for row in _log(run) for name, value in row.items()}


if __name__ == "__main__":
    main()
