"""Train a LoRA adapter: `python -m genworkers.training.train_lora --net FOLDER --data pairs.jsonl --out FOLDER`.

FOLDER is any text net, the house's or an imported one; `manage.py add_net` puts what comes out beside it.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from genworkers.checkpoints import CheckpointError, sha256_of
from genworkers.nets.decoder import Decoder
from genworkers.text_checkpoints import load_decoder, open_text_checkpoint
from genworkers.training.lora import LoraConfig, LowRank, add_low_rank, save_adapter
from genworkers.training.lora_data import read_examples
from genworkers.training.optim import wsd_factor
from genworkers.training.text_batches import Example, to_batch
from genworkers.training.text_run import nats_of_targets

WARMUP_FRAC = 0.05
COOLDOWN_FRAC = 0.5


@dataclass(frozen=True, slots=True)
class LoraRecipe:
    """How an adapter is trained.

    Args:
        steps: at least 1.
        lr: AdamW's at its peak; no weight decay.
        batch_rows: rows of a step, at least 1.
        is_bf16: multiply in bfloat16.

    Raises:
        ValueError: a number is outside its range.
    """

    steps: int = 200
    lr: float = 2e-3
    batch_rows: int = 8
    seed: int = 0
    is_bf16: bool = False
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if self.steps < 1 or self.batch_rows < 1:
            raise ValueError(f"steps and batch_rows must be at least 1, got {self.steps} and {self.batch_rows}")
        if not 0 < self.lr < 1:
            raise ValueError(f"lr must be above 0 and below 1, got {self.lr}")


def train_adapter(
    net: Decoder, adapters: dict[str, LowRank], examples: Sequence[Example], pad_id: int, recipe: LoraRecipe
) -> list[float]:
    """Fit the adapters, the net under them stays as it is.

    Returns:
        The loss of each step before its update, in nats a learnt token.
    """
    net.to(recipe.device)
    parameters = [one for adapter in adapters.values() for one in adapter.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=recipe.lr, betas=(0.9, 0.95), weight_decay=0.0)
    losses = []
    for step, rows in zip(range(recipe.steps), _batches(examples, recipe), strict=False):
        factor = wsd_factor((step + 1) / recipe.steps, warmup_frac=WARMUP_FRAC, cooldown_frac=COOLDOWN_FRAC, floor=0.05)
        optimiser.param_groups[0]["lr"] = recipe.lr * factor
        batch = to_batch([[row] for row in rows], pad_id).to(recipe.device)
        chosen = batch.chosen
        loss = nats_of_targets(net, batch.inputs, batch.targets, chosen, recipe.is_bf16) / chosen.numel()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    return losses


def _batches(examples: Sequence[Example], recipe: LoraRecipe) -> Iterator[list[Example]]:
    """Every example once before any comes again, in an order of the seed; without end."""
    rng = random.Random(recipe.seed)
    waiting: list[Example] = []
    while True:
        batch: list[Example] = []
        while len(batch) < min(recipe.batch_rows, len(examples)):
            if not waiting:
                waiting = rng.sample(examples, len(examples))
            batch.append(waiting.pop())
        yield batch


def main() -> None:
    """Read the command line, train, save; what is wrong with the data or the net ends in one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", type=Path, required=True, help="folder of the net")
    parser.add_argument("--data", type=Path, required=True, help='JSONL: {"prompt", "response"} or {"text"} a line')
    parser.add_argument("--out", type=Path, required=True, help="folder of the adapter; its name is the adapter's")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--alpha", type=float, default=16.0)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--batch-rows", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true", help="for machines that multiply in bfloat16")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    try:
        _train_and_save(arguments)
    except (CheckpointError, ValueError, OSError) as error:
        sys.exit(str(error))


def _train_and_save(arguments: argparse.Namespace) -> None:
    config = LoraConfig(arguments.rank, arguments.alpha)
    recipe = LoraRecipe(
        arguments.steps, arguments.lr, arguments.batch_rows, arguments.seed, arguments.bf16, arguments.device
    )
    checkpoint = open_text_checkpoint(arguments.net)
    examples = read_examples(arguments.data, checkpoint.codec, checkpoint.config.context_tokens)
    net = load_decoder(checkpoint)
    adapters = add_low_rank(net, config, seed=recipe.seed)
    began = time.monotonic()
    losses = train_adapter(net, adapters, examples, checkpoint.codec.end_id, recipe)
    window = max(1, min(10, len(losses) // 2))
    training = {
        "data": arguments.data.name,
        "data_sha256": sha256_of(arguments.data),
        "num_rows": len(examples),
        "steps": recipe.steps,
        "batch_rows": recipe.batch_rows,
        "lr": recipe.lr,
        "seed": recipe.seed,
        "seconds": round(time.monotonic() - began, 1),
        "first_loss": round(sum(losses[:window]) / window, 4),
        "last_loss": round(sum(losses[-window:]) / window, 4),
    }
    manifest = save_adapter(arguments.out, adapters, config, checkpoint.manifest, training)
    print(f"{manifest.name} for {manifest.base}: {training}")


if __name__ == "__main__":
    main()
