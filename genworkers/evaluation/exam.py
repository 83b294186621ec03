"""What an image net is asked in an evaluation, and the real pictures that its answers are compared with.

All of it follows from the styles, the sizes and one seed, so that every net gets the same exam.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genworkers.evaluation.composition import Question, make_questions
from genworkers.training.judge_data import STYLES, StickerTable, on_white, read_sticker_table
from genworkers.training.scenes import make_shelf, render
from genworkers.training.sticker_data import is_held_out, load_stickers


@dataclass(frozen=True)
class Sizes:
    """How much is asked.

    Attributes:
        num_seen: names of trained concepts; as many others are the real set that they are compared with.
        num_held_out: names of held-out concepts.
        num_questions: of each compositional test, for seen and for held-out concepts.
    """

    num_seen: int = 1000
    num_held_out: int = 200
    num_questions: int = 50


QUICK = Sizes(num_seen=160, num_held_out=40, num_questions=10)


@dataclass(frozen=True)
class Task:
    """One picture to draw."""

    prompt: str
    style: str
    seed: int


@dataclass(frozen=True)
class Exam:
    """An exam.

    Attributes:
        styles: style name of the net to the corpus set it was trained on.
        seen, held_out: rows of the table whose names are asked for.
        others: rows of trained concepts that are not asked for, as many of each style as `seen`.
        questions: of composition, by "seen" and "held_out".
        question_pictures: the real scenes that answer them, (n, 3, 64, 64) on white.
        tasks: everything to draw: `seen`, `held_out`, then the questions.
    """

    table: StickerTable
    styles: Mapping[str, str]
    seen: Tensor
    held_out: Tensor
    others: Tensor
    questions: Mapping[str, list[Question]]
    question_pictures: Mapping[str, Tensor]
    tasks: tuple[Task, ...]

    @property
    def parts(self) -> dict[str, slice]:
        """Where in `tasks` each part lies: seen, held_out, composition_seen, composition_held_out."""
        lengths = {
            "seen": len(self.seen),
            "held_out": len(self.held_out),
            **{f"composition_{name}": len(own) for name, own in self.questions.items()},
        }
        ends = np.cumsum(list(lengths.values())).tolist()
        return {name: slice(end - length, end) for (name, length), end in zip(lengths.items(), ends, strict=True)}

    def real(self, rows: Tensor) -> Tensor:
        """Real pictures (n, 3, 64, 64) on white."""
        return on_white(self.table.pictures[rows])

    def rows_of(self, *, held_out: bool) -> Tensor:
        """All rows of the net's styles with trained or with held-out concepts."""
        places = torch.tensor([STYLES.index(name) for name in self.styles.values()])
        return (torch.isin(self.table.style, places) & (self.table.is_held_out == held_out)).nonzero()[:, 0]

    def caption(self, row: int) -> str:
        """Everything that is said of a concept, for retrieval: its name and all keywords."""
        caption = self.table.captions[self.table.keys[row]]
        return ", ".join([caption.name, *(word for word in caption.keywords if word != caption.name)])


def make_exam(corpus: Path, cache: Path, styles: Mapping[str, str], sizes: Sizes, seed: int = 0) -> Exam:
    """Choose what to ask.

    The trained concepts fall into two halves: those asked for and the others, so that real against real is measured on
    different concepts as drawn against real is.

    Raises:
        ValueError: a style's set is not in the corpus.
    """
    unknown = sorted(set(styles.values()) - set(STYLES))
    if unknown:
        raise ValueError(f"sets must be among {', '.join(STYLES)}, got {', '.join(unknown)}")
    table = read_sticker_table(corpus, cache)
    random = np.random.default_rng(seed)
    concepts = random.permutation(sorted(set(table.keys))).tolist()
    asked = set(concepts[::2])
    seen, others, held_out = [], [], []
    for set_name in styles.values():
        of_style = (table.style == STYLES.index(set_name)).nonzero()[:, 0].tolist()
        rows = [of_style[place] for place in random.permutation(len(of_style)).tolist()]
        trained = [row for row in rows if not table.is_held_out[row]]
        first = [row for row in trained if table.keys[row] in asked]
        second = [row for row in trained if table.keys[row] not in asked]
        num = min(sizes.num_seen // len(styles), len(first), len(second))
        seen += first[:num]
        others += second[:num]
        held_out += [row for row in rows if table.is_held_out[row]][: sizes.num_held_out // len(styles)]
    questions, pictures = _questions(corpus, cache, table, styles, sizes.num_questions, seed)

    style_of = {STYLES.index(set_name): name for name, set_name in styles.items()}
    tasks = [(table.captions[table.keys[row]].name, style_of[int(table.style[row])]) for row in [*seen, *held_out]]
    set_to_style = {set_name: name for name, set_name in styles.items()}
    tasks += [(one.prompt, set_to_style[one.scene.style]) for own in questions.values() for one in own]
    return Exam(
        table,
        styles,
        torch.tensor(seen),
        torch.tensor(held_out),
        torch.tensor(others),
        questions,
        pictures,
        tuple(Task(prompt, style, seed + number) for number, (prompt, style) in enumerate(tasks)),
    )


def _questions(
    corpus: Path, cache: Path, table: StickerTable, styles: Mapping[str, str], num: int, seed: int
) -> tuple[dict[str, list[Question]], dict[str, Tensor]]:
    """As many questions of each style, for trained and for held-out concepts, and the real scenes that answer them."""
    questions: dict[str, list[Question]] = {"seen": [], "held_out": []}
    pictures: dict[str, list[Tensor]] = {"seen": [], "held_out": []}
    concepts = sorted(set(table.keys))
    for place, set_name in enumerate(styles.values()):
        stickers = load_stickers(corpus, set_name, cache)
        share = num * (place + 1) // len(styles) - num * place // len(styles)
        for name in questions:
            keys = {key for key in stickers.keys if is_held_out(key) == (name == "held_out")}
            own = make_questions(make_shelf(stickers, table.captions, keys), concepts, num=share, seed=seed + place)
            questions[name] += own
            pictures[name] += [torch.from_numpy(render(one.scene, stickers, 64)).permute(2, 0, 1) for one in own]
    return questions, {name: on_white(torch.stack(own)) for name, own in pictures.items()}
