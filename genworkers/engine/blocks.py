"""Which blocks of a net's cache belong to whom, and which full ones are worth keeping for the next who begins alike.

Only full blocks are shared, and those never change again, so nothing is ever copied. No tensors here.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Chain: TypeAlias = int | str


@dataclass(slots=True, eq=False)
class BlockTable:
    """The cache blocks of one sequence.

    Args:
        adapter: keys and values are the same only under the same adapter.
        blocks: in order of position.
        num_known: how many of the first blocks are full and can be found by others.
        chain: names everything before the next block: the adapter at first, then a number for each different
            content, so that equal numbers mean equal tokens from the first position on.
    """

    adapter: str = ""
    blocks: list[int] = field(default_factory=list)
    num_known: int = 0
    chain: Chain = field(init=False)

    def __post_init__(self) -> None:
        """Begin the chain."""
        self.chain = self.adapter


class BlockPool:
    """Hands out blocks, counts their owners, and finds full ones again by what they hold.

    A full block is filed under the chain before it and its own tokens, which are compared on every hit: a prefix is
    never taken for another. Blocks without an owner stay findable until their room is needed, least recently used
    first; of one text the last go first.

    Args:
        num_blocks: in all.
        block_tokens: positions that one block holds.
    """

    def __init__(self, num_blocks: int, block_tokens: int) -> None:
        self.num_blocks = num_blocks
        self.block_tokens = block_tokens
        self._num_owners = [0] * num_blocks
        self._free = list(range(num_blocks - 1, -1, -1))
        self._idle: OrderedDict[int, None] = OrderedDict()  # findable, without an owner, oldest first
        self._found_by: dict[tuple[Chain, tuple[int, ...]], int] = {}
        self._key_of: dict[int, tuple[Chain, tuple[int, ...]]] = {}
        self._chain_after: dict[int, int] = {}
        self._last_chain = 0

    @property
    def num_available(self) -> int:
        """Blocks that can be taken now."""
        return len(self._free) + len(self._idle)

    @property
    def num_findable(self) -> int:
        """Full blocks that the next who begins alike can share."""
        return len(self._found_by)

    def num_missing(self, table: BlockTable, num_tokens: int) -> int:
        """How many blocks the table lacks for so many positions."""
        return max(0, -(-num_tokens // self.block_tokens) - len(table.blocks))

    def next_key(self, table: BlockTable, ids: Sequence[int]) -> tuple[Chain, tuple[int, ...]]:
        """What the block after the known ones is filed under once it is full."""
        start = table.num_known * self.block_tokens
        return table.chain, tuple(ids[start : start + self.block_tokens])

    def reuse(self, table: BlockTable, ids: Sequence[int]) -> int:
        """Let the table share the next blocks as far as somebody has filled them with the same tokens.

        Args:
            table: of a sequence whose tokens have been read up to its last known block and no further.
            ids: all tokens of the sequence; the last is left to be read, since its logits are wanted.

        Returns:
            How many positions the known blocks hold.
        """
        while (table.num_known + 1) * self.block_tokens < len(ids):
            block = self._found_by.get(self.next_key(table, ids))
            if block is None:
                break
            self._share(table, block)
        return table.num_known * self.block_tokens

    def reserve(self, table: BlockTable, num_tokens: int) -> bool:
        """Give the table room for so many positions; False, and nothing changed, when too few blocks are available."""
        num_missing = self.num_missing(table, num_tokens)
        if num_missing > self.num_available:
            return False
        table.blocks.extend(self._take() for _ in range(num_missing))
        return True

    def keep(self, table: BlockTable, ids: Sequence[int], num_read: int) -> None:
        """Make the blocks findable that are full, now that the first num_read tokens have been read."""
        while (table.num_known + 1) * self.block_tokens <= num_read:
            key = self.next_key(table, ids)
            block = self._found_by.get(key)
            if block is not None:  # two have read the same at the same time: one copy is enough
                self._share(table, block)
                continue
            block = table.blocks[table.num_known]
            self._last_chain += 1
            self._found_by[key], self._key_of[block], self._chain_after[block] = block, key, self._last_chain
            table.chain = self._last_chain
            table.num_known += 1

    def release(self, table: BlockTable) -> None:
        """Take the table's blocks back; the full ones stay findable for a while."""
        for block in reversed(table.blocks):
            self._disown(block)
        table.blocks.clear()
        table.num_known, table.chain = 0, table.adapter

    def _share(self, table: BlockTable, block: int) -> None:
        """Put a findable block at the table's next place, in exchange for its own if it has one there."""
        if not self._num_owners[block]:
            del self._idle[block]
        self._num_owners[block] += 1
        if table.num_known < len(table.blocks):
            self._disown(table.blocks[table.num_known])
            table.blocks[table.num_known] = block
        else:
            table.blocks.append(block)
        table.chain = self._chain_after[block]
        table.num_known += 1

    def _take(self) -> int:
        if self._free:
            block = self._free.pop()
        else:
            block, _ = self._idle.popitem(last=False)
            del self._found_by[self._key_of.pop(block)], self._chain_after[block]
        self._num_owners[block] = 1
        return block

    def _disown(self, block: int) -> None:
        self._num_owners[block] -= 1
        if self._num_owners[block]:
            return
        if block in self._key_of:
            self._idle[block] = None
        else:
            self._free.append(block)
