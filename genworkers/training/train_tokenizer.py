"""Train the picture tokenizer: `python -m genworkers.training.train_tokenizer --help`.

The budget is wall-clock time: the learning rate follows the share of it that is spent and ends at zero.
Run again with the same --out it goes on where the last checkpoint stood.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genworkers.nets.fsq_tokenizer import FsqTokenizer, TokenizerConfig
from genworkers.training.sticker_data import StickerSet, is_held_out, load_stickers

CHECKPOINT_EVERY_S = 240.0
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


def to_tensor(pictures: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
    """(M, px, px, 4) uint8 to a (M, 4, px, px) uint8 tensor in channels-last memory."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)


def split(stickers: StickerSet) -> tuple[list[int], list[int]]:
    """Row numbers of the pictures to train on, and of those held out."""
    rows = range(len(stickers.keys))
    held_out = [row for row in rows if is_held_out(stickers.keys[row])]
    return [row for row in rows if not is_held_out(stickers.keys[row])], held_out


def main() -> None:
    """Train until the budget is spent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/tokenizer"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--styles", nargs="+", default=["fluent-flat"], help="STYLE or STYLE:WEIGHT")
    parser.add_argument("--budget-min", type=float, default=40.0)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--peak", type=float, default=1.5e-3, help="highest learning rate")
    parser.add_argument("--start", type=Path, help="the resume.pt of another run, whose averaged weights to start from")
    parser.add_argument("--decoder-only", action="store_true", help="keep the codes as they are, paint them better")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    options.out.mkdir(parents=True, exist_ok=True)

    sets, weights = [], []
    for text in options.styles:
        style, _, weight = text.partition(":")
        sets.append(load_stickers(options.corpus, style, options.cache))
        weights.append(float(weight or 1.0))
    small = torch.cat([to_tensor(s.small) for s in sets])
    large = torch.cat([to_tensor(s.large) for s in sets])
    rows, held_out, chances, offset = [], [], [], 0
    for stickers, weight in zip(sets, weights, strict=True):
        trained_on, kept_back = split(stickers)
        rows += [offset + row for row in trained_on]
        chances += [weight / len(trained_on)] * len(trained_on)
        held_out.append((stickers.style, [offset + row for row in kept_back]))
        offset += len(stickers.keys)
    chance = torch.tensor(chances)

    net = FsqTokenizer(TokenizerConfig()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if options.start is not None:
        net.load_state_dict(torch.load(options.start, weights_only=True)["average"])
    net.encoder.requires_grad_(not options.decoder_only)
    learned = [parameter for parameter in net.parameters() if parameter.requires_grad]
    average = FsqTokenizer(TokenizerConfig())
    average.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(learned, lr=options.peak, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    step, spent_s = 0, 0.0
    resume = options.out / "resume.pt"
    if resume.exists():
        state = torch.load(resume, weights_only=True)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent_s = state["step"], state["spent_s"]
    generator = torch.Generator().manual_seed(step)

    budget_s, last_tick, last_save_s, running = options.budget_min * 60, time.monotonic(), spent_s, 0.0
    with (options.out / "log.jsonl").open("a", buffering=1) as log:
        while True:
            is_last = spent_s >= budget_s
            if is_last or spent_s - last_save_s >= CHECKPOINT_EVERY_S:
                last_save_s = spent_s
                scores = {}
                for style, kept in held_out:
                    scores[style] = peak_signal_to_noise(average, small[kept], large[kept])
                scores["trained"] = peak_signal_to_noise(average, small[rows[:256]], large[rows[:256]])
                log.write(json.dumps({"step": step, "spent_s": round(spent_s), "scores": scores}) + "\n")
                state = {"net": net.state_dict(), "average": average.state_dict(), "step": step, "spent_s": spent_s}
                state["optimiser"] = optimiser.state_dict()
                torch.save(state, options.out / "resume.part")
                (options.out / "resume.part").replace(resume)
            if is_last:
                break
            for group in optimiser.param_groups:
                group["lr"] = learning_rate_at(spent_s / budget_s, step, options.peak)
            picked = [rows[i] for i in torch.multinomial(chance, options.batch, generator=generator).tolist()]
            inputs, target = augment(small[picked].float() / 255.0, large[picked].float() / 255.0, generator)
            with torch.autocast("cpu", torch.bfloat16):
                painted, _ = net(inputs.contiguous(memory_format=torch.channels_last))
            background = torch.rand(len(picked), 3, 1, 1, generator=generator)
            loss = reconstruction_loss(painted.float(), target, background)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learned, 1.0)
            optimiser.step()
            decay = min(0.999, (step + 1) / (step + 10))
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1 - decay)
            step += 1
            now = time.monotonic()
            spent_s, last_tick = spent_s + now - last_tick, now
            running += float(loss.detach())
            if step % 50 == 0:
                log.write(json.dumps({"step": step, "spent_s": round(spent_s), "loss": round(running / 50, 5)}) + "\n")
                running = 0.0


if __name__ == "__main__":
    main()
