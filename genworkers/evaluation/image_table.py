"""The figures of `image.py` for people: a markdown table of one or several nets, and its place on a card."""

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from genworkers.checkpoints import CARD, MANIFEST, load_manifest
from genworkers.evaluation.composition import TESTS

Figures = dict[str, Any]
SHEET_WORDS = "The first 32 pictures of the exam, none picked"
_BEGIN, _END = "<!-- evaluation -->", "<!-- /evaluation -->"
_TEST_NAMES = {"object": "object", "colour": "colour", "count": "count", "position": "position", "two": "two objects"}
_PART_NAMES = {"seen": "trained concepts", "held_out": "held-out concepts"}


def table(nets: Mapping[str, Figures]) -> str:
    """A markdown table: a row a measure, a column a net, and at the end what real pictures reach.

    Args:
        nets: title to what `image.evaluate` returned, of one exam and one set of judges.

    Raises:
        ValueError: the nets sat different exams.
    """
    first = next(iter(nets.values()))
    if any((each["num"], each["judges"]) != (first["num"], first["judges"]) for each in nets.values()):
        raise ValueError("all nets of a table must have sat the same exam before the same judges")
    rows: list[tuple[str, Callable[[Figures, str], str]]] = [
        ("Fréchet distance (64 features) ↓", lambda f, who: f"{f['distances']['frechet'][who]:.2f}"),
        ("... over real against real ↓", lambda f, who: _ratio(f, who)),
        ("Kernel distance x 1,000 ↓", lambda f, who: _kernel(f["distances"]["kernel"][who])),
        *((f"{name} ↑", _overlap(name)) for name in ("precision", "recall", "density", "coverage")),
        *((f"caption first of {{among}}, {title} ↑", _retrieval(part)) for part, title in _PART_NAMES.items()),
        *(
            (f"{_TEST_NAMES[test]}, {title} ↑", _composition(part, test))
            for part, title in _PART_NAMES.items()
            for test in TESTS
        ),
        *(
            (f"near a training picture: {title}", _near(part))
            for part, title in {
                "seen": "names of trained concepts",
                "held_out": "names of held-out concepts",
                "composition_seen": "compositions",
            }.items()
        ),
    ]
    among = first["retrieval"]["seen"]["ours"]["num_candidates"]
    lines = ["| measure | " + " | ".join([*nets, "real"]) + " |", "|---" * (2 + len(nets)) + "|"]
    for title, show in rows:
        cells = [*(show(figures, "ours") for figures in nets.values()), show(first, "real")]
        lines.append(f"| {title.format(among=among)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def legend(figures: Figures) -> str:
    """What the rows of the table mean, with the numbers of pictures behind them."""
    num, judges = figures["num"], figures["judges"]
    tests = next(iter(figures["composition"].values()))
    return "\n".join(
        [
            f"Styles: {', '.join(figures['styles'])}. "
            f"Drawn: {num['seen']} names of trained concepts, {num['held_out']} of held-out ones, "
            f"{num['composition_seen']} and {num['composition_held_out']} composed prompts "
            f'({tests["object"]["num"]} a test); one picture each, none picked. "Real" is what real pictures of the '
            "same prompts reach under the same judge.",
            "Distances and overlap: names of trained concepts against as many real stickers of other concepts, in the "
            "64 features of a house net (scaled so that they vary by 1 over real ones), so they compare with no other "
            "net's. Captions: name and all keywords, by a "
            "house scorer that shares nothing with the net. Composition: right thing and right colour, count or "
            "place, or both things; in brackets the colour, count, place or number of things alone, whatever they are. "
            "Near a training picture: share of pictures nearer to one (pixels at 32 px) than 95 % of held-out real "
            "stickers are; a net that draws only new things has 5 %.",
            "Judges: " + ", ".join(f"{name} {digest[:12]}" for name, digest in judges.items()) + ".",
        ]
    )


def write_card(folder: Path, figures: Mapping[str, Figures], sheet: Path | None = None) -> None:
    """Put figures into a checkpoint's manifest (`training.measured.evaluation`) and the table on its card.

    Args:
        figures: title to figures: first those of the checkpoint, then those that it is compared with.
        sheet: a file with the first pictures of the exam, to be shown below the table.
    """
    own = next(iter(figures.values()))
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["training"].setdefault("measured", {})["evaluation"] = own
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    load_manifest(folder)
    shown = "" if sheet is None else f"\n\n![{SHEET_WORDS}]({os.path.relpath(sheet, folder)})"
    section = f"{_BEGIN}\n## Evaluation\n\n{table(figures)}\n\n{legend(own)}{shown}\n{_END}"
    card = (folder / CARD).read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(_BEGIN)}.*{re.escape(_END)}", re.DOTALL)
    written = pattern.sub(lambda _: section, card) if pattern.search(card) else f"{card.rstrip()}\n\n{section}\n"
    (folder / CARD).write_text(written, encoding="utf-8")


def _ratio(figures: Figures, who: str) -> str:
    return "1" if who == "real" else f"{figures['distances']['frechet_ratio']:.2f}"


def _kernel(estimate: Mapping[str, float]) -> str:
    return f"{1000 * estimate['mean']:.1f} ± {1000 * estimate['std']:.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _overlap(name: str) -> Callable[[Figures, str], str]:
    return lambda figures, who: f"{figures['overlap'][who][name]:.2f}"


def _retrieval(part: str) -> Callable[[Figures, str], str]:
    return lambda figures, who: _percent(figures["retrieval"][part][who]["at_1"])


def _composition(part: str, test: str) -> Callable[[Figures, str], str]:
    def show(figures: Figures, who: str) -> str:
        answers = figures["composition"][part][test]
        alone = f" ({_percent(answers[f'{who}_attribute'])})" if test != "object" else ""
        return f"{_percent(answers[who])}{alone}"

    return show


def _near(part: str) -> Callable[[Figures, str], str]:
    return lambda figures, who: _percent(
        figures["memorisation"][part]["near_frac" if who == "ours" else "expected_frac"]
    )
