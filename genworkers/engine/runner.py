"""One step of one net: let go of who must stop, read what the scheduler says, write a token for whoever is ready."""

import logging

import torch
from torch import Tensor

from genworkers.engine.drawing import Drawing, accept, draw_tokens
from genworkers.engine.energy import Watch
from genworkers.engine.errors import EngineError
from genworkers.engine.loaded_nets import ServedNet
from genworkers.engine.sequence import TextSequence
from genworkers.nets.paged_decoder import Piece

logger = logging.getLogger(__name__)

Row = TextSequence[Drawing]


def drop_stopped(net: ServedNet, *, with_waiting: bool) -> int:
    """End those who were cancelled or have no time left.

    Args:
        with_waiting: ask those who wait as well, not only those who run.

    Returns:
        How many have ended.
    """
    candidates = [*net.scheduler.running, *(net.scheduler.waiting if with_waiting else ())]
    num_ended = 0
    for sequence in candidates:
        reason = sequence.ticket.stop_reason
        if reason is not None:
            sequence.end("cancelled" if reason == "cancelled" else "deadline")
            _forget(net, sequence)
            num_ended += 1
    return num_ended


def run_step(net: ServedNet, watch: Watch) -> int:
    """Read and write once for everybody whose turn it is.

    Args:
        watch: tells what was spent since the last step, which is put down to this one's requests by their tokens.

    Returns:
        How many have ended.
    """
    scheduler = net.scheduler
    chunks = scheduler.plan()
    if not chunks:
        return 0
    pieces = [
        Piece(
            ids=chunk.sequence.ids[chunk.start : chunk.end],
            start=chunk.start,
            blocks=chunk.sequence.table.blocks,
            wants_logits=chunk.is_last,
            adapter=chunk.sequence.table.adapter,
        )
        for chunk in chunks
    ]
    try:
        with net.device:
            logits = net.loaded.decoder.read(pieces)  # (M, V)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        _run_out_of_memory(net)
        return 1
    token_j = watch.lap() / sum(len(piece.ids) for piece in pieces)
    for chunk in chunks:
        scheduler.advance(chunk)
        chunk.sequence.ticket.spend(token_j * (chunk.end - chunk.start))
    writers = [chunk.sequence for chunk in chunks if chunk.is_last]
    return _write(net, writers, logits[:, : net.loaded.codec.vocab_size]) if writers else 0


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on a CPU."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def _write(net: ServedNet, writers: list[Row], logits: Tensor) -> int:
    num_ended = 0
    for sequence, choice in zip(writers, draw_tokens(logits, writers), strict=True):
        error = choice if isinstance(choice, EngineError) else accept(sequence, choice)
        if error is not None:
            sequence.ticket.fail(error)
        if error is not None or sequence.finish_reason is not None:
            _forget(net, sequence)
            num_ended += 1
    net.num_written_tokens += len(writers)
    return num_ended


def _forget(net: ServedNet, sequence: Row) -> None:
    net.num_cached_tokens += sequence.num_cached_tokens
    net.scheduler.remove(sequence)


def _run_out_of_memory(net: ServedNet) -> None:
    """The newest goes; what the others were to read is read again at the next step."""
    logger.warning("out of memory with %d sequences on the device", len(net.scheduler.running))
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    newest = max(net.scheduler.running, key=lambda sequence: sequence.arrival)
    newest.ticket.fail(
        EngineError(
            "out_of_memory",
            "The device ran out of memory. Ask for fewer tokens, or let the operator lower max_running.",
            may_retry=True,
        )
    )
    _forget(net, newest)
