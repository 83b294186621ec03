"""Train spark and drift on Fashion-MNIST, as a check on known ground: `python -m genworkers.training.train_fashion`.

A small classifier whose features the pictures are compared in, one spark for all classes, one drift for each class.
What comes out is measured by `python -m genworkers.evaluation.fashion`.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from genworkers.codecs.fashion_mnist import CLASSES, FashionSet, fold, read_fashion
from genworkers.nets.fashion_nets import DRIFT_CONFIG, SPARK_CONFIG, FashionClassifier
from genworkers.nets.vae import DriftVae, sample
from genworkers.training.drift_losses import calibrated_error, information_cost
from genworkers.training.loop import TimedRun
from genworkers.training.optim import wsd_factor
from genworkers.training.spark_pair import RealBatch, Recipe, SparkPair


def batches(
    number: int, size: int, budget_s: float, generator: torch.Generator
) -> Iterator[tuple[torch.Tensor, float]]:
    """Random rows and the share of the budget that is spent, until it is; only seconds of this process's CPU count."""
    start = time.process_time()
    while (spent_frac := (time.process_time() - start) / budget_s) < 1.0:
        yield torch.randint(number, (size,), generator=generator), spent_frac


def train_classifier(train: FashionSet, budget_s: float, generator: torch.Generator) -> FashionClassifier:
    """A small convolutional net that names the class, with mirrored pictures among what it sees."""
    net = FashionClassifier()
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.02, fused=True)
    for rows, spent_frac in batches(len(train.labels), 128, budget_s, generator):
        optimiser.param_groups[0]["lr"] = 2e-3 * wsd_factor(spent_frac, warmup_frac=0.02, cooldown_frac=0.6, floor=0.01)
        pictures = train.pictures[rows]
        pictures[:64] = pictures[:64].flip(-1)
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(fold(pictures))
        loss = F.cross_entropy(logits.float(), train.labels[rows], label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    net.eval()
    return net


def train_drift(pictures: torch.Tensor, budget_s: float, generator: torch.Generator) -> DriftVae:
    """An autoencoder of one class."""
    net: DriftVae = DriftVae(DRIFT_CONFIG).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.01, fused=True)
    folded = fold(pictures)
    for rows, spent_frac in batches(len(folded), 64, budget_s, generator):
        optimiser.param_groups[0]["lr"] = 2e-3 * wsd_factor(spent_frac, warmup_frac=0.02, cooldown_frac=0.5, floor=0.02)
        target = folded[rows]
        with torch.autocast("cpu", torch.bfloat16):
            mean, log_variance = net.encode(target)
            places = sample(mean, log_variance, torch.randn(mean.shape, generator=generator))
            painted = net.decode(places)
        loss = calibrated_error(painted, target) + information_cost(mean, log_variance, 0.0)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 100.0)
        optimiser.step()
    net.eval()
    return net


def train_spark(train: FashionSet, budget_min: float, out: Path) -> SparkPair:
    """A spark of all classes; the class stands in for the sentence."""
    pair = SparkPair(SPARK_CONFIG, SPARK_CONFIG, Recipe(penalty_weight=2.0, cut_frac=0.25))
    run = TimedRun(out, budget_min, pair.parts)
    generator = torch.Generator().manual_seed(run.step)
    for spent_frac in run.steps(dict):
        pair.set_rate(
            min(1.0, (run.step + 1) / 100) * wsd_factor(spent_frac, warmup_frac=0, cooldown_frac=0.6, floor=0.1)
        )
        rows = torch.randint(len(train.labels), (64,), generator=generator)
        sentence = F.one_hot(train.labels[rows], len(CLASSES)).float()
        real = RealBatch(fold(train.pictures[rows]), sentence, torch.ones(len(rows), 1))
        run.note(**pair.judge_step(real, spent_frac, generator))
        noise = pair.noise(len(rows), generator)
        run.note(**pair.generator_step(real, noise, run.step, generator, adversarial_weight=1.0))
    return pair


def main() -> None:
    """Train what is asked for and save it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/fashion"))
    parser.add_argument("--parts", nargs="+", default=["classifier", "drift", "spark"])
    parser.add_argument("--classifier-s", type=float, default=60.0, help="of CPU time")
    parser.add_argument("--drift-s", type=float, default=25.0, help="of CPU time, for each of the ten classes")
    parser.add_argument("--spark-min", type=float, default=20.0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    options.out.mkdir(parents=True, exist_ok=True)
    train, _ = read_fashion(options.corpus / "benchmarks" / "fashion_mnist.npz")
    generator = torch.Generator().manual_seed(0)
    if "classifier" in options.parts:
        classifier = train_classifier(train, options.classifier_s, generator)
        save_file(classifier.state_dict(), options.out / "classifier.safetensors")
    if "drift" in options.parts:
        for label, name in enumerate(CLASSES):
            net = train_drift(train.pictures[train.labels == label], options.drift_s, generator)
            tensors = {part: tensor.contiguous() for part, tensor in net.state_dict().items()}
            save_file(tensors, options.out / f"drift-{label}.safetensors", {"class": name})
    if "spark" in options.parts:
        pair = train_spark(train, options.spark_min, options.out / "spark")
        tensors = {part: tensor.contiguous() for part, tensor in pair.average.state_dict().items()}
        save_file(tensors, options.out / "spark.safetensors")


if __name__ == "__main__":
    main()
