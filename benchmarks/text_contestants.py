"""One net, in memory of everybody who is compared: `transformers`, llama.cpp, our decoder and our engine."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import torch
from gguf import GGMLQuantizationType
from transformers import PreTrainedTokenizerFast

from benchmarks.gguf_net import write_gguf
from benchmarks.text_baselines import LlamaCppWriter, TransformersWriter
from benchmarks.text_nets import Shape, prompt_of, save_net, tokenizer_of
from benchmarks.text_ours import BareWriter, EngineWriter
from genworkers.engine.config import Precision
from genworkers.importing.add_net import add_net

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "int8")
TRANSFORMERS_FLOAT32, LLAMA_F32, LLAMA_Q8 = "transformers float32", "llama.cpp F32", "llama.cpp Q8_0"
TRANSFORMERS = {TRANSFORMERS_FLOAT32: torch.float32, "transformers bfloat16": torch.bfloat16}
LLAMA_CPP = {LLAMA_F32: GGMLQuantizationType.F32, LLAMA_Q8: GGMLQuantizationType.Q8_0}
CROWD = 16
LLAMA_CPP_CONTEXT_TOKENS = 640


class Contestants:
    """Saves the net of a shape in a folder and loads it for everybody; close it to have the memory back."""

    def __init__(self, shape: Shape, folder: Path, num_threads: int) -> None:
        source = folder / shape.name
        save_net(shape, source)
        ours = add_net(source, folder / "ours", f"llama-{shape.name.lower()}").folder
        self._tokenizer: PreTrainedTokenizerFast = tokenizer_of(shape.vocab_size)
        self._closing = ExitStack()
        self.baselines: dict[str, TransformersWriter | LlamaCppWriter] = {
            name: TransformersWriter(source, dtype) for name, dtype in TRANSFORMERS.items()
        }
        self._gguf = {name: source / f"{kind.name}.gguf" for name, kind in LLAMA_CPP.items()}
        for name, kind in LLAMA_CPP.items():
            write_gguf(source, self._gguf[name], kind)
            self.baselines[name] = self._llama_cpp(name, num_threads)
        self.decoders = {f"decoder {precision}": BareWriter(ours, precision, num_threads) for precision in PRECISIONS}
        self.engines = {f"engine {precision}": EngineWriter(ours, precision, num_threads) for precision in PRECISIONS}
        for engine in self.engines.values():
            self._closing.callback(engine.close)

    def __enter__(self) -> "Contestants":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def _llama_cpp(self, name: str, num_threads: int, *, has_exact_attention: bool = False) -> LlamaCppWriter:
        writer = LlamaCppWriter(
            self._gguf[name],
            num_sequences=CROWD,
            num_threads=num_threads,
            context_tokens=LLAMA_CPP_CONTEXT_TOKENS,
            has_exact_attention=has_exact_attention,
        )
        self._closing.callback(writer.close)
        return writer

    def num_agreeing(self, prompt: Sequence[int], num_tokens: int) -> dict[str, int]:
        """How many of the first greedy tokens each writer has in common with `transformers` in float32."""
        exact = self._llama_cpp(LLAMA_F32, 1, has_exact_attention=True)
        texts = {
            name: writer.write(list(prompt), num_tokens)
            for name, writer in {**self.writers, f"{LLAMA_F32} with 32-bit attention": exact}.items()
        }
        expected = texts.pop(TRANSFORMERS_FLOAT32)
        return {name: num_equal(expected, text) for name, text in texts.items()}

    @property
    def writers(self) -> dict[str, TransformersWriter | LlamaCppWriter | BareWriter]:
        """Those that take and give token ids."""
        return {**self.baselines, **self.decoders}

    def prompt_ids(self, num_tokens: int, seed: int) -> list[int]:
        """The ids of `prompt_of`."""
        return [int(token) for token in self._tokenizer(prompt_of(num_tokens, seed)).input_ids]


def num_equal(expected: Sequence[int], written: Sequence[int]) -> int:
    """How many tokens are the same before the first that is not."""
    pairs = enumerate(zip(expected, written, strict=True))
    return next((index for index, (one, other) in pairs if one != other), len(expected))
