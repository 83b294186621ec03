"""Draws the tree of docs/ARCHITECTURE.md from the folders that exist and the modules' own first lines.

`make tree` writes it; tests/architecture/test_documents.py fails when it is no longer true.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "ARCHITECTURE.md"
BEGIN, END = "<!-- tree: `make tree` -->\n```text\n", "```\n<!-- /tree -->\n"
NAME_WIDTH = 26

ROOMS = {
    "webapp": "THE SITE. Starts at urls.py.",
    "webapp/accounts": "who is asking: users, sign-in, API keys",
    "webapp/workspaces": "the tenant: members, roles and the audit log",
    "webapp/safety": "what may be asked and shown: rules, policy and verdicts",
    "webapp/provenance": "what we can prove later: marks and signed credentials",
    "webapp/gallery": "what was made: artifacts and their bytes",
    "webapp/catalog": "what can be used: the nets and their cards",
    "webapp/jobs": "the life of one generation",
    "webapp/review": "who decides about what is held: queue, decisions, appeals",
    "webapp/studio": "the pages where people ask",
    "webapp/api": "/api/v1",
    "webapp/api/openai": "/v1, which speaks OpenAI's API",
    "genworkers": "THE WORKERS. Starts at worker.py.",
    "genworkers/tasks": "THE DOOR: both worlds are seen here only",
    "genworkers/engine": "serving: many requests, one device",
    "genworkers/nets": "torch and nothing else",
    "genworkers/sampling": "pure functions on logits and schedules",
    "genworkers/codecs": "between bytes and numbers",
    "genworkers/marks": "invisible marks and fingerprints: writing and finding them",
    "genworkers/screening": "nets behind the safety verdicts",
    "genworkers/importing": "open checkpoints of other makers, read once and converted",
    "genworkers/training": "run by people, imported by nobody",
    "genworkers/evaluation": "every number on a card comes from here",
    "genworkers/weights": "the house checkpoints: safetensors, manifest.json, card.md",
    "scripts": "WHAT PEOPLE RUN, through the Makefile",
}
IMPLIED = {"__init__.py", "apps.py"}  # the same everywhere
SKIPPED = {"__pycache__", "migrations"}


def first_line(module: Path) -> str:
    """What a module says of itself."""
    docstring = ast.get_docstring(ast.parse(module.read_text())) or ""
    return docstring.partition("\n")[0]


def lines_of(folder: Path, depth: int) -> Iterator[str]:
    """One line per module, then each folder with its own lines, indented by depth."""
    name = str(folder.relative_to(ROOT))
    shown = f"{'  ' * depth}{folder.name}/"
    yield f"{shown:<{NAME_WIDTH}} {ROOMS.get(name, '')}".rstrip()
    for module in sorted(folder.glob("*.py")):
        if module.name not in IMPLIED:
            shown = f"{'  ' * (depth + 1)}{module.name}"
            yield f"{shown:<{NAME_WIDTH}} {first_line(module)}".rstrip()
    for child in sorted(path for path in folder.iterdir() if path.is_dir() and path.name not in SKIPPED):
        if str(child.relative_to(ROOT)) in ROOMS or any(child.rglob("*.py")):
            yield from lines_of(child, depth + 1)


def drawn() -> str:
    """The whole tree, a blank line between the worlds."""
    return "\n\n".join("\n".join(lines_of(ROOT / world, 0)) for world in ("webapp", "genworkers", "scripts")) + "\n"


def written() -> str:
    """The tree that the document shows now."""
    return DOCUMENT.read_text().split(BEGIN)[1].split(END)[0]


def main() -> None:
    """Put the true tree into the document."""
    before, rest = DOCUMENT.read_text().split(BEGIN)
    after = rest.split(END)[1]
    DOCUMENT.write_text(f"{before}{BEGIN}{drawn()}{END}{after}")
    missing = [room for room in ROOMS if not (ROOT / room).is_dir()]
    if missing:
        sys.exit(f"scripts/tree.py names rooms that do not exist: {', '.join(missing)}")


if __name__ == "__main__":
    main()
