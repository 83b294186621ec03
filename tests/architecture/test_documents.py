"""What the documents say against what the code does: the tree, the variables, the error codes, the event kinds."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from genworkers.contract.events import JobEvent
from scripts import tree
from webapp.env import PREFIX, Environment

ROOT = Path(__file__).resolve().parents[2]


def test_the_tree_is_true() -> None:
    assert tree.written() == tree.drawn(), "run `make tree`"


def test_every_room_is_described_and_exists() -> None:
    assert [room for room in tree.ROOMS if not (ROOT / room).is_dir()] == []


def test_every_module_says_what_lives_in_it_and_every_init_is_empty() -> None:
    modules = [path for world in ("webapp", "genworkers", "scripts", "tests") for path in (ROOT / world).rglob("*.py")]
    inits = {path for path in modules if path.name == "__init__.py"}
    assert [path for path in inits if path.read_text()] == []
    others = [path for path in modules if path not in inits and "migrations" not in path.parts]
    assert [path for path in others if not tree.first_line(path)] == []


def test_no_module_is_named_after_nothing() -> None:
    nothing = {"utils", "helpers", "common", "misc", "managers"}
    assert [
        path
        for world in ("webapp", "genworkers", "scripts")
        for path in (ROOT / world).rglob("*")
        if path.stem in nothing
    ] == []


def test_env_example_lists_every_variable_with_its_description() -> None:
    text = (ROOT / ".env.example").read_text()
    assert re.findall(rf"^#({PREFIX}\w+)=", text, re.MULTILINE) == [
        f"{PREFIX}{name.upper()}" for name in Environment.model_fields
    ]
    for name, field in Environment.model_fields.items():
        assert f"# {field.description}\n#{PREFIX}{name.upper()}=" in text


def error_code_patterns() -> Iterator[str]:
    """Every code that is raised, tabled or written to a row, as a pattern: an f-string's holes match anything."""
    for path in [*(ROOT / "webapp").rglob("*.py"), *(ROOT / "genworkers").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            yield from filter(None, map(pattern_of, code_expressions(node)))


def code_expressions(node: ast.AST) -> list[ast.expr]:
    """The codes in a call, or in a table `..._ERRORS = {status: (code, message)}`."""
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        named = [keyword.value for keyword in node.keywords if keyword.arg in ("code", "error_code")]
        return named + (node.args[:1] if name in ("AppError", "EngineError") else [])
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
        is_table = any(isinstance(target, ast.Name) and target.id.endswith("_ERRORS") for target in node.targets)
        return [row.elts[0] for row in node.value.values if isinstance(row, ast.Tuple)] if is_table else []
    return []


def pattern_of(code: ast.expr) -> str:
    """The regular expression of one code's expression; nothing for a code that is passed on."""
    if isinstance(code, ast.Constant):
        return re.escape(str(code.value))
    if isinstance(code, ast.JoinedStr):
        return "".join(pattern_of(part) or r"\w+" for part in code.values)
    return ""


def test_errors_md_lists_exactly_the_codes_that_can_be_raised() -> None:
    listed = set(re.findall(r"^\| `(\w+)` ", (ROOT / "docs" / "ERRORS.md").read_text(), re.MULTILINE))
    patterns = set(error_code_patterns())
    assert [pattern for pattern in patterns if not any(re.fullmatch(pattern, code) for code in listed)] == []
    assert [code for code in listed if not any(re.fullmatch(pattern, code) for pattern in patterns)] == []


def test_the_browser_handles_every_kind_of_event() -> None:
    union = get_args(get_args(JobEvent)[0])
    kinds = {event.model_fields["kind"].default for event in union}
    handlers = (ROOT / "static" / "js" / "job.js").read_text().split("const handlers = {")[1].split("\n};")[0]
    assert set(re.findall(r"^  (\w+)\(", handlers, re.MULTILINE)) == kinds
