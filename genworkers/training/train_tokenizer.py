"""Train the picture tokenizer: `python -m genworkers.training.train_tokenizer --help`.

The budget is wall-clock time: the learning rate follows the share of it that is spent and ends at zero.
Run again with the same --out it goes on where the last checkpoint stood.
"""

import argparse
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from genworkers.codecs.image_bytes import Pixels
from genworkers.nets.fsq_tokenizer import FsqTokenizer, TokenizerConfig
from genworkers.training.loop import TimedRun
from genworkers.training.optim import move_average
from genworkers.training.scenes import compose, make_shelf, render
from genworkers.training.sticker_data import (
    Caption,
    StickerSet,
    load_stickers,
    read_captions,
    trained_and_held_out,
)

DECODED_PX = 128
MAX_SHIFT_PX = 4  # at 64 px


def reconstruction_loss(painted: Tensor, target: Tensor, background: Tensor) -> Tensor:
    """L1 on a random background colour, on four scales, plus L1 of neighbour differences at half size.

    Args:
        painted: (B, 4, H, W) premultiplied, raw.
        target: (B, 4, H, W) premultiplied.
        background: (B, 3, 1, 1) colour in 0..1.
    """
    error = painted - target
    seen = torch.cat([error[:, :3] - error[:, 3:] * background, error[:, 3:]], dim=1)
    loss = seen.abs().mean()
    seen = F.avg_pool2d(seen, 2)
    # Differences of the error at neighbours: an edge in the wrong place costs, a smooth offset does not.
    loss = loss + 0.5 * (seen[..., 1:] - seen[..., :-1]).abs().mean()
    loss = loss + 0.5 * (seen[..., 1:, :] - seen[..., :-1, :]).abs().mean()
    loss = loss + 0.5 * seen.abs().mean()
    for _ in range(2):
        seen = F.avg_pool2d(seen, 2)
        loss = loss + 0.5 * seen.abs().mean()
    return loss


def learning_rate_at(spent_frac: float, step: int, peak: float, num_warmup: int = 100) -> float:
    """Linear warm-up, flat until half of the budget, then a cosine to 1% of the peak."""
    cooled = 1.0 if spent_frac < 0.5 else 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (spent_frac - 0.5) / 0.5))
    return peak * min(1.0, (step + 1) / num_warmup) * cooled


def augment(small: Tensor, large: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Shift each batch by one random offset and mirror half of its pictures, both sizes alike."""
    num_mirrored = len(small) // 2
    shift_y, shift_x = torch.randint(-MAX_SHIFT_PX, MAX_SHIFT_PX + 1, (2,), generator=generator).tolist()
    moved = []
    for pictures, scale in ((small, 1), (large, 2)):
        pad = MAX_SHIFT_PX * scale
        top, left, size = pad + shift_y * scale, pad + shift_x * scale, pictures.shape[-1]
        shifted = F.pad(pictures, (pad, pad, pad, pad))[..., top : top + size, left : left + size]
        moved.append(torch.cat([shifted[:num_mirrored].flip(-1), shifted[num_mirrored:]]))
    return moved[0], moved[1]


def peak_signal_to_noise(net: FsqTokenizer, small: Tensor, large: Tensor) -> dict[str, float]:
    """PSNR in dB at 64 and 128 px on white, averaged over pictures, and how many codes are in use."""
    totals = {"psnr_64": 0.0, "psnr_128": 0.0}
    used: set[int] = set()
    with torch.inference_mode():
        for start in range(0, len(small), 64):
            codes = net.encode(small[start : start + 64].float() / 255.0)
            used.update(codes.flatten().tolist())
            painted, target = net.decode(codes), large[start : start + 64].float() / 255.0
            seen = [p[:, :3] + 1.0 - p[:, 3:] for p in (painted, target)]
            for name, (ours, real) in {
                "psnr_128": (seen[0], seen[1]),
                "psnr_64": (F.avg_pool2d(seen[0], 2), F.avg_pool2d(seen[1], 2)),
            }.items():
                mean_square = (ours - real).square().mean((1, 2, 3)).clamp(min=1e-6)
                totals[name] += float((-10 * mean_square.log10()).sum())
    return {name: round(total / len(small), 3) for name, total in totals.items()} | {"codes_used": float(len(used))}


def to_tensor(pictures: Pixels) -> Tensor:
    """(M, px, px, 4) uint8 to a (M, 4, px, px) uint8 tensor in channels-last memory."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)


class PictureSource:
    """Pictures to train on: stickers of several styles by their weights, and scenes composed from them on the spot."""

    def __init__(self, sets: list[StickerSet], weights: list[float], captions: Mapping[str, Caption]) -> None:
        self.sets = sets
        self.chances = np.array(weights) / sum(weights)
        self.rows, self.held_out = zip(*(trained_and_held_out(stickers) for stickers in sets), strict=True)
        self.shelves = [
            make_shelf(stickers, captions, {stickers.keys[row] for row in rows})
            for stickers, rows in zip(sets, self.rows, strict=True)
        ]

    def batch(self, size: int, scene_share: float, seed: int) -> tuple[Tensor, Tensor]:
        """(B, 4, 64, 64) and (B, 4, 128, 128) in 0..1, premultiplied; the same for the same seed."""
        random = np.random.default_rng(seed)
        small, large = [], []
        styles = random.choice(len(self.sets), size, p=self.chances)
        for place, style in enumerate(styles.tolist()):
            if place < round(size * (1.0 - scene_share)):
                row = self.rows[style][int(random.integers(len(self.rows[style])))]
                small.append(self.sets[style].small[row])
                large.append(self.sets[style].large[row])
            else:
                picture = render(compose(self.shelves[style], random), self.sets[style], DECODED_PX)
                small.append(halved(picture))
                large.append(picture)
        return tuple(to_tensor(np.stack(pictures)).float() / 255.0 for pictures in (small, large))  # type: ignore[return-value]


def halved(picture: Pixels) -> Pixels:
    """A premultiplied uint8 picture (H, H, 4) at half its size, resized as the stickers are."""
    size_px = picture.shape[0] // 2
    resized = np.asarray(Image.fromarray(picture, mode="RGBa").resize((size_px, size_px), Image.Resampling.LANCZOS))
    return np.concatenate([np.minimum(resized[..., :3], resized[..., 3:]), resized[..., 3:]], axis=-1)


def main() -> None:
    """Train until the budget is spent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/tokenizer"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--styles", nargs="+", default=["fluent-flat"], help="STYLE or STYLE:WEIGHT")
    parser.add_argument("--scenes", type=float, default=0.35, help="share of composed scenes in a batch")
    parser.add_argument("--budget-min", type=float, default=40.0)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--peak", type=float, default=1.5e-3, help="highest learning rate")
    parser.add_argument("--start", type=Path, help="the resume.pt of another run, whose averaged weights to start from")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    named = [text.partition(":") for text in options.styles]
    source = PictureSource(
        [load_stickers(options.corpus, style, options.cache) for style, _, _ in named],
        [float(weight or 1.0) for _, _, weight in named],
        read_captions(options.corpus),
    )
    net = FsqTokenizer(TokenizerConfig()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if options.start is not None:
        net.load_state_dict(torch.load(options.start, weights_only=True)["average"])
    average = FsqTokenizer(TokenizerConfig())
    average.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), lr=options.peak, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    run = TimedRun(options.out, options.budget_min, {"net": net, "average": average, "optimiser": optimiser})
    generator = torch.Generator().manual_seed(run.step)

    def scores() -> dict[str, dict[str, float]]:
        return {
            stickers.style: peak_signal_to_noise(
                average, to_tensor(stickers.small[held_out]), to_tensor(stickers.large[held_out])
            )
            for stickers, held_out in zip(source.sets, source.held_out, strict=True)
        }

    for spent_frac in run.steps(scores):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate_at(spent_frac, run.step, options.peak)
        inputs, target = augment(*source.batch(options.batch, options.scenes, run.step), generator)
        with torch.autocast("cpu", torch.bfloat16):
            painted, _ = net(inputs.contiguous(memory_format=torch.channels_last))
        background = torch.rand(len(target), 3, 1, 1, generator=generator)
        loss = reconstruction_loss(painted.float(), target, background)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        move_average(average, net, run.step, 0.999)
        run.note(loss=float(loss.detach()))


if __name__ == "__main__":
    main()
