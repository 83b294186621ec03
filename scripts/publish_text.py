"""Turns a finished text run into a checkpoint with its measures, card and samples.

`python -m scripts.publish_text --help`. It trains nothing; the numbers come from the checkpoint as it is stored.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from genworkers.checkpoints import NET_PART, TOKENIZER_PART, CheckpointFacts, fill_net, load_tensors, save
from genworkers.codecs.text_bpe import TextCodec
from genworkers.evaluation.text import Document, distinct_frac, longest_copied_spans, measure_fit, write
from genworkers.nets.decoder import Decoder, DecoderConfig
from genworkers.sampling.logits import Sampling
from genworkers.training.text_data import Story, read_stories, storybook_credits

PROMPTS = (
    "Write a story about a brave little boat.",
    "Write a story about a cat who cannot sleep",
    "Tell me a story about a red balloon.",
    "Write a story about an old lighthouse.",
    "Write a story about two friends who find a map.",
    "Write a story about the moon",
)
SEED = 1
NUM_TOKENS = 300
SAMPLING = Sampling(temperature=0.8, top_k=50, top_p=0.95)

TITLE = "Llama Tessera Text"
NOTICE = "Built with Llama"
LICENCES = [
    "instruct-stories (stories, bedtime, child, slice-of-life): MIT, Copyright (c) 2024 Erik Hyrkas; its texts were "
    "written by Llama 3.1 (Llama 3.1 Community License, Copyright (c) Meta Platforms, Inc.): Built with Llama",
    "Storybooks of African Storybook and Pratham Books StoryWeaver: CC BY; titles and authors in attributions.md",
]
LIMITS = [
    "It writes simple English stories and nothing else: it knows no facts, follows no instructions, holds no dialogue.",
    "It often misses the subject: in only two of the six samples below does the thing that was asked for appear.",
    "Its heroes drift: names, things and places change within a story, and long stories lose their thread.",
    "Its stories sound alike: children, villages, forests, kindness; that is what it read.",
    "It reads and writes at most 768 tokens, prompt included, about 3,000 letters.",
    "It was not trained to refuse anything; what it writes is screened outside the net.",
]


def documents(stories: list[Story]) -> list[Document]:
    """Each story with its own first prompt."""
    return [Document(prompt=story.prompts[0], text=story.text) for story in stories]


def curve(run: Path) -> list[dict[str, float]]:
    """The lines of a run's log that hold a held-out loss, each with the train loss before it."""
    points: list[dict[str, float]] = []
    train_loss = float("nan")
    for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        train_loss = row.get("train_loss", train_loss)
        if "held_out_loss" in row:
            points.append(row | {"train_loss": train_loss})
    return points


def measure(net: Decoder, codec: TextCodec, stories: list[Story]) -> dict[str, Any]:
    """Everything the card says in numbers."""
    held_out = documents([story for story in stories if story.is_held_out])
    learnt = documents([story for story in stories if not story.is_held_out])
    began = time.perf_counter()
    samples = {
        prompt: write(net, codec, prompt, seed=SEED, max_tokens=NUM_TOKENS, sampling=SAMPLING) for prompt in PROMPTS
    }
    write_s = time.perf_counter() - began
    texts = list(samples.values())
    fit = measure_fit(net, codec, held_out)
    return {
        "held_out": asdict(fit),
        "learnt_sample": asdict(measure_fit(net, codec, learnt[:: len(learnt) // len(held_out)])),
        "distinct_1": distinct_frac(texts, 1),
        "distinct_2": distinct_frac(texts, 2),
        "distinct_4": distinct_frac(texts, 4),
        "human_distinct_4": distinct_frac([one.text[:1000] for one in held_out[:: len(held_out) // 6][:6]], 4),
        "longest_copied_spans": longest_copied_spans(texts, (one.text for one in learnt)),
        "samples_s": round(write_s, 1),
        "samples": samples,
    }


def card_text(training: dict[str, Any], figures: dict[str, Any]) -> str:
    """The card: what it is, what it read, what it can and cannot do."""
    held_out, learnt = figures["held_out"], figures["learnt_sample"]
    longest = max(figures["longest_copied_spans"], key=lambda span: len(span.split()))
    lines = [
        f"# {TITLE}",
        "",
        f"**{NOTICE}.** A small decoder that writes short stories in simple English, trained here from scratch.",
        "It holds no weights of Llama; part of the stories that it read were written by Llama 3.1, whose licence asks",
        'for the name and the notice. "Write a story about ..." is the prompt it knows best.',
        "",
        "## Training",
        "",
        f"{training['num_parameters']:,} parameters, {training['step']} steps, {training['num_tokens']:,} tokens",
        f"({training['num_tokens'] / training['corpus_tokens']:.1f} epochs of {training['corpus_tokens']:,}) in "
        f"{training['minutes']:.0f} minutes on one shared CPU core.",
        "Muon on the matrices, AdamW on the rest, a warmup-stable-decay schedule, the averaged weights are kept.",
        "One document in ten (by the sha256 of its key) was held out. Nothing was filtered for facts.",
        "",
        "## Measured",
        "",
        "| measure | value |",
        "|---|---|",
        f"| bits per byte, held-out stories ({held_out['num_bytes']:,} bytes) | {held_out['bits_per_byte']:.4f} |",
        f"| bits per byte, stories it learnt ({learnt['num_bytes']:,} bytes) | {learnt['bits_per_byte']:.4f} |",
        f"| nats per token, held-out | {held_out['nats_per_token']:.4f} |",
        f"| distinct 1-, 2-, 4-grams over six samples | {figures['distinct_1']:.3f}, {figures['distinct_2']:.3f}, "
        f"{figures['distinct_4']:.3f} |",
        f"| distinct 4-grams over six held-out stories | {figures['human_distinct_4']:.3f} |",
        f'| longest span copied from a learnt story, over six samples | {len(longest.split())} words: "{longest}" |',
        "",
        f"Samples: temperature {SAMPLING.temperature}, top-k {SAMPLING.top_k}, top-p {SAMPLING.top_p}, seed {SEED}, "
        f"at most {NUM_TOKENS} tokens.",
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in LIMITS),
        "",
        "## Data",
        "",
        *(f"- {licence}" for licence in LICENCES),
        "",
        "## Samples, unedited, first seed",
        "",
    ]
    for prompt, text in figures["samples"].items():
        lines += [f"**{prompt}**", "", *(f"> {line}".rstrip() for line in text.splitlines()), ""]
    return "\n".join(lines)


def main() -> None:
    """Measure the run's averaged weights as they will be stored, and write the checkpoint folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("genworkers/weights/llama-tessera-text"))
    parser.add_argument("--figures", type=Path, help="where to keep the figures as JSON; default in the run's folder")
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    codec = TextCodec.from_file(arguments.run / "tokenizer.json")
    config = json.loads((arguments.run / "run.json").read_text())["config"]
    rows = [json.loads(line) for line in (arguments.run / "log.jsonl").read_text().splitlines()]
    training = {name: row[name] for row in rows for name in row}
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
    manifest = save(arguments.out, facts, weights=weights, other_parts=parts, card="")
    net = Decoder(DecoderConfig(**config))
    fill_net(net, load_tensors(arguments.out, manifest, NET_PART), path=arguments.out)
    figures = measure(net, codec, read_stories(arguments.corpus))
    save(arguments.out, facts, weights=weights, other_parts=parts, card=card_text(training, figures))
    content = json.dumps({"curve": curve(arguments.run), **figures}, indent=1, ensure_ascii=False)
    (arguments.figures or arguments.run / "figures.json").write_text(content + "\n", encoding="utf-8")
    print(content)


if __name__ == "__main__":
    main()
