"""Cache blocks: shared only where all tokens before are the same, none lost, none owned twice."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from genworkers.engine.blocks import BlockPool, BlockTable

SIZE = 4


def read_whole(pool: BlockPool, table: BlockTable, ids: list[int]) -> int:
    """Admit, read and file a sequence; how many positions were shared."""
    num_shared = pool.reuse(table, ids)
    assert pool.reserve(table, len(ids))
    pool.keep(table, ids, len(ids))
    return num_shared


def test_full_blocks_of_the_same_beginning_are_shared() -> None:
    pool = BlockPool(16, SIZE)
    first, second = BlockTable(), BlockTable()
    assert read_whole(pool, first, [1, 2, 3, 4, 5, 6, 7, 8, 9]) == 0
    assert read_whole(pool, second, [1, 2, 3, 4, 5, 6, 7, 8, 0, 0]) == 8
    assert first.blocks[:2] == second.blocks[:2]
    assert first.blocks[2] != second.blocks[2]


def test_the_last_token_is_always_left_to_read() -> None:
    pool = BlockPool(16, SIZE)
    read_whole(pool, BlockTable(), list(range(8)))
    assert pool.reuse(BlockTable(), list(range(8))) == 4
    assert pool.reuse(BlockTable(), list(range(9))) == 8


def test_same_block_after_another_beginning_is_not_shared() -> None:
    pool = BlockPool(16, SIZE)
    read_whole(pool, BlockTable(), [1, 1, 1, 1, 5, 6, 7, 8, 9])
    assert pool.reuse(BlockTable(), [2, 2, 2, 2, 5, 6, 7, 8, 9]) == 0
    assert pool.reuse(BlockTable(), [5, 6, 7, 8, 9]) == 0


def test_adapters_do_not_share() -> None:
    pool = BlockPool(16, SIZE)
    read_whole(pool, BlockTable(), list(range(9)))
    assert pool.reuse(BlockTable("pirate"), list(range(9))) == 0
    read_whole(pool, BlockTable("pirate"), list(range(9)))
    assert pool.reuse(BlockTable("pirate"), list(range(9))) == 8


def test_blocks_outlive_their_owner_until_room_is_needed() -> None:
    pool = BlockPool(4, SIZE)
    table = BlockTable()
    read_whole(pool, table, list(range(9)))
    pool.release(table)
    assert (pool.num_available, pool.num_findable) == (4, 2)
    assert pool.reuse(table, list(range(9))) == 8
    pool.release(table)
    other = BlockTable()
    assert pool.reserve(other, 3 * SIZE)
    assert pool.reuse(table, list(range(9))) == 4, "the end of the text goes first"
    assert not pool.reserve(table, 2 * SIZE)
    assert len(table.blocks) == 1, "nothing is taken when not all can be"


def test_least_recently_used_goes_first() -> None:
    pool = BlockPool(3, SIZE)
    texts = [[n] * 5 for n in range(3)]
    for ids in texts:
        table = BlockTable()
        pool.reserve(table, 4)
        pool.keep(table, ids, 4)
        pool.release(table)
    again = BlockTable()
    assert pool.reuse(again, texts[0]) == 4
    pool.release(again)
    pool.reserve(BlockTable(), 4)
    assert [pool.reuse(BlockTable(), ids) for ids in texts] == [4, 0, 4]


def test_two_who_read_the_same_at_once_end_with_one_copy() -> None:
    pool = BlockPool(8, SIZE)
    tables = [BlockTable(), BlockTable()]
    for table in tables:
        pool.reserve(table, 9)
    for table in tables:
        pool.keep(table, list(range(9)), 9)
    assert tables[0].blocks[:2] == tables[1].blocks[:2]
    assert pool.num_available == 8 - 4


def test_one_who_has_begun_can_still_join() -> None:
    pool = BlockPool(8, SIZE)
    ahead, behind = BlockTable(), BlockTable()
    pool.reserve(behind, 12)
    read_whole(pool, ahead, list(range(12)))
    assert pool.reuse(behind, list(range(12))) == 8
    assert behind.blocks[:2] == ahead.blocks[:2]
    assert len(behind.blocks) == 3


ACTIONS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["begin", "read", "end"]), st.lists(st.integers(0, 1), max_size=14)),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(ACTIONS)
def test_no_block_is_lost_or_written_by_two(actions: list[tuple[int, str, list[int]]]) -> None:
    pool = BlockPool(8, SIZE)
    tables = {n: BlockTable(["", "a"][n % 2]) for n in range(4)}
    texts: dict[int, list[int]] = {n: [] for n in range(4)}
    holds: dict[int, tuple[str, tuple[int, ...]]] = {}  # what the device would hold in each block, from the start
    for who, action, ids in actions:
        table = tables[who]
        if action == "begin":
            pool.release(table)
            texts[who] = [*ids, 0]
            num_shared = pool.reuse(table, texts[who])
            for n in range(num_shared // SIZE):
                assert holds[table.blocks[n]] == (table.adapter, tuple(texts[who][: (n + 1) * SIZE]))
        elif action == "read" and pool.reserve(table, len(texts[who])):
            owners = Counter(block for other in tables.values() for block in other.blocks)
            for n in range(table.num_known, len(table.blocks)):
                assert owners[table.blocks[n]] == 1, "a block that is written to has one owner"
                holds[table.blocks[n]] = (table.adapter, tuple(texts[who][: (n + 1) * SIZE]))
            pool.keep(table, texts[who], len(texts[who]))
        elif action == "end":
            pool.release(table)
        owned = {block for other in tables.values() for block in other.blocks}
        assert pool.num_available == pool.num_blocks - len(owned)
    for table in tables.values():
        pool.release(table)
    assert pool.num_available == pool.num_blocks
    everything = BlockTable()
    assert pool.reserve(everything, pool.num_blocks * SIZE)
    assert sorted(everything.blocks) == list(range(pool.num_blocks))
