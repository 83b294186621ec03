"""The text engine: one thread owns the net and writes for everybody who is there, a token each a step.

Callers use `submit` and read their ticket. Who goes first is decided in `scheduler.py`, what a request
has written so far lives in `sequence.py`; tensors are met only here.
"""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from genworkers.checkpoints import (
    NET_PART,
    TOKENIZER_PART,
    CheckpointError,
    fill_net,
    load_manifest,
    load_tensors,
    read_part,
)
from genworkers.codecs.text_bpe import TextCodec, TextDecoder
from genworkers.contract import TextRequest
from genworkers.engine.config import EngineConfig
from genworkers.engine.errors import EngineError
from genworkers.engine.scheduler import PromptChunk, Scheduler
from genworkers.engine.sequence import FinishReason, StopStrings, TextSequence, TextStep
from genworkers.engine.ticket import Ticket
from genworkers.nets.decoder import Decoder, DecoderConfig, KeyValueCache
from genworkers.sampling.logits import Sampling, choose_token, uniform_at

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 10.0

Row = TextSequence[Sampling]


class TextEngine:
    """Serves one text net.

    Args:
        net: a decoder in evaluation mode.
        codec: its tokenizer.
        config: how much to do at once.
    """

    def __init__(self, net: Decoder, codec: TextCodec, config: EngineConfig) -> None:
        self.net = net
        self.codec = codec
        self.config = config
        self._cache = KeyValueCache.empty(net.config, config.num_slots, net.dtype)
        self._scheduler: Scheduler[Sampling] = Scheduler(config)
        self._changed = threading.Condition()
        self._arrived: list[Row] = []
        self._is_closing = False
        self._death: EngineError | None = None
        self._thread = threading.Thread(target=self._serve, name="text-engine", daemon=True)

    def start(self) -> None:
        """Start the engine thread."""
        self._thread.start()

    def close(self) -> None:
        """Fail everybody who still waits and stop the thread."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_TIMEOUT_S)

    def __enter__(self) -> "TextEngine":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_alive(self) -> bool:
        """Whether new requests are served."""
        return self._thread.is_alive() and self._death is None and not self._is_closing

    def submit(self, request: TextRequest, *, seed: int, deadline_s: float) -> Ticket[TextStep]:
        """Queue a request.

        The same request and seed give the same text, whoever shares the batch.

        Args:
            request: checked parameters; its own `seed` is not read.
            seed: 0..2^63-1.
            deadline_s: seconds from now after which the text ends where it is.

        Returns:
            A ticket whose items are the steps of the text; the last has a finish reason.

        Raises:
            EngineError: `prompt_too_long`, `engine_busy`, `engine_dead` or `engine_closed`.
        """
        prompt_ids = self.codec.encode_prompt(request.prompt)
        context_tokens = self.net.config.context_tokens
        if len(prompt_ids) >= context_tokens:
            raise EngineError(
                "prompt_too_long",
                f"The prompt has {len(prompt_ids)} tokens and this net reads at most {context_tokens - 1}. "
                "Shorten the prompt.",
            )
        ticket: Ticket[TextStep] = Ticket(deadline_s=deadline_s)
        sequence = TextSequence(
            prompt_ids=prompt_ids,
            max_tokens=request.max_tokens,
            context_tokens=context_tokens,
            end_id=self.codec.end_id,
            seed=seed,
            sampling=Sampling(temperature=request.temperature, top_k=request.top_k, top_p=request.top_p),
            ticket=ticket,
            detokenizer=TextDecoder(self.codec),
            stops=StopStrings(request.stop),
        )
        with self._changed:
            if self._death is not None:
                raise self._death
            if self._is_closing or not self._thread.is_alive():
                raise EngineError("engine_closed", "The text engine is not running. Try again.", may_retry=True)
            if len(self._arrived) + len(self._scheduler.waiting) >= self.config.max_waiting:
                raise EngineError(
                    "engine_busy",
                    f"{self.config.max_waiting} requests are waiting already. Try again in a minute.",
                    may_retry=True,
                )
            self._arrived.append(sequence)
            self._changed.notify()
        return ticket

    def _serve(self) -> None:
        try:
            while self._take_arrivals():
                self._step()
            self._fail_everybody(
                EngineError("engine_closed", "The text engine was stopped. Try again.", may_retry=True)
            )
        except Exception as error:
            logger.exception("the text engine died")
            death = EngineError(
                "engine_dead",
                f"The text engine stopped working ({type(error).__name__}). Restart the text worker and try again.",
                may_retry=True,
            )
            self._fail_everybody(death)

    def _take_arrivals(self) -> bool:
        """Wait for work and queue it; False when the engine is being closed."""
        with self._changed:
            if self._scheduler.is_idle:
                self._changed.wait_for(lambda: self._arrived or self._is_closing)
            for sequence in self._arrived:
                self._scheduler.add(sequence)
            self._arrived.clear()
            return not self._is_closing

    def _fail_everybody(self, error: EngineError) -> None:
        with self._changed:
            self._death = error
            left = [*self._scheduler.sequences, *self._arrived]
            self._arrived.clear()
        for sequence in left:
            sequence.ticket.fail(error)

    @torch.inference_mode()
    def _step(self) -> None:
        """Let go of who must stop, read some prompts, write one token for each writer."""
        for sequence in self._scheduler.sequences:
            reason = sequence.ticket.stop_reason
            if reason is not None:
                self._end(sequence, "cancelled" if reason == "cancelled" else "deadline")
        plan = self._scheduler.plan()
        failed: set[int] = set()
        for chunk in plan.chunks:
            if id(chunk.sequence) not in failed and not self._read(chunk):
                failed.add(id(chunk.sequence))
        if plan.writers:
            self._write(plan.writers)

    def _read(self, chunk: PromptChunk[Sampling]) -> bool:
        """Read a piece of a prompt and, after the last piece, draw the first token; False if memory ran out."""
        sequence = chunk.sequence
        ids = torch.tensor(sequence.prompt_ids[chunk.start : chunk.end])
        try:
            logits = self.net.extend(ids, self._cache, sequence.slot, chunk.start)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self._run_out_of_memory(sequence)
            return False
        sequence.num_read = chunk.end
        if sequence.is_prefilled:
            self._accept(sequence, logits)
        return True

    def _write(self, writers: Sequence[Row]) -> None:
        ids = torch.tensor([sequence.last_token for sequence in writers])
        slots = [sequence.slot for sequence in writers]
        positions = [len(sequence.prompt_ids) + sequence.num_tokens - 1 for sequence in writers]
        try:
            logits = self.net.step(ids, self._cache, slots, positions)  # (B, V)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            # The newest goes; the others write this token again at the next step.
            self._run_out_of_memory(writers[-1])
            return
        for sequence, own_logits in zip(writers, logits, strict=True):
            self._accept(sequence, own_logits)

    def _accept(self, sequence: Row, logits: Tensor) -> None:
        sequence.accept(choose_token(logits, sequence.sampling, uniform_at(sequence.seed, sequence.num_tokens)))
        if sequence.finish_reason is not None:
            self._scheduler.remove(sequence)

    def _end(self, sequence: Row, reason: FinishReason) -> None:
        self._scheduler.remove(sequence)
        sequence.end(reason)

    def _run_out_of_memory(self, sequence: Row) -> None:
        logger.warning("out of memory with %d sequences on the device", len(self._scheduler.running))
        self._scheduler.remove(sequence)
        sequence.ticket.fail(
            EngineError(
                "out_of_memory",
                "The device ran out of memory. Ask for fewer tokens, or let the operator lower num_slots.",
                may_retry=True,
            )
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on a CPU."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def fastest_dtype() -> torch.dtype:
    """bfloat16 where the CPU multiplies it in hardware, else float32."""
    return torch.bfloat16 if torch.cpu.get_capabilities().get("amx_bf16") else torch.float32


def sizes_for(dtype: torch.dtype) -> EngineConfig:
    """Every product runs over all slots: in float32 eight of them would make one writer alone twice as slow."""
    return EngineConfig(num_slots=8 if dtype == torch.bfloat16 else 4)


def load_text_engine(folder: Path, config: EngineConfig | None = None) -> TextEngine:
    """An engine, not yet started, for a checkpoint folder.

    Args:
        config: `sizes_for` what the CPU does well if None.

    Raises:
        CheckpointError: the folder does not hold a whole text net of a family that is served here.
    """
    manifest = load_manifest(folder)
    if (manifest.kind, manifest.family) != ("text", "decoder"):
        raise CheckpointError(folder, f"is a {manifest.kind} net of the family {manifest.family!r}, expected a decoder")
    try:
        net = Decoder(DecoderConfig(**manifest.config))
        codec = TextCodec.from_json(read_part(folder, manifest, TOKENIZER_PART))
    except (TypeError, ValueError) as error:
        raise CheckpointError(folder, f"config or tokenizer is wrong: {error}") from error
    fill_net(net, load_tensors(folder, manifest, NET_PART), path=folder)
    net.to(fastest_dtype())
    return TextEngine(net, codec, config or sizes_for(net.dtype))
