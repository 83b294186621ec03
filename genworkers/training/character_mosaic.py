"""Train the Transformer of the characters net: `python -m genworkers.training.character_mosaic --help`.

Characters are composed, described and encoded while it trains: a pool of examples in which the oldest make room for new
ones. The budget is wall-clock time; run again with the same --out it goes on.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genworkers.codecs.wordpiece import WordPiece
from genworkers.nets.encoder import load_minilm, minilm_folder
from genworkers.nets.masked_transformer import Captions, MaskedTransformer, MosaicConfig
from genworkers.nets.palette_tokenizer import PaletteTokenizerConfig
from genworkers.training.character_captions import full_caption, varied_caption
from genworkers.training.character_composer import Character, Composer
from genworkers.training.character_layers import load_layers
from genworkers.training.character_steps import Learner
from genworkers.training.character_tokenizer import CharacterCodes, load_character_codes
from genworkers.training.loop import TimedRun
from genworkers.training.train_mosaic import hide

CAPTION_TOKENS = 48
NUM_TESTED = 64
DROP_CHANCE = 0.1
WHOLE_CHANCE = 0.1
NUM_GROUND_TILES = 3
HEAD_WIDTH = 32


class ExamplePool:
    """A ring of examples: codes, and their caption as states of the text encoder."""

    def __init__(self, codes: CharacterCodes, size: int) -> None:
        folder = minilm_folder()
        self.size = size
        self._codes = codes
        self._encoder, self._wordpiece = load_minilm(folder), WordPiece(folder / "tokenizer.json")
        width = self._encoder.config.width
        self.codes = torch.zeros(size, codes.tokenizer.config.num_tiles, dtype=torch.long)
        self.states = torch.zeros(size, CAPTION_TOKENS, width, dtype=torch.bfloat16)
        self.lengths = torch.zeros(size, dtype=torch.long)
        self.sentences = torch.zeros(size, width, dtype=torch.bfloat16)
        self._next = 0

    @torch.inference_mode()
    def add(self, characters: Sequence[Character], texts: Sequence[str]) -> None:
        """Write examples over the oldest ones; the pool's size is a multiple of their number."""
        rows = slice(self._next, self._next + len(characters))
        self._next = rows.stop % self.size
        self.codes[rows] = self._codes.of(characters)
        with torch.autocast("cpu", torch.bfloat16):
            encoded = self._encoder.encode(self._wordpiece.encode_batch(list(texts)))
        for row, states in zip(range(rows.start, rows.stop), encoded, strict=True):
            length = min(len(states), CAPTION_TOKENS)
            self.states[row, :length] = states[:length]
            self.lengths[row] = length
            self.sentences[row] = states.mean(0)

    def refresh(self, random: np.random.Generator, num: int) -> None:
        """Compose and describe `num` new characters."""
        characters = [self._codes.composer.draw(random) for _ in range(num)]
        self.add(characters, [varied_caption(character, random) for character in characters])

    def captions(self, rows: Tensor, is_dropped: Tensor) -> Captions:
        """The captions at `rows` (B), without words where `is_dropped` (B)."""
        is_token = (torch.arange(CAPTION_TOKENS) < self.lengths[rows, None]) & ~is_dropped[:, None]
        style = torch.zeros(len(rows), dtype=torch.long)
        return Captions(self.states[rows].float(), is_token, self.sentences[rows].float(), style)


def guess_some(net: MaskedTransformer, codes: Tensor, captions: Captions, places: Tensor) -> Tensor:
    """Logits (B, M, K) of the tiles at `places` (M) as if the picture had no others, which saves their time."""
    config = net.config
    x = net._read(codes, captions)
    x = torch.cat([x[:, : -config.num_tiles], x[:, -config.num_tiles :][:, places]], 1)
    for layer in net.layers:
        x = layer(x)
    logits: Tensor = net.head(net.norm(x[:, -len(places) :]))
    return logits


class Places:
    """Which tiles a training step looks at: all that tell of the figure and, now and then, all of the ground."""

    def __init__(self, config: PaletteTokenizerConfig) -> None:
        figure, table, self.ground = config.places()
        self.told = torch.cat([figure, table])

    def draw(self, generator: torch.Generator) -> Tensor:
        """Tile numbers (M)."""
        is_whole = float(torch.rand((), generator=generator)) < WHOLE_CHANCE
        order = torch.randperm(len(self.ground), generator=generator)
        return torch.cat([self.told, self.ground[order[: len(order) if is_whole else NUM_GROUND_TILES]]])


@torch.inference_mode()
def guesses(net: MaskedTransformer, pool: ExamplePool, places: Places) -> dict[str, float]:
    """Cross-entropy in nats of hidden codes of figures with always the same masks, and how many are right from none."""
    generator = torch.Generator().manual_seed(1)
    total, count, num_right, num_guessed = 0.0, 0, 0, 0
    for rows in torch.arange(pool.size).split(32):
        captions = pool.captions(rows, torch.zeros(len(rows), dtype=torch.bool))
        codes = pool.codes[rows]
        hidden, is_hidden = hide(codes, net.mask_code, generator)
        is_hidden[:, places.ground] = False
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(hidden, captions)[is_hidden].float()
            blind = guess_some(net, torch.full_like(codes, net.mask_code), captions, places.told)
        total += float(F.cross_entropy(logits, codes[is_hidden], reduction="sum"))
        count += len(logits)
        num_right += int((blind.float().argmax(-1) == codes[:, places.told]).sum())
        num_guessed += blind.shape[0] * blind.shape[1]
    return {"cross_entropy": round(total / count, 4), "blind_accuracy": round(num_right / num_guessed, 4)}


def main() -> None:
    """Train until the budget is spent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--tokenizer", type=Path, default=Path("runs/character-tokenizer/tokenizer.pt"))
    parser.add_argument("--out", type=Path, default=Path("runs/character-mosaic"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--budget-min", type=float, default=40.0)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--pool", type=int, default=1024)
    parser.add_argument("--fresh", type=int, default=8, help="new examples a step")
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    torch.set_flush_denormal(True)  # rows of rare codes have gradients so small that their squares slow every step

    composer = Composer(load_layers(options.corpus, options.cache))
    codes = load_character_codes(options.tokenizer, composer)
    tokenizer = codes.tokenizer
    random = np.random.default_rng(1)
    tested = ExamplePool(codes, NUM_TESTED)
    for _ in range(NUM_TESTED // 32):
        characters = [composer.draw(random, held_out=True) for _ in range(32)]
        tested.add(characters, [full_caption(character) for character in characters])

    config = MosaicConfig(
        num_codes=tokenizer.config.num_codes,
        num_tiles=tokenizer.config.num_tiles,
        caption_tokens=CAPTION_TOKENS,
        width=options.width,
        num_layers=options.layers,
        num_heads=options.width // HEAD_WIDTH,
    )
    net = MaskedTransformer(config)
    learner = Learner(net, MaskedTransformer(config), ("layers.",))
    run = TimedRun(options.out, options.budget_min, learner.parts)
    random = np.random.default_rng([2, run.step])
    generator = torch.Generator().manual_seed(run.step)
    places = Places(tokenizer.config)
    pool = ExamplePool(codes, options.pool)
    for _ in range(options.pool // 32):
        pool.refresh(random, 32)
    for spent_frac in run.steps(lambda: guesses(learner.average, tested, places)):
        pool.refresh(random, options.fresh)
        rows = torch.randint(pool.size, (options.batch,), generator=generator)
        captions = pool.captions(rows, torch.rand(len(rows), generator=generator) < DROP_CHANCE)
        wanted, shown = pool.codes[rows], places.draw(generator)
        hidden, is_hidden = hide(wanted, net.mask_code, generator)
        with torch.autocast("cpu", torch.bfloat16):
            logits = guess_some(net, hidden, captions, shown)
        loss = F.cross_entropy(logits[is_hidden[:, shown]].float(), wanted[:, shown][is_hidden[:, shown]])
        learner.step(loss, spent_frac, run.step)
        run.note(loss=float(loss.detach()))


if __name__ == "__main__":
    main()
