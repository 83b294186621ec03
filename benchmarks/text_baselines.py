"""What the text benchmark compares with: `transformers` generate and llama.cpp, with the defaults of each."""

import ctypes
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import llama_cpp
import numpy as np
import torch
from transformers import AutoModelForCausalLM

Ids = list[int]
# llama.cpp reports every layer that it loads.
_SILENT = llama_cpp.llama_log_callback(lambda _level, _text, _user_data: None)


class TransformersWriter:
    """`generate` of the `transformers` package, greedy, with its own cache."""

    def __init__(self, folder: Path, dtype: torch.dtype) -> None:
        self._net = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
        self.weights_bytes = sum(weight.numel() * weight.element_size() for weight in self._net.parameters())

    def write(self, prompt: Ids, num_tokens: int) -> Ids:
        """Exactly so many tokens after the prompt."""
        return self.write_batch([prompt], num_tokens)[0]

    @torch.inference_mode()
    def write_batch(self, prompts: Sequence[Ids], num_tokens: int) -> list[Ids]:
        """A static batch: all prompts equally long, so many tokens after each."""
        ids = torch.tensor(prompts)
        written = self._net.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=num_tokens,
            min_new_tokens=num_tokens,
            pad_token_id=0,
        )
        return [list(row) for row in written[:, ids.shape[1] :].tolist()]

    @torch.inference_mode()
    def read(self, prompt: Ids) -> int:
        """The likeliest token after a prompt."""
        return int(self._net(torch.tensor([prompt]), logits_to_keep=1).logits[0, -1].argmax())


class LlamaCppWriter:
    """llama.cpp through its C interface, without the Python package's own loop.

    It works in a thread of its own: it sets a thread's AMX unit up once and for all, others change that again.

    Args:
        path: of a GGUF file.
        num_sequences: that it can write at once.
        context_tokens: that each of them may have.
        has_exact_attention: keys, values and products in 32 bits instead of llama.cpp's own 16.
    """

    def __init__(
        self,
        path: Path,
        *,
        num_sequences: int,
        num_threads: int,
        context_tokens: int,
        has_exact_attention: bool = False,
    ) -> None:
        llama_cpp.llama_log_set(_SILENT, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self._net = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        if not self._net:
            raise RuntimeError(f"llama.cpp cannot read {path}")
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = context_tokens * num_sequences
        parameters.n_seq_max = num_sequences
        parameters.n_threads = parameters.n_threads_batch = num_threads
        if has_exact_attention:
            parameters.type_k = parameters.type_v = llama_cpp.GGML_TYPE_F32
            parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._context = llama_cpp.llama_init_from_model(self._net, parameters)
        self._thread = ThreadPoolExecutor(1)
        self._vocab_size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._net))
        self._most_tokens = parameters.n_batch
        self._batch = llama_cpp.llama_batch_init(self._most_tokens, 0, 1)
        self.weights_bytes = int(llama_cpp.llama_model_size(self._net))

    def close(self) -> None:
        """Free net and cache."""
        self._thread.shutdown()
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._net)

    def write(self, prompt: Ids, num_tokens: int) -> Ids:
        """Exactly so many tokens after the prompt."""
        return self.write_batch([prompt], num_tokens)[0]

    def write_batch(self, prompts: Sequence[Ids], num_tokens: int) -> list[Ids]:
        """All prompts in one call, then a token of each in every call."""
        return self._thread.submit(self._write_batch, prompts, num_tokens).result()

    def _write_batch(self, prompts: Sequence[Ids], num_tokens: int) -> list[Ids]:
        self._forget()
        rows = [(token, position, of) for of, prompt in enumerate(prompts) for position, token in enumerate(prompt)]
        is_last = [position == len(prompts[of]) - 1 for _, position, of in rows]
        written: list[Ids] = [[token] for token in self._step(rows, is_last)]
        while len(written[0]) < num_tokens:
            rows = [(own[-1], len(prompts[of]) + len(own) - 1, of) for of, own in enumerate(written)]
            for own, token in zip(written, self._step(rows, [True] * len(rows)), strict=True):
                own.append(token)
        return written

    def read(self, prompt: Ids) -> int:
        """The likeliest token after a prompt."""
        return self._thread.submit(self._read, prompt).result()

    def _read(self, prompt: Ids) -> int:
        self._forget()
        rows = [(token, position, 0) for position, token in enumerate(prompt)]
        return self._step(rows, [position == len(prompt) - 1 for position in range(len(prompt))])[0]

    def _forget(self) -> None:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), False)

    def _step(self, rows: Sequence[tuple[int, int, int]], is_wanted: Sequence[bool]) -> Ids:
        """Read (token, position, sequence) rows; the likeliest token after each wanted one."""
        if len(rows) > self._most_tokens:
            raise ValueError(f"at most {self._most_tokens} tokens at once, got {len(rows)}")
        batch = self._batch
        batch.n_tokens = len(rows)
        for index, (token, position, sequence) in enumerate(rows):
            batch.token[index] = token
            batch.pos[index] = position
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = sequence
            batch.logits[index] = is_wanted[index]
        if llama_cpp.llama_decode(self._context, batch):
            raise RuntimeError("llama.cpp could not read the tokens")
        return [self._likeliest(index) for index, wanted in enumerate(is_wanted) if wanted]

    def _likeliest(self, index: int) -> int:
        logits = llama_cpp.llama_get_logits_ith(self._context, index)
        return int(np.ctypeslib.as_array(logits, shape=(self._vocab_size,)).argmax())
