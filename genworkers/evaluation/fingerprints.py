"""How far apart fingerprints lie: of one thing after edits, and of different things. The thresholds come from here.

`python -m genworkers.evaluation.fingerprints`, after pictures of ours were drawn (`our_pictures.py`).
"""

import argparse
import json
import lzma
import random
from collections.abc import Callable, Sequence
from itertools import combinations, islice
from pathlib import Path

import numpy as np

from genworkers.contract.fingerprints import PICTURE, SAME, TEXT, similarity
from genworkers.evaluation.our_pictures import draw_ours
from genworkers.evaluation.picture_attacks import ATTACKS
from genworkers.evaluation.picture_mark_readings import picture
from genworkers.marks.fingerprint import bands, of_picture, of_text

STORIES = Path("text/instruct-stories.jsonl.xz")
MIN_CHARACTERS = 200
SHARES = (0.5, 0.99, 0.999, 0.9999, 1.0)
EDITED_FRACS = (0.05, 0.1, 0.15, 0.2)
BEGINNING_WORDS = (10, 20, 30, 40, 60, 80, 100)


def edited(text: str, frac: float, words: Sequence[str], chance: random.Random) -> str:
    """A text in which so many of the words are others, drawn from a list."""
    return " ".join(chance.choice(words) if chance.random() < frac else word for word in text.split())


def _row(name: str, own: Sequence[bytes], changed: Sequence[bytes], same: float) -> str:
    """A row of the table: what is left of likeness, who is still the same, who would be found by a band."""
    likeness = np.array([similarity(first, second) for first, second in zip(own, changed, strict=True)])
    found = np.mean([bool(set(bands(first)) & set(bands(second))) for first, second in zip(own, changed, strict=True)])
    return (
        f"| {name} | {np.median(likeness):.3f} | {likeness.min():.3f} | {(likeness >= same).mean():.3f} | {found:.3f} |"
    )


def _between(fingerprints: Sequence[bytes], same: float) -> str:
    """What different things have in common."""
    likeness = np.array([similarity(first, second) for first, second in combinations(fingerprints, 2)])
    quantiles = ", ".join(f"{share}: {np.quantile(likeness, share):.3f}" for share in SHARES)
    return f"{len(likeness)} pairs of different ones: {quantiles}; called the same: {int((likeness >= same).sum())}"


def beginnings(texts: Sequence[str]) -> None:
    """From how many words on texts are told apart, by the beginnings of different ones."""
    print("\n| first words | different ones | pairs called the same | most alike |\n|---|---|---|---|")
    for num_words in BEGINNING_WORDS:
        short = {" ".join(words[:num_words]) for words in map(str.split, texts) if len(words) >= num_words}
        pairs = combinations([of_text(text) for text in short], 2)
        likeness = np.array([similarity(first, second) for first, second in pairs])
        num_same = int((likeness >= SAME[TEXT]).sum())
        print(f"| {num_words} | {len(short)} | {num_same} of {len(likeness)} | {likeness.max():.3f} |")


def main() -> None:
    """Measure pictures, then texts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/marks"), help="where pictures of ours are kept")
    parser.add_argument("--num", type=int, default=600, help="pictures, and texts")
    parser.add_argument("--num-attacked", type=int, default=100)
    options = parser.parse_args()
    head = "| edit | median | least | the same | found by a band |\n|---|---|---|---|---|"

    files = draw_ours(options.out / "ours", options.corpus)
    files = files[:: max(1, len(files) // options.num)][: options.num]
    own = [of_picture(picture(path)) for path in files]
    chosen = random.Random(0).sample(range(len(files)), min(options.num_attacked, len(files)))
    print(f"Pictures, the same from {SAME[PICTURE]}\n\n{head}")
    chance = np.random.default_rng(0)
    for name, attack in ATTACKS.items():
        changed = [of_picture(np.ascontiguousarray(attack(picture(files[index]), chance))) for index in chosen]
        print(_row(name, [own[index] for index in chosen], changed, SAME[PICTURE]))
    print(f"\n{_between(own, SAME[PICTURE])}\n\nTexts, the same from {SAME[TEXT]}\n\n{head}")

    with lzma.open(options.corpus / STORIES, "rt", encoding="utf-8") as lines:
        answers = (json.loads(line)["response"] for line in lines)
        texts = list(islice((text for text in answers if len(text) >= MIN_CHARACTERS), options.num))
    own = [of_text(text) for text in texts]
    words, dice = " ".join(texts).split(), random.Random(0)
    edits: dict[str, Callable[[str], str]] = {
        f"{100 * frac:.0f} % of the words": lambda text, frac=frac: edited(text, frac, words, dice)  # type: ignore[misc]
        for frac in EDITED_FRACS
    }
    edits["the first half"] = lambda text: text[: len(text) // 2]
    for name, edit in edits.items():
        print(_row(name, own, [of_text(edit(text)) for text in texts], SAME[TEXT]))
    print(f"\n{_between(own, SAME[TEXT])}")
    beginnings(texts)


if __name__ == "__main__":
    main()
