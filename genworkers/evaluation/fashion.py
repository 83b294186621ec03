"""Spark and drift on Fashion-MNIST, after `train_fashion`: `python -m genworkers.evaluation.fashion --help`.

Spark: Fréchet distance in the features of a small classifier trained for it, against the floor of real pictures.
Drift: one autoencoder for each class, and how well its strangeness tells the class from the nine others (AUROC).
"""

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from genworkers.codecs.fashion_mnist import CLASSES, FashionSet, fold, read_fashion, unfold
from genworkers.evaluation.image_metrics import Features, frechet_distance, precision_to_coverage
from genworkers.nets.fashion_nets import DRIFT_CONFIG, SPARK_CONFIG, FashionClassifier
from genworkers.nets.gan import SparkGenerator
from genworkers.nets.vae import DriftVae

NUM_COMPARED = 5000
SHRINKAGE = 0.01


def auroc(usual: Tensor, strange: Tensor) -> float:
    """The chance that a strange score is above a usual one, ties counted half: the area under the ROC curve.

    Args:
        usual, strange: (N,) and (M,) scores.
    """
    scores = torch.cat([usual, strange]).double()
    ordered, order = scores.sort()
    _, inverse, counts = ordered.unique_consecutive(return_inverse=True, return_counts=True)
    mean_rank = counts.cumsum(0).double() - (counts - 1).double() / 2
    ranks = torch.empty_like(scores)
    ranks[order] = mean_rank[inverse]
    above = ranks[len(usual) :].sum() - len(strange) * (len(strange) + 1) / 2
    return float(above / (len(usual) * len(strange)))


def in_parts(net: nn.Module, method: str, pictures: Tensor) -> list[Tensor]:
    """A method of a net over folded pictures, 500 at a time; of several results the first."""
    found = []
    with torch.inference_mode():
        for part in pictures.split(500):
            result = getattr(net, method)(part)
            found.append(result[0] if isinstance(result, tuple) else result)
    return found


class ClassModel:
    """How unlike one class a picture is, by the drift net of that class.

    Attributes:
        error_scale: (C,) the standard deviation of its reconstruction error on its own training pictures.
    """

    def __init__(self, net: DriftVae, trained: Tensor) -> None:
        self.net = net
        places = torch.cat(in_parts(net, "encode", trained))
        painted = torch.cat(in_parts(net, "decode", places))
        self.error_scale = (painted - trained).square().mean((0, 2, 3)).sqrt()
        self._middle = places.mean(0)
        spread = torch.cov(places.T)
        self._precision = torch.linalg.inv(spread + SHRINKAGE * spread.diagonal().mean() * torch.eye(len(spread)))
        parts = self._parts(trained)
        self._scales = [part.std() for part in parts]

    def _parts(self, folded: Tensor) -> tuple[Tensor, Tensor]:
        places = torch.cat(in_parts(self.net, "encode", folded))
        painted = torch.cat(in_parts(self.net, "decode", places))
        error = ((painted - folded) / self.error_scale.view(-1, 1, 1)).square().flatten(1).sum(1)
        away = places - self._middle
        return error.sqrt(), ((away @ self._precision) * away).sum(1).clamp(min=0).sqrt()

    def strangeness(self, folded: Tensor) -> dict[str, Tensor]:
        """Two scores (B,) for folded pictures (B, C, px, px).

        `error_and_information` is the net's own: reconstruction error plus divergence. `error_and_distance` adds to
        the error how far the place is from those of the class (Mahalanobis), each in its own standard deviations: the
        divergence is against the unit Gaussian, which the places of one class fill unevenly.
        """
        with torch.inference_mode():
            own = torch.cat([self.net.strangeness(part, self.error_scale) for part in folded.split(500)])
        error, distance = self._parts(folded)
        return {
            "error_and_information": own,
            "error_and_distance": error / self._scales[0] + distance / self._scales[1],
        }


def anomaly_table(train: FashionSet, test: FashionSet, run: Path) -> dict[str, dict[str, float]]:
    """AUROC of each class against the others on the test set, for both scores, and their means."""
    table: dict[str, dict[str, float]] = {}
    folded = fold(test.pictures)
    for label, name in enumerate(CLASSES):
        net = DriftVae(DRIFT_CONFIG).eval()
        net.load_state_dict(load_file(run / f"drift-{label}.safetensors"))
        model = ClassModel(net, fold(train.pictures[train.labels == label]))
        is_own = test.labels == label
        for score, values in model.strangeness(folded).items():
            table.setdefault(score, {})[name] = round(auroc(values[is_own], values[~is_own]), 4)
    for row in table.values():
        row["mean"] = round(sum(row.values()) / len(CLASSES), 4)
    return table


def features_of(classifier: FashionClassifier, folded: Tensor) -> Features:
    """What pictures are compared in: (n, 64)."""
    return torch.cat(in_parts(classifier, "features", folded)).double().numpy()


def spark_table(train: FashionSet, test: FashionSet, run: Path, sheet: Path | None) -> dict[str, float]:
    """Fréchet distance of spark's pictures and of real ones from the test set, equal n, and how far they overlap."""
    classifier = FashionClassifier().eval()
    classifier.load_state_dict(load_file(run / "classifier.safetensors"))
    spark = SparkGenerator(SPARK_CONFIG).eval()
    spark.load_state_dict(load_file(run / "spark.safetensors"))
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(NUM_COMPARED) % len(CLASSES)
    drawn = []
    with torch.inference_mode():
        for part in labels.split(500):
            noise = torch.randn(len(part), spark.config.noise_width, generator=generator)
            drawn.append(spark(noise, F.one_hot(part, len(CLASSES)).float(), torch.ones(len(part), 1)))
        shown = unfold(torch.cat(drawn))
        named = torch.cat([classifier(fold(part)).argmax(1) for part in shown.split(500)])
        known = torch.cat([classifier(fold(part)).argmax(1) for part in test.pictures.split(500)])
    per_class = NUM_COMPARED // len(CLASSES)
    real = torch.cat([test.pictures[test.labels == label][:per_class] for label in range(len(CLASSES))])
    other = torch.cat([train.pictures[train.labels == label][:per_class] for label in range(len(CLASSES))])
    ours, theirs, floor_of = (features_of(classifier, fold(pictures)) for pictures in (shown, real, other))
    distance, floor = frechet_distance(ours, theirs), frechet_distance(floor_of, theirs)
    overlap = precision_to_coverage(ours[:2000], theirs[::2][:2000])
    if sheet is not None:
        rows = [torch.cat(list(shown[place :: len(CLASSES)][:16]), dim=1) for place in range(len(CLASSES))]
        Image.fromarray(255 - torch.cat(rows).numpy()).save(sheet, optimize=True)
    figures = {
        "classifier_accuracy": float((known == test.labels).float().mean()),
        "named_as_asked": float((named == labels).float().mean()),
        "fd": distance,
        "fd_floor": floor,
        "fd_ratio": distance / floor,
        **vars(overlap),
    }
    return {name: round(value, 4) for name, value in figures.items()}


def main() -> None:
    """Print both tables as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--run", type=Path, default=Path("runs/fashion"))
    parser.add_argument("--sheet", type=Path, help="write 16 drawn pictures of each class, none picked")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train, test = read_fashion(options.corpus / "benchmarks" / "fashion_mnist.npz")
    figures = {
        "anomaly_auroc": anomaly_table(train, test, options.run),
        "spark": spark_table(train, test, options.run, options.sheet),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
