"""Train the masked Transformer on a finished tokenizer's codes: `python -m genworkers.training.train_mosaic --help`.

The budget is wall-clock time. Run again with the same --out it goes on where the last checkpoint stood.
"""

import argparse
import hashlib
import json
import math
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from genworkers.codecs.wordpiece import WordPiece
from genworkers.nets.encoder import load_minilm, minilm_folder
from genworkers.nets.fsq_tokenizer import FsqTokenizer, TokenizerConfig
from genworkers.nets.masked_transformer import Captions, MaskedTransformer, MosaicConfig
from genworkers.sampling.schedules import mask_frac
from genworkers.training.optim import wsd_factor
from genworkers.training.sticker_data import (
    Caption,
    caption_choices,
    is_held_out,
    load_stickers,
    read_captions,
)

CHECKPOINT_EVERY_S = 300.0
CAPTION_TOKENS = 24


@dataclass
class CaptionTable:
    """Every text that training can show, encoded once: half-precision states (M, 24, 384) and their lengths (M)."""

    states: Tensor
    lengths: Tensor
    sentences: Tensor

    def rows(self, picked: Tensor, style: Tensor, is_dropped: Tensor) -> Captions:
        """The captions at `picked` (B), without words where `is_dropped` (B)."""
        is_token = torch.arange(CAPTION_TOKENS) < self.lengths[picked, None]
        return Captions(
            self.states[picked].float(), is_token & ~is_dropped[:, None], self.sentences[picked].float(), style
        )


@dataclass
class CodeSet:
    """Pictures as codes (M, N), with the style and the caption texts of each."""

    codes: Tensor
    style: Tensor
    is_held_out: Tensor
    texts: list[tuple[list[int], Tensor]]


def encode_texts(texts: list[str], cache: Path) -> CaptionTable:
    """Run the text encoder over all texts, shortest first so that little is padding; kept in `cache` afterwards."""
    cached = cache / f"captions-{hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]}.safetensors"
    if cached.exists():
        return CaptionTable(**load_file(cached))
    folder = minilm_folder()
    encoder, wordpiece = load_minilm(folder), WordPiece(folder / "tokenizer.json")
    ids = wordpiece.encode_batch(texts)
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    states = torch.zeros(len(ids), CAPTION_TOKENS, encoder.config.width, dtype=torch.float16)
    lengths = torch.zeros(len(ids), dtype=torch.long)
    sentences = torch.zeros(len(ids), encoder.config.width, dtype=torch.float16)
    with torch.inference_mode():
        for start in range(0, len(order), 64):
            rows = order[start : start + 64]
            for row, own in zip(rows, encoder.encode([ids[i] for i in rows]), strict=True):
                lengths[row] = min(len(own), CAPTION_TOKENS)
                states[row, : lengths[row]] = own[:CAPTION_TOKENS].half()
                sentences[row] = own.mean(0).half()
    save_file({"states": states, "lengths": lengths, "sentences": sentences}, cached)
    return CaptionTable(states, lengths, sentences)


def encode_pictures(tokenizer: FsqTokenizer, pictures: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
    """(M, 64, 64, 4) premultiplied uint8 to codes (M, N)."""
    with torch.inference_mode():
        chunks = [
            tokenizer.encode(torch.from_numpy(pictures[i : i + 64]).permute(0, 3, 1, 2).float() / 255.0)
            for i in range(0, len(pictures), 64)
        ]
    return torch.cat(chunks)


def load_codes(
    corpus: Path, cache: Path, styles: list[str], tokenizer: FsqTokenizer
) -> tuple[CodeSet, list[str], dict[str, Caption]]:
    """All pictures of the styles as codes, and the texts that their caption numbers point to."""
    captions = read_captions(corpus)
    numbers: dict[str, int] = {}
    counts = Counter(word for caption in captions.values() for word in caption.keywords)
    codes, style_of, held_out, texts = [], [], [], []
    for number, style in enumerate(styles):
        stickers = load_stickers(corpus, style, cache)
        codes.append(encode_pictures(tokenizer, stickers.small))
        for key in stickers.keys:
            choices = caption_choices(captions[key], counts)
            picked = [numbers.setdefault(text, len(numbers)) for text, _ in choices]
            texts.append((picked, torch.tensor([chance for _, chance in choices])))
            style_of.append(number)
            held_out.append(is_held_out(key))
    code_set = CodeSet(torch.cat(codes), torch.tensor(style_of), torch.tensor(held_out), texts)
    return code_set, list(numbers), captions


def hide(codes: Tensor, mask_code: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Hide a random share of each row by the cosine law: (B, N) with mask codes, and the (B, N) bool mask."""
    share = mask_frac(torch.rand(len(codes), 1, generator=generator))
    num_hidden = (share * codes.shape[1]).ceil().clamp(min=1)
    rank = torch.rand(codes.shape, generator=generator).argsort(1).argsort(1)
    is_hidden = rank < num_hidden
    return codes.masked_fill(is_hidden, mask_code), is_hidden


def masked_cross_entropy(net: MaskedTransformer, data: CodeSet, table: CaptionTable, rows: Tensor) -> float:
    """Mean cross-entropy in nats of hidden codes, captioned by the plain name, with always the same masks."""
    generator = torch.Generator().manual_seed(1)
    total, count = 0.0, 0
    with torch.inference_mode():
        for part in rows.split(64):
            hidden, is_hidden = hide(data.codes[part], net.mask_code, generator)
            names = torch.tensor([data.texts[row][0][0] for row in part.tolist()])
            captions = table.rows(names, data.style[part], torch.zeros(len(part), dtype=torch.bool))
            logits = net(hidden, captions)[is_hidden]
            total += float(F.cross_entropy(logits, data.codes[part][is_hidden], reduction="sum"))
            count += len(logits)
    return total / count


def main() -> None:
    """Train until the budget is spent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--tokenizer", type=Path, default=Path("runs/tokenizer/resume.pt"))
    parser.add_argument("--out", type=Path, default=Path("runs/mosaic"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--styles", nargs="+", default=["fluent-flat"])
    parser.add_argument("--budget-min", type=float, default=60.0)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--peak", type=float, default=2e-3, help="highest learning rate of the hidden matrices")
    parser.add_argument("--peak-rest", type=float, default=1e-3, help="highest learning rate of all else")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    options.out.mkdir(parents=True, exist_ok=True)

    tokenizer = FsqTokenizer(TokenizerConfig())
    tokenizer.load_state_dict(torch.load(options.tokenizer, weights_only=True)["average"])
    data, texts, _ = load_codes(options.corpus, options.cache, options.styles, tokenizer.eval())
    table = encode_texts(texts, options.cache)
    trained, held_out = (~data.is_held_out).nonzero()[:, 0], data.is_held_out.nonzero()[:, 0]

    config = MosaicConfig(
        num_codes=tokenizer.config.num_codes, num_styles=len(options.styles), caption_tokens=CAPTION_TOKENS
    )
    net, average = MaskedTransformer(config), MaskedTransformer(config)
    average.load_state_dict(net.state_dict())
    matrices = [p for name, p in net.named_parameters() if name.startswith("layers.") and p.ndim == 2]
    is_matrix = {id(p) for p in matrices}
    rest = [p for p in net.parameters() if id(p) not in is_matrix]
    optimisers: list[tuple[torch.optim.Optimizer, float]] = [
        (
            torch.optim.Muon(matrices, lr=options.peak, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
            options.peak,
        ),
        (
            torch.optim.AdamW(rest, lr=options.peak_rest, betas=(0.9, 0.96), weight_decay=0.01, fused=True),
            options.peak_rest,
        ),
    ]
    step, spent_s = 0, 0.0
    resume = options.out / "resume.pt"
    if resume.exists():
        state = torch.load(resume, weights_only=True)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        for (optimiser, _), saved in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        step, spent_s = state["step"], state["spent_s"]
    generator = torch.Generator().manual_seed(step)

    budget_s, last_tick, last_save_s, running = options.budget_min * 60, time.monotonic(), spent_s, 0.0
    with (options.out / "log.jsonl").open("a", buffering=1) as log:
        while True:
            is_last = spent_s >= budget_s
            if is_last or spent_s - last_save_s >= CHECKPOINT_EVERY_S:
                last_save_s = spent_s
                scores = {
                    "held_out": round(masked_cross_entropy(average, data, table, held_out), 4),
                    "trained": round(masked_cross_entropy(average, data, table, trained[:256]), 4),
                }
                log.write(json.dumps({"step": step, "spent_s": round(spent_s), "scores": scores}) + "\n")
                state = {"net": net.state_dict(), "average": average.state_dict(), "step": step, "spent_s": spent_s}
                state["optimisers"] = [optimiser.state_dict() for optimiser, _ in optimisers]
                torch.save(state, options.out / "resume.part")
                (options.out / "resume.part").replace(resume)
            if is_last:
                break
            factor = wsd_factor(spent_s / budget_s, warmup_frac=0.0, cooldown_frac=0.45, floor=0.01)
            for optimiser, peak in optimisers:
                for group in optimiser.param_groups:
                    group["lr"] = peak * factor * min(1.0, (step + 1) / 100)
            rows = trained[torch.randint(len(trained), (options.batch,), generator=generator)]
            numbers = []
            for row in rows.tolist():
                choices, chances = data.texts[row]
                numbers.append(choices[int(torch.multinomial(chances, 1, generator=generator))])
            is_dropped = torch.rand(len(rows), generator=generator) < 0.1
            captions = table.rows(torch.tensor(numbers), data.style[rows], is_dropped)
            hidden, is_hidden = hide(data.codes[rows], net.mask_code, generator)
            with torch.autocast("cpu", torch.bfloat16):
                logits = net(hidden, captions)
            loss = F.cross_entropy(logits[is_hidden].float(), data.codes[rows][is_hidden])
            for optimiser, _ in optimisers:
                optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            for optimiser, _ in optimisers:
                optimiser.step()
            decay = min(0.998, (step + 1) / (step + 10))
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1 - decay)
            step += 1
            now = time.monotonic()
            spent_s, last_tick = spent_s + now - last_tick, now
            running += float(loss.detach())
            if not math.isfinite(running):
                raise FloatingPointError(f"the loss is {running} at step {step}; lower --peak")
            if step % 50 == 0:
                log.write(json.dumps({"step": step, "spent_s": round(spent_s), "loss": round(running / 50, 4)}) + "\n")
                running = 0.0


if __name__ == "__main__":
    main()
