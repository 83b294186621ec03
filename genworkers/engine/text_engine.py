"""The text engine: one thread owns the device and writes for everybody who is there, a token each a step.

Callers use `submit` and read their ticket. Which nets are in memory is decided in `loaded_nets.py`, who goes first in
`scheduler.py`; a step is in `runner.py`; what a request has written so far lives in `sequence.py`.
"""

import logging
import threading
import time
from dataclasses import dataclass
from types import TracebackType

import torch

from genworkers.codecs.text_bpe import TextDecoder
from genworkers.contract.text import TextRequest
from genworkers.engine.blocks import BlockTable
from genworkers.engine.config import EngineConfig
from genworkers.engine.drawing import drawing_for
from genworkers.engine.energy import Meter, Watch
from genworkers.engine.errors import EngineError
from genworkers.engine.loaded_nets import LoadedNets, ServedNet
from genworkers.engine.net_source import NetSource
from genworkers.engine.prompt import prompt_ids
from genworkers.engine.runner import Row, drop_stopped, run_step
from genworkers.engine.sequence import StopStrings, TextSequence, TextStep
from genworkers.engine.ticket import Ticket
from genworkers.marks.keys import MarkKey

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 10.0
# How often those who wait are asked whether they still want to; those who write are asked at every step.
WAITING_CHECK_S = 0.1


@dataclass(frozen=True, slots=True)
class NetStats:
    """What one loaded net is doing.

    Args:
        num_bytes: of weights and cache.
        num_prompt_tokens: of all requests so far; of them num_cached_tokens did not have to be read.
    """

    name: str
    num_bytes: int
    num_running: int
    num_waiting: int
    num_blocks: int
    num_free_blocks: int
    num_prompt_tokens: int
    num_cached_tokens: int
    num_written_tokens: int
    num_preemptions: int


class TextEngine:
    """Serves the text nets of one device.

    Args:
        source: finds and loads nets by name.
        config: how much to hold and to do at once.
        meter: what work costs; all that this process computes while somebody is served is put down to them.
    """

    def __init__(self, source: NetSource, config: EngineConfig, meter: Meter | None = None) -> None:
        self.config = config
        self._meter = meter or Meter()
        self._nets = LoadedNets(source, config)
        self._changed = threading.Condition()
        self._arrived: list[tuple[ServedNet, Row]] = []
        self._at_work: list[ServedNet] = []
        self._next_waiting_check = 0.0
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
        self._nets.close()
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

    def stats(self) -> list[NetStats]:
        """What each net in memory is doing, least recently asked for first."""
        return [
            NetStats(
                name=net.facts.name,
                num_bytes=net.num_bytes,
                num_running=len(net.scheduler.running),
                num_waiting=net.scheduler.num_waiting,
                num_blocks=net.scheduler.pool.num_blocks,
                num_free_blocks=net.scheduler.pool.num_available,
                num_prompt_tokens=net.num_prompt_tokens,
                num_cached_tokens=net.num_cached_tokens,
                num_written_tokens=net.num_written_tokens,
                num_preemptions=net.scheduler.num_preemptions,
            )
            for net in self._nets.nets
        ]

    def load(self, name: str, *, deadline_s: float = 600.0) -> None:
        """Load a net before anybody asks for it.

        Raises:
            EngineError: it is not installed, broken, or too large for the memory.
        """
        net = self._nets.borrow(name, Ticket(deadline_s=deadline_s))
        if net is not None:
            self._nets.give_back(net)

    def submit(
        self, request: TextRequest, *, seed: int, deadline_s: float, user: str, mark_key: MarkKey | None = None
    ) -> Ticket[TextStep]:
        """Queue one text of a request; a net that is not in memory is loaded first, in the caller's thread.

        The same request, seed and key give the same text, whoever shares the device.

        Args:
            request: checked parameters; its own `seed` and `num_texts` are not read.
            seed: 0..2^63-1.
            deadline_s: seconds from now after which the text ends where it is.
            user: whose request it is; users share the device evenly.
            mark_key: whose mark the text carries, see `genworkers/marks/text_mark.py`; None writes it without.

        Returns:
            A ticket whose items are the steps of the text; the last has a finish reason.

        Raises:
            EngineError: `net_not_loaded`, `net_broken`, `net_too_large`, `adapter_unknown`, `adapter_broken`,
                `prompt_too_long`, `prompt_refused`, `logit_bias_unknown`, `schema_unsupported`, `engine_busy`,
                `engine_dead` or `engine_closed`.
        """
        self._refuse_if_not_serving()
        ticket: Ticket[TextStep] = Ticket(deadline_s=deadline_s)
        net = self._nets.borrow(request.net, ticket)
        if net is None:
            ticket.put(TextStep("", 0, "deadline"))
            ticket.finish("deadline")
            return ticket
        try:
            sequence = self._sequence(net, request, ticket, seed=seed, user=user, mark_key=mark_key)
            with self._changed:
                self._refuse_if_not_serving()
                num_waiting = net.scheduler.num_waiting_of(user) + sum(
                    other.user == user and of is net for of, other in self._arrived
                )
                if num_waiting >= self.config.max_waiting:
                    raise EngineError(
                        "engine_busy",
                        f"{self.config.max_waiting} of your requests are waiting already. Try again in a minute.",
                        may_retry=True,
                    )
                self._arrived.append((net, sequence))
                self._changed.notify()
        except BaseException:
            self._nets.give_back(net)
            raise
        return ticket

    def _sequence(
        self,
        net: ServedNet,
        request: TextRequest,
        ticket: Ticket[TextStep],
        *,
        seed: int,
        user: str,
        mark_key: MarkKey | None,
    ) -> Row:
        codec, context_tokens = net.loaded.codec, net.loaded.context_tokens
        ids = prompt_ids(codec, request, context_tokens)
        return TextSequence(
            ids=ids,
            max_tokens=request.max_tokens,
            context_tokens=context_tokens,
            end_ids=codec.end_ids,
            draw=drawing_for(request, seed, ids, codec, mark_key),
            ticket=ticket,
            detokenizer=TextDecoder(codec),
            stops=StopStrings(request.stop),
            user=user,
            table=BlockTable(self._nets.adapter(net, request.adapter)),
        )

    def _refuse_if_not_serving(self) -> None:
        if self._death is not None:
            raise self._death
        if self._is_closing or not self._thread.is_alive():
            raise EngineError("engine_closed", "The text engine is not running. Try again.", may_retry=True)

    def _serve(self) -> None:
        watch = self._meter.watch(time.process_time)
        try:
            while self._take_arrivals(watch):
                self._serve_all(watch)
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

    def _take_arrivals(self, watch: Watch) -> bool:
        """Wait for work and queue it; False when the engine is being closed."""
        with self._changed:
            if not self._at_work:
                self._changed.wait_for(lambda: self._arrived or self._is_closing)
                watch.lap()  # what was spent while nobody was there is nobody's
            arrived, self._arrived = self._arrived, []
            for net, sequence in arrived:
                net.num_prompt_tokens += sequence.num_prompt_tokens
                net.scheduler.add(sequence)
                if net not in self._at_work:
                    self._at_work.append(net)
            return not self._is_closing

    def _fail_everybody(self, error: EngineError) -> None:
        with self._changed:
            self._death = error
            left = [sequence for _, sequence in self._arrived]
            self._arrived.clear()
        for net in self._at_work:
            left += [*net.scheduler.running, *net.scheduler.waiting]
        self._at_work.clear()
        self._nets.close()
        for sequence in left:
            sequence.ticket.fail(error)

    @torch.inference_mode()
    def _serve_all(self, watch: Watch) -> None:
        """One step of every net that has work."""
        now = time.monotonic()
        is_due = now >= self._next_waiting_check
        if is_due:
            self._next_waiting_check = now + WAITING_CHECK_S
        for net in self._at_work:
            num_ended = drop_stopped(net, with_waiting=is_due) + run_step(net, watch)
            if num_ended:
                self._nets.give_back(net, num_ended)
        self._at_work = [net for net in self._at_work if not net.scheduler.is_idle]
