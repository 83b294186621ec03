"""Train the text screen: `python -m genworkers.training.train_text_screen --corpus ../shared/data`. Minutes on a core.

The encoder is frozen: it reads every text once, and what is pooled from its states is kept in the cache. Only the heads
are trained. Two tenths of the groups calibrate and choose thresholds, one tenth is never touched (`screen_data.py`).
"""

import argparse
import hashlib
import json
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genworkers.codecs.hashed_ngrams import hashed_ngrams
from genworkers.codecs.wordpiece import WordPiece
from genworkers.contract.safety import TEXT_CATEGORIES
from genworkers.nets.encoder import TextEncoder, load_minilm, minilm_folder
from genworkers.nets.text_heads import TextHeads, TextHeadsConfig, pooled
from genworkers.screening.calibration import Calibration, fit_isotonic
from genworkers.screening.text_screen import WINDOW_CHARS, TextScreen, bags_of
from genworkers.training.disguises import disguised
from genworkers.training.masked_losses import known_losses
from genworkers.training.screen_data import (
    CALIBRATING,
    NEVER_LEARNT,
    UNKNOWN,
    WRITTEN,
    ScreenRow,
    calibrating_rows,
    grouped,
    read_rows,
    targets_of,
)
from genworkers.training.text_screen_folder import Thresholds, write_checkpoint

BATCH, RATE, BAG_RATE, WEIGHT_DECAY = 256, 1e-3, 1e-2, 1e-2
UNSEEN_STATES_FRAC, UNSEEN_BAG_FRAC = 0.1, 0.15
MAX_POSITIVE_WEIGHT = 8.0
DISGUISED_HARMLESS_FRAC = 0.25
ENCODE_BATCH = 64
BLOCK_PRECISION = 0.95
USUAL_CHANCES, SEVERE_CHANCES = (0.25, 0.5), (0.1, 0.25)
MAX_TRICKY_FLAGGED = 0.03
SEVERE = frozenset({"sexual/minors", "self-harm"})
MAX_STUDIO_FLAGGED, MAX_STUDIO_REVIEWED, MAX_STUDIO_BLOCKED = 0.01, 0.003, 0.0005
STUDIO_SOURCES = frozenset({"stickers", "t2i_compbench", "coco_captions", "parti", "geneval"})
NEVER_JOINED = (
    STUDIO_SOURCES | NEVER_LEARNT | {"davidson", "diffusiondb_refl_unlabelled", "prompts_chat", "written", "books"}
)


@dataclass(frozen=True)
class ReadTexts:
    """Texts as the heads take them: pooled states (M, 2 D) float16, None for n-grams alone, and the n-grams of each."""

    states: Tensor | None
    ngrams: Sequence[NDArray[np.int64]]


def load_encoder() -> tuple[TextEncoder, WordPiece]:
    """MiniLM in bfloat16, as the workers use it, and its tokenizer."""
    folder = minilm_folder()
    return load_minilm(folder).to(torch.bfloat16), WordPiece(folder / "tokenizer.json")


def n_grams_of(texts: Sequence[str], config: TextHeadsConfig) -> ReadTexts:
    """The n-grams of each text's first window, without states."""
    return ReadTexts(None, [hashed_ngrams(text[:WINDOW_CHARS], config.num_buckets) for text in texts])


def read_texts(
    texts: Sequence[str], encoder: TextEncoder, tokenizer: WordPiece, config: TextHeadsConfig, cache: Path
) -> ReadTexts:
    """The first window of each text: its n-grams, and its states through the encoder or from the cache."""
    states = pooled_states(texts, encoder, tokenizer, config.encoder_layers, cache)
    return replace(n_grams_of(texts, config), states=states)


@torch.inference_mode()
def pooled_states(
    texts: Sequence[str], encoder: TextEncoder, tokenizer: WordPiece, num_layers: int, cache: Path
) -> Tensor:
    """(M, 2 D) float16 of the first window of each text, after so many layers; the cache keeps them by text."""
    windows = [text[:WINDOW_CHARS].casefold() for text in texts]
    digests = [hashlib.sha256(window.encode("utf-8", "surrogatepass")).hexdigest()[:16] for window in windows]
    cached = cache / f"screen-states-{num_layers}.pt"
    known: dict[str, Any] = {"keys": [], "states": torch.empty(0, 2 * encoder.config.width, dtype=torch.float16)}
    if cached.exists():
        known = torch.load(cached, weights_only=True)
    place_of = {digest: place for place, digest in enumerate(known["keys"])}
    new = {digest: window for digest, window in zip(digests, windows, strict=True) if digest not in place_of}
    if new:
        order = sorted(new, key=lambda digest: len(new[digest]))
        found: list[Tensor] = []
        for begin in range(0, len(order), ENCODE_BATCH):
            batch = [new[digest] for digest in order[begin : begin + ENCODE_BATCH]]
            found += [pooled(one).half() for one in encoder.encode(tokenizer.encode_batch(batch), num_layers)]
        place_of |= {digest: len(known["keys"]) + place for place, digest in enumerate(order)}
        known = {"keys": [*known["keys"], *order], "states": torch.cat([known["states"], torch.stack(found)])}
        cache.mkdir(parents=True, exist_ok=True)
        torch.save(known, cached)
    kept: Tensor = known["states"][[place_of[digest] for digest in digests]]
    return kept


def learnt_rows(rows: Sequence[ScreenRow]) -> list[ScreenRow]:
    """Those that train, and once more in disguise each that is of a category and a share of the harmless ones."""
    rows = [row for row in rows if row.fold > max(CALIBRATING)]
    hidden = []
    for row in rows:
        random = np.random.default_rng(zlib.crc32(row.text.encode("utf-8", "replace")))
        if row.is_positive or random.random() < DISGUISED_HARMLESS_FRAC:
            hidden.append(replace(row, text=disguised(row.text, random)))
    return [*rows, *hidden]


def train(texts: ReadTexts, targets: Tensor, config: TextHeadsConfig, *, epochs: int, seed: int) -> TextHeads:
    """Heads after so many epochs; those of texts without states know n-grams alone.

    Args:
        targets: (M, categories), 1, 0 or UNKNOWN.
    """
    torch.manual_seed(seed)
    heads = TextHeads(config).train()
    others = [parameter for name, parameter in heads.named_parameters() if not name.startswith("bag")]
    optimiser = torch.optim.AdamW(
        [
            {"params": others, "lr": RATE, "weight_decay": WEIGHT_DECAY},
            {"params": heads.bag.parameters(), "lr": BAG_RATE, "weight_decay": 0.0},
        ]
    )
    num_positive, num_negative = (targets == 1).sum(0), (targets == 0).sum(0)
    positive_weight = (num_negative / num_positive.clamp(min=1)).sqrt().clamp(max=MAX_POSITIVE_WEIGHT)
    num_steps = epochs * -(-len(targets) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, [RATE, BAG_RATE], total_steps=num_steps)
    for rows in _batches(len(targets), epochs):
        states, ngrams = _inputs(texts, rows, config)
        losses, is_known = known_losses(heads(states, *bags_of(ngrams)), targets[rows], positive_weight)
        loss = losses.sum() / is_known.sum().clamp(min=1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return heads.eval()


def _inputs(texts: ReadTexts, rows: Tensor, config: TextHeadsConfig) -> tuple[Tensor, list[NDArray[np.int64]]]:
    """Pooled states (B, 2 D) and n-grams of a batch; now and then one is hidden, so that each learns to do alone."""
    ngrams = [texts.ngrams[row] for row in rows.tolist()]
    if texts.states is None:
        return torch.zeros(len(rows), 2 * config.state_width), ngrams
    states, chance = texts.states[rows].float(), torch.rand(len(rows))
    states[chance < UNSEEN_STATES_FRAC] = 0.0
    is_hidden = (chance > 1.0 - UNSEEN_BAG_FRAC).tolist()
    return states, [one[:0] if hide else one for one, hide in zip(ngrams, is_hidden, strict=True)]


def _batches(num_rows: int, epochs: int) -> Iterator[Tensor]:
    for _ in range(epochs):
        yield from torch.randperm(num_rows).split(BATCH)


def calibrate(logits: NDArray[np.float32], targets: NDArray[np.int8]) -> list[Calibration]:
    """One calibration a category, from rows with a known label and something to read: both (M, categories)."""
    known = (targets != UNKNOWN) & np.isfinite(logits)
    return [
        fit_isotonic(logits[known[:, column], column], targets[known[:, column], column] == 1)
        for column in range(targets.shape[1])
    ]


def choose_thresholds(
    chances: NDArray[np.float64],
    targets: NDArray[np.int8],
    is_studio: NDArray[np.bool_],
    is_tricky: NDArray[np.bool_],
) -> Thresholds:
    """Where to flag, to hold for review and to block, per category.

    Flag and review are probabilities, lower where a miss is worse (SEVERE); block is where BLOCK_PRECISION of the rows
    with a known label are positive. Each is raised until few enough of the studio's own harmless prompts reach it, the
    flag also until few enough of the tricky ones do.

    Args:
        chances: (M, categories) calibrated.
        targets: (M, categories), 1, 0 or UNKNOWN.
        is_studio: (M) harmless prompts of the studio's kind.
        is_tricky: (M) harmless sentences that sound like harm, or name a group of people.
    """
    thresholds: Thresholds = {}
    for column, name in enumerate(TEXT_CATEGORIES):
        scores, labels = chances[:, column], targets[:, column]
        studio, tricky, is_known = scores[is_studio], scores[is_tricky], labels != UNKNOWN
        flag_chance, review_chance = SEVERE_CHANCES if name in SEVERE else USUAL_CHANCES
        flag_at = max(flag_chance, _rare(studio, MAX_STUDIO_FLAGGED), _rare(tricky, MAX_TRICKY_FLAGGED))
        review_at = max(review_chance, flag_at, _rare(studio, MAX_STUDIO_REVIEWED))
        precise = _precise(scores[is_known], labels[is_known] == 1)
        block_at = max(precise, review_at, _rare(studio, MAX_STUDIO_BLOCKED))
        thresholds[name] = {"flag_at": _up(flag_at), "review_at": _up(review_at), "block_at": _up(block_at)}
    return thresholds


def _rare(scores: NDArray[np.float64], frac: float) -> float:
    """Just above what all but this share of the scores reach."""
    return float(np.quantile(scores, 1.0 - frac, method="higher")) + 1e-4


def _precise(scores: NDArray[np.float64], is_positive: NDArray[np.bool_]) -> float:
    """The lowest score from which on BLOCK_PRECISION of the rows are positive; 1 when there is none."""
    order = np.argsort(-scores, kind="stable")
    precision = np.cumsum(is_positive[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(precision >= BLOCK_PRECISION)
    return float(scores[order][enough[-1]]) if len(enough) else 1.0


def _up(chance: float) -> float:
    return min(1.0, float(np.ceil(chance * 1000) / 1000))


@torch.inference_mode()
def screened_logits(screen: TextScreen, texts: Sequence[str]) -> NDArray[np.float32]:
    """(M, categories), as the screen finds them: the worst of all spellings."""
    return np.stack([screen.logits(text) for text in texts])


def screen_rows(corpus: Path, encoder: TextEncoder, tokenizer: WordPiece, cache: Path) -> list[ScreenRow]:
    """All rows, near paraphrases in one group by the mean state of the encoder's last layer.

    Not so in the sources of NEVER_JOINED, which hold too many texts: there only what came as one group stays together.
    Of the 2,421 tweets of Davidson's that are held out 63 have a near copy among those that train.
    """
    rows = read_rows(corpus)
    places = [place for place, row in enumerate(rows) if row.source not in NEVER_JOINED]
    texts = [rows[place].text for place in places]
    means = pooled_states(texts, encoder, tokenizer, encoder.config.num_layers, cache)[:, : encoder.config.width]
    embeddings = F.normalize(means.float(), dim=1)
    joined = grouped([rows[place] for place in places], embeddings)
    for place, row in zip(places, joined, strict=True):
        rows[place] = row
    return rows


def main() -> None:
    """Train, calibrate, choose thresholds and write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--out", type=Path, default=Path("genworkers/weights/screens/text"))
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    started = time.monotonic()
    encoder, tokenizer = load_encoder()
    rows = screen_rows(options.corpus, encoder, tokenizer, options.cache)
    learnt = learnt_rows(rows)
    config = TextHeadsConfig()
    texts = read_texts([row.text for row in learnt], encoder, tokenizer, config, options.cache)
    heads = train(texts, targets_of(learnt), config, epochs=options.epochs, seed=options.seed)

    calibrating = calibrating_rows(rows)
    targets = targets_of(calibrating).numpy()
    logits = screened_logits(raw_screen(encoder, tokenizer, heads), [row.text for row in calibrating])
    calibrations = calibrate(logits, targets)
    chances = np.stack([one(logits[:, column]) for column, one in enumerate(calibrations)], axis=1)
    is_studio = np.array([row.source in STUDIO_SOURCES and not row.is_positive for row in calibrating])
    is_tricky = np.array([row.source == WRITTEN and not row.is_positive for row in calibrating])
    thresholds = choose_thresholds(chances, targets, is_studio, is_tricky)
    training = {
        "rows": dict(Counter(row.source for row in learnt)),
        "positives": {name: sum(row.labels.get(name, False) for row in learnt) for name in TEXT_CATEGORIES},
        "calibrating": {name: sum(row.labels.get(name, False) for row in calibrating) for name in TEXT_CATEGORIES},
        "epochs": options.epochs,
        "spent_s": round(time.monotonic() - started),
    }
    write_checkpoint(options.out, heads, calibrations, thresholds, training)
    print(json.dumps({"thresholds": thresholds, "training": training}, indent=1))


def raw_screen(encoder: TextEncoder, tokenizer: WordPiece, heads: TextHeads) -> TextScreen:
    """A screen whose logits count and whose probabilities do not yet."""
    unknown = [Calibration((0.0,), (0.5,))] * len(TEXT_CATEGORIES)
    return TextScreen(encoder, tokenizer, heads, unknown, name="uncalibrated", version="", thresholds={})


if __name__ == "__main__":
    main()
