"""Train the house's text net: `python -m genworkers.training.train_text --preset cpu-2h --run runs/NAME`.

A tokenizer is learnt first where the run's folder holds none. The same command again goes on with a run that was
stopped; any other option replaces the preset's value. What a run is: `text_run.py`; what it reads: `text_data.py`.
"""

import argparse
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from genworkers.codecs.text_bpe import TextCodec
from genworkers.nets.decoder import DecoderConfig
from genworkers.training.text_batches import Corpus
from genworkers.training.text_data import read_stories
from genworkers.training.text_run import Recipe, Run, train
from genworkers.training.train_bpe import bpe_of_stories

# On a CPU attention with 128-wide heads trains nearly twice as fast as with 64-wide ones.
HEAD_WIDTH = 128


@dataclass(frozen=True, slots=True)
class Preset:
    """Sizes and recipe of a run on one kind of machine."""

    recipe: Recipe
    width: int
    num_layers: int
    context_tokens: int
    vocab_size: int

    def config(self, vocab_size: int) -> DecoderConfig:
        """Of the net, for a tokenizer of that many tokens."""
        return DecoderConfig(
            vocab_size=vocab_size,
            context_tokens=self.context_tokens,
            width=self.width,
            num_layers=self.num_layers,
            num_heads=self.width // HEAD_WIDTH,
            num_kv_heads=self.width // HEAD_WIDTH,
            head_width=HEAD_WIDTH,
            mlp_width=4 * self.width,
        )


PRESETS = {
    "cpu-2h": Preset(Recipe(minutes=120), width=384, num_layers=5, context_tokens=768, vocab_size=4096),
    # Never run on a GPU so far: its learning rates and its batch are taken from published runs, not measured.
    "h200-25min": Preset(
        Recipe(
            minutes=25,
            batch_tokens=65_536,
            matrix_lr=0.02,
            table_lr=0.008,
            warmup_frac=0.02,
            average_decay=0.997,
            is_packed=True,
            device="cuda",
        ),
        width=512,
        num_layers=12,
        context_tokens=1024,
        vocab_size=8192,
    ),
}


def main() -> None:
    """Read the command line, train, and leave the run's folder ready for `scripts.publish_text`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="cpu-2h")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run, for its tokenizer.json too")
    parser.add_argument("--start-from", type=Path, help="average.safetensors of a run of the same sizes and tokenizer")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--width", type=int, help=f"a multiple of {HEAD_WIDTH}")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--context", type=int)
    parser.add_argument("--vocab-size", type=int, help="of a tokenizer that is learnt")
    parser.add_argument("--batch-tokens", type=int)
    parser.add_argument("--matrix-lr", type=float)
    parser.add_argument("--table-lr", type=float)
    parser.add_argument("--warmup-frac", type=float)
    parser.add_argument("--cooldown-frac", type=float)
    parser.add_argument("--average-decay", type=float)
    parser.add_argument("--device", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--eval-every-s", type=float, default=600)
    parser.add_argument("--save-every-s", type=float, default=300)
    parser.add_argument("--fp32", action="store_true", help="for a CPU without bf16 matrix products")
    parser.add_argument("--no-compile", action="store_true", help="where no C++ compiler is at hand")
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    preset = _chosen_preset(arguments)
    stories = read_stories(arguments.corpus)
    held_out = [story for story in stories if story.is_held_out]
    stories = [story for story in stories if not story.is_held_out]
    tokenizer = arguments.run / "tokenizer.json"
    if not tokenizer.exists():
        arguments.run.mkdir(parents=True, exist_ok=True)
        bpe_of_stories(stories, preset.vocab_size).save(tokenizer)
    codec = TextCodec.from_file(tokenizer)
    learnt = Corpus.build(codec, stories, preset.context_tokens)
    # A tenth of the held-out documents shows the trend; `scripts.publish_text` reads them all.
    watched = Corpus.build(codec, held_out[::10], preset.context_tokens)
    run = Run(arguments.run, preset.config(codec.vocab_size), preset.recipe)
    if arguments.start_from:
        run.start_from(arguments.start_from)
    run.resume()
    print(dict(Counter(story.source for story in learnt.stories)), flush=True)
    run.log(num_parameters=sum(one.numel() for one in run.net.parameters()), corpus_tokens=learnt.num_tokens)
    train(run, learnt, watched, eval_every_s=arguments.eval_every_s, save_every_s=arguments.save_every_s)


def _chosen_preset(arguments: argparse.Namespace) -> Preset:
    """The preset, with what the command line says instead."""
    preset = PRESETS[arguments.preset]
    recipe_names = (
        "minutes",
        "batch_tokens",
        "matrix_lr",
        "table_lr",
        "warmup_frac",
        "cooldown_frac",
        "average_decay",
        "device",
    )
    given = {name: getattr(arguments, name) for name in recipe_names if getattr(arguments, name) is not None}
    recipe = replace(
        preset.recipe,
        is_bf16=preset.recipe.is_bf16 and not arguments.fp32,
        is_compiled=preset.recipe.is_compiled and not arguments.no_compile,
        **given,
    )
    return replace(
        preset,
        recipe=recipe,
        width=arguments.width or preset.width,
        num_layers=arguments.layers or preset.num_layers,
        context_tokens=arguments.context or preset.context_tokens,
        vocab_size=arguments.vocab_size or preset.vocab_size,
    )


if __name__ == "__main__":
    main()
