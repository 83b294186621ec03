"""Train the judges of pictures, one after the other: `python -m genworkers.training.train_judges --help`.

A judge whose file is there already is left alone, so an interrupted run goes on with the next one. How good the
judges are is measured by `genworkers/evaluation`, with every table.
"""

import argparse
import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from genworkers.nets.judges import (
    CaptionScorer,
    CaptionScorerConfig,
    FeatureEncoder,
    FeatureEncoderConfig,
    SceneDetector,
    SceneDetectorConfig,
)
from genworkers.training.judge_data import (
    COLOUR_CLASSES,
    NO_CLASS,
    STYLES,
    SceneSource,
    SceneTable,
    StickerTable,
    jittered,
    joined,
    on_white,
    read_sticker_table,
)
from genworkers.training.loop import TimedRun
from genworkers.training.optim import wsd_factor
from genworkers.training.sticker_data import Caption

JUDGES = ("encoder", "scorer", "detector")
CHUNK = 128  # scenes that come and go together
FIRST_CHUNKS = 16
MAX_CHUNKS = 96
FRESH_EVERY = 8  # steps
Loss = Callable[[torch.Generator], Tensor]


def encoder_loss(net: FeatureEncoder, table: StickerTable, rows: Tensor) -> Loss:
    """Group, subgroup, style and, by turning each picture by 0 to 3 quarters, how far it was turned."""

    def loss(generator: torch.Generator) -> Tensor:
        picked = rows[torch.randint(len(rows), (192,), generator=generator)]
        turns = torch.where(
            torch.rand(len(picked), generator=generator) < 0.5,
            torch.randint(4, (len(picked),), generator=generator),
            torch.zeros(len(picked), dtype=torch.long),
        )
        pictures = jittered(table.pictures[picked], generator, shift_px=4)
        pictures = torch.stack([torch.rot90(one, int(turn), (1, 2)) for one, turn in zip(pictures, turns, strict=True)])
        _, logits = net(pictures.contiguous(memory_format=torch.channels_last))
        targets = {"group": table.group, "subgroup": table.subgroup, "style": table.style}
        parts = [
            F.cross_entropy(logits[name].float(), target[picked], ignore_index=NO_CLASS, label_smoothing=0.1)
            for name, target in targets.items()
        ]
        return torch.stack([*parts, F.cross_entropy(logits["turn"].float(), turns)]).sum()

    return loss


def spoken(caption: Caption, generator: torch.Generator) -> str:
    """What a concept is called this time: its name, its name and some keywords, or keywords alone."""
    keywords = [word for word in caption.keywords if word != caption.name]
    if not keywords:
        return caption.name
    number = int(torch.randint(1, min(len(keywords), 8) + 1, (1,), generator=generator))
    picked = [keywords[place] for place in torch.randperm(len(keywords), generator=generator)[:number].tolist()]
    way = float(torch.rand(1, generator=generator))
    if way < 0.35:
        return caption.name
    return ", ".join([caption.name, *picked] if way < 0.8 else picked)


def scorer_loss(net: CaptionScorer, table: StickerTable, rows: Tensor) -> Loss:
    """Which caption belongs to which picture, among 256 different concepts, each in a random style."""
    by_key: dict[str, list[int]] = {}
    for row in rows.tolist():
        by_key.setdefault(table.keys[row], []).append(row)
    concepts = list(by_key.items())

    def loss(generator: torch.Generator) -> Tensor:
        picked, texts = [], []
        for place in torch.randperm(len(concepts), generator=generator)[:256].tolist():
            key, own = concepts[place]
            picked.append(own[int(torch.randint(len(own), (1,), generator=generator))])
            texts.append(spoken(table.captions[key], generator))
        pictures = jittered(table.pictures[picked], generator, shift_px=4)
        return net.loss(pictures.contiguous(memory_format=torch.channels_last), texts)

    return loss


class ScenePool:
    """Scenes to learn from, of which the oldest make room for new ones: few scenes are soon known by heart.

    Args:
        source: of the new ones; None keeps the first ones for good.
    """

    def __init__(self, tables: Sequence[SceneTable], source: SceneSource | None = None) -> None:
        self._tables = deque(tables, MAX_CHUNKS)
        self._source = source
        self._num_taken = 0
        self._join()

    def take(self) -> tuple[SceneTable, list[list[int]]]:
        """All scenes of now, and the things of each."""
        self._num_taken += 1
        if self._source is not None and self._num_taken % FRESH_EVERY == 0:
            self._tables.append(self._source.make(CHUNK))
            self._join()
        return self._table, self._things_of

    def _join(self) -> None:
        self._table = joined(self._tables)
        self._things_of: list[list[int]] = [[] for _ in self._table.pictures]
        for thing, row in enumerate(self._table.row.tolist()):
            self._things_of[row].append(thing)


def detector_loss(net: SceneDetector, pool: ScenePool) -> Loss:
    """Where things are (focal loss of "Objects as Points", equation 1), what they look like, colours, background."""

    def loss(generator: torch.Generator) -> Tensor:
        table, things_of = pool.take()
        picked = torch.randint(len(table.pictures), (128,), generator=generator)
        light = 1.0 + 0.1 * (torch.rand(len(picked), 1, 1, 1, generator=generator) * 2.0 - 1.0)
        pictures = (on_white(table.pictures[picked]) * light).clamp(0.0, 1.0)
        maps = net(pictures.contiguous(memory_format=torch.channels_last))
        truth = table.heat[picked]
        is_centre = truth == 1.0
        found, missed = F.logsigmoid(maps.heat), F.logsigmoid(-maps.heat)
        chance = maps.heat.sigmoid()
        focal = torch.where(is_centre, (1 - chance) ** 2 * found, (1 - truth) ** 4 * chance**2 * missed)
        heat_loss = -focal.sum() / is_centre.sum()

        batch_row, thing = [], []
        for place, row in enumerate(picked.tolist()):
            batch_row += [place] * len(things_of[row])
            thing += things_of[row]
        cell = table.cell[thing]
        looks = maps.looks.flatten(2)[batch_row, :, cell]
        colours = maps.colours.flatten(2)[batch_row, :, cell]
        look_loss = F.cross_entropy(net.concept_logits(looks), table.concept[thing], label_smoothing=0.05)
        colour_loss = F.cross_entropy(colours, table.colour[thing])
        return heat_loss + look_loss + colour_loss + 0.5 * F.cross_entropy(maps.grounds, table.ground[picked])

    return loss


def fit(
    net: nn.Module, loss_of_batch: Loss, held_out_loss: Loss, folder: Path, *, budget_min: float, peak: float
) -> int:
    """Train until the budget is spent, going on where an interrupted run stopped; the number of steps.

    Args:
        held_out_loss: for the log.
        peak: highest learning rate; it follows the share of the budget that is spent.
    """
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    decayed = [p for p in net.parameters() if p.ndim > 1]
    kept = [p for p in net.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": kept, "weight_decay": 0.0}], lr=peak, fused=True
    )
    run = TimedRun(folder, budget_min, {"net": net, "optimiser": optimiser})
    generator = torch.Generator().manual_seed(run.step)

    def scores() -> dict[str, float]:
        with torch.inference_mode():
            net.eval()
            return {"held_out": round(float(held_out_loss(torch.Generator().manual_seed(0))), 4)}

    for spent_frac in run.steps(scores):
        net.train()
        factor = wsd_factor(spent_frac, warmup_frac=0.03, cooldown_frac=0.6, floor=0.01)
        for group in optimiser.param_groups:
            group["lr"] = peak * factor
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of_batch(generator)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        run.note(loss=float(loss.detach()))
    return run.step


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--out", type=Path, default=Path("runs/judges"))
    parser.add_argument("--judges", nargs="+", choices=JUDGES, default=list(JUDGES))
    parser.add_argument("--budget-min", type=float, default=10.0, help="for each judge")
    parser.add_argument("--peak", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)

    table = read_sticker_table(options.corpus, options.cache)
    rows, held_out = (~table.is_held_out).nonzero()[:, 0], table.is_held_out.nonzero()[:, 0]
    concepts = sorted({table.keys[row] for row in rows.tolist()})

    def encoder() -> tuple[FeatureEncoder, Loss, Loss]:
        net = FeatureEncoder(FeatureEncoderConfig(len(table.groups), len(table.subgroups), len(STYLES)))
        return net, encoder_loss(net, table, rows), encoder_loss(net, table, held_out)

    def scorer() -> tuple[CaptionScorer, Loss, Loss]:
        net = CaptionScorer(CaptionScorerConfig())
        return net, scorer_loss(net, table, rows), scorer_loss(net, table, held_out)

    def detector() -> tuple[SceneDetector, Loss, Loss]:
        net = SceneDetector(SceneDetectorConfig(len(concepts), len(COLOUR_CLASSES), len(COLOUR_CLASSES)))
        source, others = (SceneSource(options.corpus, options.cache, concepts, seed=seed) for seed in (0, 1))
        pool = ScenePool([source.make(CHUNK) for _ in range(FIRST_CHUNKS)], source)
        return net, detector_loss(net, pool), detector_loss(net, ScenePool([others.make(CHUNK)]))

    makers: dict[str, Callable[[], tuple[nn.Module, Loss, Loss]]] = {
        "encoder": encoder,
        "scorer": scorer,
        "detector": detector,
    }
    for name in options.judges:
        if (options.out / f"{name}.json").exists():
            continue
        torch.manual_seed(0)
        net, loss, held_out_loss = makers[name]()
        num_steps = fit(net, loss, held_out_loss, options.out / name, budget_min=options.budget_min, peak=options.peak)
        tensors = {key: value.detach().contiguous() for key, value in net.state_dict().items()}
        save_file(tensors, options.out / f"{name}.safetensors")
        config: Any = net.config
        training = {"num_steps": num_steps, "budget_min": options.budget_min}
        facts = {"config": asdict(config), "training": training, "styles": STYLES, "colours": COLOUR_CLASSES}
        (options.out / f"{name}.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
