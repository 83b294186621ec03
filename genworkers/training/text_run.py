"""One run of text training: net, optimisers, average and clock. The command is `train_text.py`.

The schedule follows the wall clock, so a run always ends with its cool-down; a run that was stopped
goes on from `state.pt` with the time it had left. `average.safetensors` beside it can be served at any time.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from genworkers.nets.decoder import Decoder, DecoderConfig
from genworkers.training.optim import WeightAverage, split_parameters, wsd_factor
from genworkers.training.text_batches import Corpus, Row, to_batch
from genworkers.training.text_packing import packed_hidden

TABLES = {"embed.weight"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a run besides the data and the net's sizes.

    Args:
        minutes: wall-clock budget, cool-down included.
        batch_tokens: positions of one step.
        matrix_lr: Muon's, for the hidden matrices.
        table_lr: AdamW's, for the embedding.
        scale_lr: AdamW's, for the scales of the norms.
        is_packed: several documents a row, all rows of one length.
    """

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
    is_packed: bool = False
    device: str = "cpu"


def nats_of_targets(
    net: Decoder,
    inputs: Tensor,
    targets: Tensor,
    chosen: Tensor,
    is_bf16: bool,
    weights: Tensor | None = None,
    documents: Tensor | None = None,
    positions: Tensor | None = None,
) -> Tensor:
    """Weighted sum of the cross-entropies in nats of the chosen flat positions (M,); the rest is as in `Batch`."""
    with torch.autocast(inputs.device.type, dtype=torch.bfloat16, enabled=is_bf16):
        if documents is None or positions is None:
            hidden = net.hidden(inputs)  # (B, T, D)
        else:
            hidden = packed_hidden(net, inputs, documents, positions)
        logits = net.head(hidden.flatten(0, 1)[chosen])  # (M, V)
    nats = F.cross_entropy(logits.float(), targets.flatten()[chosen], reduction="none")  # (M,)
    return (nats if weights is None else nats * weights.flatten()[chosen]).sum()


# Compiled, the element-wise work between the matrix products is fused: about a third less time a step.
compiled_nats_of_targets = torch.compile(nats_of_targets, dynamic=True)


@torch.no_grad()
def held_out_loss(net: Decoder, corpus: Corpus, recipe: Recipe) -> float:
    """Mean nats a token over the corpus, each document asked for by its first prompt."""
    total, count = 0.0, 0
    examples = sorted(
        (corpus.example(index, None) for index in range(len(corpus.stories))), key=lambda one: len(one[0])
    )
    rows: list[Row] = []
    for position, example in enumerate(examples):
        rows.append([example])
        is_last = position + 1 == len(examples)
        if is_last or (len(rows) + 1) * len(examples[position + 1][0]) > recipe.batch_tokens:
            batch = to_batch(rows, corpus.codec.end_id).to(recipe.device)
            chosen = batch.chosen
            total += nats_of_targets(net, batch.inputs, batch.targets, chosen, recipe.is_bf16).item()
            count += chosen.numel()
            rows = []
    return total / count


class Run:
    """One training run: net, optimisers, average and clock, resumable from its folder."""

    def __init__(self, folder: Path, config: DecoderConfig, recipe: Recipe) -> None:
        self.folder = folder
        self.recipe = recipe
        self.net = Decoder(config)
        self.net.init_weights(torch.Generator().manual_seed(recipe.seed))
        self.net.to(recipe.device)
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

    def start_from(self, path: Path) -> None:
        """Begin with the weights of another run, its `average.safetensors`; a run that was saved goes on instead."""
        self.net.load_state_dict(load_file(path))
        self.average = WeightAverage(self.net)

    def train_step(self, rows: Sequence[Row], corpus: Corpus) -> float:
        """One update; returns the loss before it, in nats a token, the weights of `Batch` applied."""
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
        row_tokens = corpus.packed_row_tokens if recipe.is_packed else 0
        batch = to_batch(rows, corpus.codec.end_id, row_tokens, corpus.common_ids).to(recipe.device)
        chosen = batch.chosen
        nats_of = compiled_nats_of_targets if recipe.is_compiled else nats_of_targets
        nats = nats_of(
            self.net,
            batch.inputs,
            batch.targets,
            chosen,
            recipe.is_bf16,
            batch.weights,
            batch.documents,
            batch.positions,
        )
        loss = nats / batch.weights.flatten()[chosen].sum()
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
        state = torch.load(path, weights_only=True, map_location=self.recipe.device)
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
        batches = list(learnt.epoch(recipe.seed + run.epoch, recipe.batch_tokens, is_packed=recipe.is_packed))
        while run.batch_in_epoch < len(batches) and run.progress_frac < 1.0:
            loss = run.train_step(batches[run.batch_in_epoch], learnt)
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
    own = held_out_loss(run.net, held_out, run.recipe)
    run.average.swap(run.net)
    average = held_out_loss(run.net, held_out, run.recipe)
    run.average.swap(run.net)
    run.log(held_out_loss=round(own, 4), held_out_loss_average=round(average, 4))


def _replace(path: Path, write: Any) -> None:
    """Write beside the file, then move over it: a crash leaves the old one whole."""
    fresh = path.with_name(path.name + ".new")
    write(fresh)
    fresh.replace(path)
