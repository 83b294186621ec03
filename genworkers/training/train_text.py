"""Train the house's text net: `python -m genworkers.training.train_text --run runs/text --minutes 90`.

The schedule follows the wall clock, so a run always ends with its cool-down; a run that was stopped
goes on from `state.pt` with the time it had left. `average.safetensors` beside it can be served at any time.
"""

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from genworkers.codecs.text_bpe import TextCodec
from genworkers.nets.decoder import Decoder, DecoderConfig
from genworkers.training.optim import WeightAverage, split_parameters, wsd_factor
from genworkers.training.text_data import IGNORED_TARGET, Corpus, read_stories

TABLES = {"embed.weight"}
# On a CPU attention with 128-wide heads trains nearly twice as fast as with 64-wide ones.
HEAD_WIDTH = 128
Example = tuple[list[int], int]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a run besides the data."""

    minutes: float
    seed: int = 1
    batch_tokens: int = 8192
    matrix_lr: float = 0.012
    table_lr: float = 0.006
    scale_lr: float = 0.01
    weight_decay: float = 0.1
    warmup_frac: float = 0.01
    cooldown_frac: float = 0.5
    floor: float = 0.05
    average_decay: float = 0.995
    is_bf16: bool = True
    is_compiled: bool = True


def to_tensors(batch: Sequence[Example], pad_id: int) -> tuple[Tensor, Tensor]:
    """Pad a batch on the right; only the answer and its end are learnt.

    Returns:
        ids (B, T) and targets (B, T), where `IGNORED_TARGET` marks the prompt and the padding.
    """
    num_tokens = max(len(ids) for ids, _ in batch) - 1
    inputs = torch.full((len(batch), num_tokens), pad_id)
    targets = torch.full((len(batch), num_tokens), IGNORED_TARGET)
    for row, (ids, num_prompt) in enumerate(batch):
        inputs[row, : len(ids) - 1] = torch.tensor(ids[:-1])
        targets[row, num_prompt - 1 : len(ids) - 1] = torch.tensor(ids[num_prompt:])
    return inputs, targets


def nats_of_targets(net: Decoder, inputs: Tensor, targets: Tensor, chosen: Tensor, is_bf16: bool) -> Tensor:
    """Summed cross-entropy in nats of the chosen flat positions (M,) of inputs and targets (B, T)."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_bf16):
        hidden = net.hidden(inputs).flatten(0, 1)[chosen]  # (M, D)
        logits = net.head(hidden)  # (M, V)
    return F.cross_entropy(logits.float(), targets.flatten()[chosen], reduction="sum")


# Compiled, the element-wise work between the matrix products is fused: about a third less time a step.
compiled_nats_of_targets = torch.compile(nats_of_targets, dynamic=True)


def learnt_positions(targets: Tensor) -> Tensor:
    """Flat positions (M,) of the targets (B, T) that count."""
    return (targets.flatten() != IGNORED_TARGET).nonzero().squeeze(1)


@torch.no_grad()
def held_out_loss(net: Decoder, corpus: Corpus, batch_tokens: int, *, is_bf16: bool) -> float:
    """Mean nats a token over the corpus, each story asked for by its first prompt."""
    total, count = 0.0, 0
    examples = sorted(
        (corpus.example(index, None) for index in range(len(corpus.stories))), key=lambda one: len(one[0])
    )
    batch: list[Example] = []
    for position, example in enumerate(examples):
        batch.append(example)
        is_last = position + 1 == len(examples)
        if is_last or (len(batch) + 1) * len(examples[position + 1][0]) > batch_tokens:
            inputs, targets = to_tensors(batch, corpus.codec.end_id)
            chosen = learnt_positions(targets)
            total += nats_of_targets(net, inputs, targets, chosen, is_bf16).item()
            count += chosen.numel()
            batch = []
    return total / count


class Run:
    """One training run: net, optimisers, average and clock, resumable from its folder."""

    def __init__(self, folder: Path, config: DecoderConfig, recipe: Recipe) -> None:
        self.folder = folder
        self.recipe = recipe
        self.net = Decoder(config)
        self.net.init_weights(torch.Generator().manual_seed(recipe.seed))
        matrices, tables, scales = split_parameters(self.net, embeddings=TABLES)
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, lr=recipe.matrix_lr, weight_decay=recipe.weight_decay),
            torch.optim.AdamW(
                [{"params": tables, "lr": recipe.table_lr}, {"params": scales, "lr": recipe.scale_lr}],
                betas=(0.9, 0.95),
                eps=1e-10,
                weight_decay=0.0,
            ),
        ]
        self.peaks = [[group["lr"] for group in one.param_groups] for one in self.optimisers]
        self.average = WeightAverage(self.net)
        self.step = 0
        self.epoch = 0
        self.batch_in_epoch = 0
        self.num_tokens = 0
        self.elapsed_s = 0.0

    @property
    def progress_frac(self) -> float:
        """Share of the time budget that is spent."""
        return self.elapsed_s / (self.recipe.minutes * 60)

    def train_step(self, batch: Sequence[Example], pad_id: int) -> float:
        """One update; returns the loss in nats a token before it."""
        recipe = self.recipe
        factor = wsd_factor(
            self.progress_frac,
            warmup_frac=recipe.warmup_frac,
            cooldown_frac=recipe.cooldown_frac,
            floor=recipe.floor,
        )
        for optimiser, peaks in zip(self.optimisers, self.peaks, strict=True):
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * factor
        inputs, targets = to_tensors(batch, pad_id)
        chosen = learnt_positions(targets)
        nats_of = compiled_nats_of_targets if recipe.is_compiled else nats_of_targets
        loss = nats_of(self.net, inputs, targets, chosen, recipe.is_bf16) / chosen.numel()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad()
        self.step += 1
        self.num_tokens += chosen.numel()
        # Early on a long average would mostly remember the start.
        self.average.update(self.net, min(recipe.average_decay, self.step / (self.step + 10)))
        return loss.item()

    def save(self) -> None:
        """Write the state to resume from and the average to serve."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state: dict[str, Any] = {
            "net": self.net.state_dict(),
            "average": self.average.tensors,
            "optimisers": [one.state_dict() for one in self.optimisers],
            "counters": [self.step, self.epoch, self.batch_in_epoch, self.num_tokens, self.elapsed_s],
        }
        _replace(self.folder / "state.pt", lambda path: torch.save(state, path))
        _replace(self.folder / "average.safetensors", lambda path: save_file(self.average.tensors, path))
        (self.folder / "run.json").write_text(
            json.dumps({"config": asdict(self.net.config), "recipe": asdict(self.recipe)}, indent=1)
        )

    def resume(self) -> None:
        """Go on where `save` left off, if it did."""
        path = self.folder / "state.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.average.tensors = state["average"]
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step, self.epoch, self.batch_in_epoch, self.num_tokens, self.elapsed_s = state["counters"]

    def log(self, **facts: float) -> None:
        """Append one JSON line to `log.jsonl` and show it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"step": self.step, "epoch": self.epoch, "minutes": round(self.elapsed_s / 60, 2), **facts})
        with (self.folder / "log.jsonl").open("a") as lines:
            lines.write(line + "\n")
        print(line, flush=True)


def train(run: Run, learnt: Corpus, held_out: Corpus, *, eval_every_s: float, save_every_s: float) -> None:
    """Run until the time budget is spent; time spent on measuring and saving counts."""
    recipe = run.recipe
    last = time.monotonic()
    next_eval_s, next_save_s = run.elapsed_s + eval_every_s, run.elapsed_s + save_every_s
    recent: list[float] = []
    while run.progress_frac < 1.0:
        batches = list(learnt.epoch(recipe.seed + run.epoch, recipe.batch_tokens))
        while run.batch_in_epoch < len(batches) and run.progress_frac < 1.0:
            loss = run.train_step(batches[run.batch_in_epoch], learnt.codec.end_id)
            if not math.isfinite(loss):
                raise FloatingPointError(f"the loss became {loss} at step {run.step}")
            recent.append(loss)
            run.batch_in_epoch += 1
            now = time.monotonic()
            run.elapsed_s, last = run.elapsed_s + now - last, now
            if run.step % 50 == 0:
                run.log(train_loss=round(sum(recent) / len(recent), 4), num_tokens=run.num_tokens)
                recent = []
            if run.elapsed_s >= next_eval_s:
                measure(run, held_out)
                next_eval_s = run.elapsed_s + eval_every_s
            if run.elapsed_s >= next_save_s:
                run.save()
                next_save_s = run.elapsed_s + save_every_s
        if run.batch_in_epoch >= len(batches):
            run.epoch, run.batch_in_epoch = run.epoch + 1, 0
    measure(run, held_out)
    run.save()


def measure(run: Run, held_out: Corpus) -> None:
    """Log the held-out loss of the weights and of their average."""
    arguments = (held_out, run.recipe.batch_tokens)
    own = held_out_loss(run.net, *arguments, is_bf16=run.recipe.is_bf16)
    run.average.swap(run.net)
    average = held_out_loss(run.net, *arguments, is_bf16=run.recipe.is_bf16)
    run.average.swap(run.net)
    run.log(held_out_loss=round(own, 4), held_out_loss_average=round(average, 4))


def _replace(path: Path, write: Any) -> None:
    """Write beside the file, then move over it: a crash leaves the old one whole."""
    fresh = path.with_name(path.name + ".new")
    write(fresh)
    fresh.replace(path)


def main() -> None:
    """Read the command line, train, and leave the run's folder ready for `scripts.publish_text`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder that holds tokenizer.json and the run")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--context", type=int, default=768)
    parser.add_argument("--batch-tokens", type=int, default=8192)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--matrix-lr", type=float, default=0.012)
    parser.add_argument("--table-lr", type=float, default=0.006)
    parser.add_argument("--eval-every-s", type=float, default=600)
    parser.add_argument("--save-every-s", type=float, default=300)
    parser.add_argument("--fp32", action="store_true", help="for a CPU without bf16 matrix products")
    parser.add_argument("--no-compile", action="store_true", help="where no C++ compiler is at hand")
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    codec = TextCodec.from_file(arguments.run / "tokenizer.json")
    stories = read_stories(arguments.corpus)
    learnt = Corpus.build(codec, [story for story in stories if not story.is_held_out], arguments.context)
    held_out = [story for story in stories if story.is_held_out]
    # A tenth of the held-out stories shows the trend; `scripts.publish_text` reads them all.
    watched = Corpus.build(codec, held_out[::10], arguments.context)
    config = DecoderConfig(
        vocab_size=codec.vocab_size,
        context_tokens=arguments.context,
        width=arguments.width,
        num_layers=arguments.layers,
        num_heads=arguments.width // HEAD_WIDTH,
        num_kv_heads=arguments.width // HEAD_WIDTH,
        head_width=HEAD_WIDTH,
        mlp_width=4 * arguments.width,
    )
    recipe = Recipe(
        minutes=arguments.minutes,
        batch_tokens=arguments.batch_tokens,
        matrix_lr=arguments.matrix_lr,
        table_lr=arguments.table_lr,
        is_bf16=not arguments.fp32,
        is_compiled=not arguments.no_compile,
    )
    run = Run(arguments.run, config, recipe)
    run.resume()
    run.log(num_parameters=sum(one.numel() for one in run.net.parameters()), corpus_tokens=learnt.num_tokens)
    train(run, learnt, watched, eval_every_s=arguments.eval_every_s, save_every_s=arguments.save_every_s)


if __name__ == "__main__":
    main()
