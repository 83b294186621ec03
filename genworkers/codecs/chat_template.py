"""A net's own chat template: Jinja that came with its weights, rendered at arm's length by `chat_renderer.py`."""

import json
import os
import select
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

START_TIMEOUT_S = 30.0
RENDER_TIMEOUT_S = 5.0
MAX_TEMPLATE_CHARS = 200_000

Conversation = Sequence[Mapping[str, str]]


class ChatTemplateError(ValueError):
    """A chat template that is wrong, refuses a conversation, or does not come to an end; the message says which."""


class ChatTemplate:
    """Renders conversations with one template, in one process that is started when it is first needed.

    Args:
        source: the Jinja source.
        variables: what it may name besides `messages` and `add_generation_prompt`: `bos_token`, `eos_token`...

    Raises:
        ChatTemplateError: the source is too long to be a template.
    """

    def __init__(self, source: str, variables: Mapping[str, str]) -> None:
        if len(source) > MAX_TEMPLATE_CHARS:
            raise ChatTemplateError(f"the template has {len(source)} characters, at most {MAX_TEMPLATE_CHARS} are read")
        self.source = source
        self.variables = dict(variables)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stop: weakref.finalize[..., ChatTemplate] | None = None

    def render(self, conversations: Sequence[Conversation]) -> list[str]:
        """The text that the net continues, for each of the conversations.

        Args:
            conversations: lists of `{"role": ..., "content": ...}`.

        Raises:
            ChatTemplateError: the template is wrong, refuses a conversation, takes longer than
                `RENDER_TIMEOUT_S` or more memory than its process may have.
        """
        with self._lock:
            if self._process is None:
                self._start()
            texts: list[str] = self._ask({"conversations": [list(one) for one in conversations]}, RENDER_TIMEOUT_S)
            return texts

    def close(self) -> None:
        """Stop the process; a later `render` starts another."""
        if self._stop is not None:
            self._stop()
        self._process = None

    def _start(self) -> None:
        path = Path(__file__).with_name("chat_renderer.py")
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath},
        )
        self._stop = weakref.finalize(self, _end, self._process)
        self._ask({"template": self.source, "variables": self.variables}, START_TIMEOUT_S)

    def _ask(self, request: Mapping[str, Any], timeout_s: float) -> list[str]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        deadline = time.monotonic() + timeout_s
        answer = bytearray()
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            while not answer.endswith(b"\n"):
                if not select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                    self.close()
                    raise ChatTemplateError(f"the net's chat template did not end within {timeout_s:g} seconds")
                piece = os.read(process.stdout.fileno(), 1 << 20)
                if not piece:
                    raise BrokenPipeError
                answer += piece
        except BrokenPipeError:
            self.close()
            raise ChatTemplateError("the net's chat template took more memory than it may have, or crashed") from None
        told: dict[str, Any] = json.loads(answer)
        if "error" in told:
            raise ChatTemplateError(f"the net's chat template refuses: {told['error']}")
        texts: list[str] = told["texts"]
        return texts


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
