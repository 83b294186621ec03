"""Renders one chat template in a process of its own: started by `chat_template.py`, imports nothing of ours.

A template is code that came with somebody's weights. Jinja's sandbox keeps it from the interpreter; that it runs
for ever or fills the memory, only a process that can be killed prevents. One JSON line in, one JSON line out.
"""

import json
import resource
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

MEMORY_BYTES = 512 * 1024 * 1024
MAX_CHARS = 4_000_000
# What running somebody's template can raise; the last two when it is nested too deeply or grows too large.
TEMPLATE_ERRORS = (
    TemplateError,
    TypeError,
    ValueError,
    LookupError,
    ArithmeticError,
    AttributeError,
    SyntaxError,
    RecursionError,
    MemoryError,
)


class GenerationBlock(Extension):
    """Reads `{% generation %}...{% endgeneration %}`, which marks what an assistant wrote, as what stands in it."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Jinja's hook: the statements up to the closing tag."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def environment() -> ImmutableSandboxedEnvironment:
    """Jinja as the published chat templates expect it: the settings and names of the transformers package."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationBlock, loopcontrols]
    )
    made.filters["tojson"] = _to_json
    made.globals["raise_exception"] = _raise_exception
    made.globals["strftime_now"] = _strftime_now
    return made


def renderer(template: str, variables: dict[str, str]) -> Callable[[list[dict[str, str]]], str]:
    """A function from messages (`role`, `content`) to the text that the net continues.

    Raises:
        TemplateError: the template is not Jinja.
    """
    compiled = environment().from_string(template)

    def render(messages: list[dict[str, str]]) -> str:
        pieces: list[str] = []
        num_chars = 0
        for piece in compiled.generate(
            **variables, messages=messages, tools=None, documents=None, add_generation_prompt=True
        ):
            num_chars += len(piece)
            if num_chars > MAX_CHARS:
                raise TemplateError(f"it wrote more than {MAX_CHARS} characters")
            pieces.append(piece)
        return "".join(pieces)

    return render


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def main() -> None:
    """The first line is the template and its variables, each further one a list of conversations to render."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    render: Callable[[list[dict[str, str]]], str] | None = None
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any]
        try:
            if render is None:
                render = renderer(request["template"], request["variables"])
                answer = {"texts": []}
            else:
                answer = {"texts": [render(messages) for messages in request["conversations"]]}
        except TEMPLATE_ERRORS as error:
            words = "it takes more memory than it may have" if isinstance(error, MemoryError) else str(error)
            answer = {"error": f"{type(error).__name__}: {words}"[:500]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
