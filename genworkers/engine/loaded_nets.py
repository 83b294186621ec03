"""Which nets are in memory: loaded when first asked for, one at a time, the least recently used idle one gives way."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from genworkers.engine.blocks import BlockPool
from genworkers.engine.config import EngineConfig
from genworkers.engine.drawing import Drawing
from genworkers.engine.errors import EngineError
from genworkers.engine.net_source import LoadedNet, NetFacts, NetSource
from genworkers.engine.scheduler import Scheduler
from genworkers.engine.sequence import TextStep
from genworkers.engine.ticket import Ticket


@dataclass(eq=False)
class ServedNet:
    """A net in memory and who writes with it.

    Args:
        device: held while the decoder is at work or is changed.
        adapters: those that the decoder knows, each under its name and the beginning of its sha256.
        num_users: requests that hold the net in memory.
        is_leaving: somebody waits for its memory; no new request is let in.
    """

    facts: NetFacts
    loaded: LoadedNet
    scheduler: Scheduler[Drawing]
    device: threading.Lock = field(default_factory=threading.Lock)
    adapters: set[str] = field(default_factory=set)
    num_users: int = 0
    is_leaving: bool = False
    num_prompt_tokens: int = 0
    num_cached_tokens: int = 0
    num_written_tokens: int = 0

    @property
    def num_bytes(self) -> int:
        """Memory of weights and cache."""
        return self.loaded.decoder.weights_bytes + self.loaded.decoder.cache_bytes


class LoadedNets:
    """The nets in memory, within the budget; safe to call from any thread."""

    def __init__(self, source: NetSource, config: EngineConfig) -> None:
        self._source = source
        self._config = config
        self._nets: OrderedDict[tuple[str, str], ServedNet] = OrderedDict()  # least recently used first
        self._changed = threading.Condition()
        self._turn = threading.Lock()  # whose net is being loaded
        self._is_closed = False

    @property
    def nets(self) -> list[ServedNet]:
        """Those in memory now."""
        with self._changed:
            return list(self._nets.values())

    def borrow(self, name: str, ticket: Ticket[TextStep]) -> ServedNet | None:
        """The net, loaded if it was not, to be given back; None when the ticket ends before there is room for it.

        Raises:
            EngineError: `net_not_loaded`, `net_broken`, `net_too_large` or `engine_closed`.
        """
        facts = self._source.facts_of(name)
        net = self._borrow_loaded(facts)
        if net is not None:
            return net
        budget_bytes = self._config.memory_budget_bytes
        if facts.num_bytes > budget_bytes:
            raise EngineError(
                "net_too_large",
                f"The net {name!r} takes {facts.num_bytes / 2**20:,.0f} MB with its cache and the text worker may use "
                f"{budget_bytes / 2**20:,.0f} MB. Raise TESSERA_TEXT_MEMORY_GB, or choose a smaller net.",
            )
        if not self._turn.acquire(timeout=ticket.left_s):
            return None
        try:
            net = self._borrow_loaded(facts)
            if net is not None:
                return net
            self._drop_replaced(name)
            if not self._make_room(facts.num_bytes, ticket):
                return None
            loaded = self._source.load(name)
            pool = BlockPool(loaded.decoder.num_blocks, loaded.decoder.block_tokens)
            net = ServedNet(facts, loaded, Scheduler(self._config, pool), num_users=1)
            with self._changed:
                self._nets[name, facts.sha256] = net
            return net
        finally:
            self._turn.release()

    def give_back(self, net: ServedNet, num_requests: int = 1) -> None:
        """So many requests less hold the net."""
        with self._changed:
            net.num_users -= num_requests
            if not net.num_users:
                self._changed.notify_all()

    def adapter(self, net: ServedNet, name: str) -> str:
        """What the net's decoder calls the adapter, which is loaded if it was not; "" for none.

        Raises:
            EngineError: `adapter_unknown` or `adapter_broken`.
        """
        if not name:
            return ""
        base = net.facts.name
        installed = self._source.adapters_of(base)
        if name not in installed:
            known = ", ".join(sorted(installed)) or "none is installed"
            raise EngineError("adapter_unknown", f"The net {base!r} has no adapter {name!r}. It has: {known}.")
        key = f"{name}@{installed[name][:16]}"  # one that is trained again is another one
        if key in net.adapters:
            return key
        with self._turn:
            if key not in net.adapters:
                adapter = self._source.load_adapter(base, name)
                try:
                    with net.device:
                        net.loaded.decoder.add_adapter(key, adapter.tensors, adapter.scale)
                except ValueError as error:
                    raise EngineError(
                        "adapter_broken", f"The adapter {name!r} does not fit the net {base!r}: {error}."
                    ) from error
                net.adapters.add(key)
        return key

    def close(self) -> None:
        """Let go of everything and of everybody who waits for room."""
        with self._changed:
            self._is_closed = True
            self._nets.clear()
            self._changed.notify_all()

    def _borrow_loaded(self, facts: NetFacts) -> ServedNet | None:
        key = facts.name, facts.sha256
        with self._changed:
            self._refuse_if_closed()
            net = self._nets.get(key)
            if net is None or net.is_leaving:
                return None
            net.num_users += 1
            net.facts = facts
            self._nets.move_to_end(key)
            return net

    def _drop_replaced(self, name: str) -> None:
        """Forget idle nets of a name under which something else is installed now."""
        with self._changed:
            for key in [key for key, net in self._nets.items() if key[0] == name and not net.num_users]:
                del self._nets[key]

    def _make_room(self, num_bytes: int, ticket: Ticket[TextStep]) -> bool:
        """Let idle nets go until so much more fits; False when the ticket ends first."""
        with self._changed:
            try:
                while sum(net.num_bytes for net in self._nets.values()) + num_bytes > self._config.memory_budget_bytes:
                    idle = next((key for key, net in self._nets.items() if not net.num_users), None)
                    if idle is not None:
                        del self._nets[idle]
                        continue
                    if ticket.stop_reason is not None:
                        return False
                    next(iter(self._nets.values())).is_leaving = True
                    self._changed.wait(ticket.left_s)
                    self._refuse_if_closed()
                return True
            finally:
                for net in self._nets.values():
                    net.is_leaving = False

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise EngineError("engine_closed", "The text engine was stopped. Try again.", may_retry=True)
