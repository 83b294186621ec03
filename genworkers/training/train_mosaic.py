"""Train the masked Transformer on a finished tokenizer's codes: `python -m genworkers.training.train_mosaic --help`.

Stickers of several styles, and scenes composed from them. The budget is wall-clock time; run again with the same --out
it goes on where the last checkpoint stood.
"""

import argparse
import copy
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genworkers.nets.fsq_tokenizer import FiniteScalarQuantiser, FsqTokenizer, TokenizerConfig
from genworkers.nets.masked_transformer import Captions, MaskedTransformer, MosaicConfig
from genworkers.sampling.schedules import mask_frac
from genworkers.training.loop import TimedRun
from genworkers.training.mosaic_data import (
    CAPTION_TOKENS,
    CaptionTable,
    CodeSet,
    TextNumbers,
    compose_pool,
    encode_texts,
    scene_codes,
    sticker_codes,
)
from genworkers.training.optim import move_average, wsd_factor
from genworkers.training.sticker_data import load_stickers, read_captions

NO_CAPTION_CHANCE = 0.1
NO_STYLE_CHANCE = 0.05
HIDDEN_WORD_CHANCE = 0.1
WRONG_CODE_CHANCE = 0.03
NUM_KEPT_BACK_SCENES = 360


class SharedDigits(nn.Module):
    """Adds to each code's row of a table what it shares with all codes that have a digit in common.

    The codes of a finite scalar quantiser are numbers of several digits, and codes that differ in one digit look alike:
    what is learned of one helps the others. `folded` makes it one plain table again.
    """

    digits: Tensor

    def __init__(self, levels: tuple[int, ...], num_rows: int, width: int) -> None:
        super().__init__()
        quantiser = FiniteScalarQuantiser(levels)
        numbers = torch.arange(quantiser.num_codes)[:, None] // quantiser.bases % quantiser.levels
        one_hot = torch.cat([F.one_hot(numbers[:, place], level) for place, level in enumerate(levels)], 1).float()
        rest = torch.zeros(num_rows - len(one_hot), one_hot.shape[1])
        self.register_buffer("digits", torch.cat([one_hot, rest]), persistent=False)
        self.shared = nn.Parameter(torch.zeros(one_hot.shape[1], width))

    def forward(self, table: Tensor) -> Tensor:
        """(K, D) to the same shape."""
        return table + self.digits @ self.shared


def share_digits(net: MaskedTransformer, levels: tuple[int, ...]) -> None:
    """Let the tables of codes, in and out, share what their digits share; changes the net in place."""
    width = net.config.width
    parametrize.register_parametrization(net.codes, "weight", SharedDigits(levels, net.config.num_codes + 1, width))
    parametrize.register_parametrization(net.head, "weight", SharedDigits(levels, net.config.num_codes, width))


class Folded:
    """The state of a net whose tables share digits, as that of a plain MaskedTransformer; for checkpoints to serve."""

    def __init__(self, net: MaskedTransformer) -> None:
        self.net = net

    def state_dict(self) -> dict[str, Any]:
        """Plain tables."""
        plain = {name: value for name, value in self.net.state_dict().items() if "parametrizations" not in name}
        tables = {"codes.weight": self.net.codes.weight, "head.weight": self.net.head.weight}
        return plain | {name: table.detach().clone() for name, table in tables.items()}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Nothing to do: the net itself is loaded beside."""


def hide(codes: Tensor, mask_code: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Hide a random share of each row by the cosine law: (B, N) with mask codes, and the (B, N) bool mask."""
    share = mask_frac(torch.rand(len(codes), 1, generator=generator))
    num_hidden = (share * codes.shape[1]).ceil().clamp(min=1)
    rank = torch.rand(codes.shape, generator=generator).argsort(1).argsort(1)
    is_hidden = rank < num_hidden
    return codes.masked_fill(is_hidden, mask_code), is_hidden


def spoil(codes: Tensor, num_codes: int, generator: torch.Generator) -> Tensor:
    """Some codes replaced by any other, as happens when drawing: the net learns not to trust each of them."""
    is_wrong = torch.rand(codes.shape, generator=generator) < WRONG_CODE_CHANCE
    return torch.where(is_wrong, torch.randint(num_codes, codes.shape, generator=generator), codes)


def random_captions(
    data: CodeSet, rows: Tensor, table: CaptionTable, num_styles: int, generator: torch.Generator
) -> Captions:
    """One of the captions of each picture by chance; now and then none, some words hidden, or no style of its own."""
    picked = torch.multinomial(data.chances[rows], 1, generator=generator)
    texts = data.texts[rows].gather(1, picked)[:, 0]
    style = F.one_hot(data.style[rows], num_styles).float()
    has_no_style = torch.rand(len(rows), 1, generator=generator) < NO_STYLE_CHANCE
    style = torch.where(has_no_style, torch.full_like(style, 1.0 / num_styles), style)
    is_dropped = torch.rand(len(rows), generator=generator) < NO_CAPTION_CHANCE
    num_tokens = table.states.shape[1]
    has_all_words = torch.rand(len(rows), 1, generator=generator) < 0.7
    is_kept = torch.rand(len(rows), num_tokens, generator=generator) >= HIDDEN_WORD_CHANCE
    return table.rows(texts, style, is_dropped, is_kept | has_all_words)


def masked_cross_entropy(net: MaskedTransformer, data: CodeSet, table: CaptionTable, rows: Tensor) -> float:
    """Mean cross-entropy in nats of hidden codes, captioned by the plain name, with always the same masks."""
    generator = torch.Generator().manual_seed(1)
    total, count = 0.0, 0
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for part in rows.split(64):
            hidden, is_hidden = hide(data.codes[part], net.mask_code, generator)
            captions = table.rows(data.texts[part, 0], data.style[part], torch.zeros(len(part), dtype=torch.bool))
            logits = net.logits_at(hidden, captions, is_hidden).float()
            total += float(F.cross_entropy(logits, data.codes[part][is_hidden], reduction="sum"))
            count += len(logits)
    return round(total / count, 4)


def make_optimisers(net: nn.Module, peak: float, peak_rest: float) -> list[tuple[torch.optim.Optimizer, float]]:
    """Muon for the matrices of the layers, AdamW for all else, each with its highest learning rate."""
    matrices = [p for name, p in net.named_parameters() if name.startswith("layers.") and p.ndim == 2]
    is_matrix = {id(p) for p in matrices}
    rest = [p for p in net.parameters() if id(p) not in is_matrix]
    return [
        (torch.optim.Muon(matrices, lr=peak, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"), peak),
        (torch.optim.AdamW(rest, lr=peak_rest, betas=(0.9, 0.96), weight_decay=0.01, fused=True), peak_rest),
    ]


class RowPicker:
    """Rows of stickers and scenes by chance: a share of scenes, the rest styles by their weights."""

    def __init__(self, stickers: CodeSet, scenes: CodeSet, weights: list[float], scene_share: float) -> None:
        trained = (~stickers.is_held_out).nonzero()[:, 0]
        counts = torch.bincount(stickers.style[trained], minlength=len(weights))
        self.trained = trained
        self.chances = (torch.tensor(weights) / counts)[stickers.style[trained]]
        self.num_scenes = len(scenes.codes)
        self.first_scene = len(stickers.codes)
        self.scene_share = scene_share

    def pick(self, count: int, generator: torch.Generator) -> Tensor:
        """Row numbers of a set that has the stickers first and then the scenes."""
        num_scenes = round(count * self.scene_share)
        own = self.trained[torch.multinomial(self.chances, count - num_scenes, True, generator=generator)]
        scenes = self.first_scene + torch.randint(self.num_scenes, (num_scenes,), generator=generator)
        return torch.cat([own, scenes])


def joined(first: CodeSet, second: CodeSet) -> CodeSet:
    """Both sets, one after the other; the second may have fewer captions a picture."""
    missing = first.texts.shape[1] - second.texts.shape[1]
    return CodeSet(
        torch.cat([first.codes, second.codes]),
        torch.cat([first.style, second.style]),
        torch.cat([first.is_held_out, second.is_held_out]),
        torch.cat([first.texts, F.pad(second.texts, (0, missing))]),
        torch.cat([first.chances, F.pad(second.chances, (0, missing))]),
    )


def main() -> None:
    """Train until the budget is spent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--tokenizer", type=Path, default=Path("runs/tokenizer/resume.pt"))
    parser.add_argument("--out", type=Path, default=Path("runs/mosaic"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--styles", nargs="+", default=["fluent-flat"], help="STYLE or STYLE:WEIGHT, in this order")
    parser.add_argument("--weights", type=float, nargs="+", help="of the styles in a batch alone")
    parser.add_argument("--scenes", type=float, default=0.3, help="share of composed scenes in a batch")
    parser.add_argument("--num-scenes", type=int, default=16_000)
    parser.add_argument("--budget-min", type=float, default=60.0)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--peak", type=float, default=2e-3, help="highest learning rate of the hidden matrices")
    parser.add_argument("--peak-rest", type=float, default=1e-3, help="highest learning rate of all else")
    parser.add_argument("--cooldown", type=float, default=0.45, help="share of the budget in which the rates fall")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    tokenizer = FsqTokenizer(TokenizerConfig())
    tokenizer.load_state_dict(torch.load(options.tokenizer, weights_only=True)["average"])
    tokenizer.eval()
    named = [text.partition(":") for text in options.styles]
    weights = [float(weight or 1.0) for _, _, weight in named]
    sets = [load_stickers(options.corpus, style, options.cache) for style, _, _ in named]
    captions, numbers = read_captions(options.corpus), TextNumbers()
    stickers = sticker_codes(sets, captions, tokenizer, numbers, options.cache)
    shares = [weight / sum(weights) for weight in weights]
    scenes, kept_back = (
        scene_codes(
            [
                compose_pool(style, captions, round(count * share), seed, options.cache)
                for style, share in zip(sets, shares, strict=True)
            ],
            tokenizer,
            numbers,
            options.cache,
        )
        for seed, count in enumerate((options.num_scenes, NUM_KEPT_BACK_SCENES))
    )
    table = encode_texts(numbers.texts(), options.cache)
    data, picker = joined(stickers, scenes), RowPicker(stickers, scenes, options.weights or weights, options.scenes)
    held_out = [
        (style, (data.is_held_out & (data.style == number)).nonzero()[:, 0])
        for number, (style, _, _) in enumerate(named)
    ]

    net = MaskedTransformer(
        MosaicConfig(num_codes=tokenizer.config.num_codes, num_styles=len(sets), caption_tokens=CAPTION_TOKENS)
    )
    share_digits(net, tokenizer.config.levels)
    shadow = copy.deepcopy(net)
    optimisers = make_optimisers(net, options.peak, options.peak_rest)
    run = TimedRun(
        options.out,
        options.budget_min,
        {"net": net, "shadow": shadow, "average": Folded(shadow), "muon": optimisers[0][0], "adamw": optimisers[1][0]},
    )
    generator = torch.Generator().manual_seed(run.step)

    def scores() -> dict[str, float]:
        entropies = {style: masked_cross_entropy(shadow, data, table, rows) for style, rows in held_out}
        entropies["trained"] = masked_cross_entropy(shadow, data, table, picker.trained[:: len(picker.trained) // 256])
        entropies["new_scenes"] = masked_cross_entropy(shadow, kept_back, table, torch.arange(len(kept_back.codes)))
        return entropies

    for spent_frac in run.steps(scores):
        factor = wsd_factor(spent_frac, warmup_frac=0.0, cooldown_frac=options.cooldown, floor=0.01)
        for optimiser, peak in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = peak * factor * min(1.0, (run.step + 1) / 100)
        rows = picker.pick(options.batch, generator)
        texts = random_captions(data, rows, table, len(sets), generator)
        hidden, is_hidden = hide(spoil(data.codes[rows], net.config.num_codes, generator), net.mask_code, generator)
        with torch.autocast("cpu", torch.bfloat16):
            logits = net.logits_at(hidden, texts, is_hidden)
        loss = F.cross_entropy(logits.float(), data.codes[rows][is_hidden])
        for optimiser, _ in optimisers:
            optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        for optimiser, _ in optimisers:
            optimiser.step()
        move_average(shadow, net, run.step, 0.998)
        run.note(loss=float(loss.detach()))


if __name__ == "__main__":
    main()
