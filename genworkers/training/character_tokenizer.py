"""Make the tokenizer of the characters net: `python -m genworkers.training.character_tokenizer --help`.

Nothing is trained. Characters are composed, taken apart into shades and colours, and the patterns of shades that their
tiles show are counted; the commonest become the vocabulary.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genworkers.nets.palette_tokenizer import PaletteTokenizer, PaletteTokenizerConfig
from genworkers.training.character_composer import Character, Composer
from genworkers.training.character_layers import load_layers
from genworkers.training.character_materials import RAMPS, THINGS, Materials, find_materials

NUM_COUNTED = 40_000
NUM_TESTED = 1000
NUM_PATTERNS = 4096
TILE_PX = 8
FIGURE = (1, 8, 2, 6)


class CharacterCodes:
    """Turns composed characters into the codes of a tokenizer, from their parts instead of their pixels."""

    def __init__(self, composer: Composer, materials: Materials, tokenizer: PaletteTokenizer) -> None:
        self.composer = composer
        self.materials = materials
        self.tokenizer = tokenizer
        self._patterns = tokenizer.patterns.numpy()
        self._numbers = {pattern.tobytes(): number for number, pattern in enumerate(self._patterns)}

    def of(self, characters: Sequence[Character]) -> Tensor:
        """Codes (M, N) int64; a pattern without a code becomes the one that differs in the fewest pixels."""
        patterns = [[self._number(tile) for tile in tiles_of(self._map(character))] for character in characters]
        table = np.stack([self.materials.table(character) for character in characters])
        grounds = [self.composer.grounds.index(character.ground) for character in characters]
        return self.tokenizer.join(torch.tensor(patterns), torch.from_numpy(table), torch.tensor(grounds))

    def _map(self, character: Character) -> NDArray[np.uint8]:
        return self.materials.map(self.composer, character)

    def _number(self, tile: NDArray[np.uint8]) -> int:
        number = self._numbers.get(tile.tobytes())
        if number is None:
            number = int((self._patterns != tile).sum(1).argmin())
        return number


def tiles_of(shades: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A map (64, 64) to the tiles where a figure stands, (28, 64)."""
    top, bottom, left, right = FIGURE
    part = shades[top * TILE_PX : bottom * TILE_PX, left * TILE_PX : right * TILE_PX]
    tiles = part.reshape(bottom - top, TILE_PX, right - left, TILE_PX).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(tiles).reshape(-1, TILE_PX**2)


def make_tokenizer(composer: Composer, materials: Materials, num_counted: int, num_patterns: int) -> PaletteTokenizer:
    """Count patterns over random characters that are not held out, and fill the tokenizer's tables."""
    random = np.random.default_rng(3)
    counts: Counter[bytes] = Counter()
    seen: list[set[bytes]] = [set() for _ in tiles_of(np.zeros((64, 64), dtype=np.uint8))]
    for _ in range(num_counted):
        for place, tile in enumerate(tiles_of(materials.map(composer, composer.draw(random)))):
            counts[tile.tobytes()] += 1
            seen[place].add(tile.tobytes())
    empty = bytes(TILE_PX**2)
    counts.pop(empty, None)
    kept = [empty, *(pattern for pattern, _ in counts.most_common(num_patterns - 1))]
    num_shades, num_entries = materials.looks.shape
    tokenizer = PaletteTokenizer(
        PaletteTokenizerConfig(
            num_colours=len(composer.frames.palette),
            num_patterns=len(kept),
            num_shades=num_shades,
            num_things=len(THINGS),
            num_entries=num_entries,
            num_grounds=len(composer.grounds),
            figure=FIGURE,
        )
    )
    tokenizer.palette.copy_(torch.from_numpy(composer.frames.palette))
    tokenizer.looks.copy_(torch.from_numpy(materials.looks))
    tokenizer.things.copy_(torch.from_numpy(materials.things))
    starts = [materials.colour_number(thing, materials.colour_names[RAMPS[thing]][0]) for thing in THINGS]
    ends = [start + len(materials.colour_names[RAMPS[thing]]) for start, thing in zip(starts, THINGS, strict=True)]
    tokenizer.entries.copy_(torch.tensor([starts, ends]).T)
    tokenizer.patterns.copy_(torch.from_numpy(np.stack([np.frombuffer(pattern, dtype=np.uint8) for pattern in kept])))
    stands = [[pattern in patterns for pattern in kept] for patterns in seen]
    tokenizer.stands.copy_(torch.tensor(stands))
    tokenizer.stands[:, 0] = 1
    tokenizer.grounds.copy_(torch.tensor([composer.frames.ground(ground) for ground in composer.grounds]))
    return tokenizer


def exactness(codes: CharacterCodes, characters: list[Character]) -> dict[str, float]:
    """Share of figure pixels, and of whole pictures, that codes bring back in exactly their colour."""
    painted = codes.tokenizer.decode_indices(codes.of(characters)).numpy()
    wanted = np.stack([codes.composer.paint(character) for character in characters])
    is_figure = np.stack([codes.materials.map(codes.composer, character) > 0 for character in characters])
    is_same = painted == wanted
    return {
        "figure_pixels": round(float(is_same[is_figure].mean()), 6),
        "pictures": round(float(is_same.all((1, 2)).mean()), 4),
    }


def load_character_codes(path: Path, composer: Composer) -> CharacterCodes:
    """A tokenizer that `main` saved, with what composes its codes."""
    saved = torch.load(path, weights_only=True)
    saved["config"]["figure"] = tuple(saved["config"]["figure"])
    tokenizer = PaletteTokenizer(PaletteTokenizerConfig(**saved["config"]))
    tokenizer.load_state_dict(saved["tables"])
    return CharacterCodes(composer, find_materials(composer), tokenizer)


def main() -> None:
    """Make it and say how exact it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/character-tokenizer"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--patterns", type=int, default=NUM_PATTERNS)
    options = parser.parse_args()
    composer = Composer(load_layers(options.corpus, options.cache))
    materials = find_materials(composer)
    tokenizer = make_tokenizer(composer, materials, NUM_COUNTED, options.patterns)
    random = np.random.default_rng(4)
    tested = [composer.draw(random, held_out=True) for _ in range(NUM_TESTED)]
    scores = exactness(CharacterCodes(composer, materials, tokenizer), tested)
    options.out.mkdir(parents=True, exist_ok=True)
    torch.save({"config": vars(tokenizer.config), "tables": tokenizer.state_dict()}, options.out / "tokenizer.pt")
    (options.out / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
    print(tokenizer.config, scores)


if __name__ == "__main__":
    main()
