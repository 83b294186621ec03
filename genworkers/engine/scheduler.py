"""Who goes first on the device, one net at a time. No tensors here.

Every step reads at most `step_tokens`: one token of everybody who writes, and of the prompts what is left, shared
between users. Three rules keep it fair:

* A free place goes to the user who holds fewest, then to the one who has waited longest for a turn.
* Where no place or block is free, the newest sequence of the user who holds most gives way, if that user keeps at
  least as many as the newcomer then has. It waits at the front of its user's line and loses no word.
* Whoever is next and does not fit yet is not passed by others.

So the oldest sequence of all is never made to wait for a newer one once it runs, and nobody starves.
"""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic

from genworkers.engine.blocks import BlockPool, Chain
from genworkers.engine.config import EngineConfig
from genworkers.engine.sequence import Draw, TextSequence


@dataclass(slots=True)
class Chunk(Generic[Draw]):
    """Tokens start..end-1 of a sequence, to be read in this step."""

    sequence: TextSequence[Draw]
    start: int
    end: int

    @property
    def is_last(self) -> bool:
        """Whether the next token can be drawn after it."""
        return self.end == len(self.sequence.ids)


class Scheduler(Generic[Draw]):
    """Moves sequences from waiting to running and out again, and plans each step.

    Args:
        config: how much a step does.
        pool: the blocks of the net's cache.
    """

    def __init__(self, config: EngineConfig, pool: BlockPool) -> None:
        self._config = config
        self.pool = pool
        self.running: list[TextSequence[Draw]] = []  # in the order they were admitted
        self._lines: dict[str, deque[TextSequence[Draw]]] = {}  # whose turn is next stands first
        self._num_running_of: Counter[str] = Counter()
        self._num_added = 0
        self.num_preemptions = 0

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits and nobody runs."""
        return not self._lines and not self.running

    @property
    def waiting(self) -> Iterator[TextSequence[Draw]]:
        """Those who hold nothing of the device."""
        for line in self._lines.values():
            yield from line

    @property
    def num_waiting(self) -> int:
        """How many wait; may be asked from any thread."""
        return sum(len(line) for line in list(self._lines.values()))

    def num_waiting_of(self, user: str) -> int:
        """How many of one user wait; may be asked from any thread."""
        return len(self._lines.get(user, ()))

    def add(self, sequence: TextSequence[Draw]) -> None:
        """Queue a sequence behind its user's others.

        Raises:
            ValueError: it can come to need more positions than the whole cache has.
        """
        num_positions = self.pool.num_blocks * self.pool.block_tokens
        if sequence.most_tokens > num_positions:
            raise ValueError(f"a sequence of {sequence.most_tokens} tokens never fits a cache of {num_positions}")
        self._num_added += 1
        sequence.arrival = self._num_added
        self._lines.setdefault(sequence.user, deque()).append(sequence)

    def remove(self, sequence: TextSequence[Draw]) -> None:
        """Forget a sequence that has ended, wherever it stands; what it held is free at once."""
        if sequence in self.running:
            self._stop(sequence)
        elif sequence in (line := self._lines.get(sequence.user, deque())):
            line.remove(sequence)
            self._drop_empty_line(sequence.user)

    def plan(self) -> list[Chunk[Draw]]:
        """Admit who may come in, then say what the next step reads."""
        self._grow()
        self._admit()
        chunks: list[Chunk[Draw]] = []
        readers: dict[str, list[TextSequence[Draw]]] = {}
        begun: set[tuple[Chain, tuple[int, ...]]] = set()
        for sequence in self.running:
            num_tokens = len(sequence.ids)
            if num_tokens - sequence.num_read > 1 and not self._join(sequence, begun):
                continue
            if num_tokens - sequence.num_read == 1:
                chunks.append(Chunk(sequence, num_tokens - 1, num_tokens))
            else:
                readers.setdefault(sequence.user, []).append(sequence)
        budget_tokens = self._config.step_tokens - len(chunks)
        wishes = sorted((sum(one.num_unread for one in own), user) for user, own in readers.items())
        for position, (wish_tokens, user) in enumerate(wishes):  # who wants less than a share leaves the rest to others
            share_tokens = min(wish_tokens, budget_tokens // (len(wishes) - position))
            budget_tokens -= share_tokens
            for sequence in readers[user]:
                num_read = min(share_tokens, sequence.num_unread)
                if num_read:
                    chunks.append(Chunk(sequence, sequence.num_read, sequence.num_read + num_read))
                    share_tokens -= num_read
        return chunks

    def advance(self, chunk: Chunk[Draw]) -> None:
        """Note that a chunk is in the cache now."""
        sequence = chunk.sequence
        sequence.num_read = chunk.end
        if chunk.end // self.pool.block_tokens > sequence.table.num_known:
            self.pool.keep(sequence.table, sequence.ids, chunk.end)

    def _join(self, sequence: TextSequence[Draw], begun: set[tuple[Chain, tuple[int, ...]]]) -> bool:
        """Take what others have read of the same beginning; False if somebody is reading the next block just now."""
        table, size = sequence.table, self.pool.block_tokens
        is_at_border = sequence.num_read == table.num_known * size
        if is_at_border:
            num_before, sequence.num_read = sequence.num_read, self.pool.reuse(table, sequence.ids)
            if not sequence.num_tokens:
                sequence.num_cached_tokens += sequence.num_read - num_before
        if (table.num_known + 1) * size >= len(sequence.ids):
            return True
        key = self.pool.next_key(table, sequence.ids)
        if key in begun and is_at_border:
            return False
        begun.add(key)
        return True

    def _grow(self) -> None:
        """Make room for the next token of everybody who runs."""
        size = self.pool.block_tokens
        for sequence in [one for one in self.running if len(one.ids) > len(one.table.blocks) * size]:
            # Who has just been preempted, perhaps for itself, holds no blocks any more.
            while sequence.table.blocks and not self.pool.reserve(sequence.table, len(sequence.ids)):
                self._preempt(self._newest_of_greediest())

    def _admit(self) -> None:
        while self._lines:
            user = min(self._lines, key=self._num_running_of.__getitem__)
            line = self._lines[user]
            sequence = line[0]
            if not self._make_room(sequence):
                return
            line.popleft()
            self._drop_empty_line(user)
            if line:  # the next turn is somebody else's
                self._lines[user] = self._lines.pop(user)
            self.running.append(sequence)
            self._num_running_of[user] += 1
            if not sequence.num_tokens:
                sequence.num_cached_tokens = sequence.num_read

    def _make_room(self, sequence: TextSequence[Draw]) -> bool:
        """Give a waiting sequence all blocks that it needs now, if there is a place for it."""
        sequence.num_read = self.pool.reuse(sequence.table, sequence.ids)
        while True:
            # One block is left to each who runs: otherwise the newcomer would be the first to give way again.
            num_blocks = self.pool.num_missing(sequence.table, len(sequence.ids)) + len(self.running)
            if len(self.running) < self._config.max_running and num_blocks <= self.pool.num_available:
                return self.pool.reserve(sequence.table, len(sequence.ids))
            if max(self._num_running_of.values(), default=0) < self._num_running_of[sequence.user] + 2:
                self.pool.release(sequence.table)
                sequence.num_read = 0
                return False
            self._preempt(self._newest_of_greediest())

    def _newest_of_greediest(self) -> TextSequence[Draw]:
        """The newest running sequence of the user who has most of them running."""
        most = max(self._num_running_of.values())
        greediest = [one for one in self.running if self._num_running_of[one.user] == most]
        return max(greediest, key=lambda one: one.arrival)

    def _preempt(self, sequence: TextSequence[Draw]) -> None:
        """Send a running sequence back to wait; what it has written is read again later."""
        self._stop(sequence)
        self.num_preemptions += 1
        self._lines.setdefault(sequence.user, deque()).appendleft(sequence)

    def _stop(self, sequence: TextSequence[Draw]) -> None:
        self.running.remove(sequence)
        self._num_running_of[sequence.user] -= 1
        if not self._num_running_of[sequence.user]:
            del self._num_running_of[sequence.user]
        self.pool.release(sequence.table)
        sequence.num_read = 0

    def _drop_empty_line(self, user: str) -> None:
        if not self._lines[user]:
            del self._lines[user]
