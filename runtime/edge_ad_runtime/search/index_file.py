"""Check an hnswlib file (0.8) from end to end before hnswlib sees it.

hnswlib trusts what it loads. A link to a row that is not there, a count that is too large or a top
level that no row has would send its search through memory that is not its own. (saveIndex and
loadIndex in hnswalg.h give the layout.) A file consists of

    header       96 bytes, see `_HEADER`
    level 0      per row: count and links, the vector, the label
    levels 1 up  per row: how many bytes follow (0 for most), then count and links of each level
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# saveIndex (0.8.0) writes six size_t, int, unsigned, three size_t, double, size_t.
_HEADER = struct.Struct("<6QiI3QdQ")
_FLOAT_BYTES = 4
_LABEL_BYTES = 8
_LINK_BYTES = 4
_MOST_LINKS = 256

Content = NDArray[np.uint8]


@dataclass(frozen=True)
class IndexHeader:
    """The sizes an hnswlib file claims.

    Attributes:
        rows: the number of vectors in the index.
        dimension: the number of values in a vector.
        links: the parameter M. Level 0 has twice as many links.
        ef_construction: the breadth of search that the index was built with.
        top_level: the level of the row that searches start from.
        entry: the row that searches start from.
        row_bytes: the bytes of a row on level 0.
    """

    rows: int
    dimension: int
    links: int
    ef_construction: int
    top_level: int
    entry: int
    row_bytes: int


def read_header(content: Content) -> IndexHeader:
    """Read the header.

    Raises:
        ValueError: the file is too short, or its sizes contradict one another.
    """
    if len(content) < _HEADER.size:
        raise ValueError(f"{len(content)} bytes is too short for an HNSW index")
    level0, capacity, rows, row_bytes, label_at, data_at, *rest = _HEADER.unpack_from(content.data)
    top_level, entry, max_links, max_links0, links, _, ef_construction = rest
    vector_bytes = label_at - data_at
    consistent = (
        level0 == 0
        and 0 < rows == capacity
        and 0 < links <= _MOST_LINKS
        and (max_links, max_links0) == (links, 2 * links)
        and data_at == _LINK_BYTES * (max_links0 + 1)
        and row_bytes == label_at + _LABEL_BYTES
        and vector_bytes > 0
        and vector_bytes % _FLOAT_BYTES == 0
        and top_level >= 0
        and entry < rows
        and len(content) >= _HEADER.size + rows * row_bytes + rows * _LINK_BYTES
    )
    if not consistent:
        raise ValueError("its header contradicts itself; not an HNSW index of ours")
    dimension = vector_bytes // _FLOAT_BYTES
    return IndexHeader(rows, dimension, links, ef_construction, top_level, entry, row_bytes)


def read_vectors(content: Content) -> NDArray[np.float32]:
    """Check that it is a whole index, row i under the label i, and give its vectors ``(n, d)``.

    Raises:
        ValueError: it is not. The message says what contradicts what.
    """
    header = read_header(content)
    rows, level0 = header.rows, _level0(content, header)
    if not np.array_equal(level0["label"], np.arange(rows, dtype=np.uint64)):
        raise ValueError("its labels are not the bank's rows in their order")
    _check_links(level0["count"], level0["links"], np.ones(rows, bool))
    levels, lists = _upper_levels(content, header)
    if levels[header.entry] != header.top_level or levels.max() != header.top_level:
        raise ValueError(f"no row starts searches on level {header.top_level}")
    of_rows = np.repeat(np.arange(rows), levels)
    starts = np.cumsum(levels) - levels
    on = np.arange(len(lists)) - starts[of_rows] + 1  # the level that each list is of
    for level in range(1, header.top_level + 1):
        _check_links(lists["count"][on == level], lists["links"][on == level], levels >= level)
    return np.ascontiguousarray(level0["vector"])


def _level0(content: Content, header: IndexHeader) -> NDArray[Any]:
    row = np.dtype(
        [
            ("count", "<u4"),
            ("links", "<u4", (2 * header.links,)),
            ("vector", "<f4", (header.dimension,)),
            ("label", "<u8"),
        ]
    )
    assert row.itemsize == header.row_bytes, "the header is consistent"
    return np.frombuffer(content.data, row, header.rows, _HEADER.size)


def _upper_levels(content: Content, header: IndexHeader) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """How many levels above 0 each row has, ``(n,)``, and their lists of links, row by row.

    Raises:
        ValueError: a row's bytes are no whole number of lists, or the file does not end with
            the last one.
    """
    start = _HEADER.size + header.rows * header.row_bytes
    if (len(content) - start) % _LINK_BYTES:
        raise ValueError("does not end where its last list of links does")
    words = np.frombuffer(content.data, "<u4", -1, start)
    of_list = np.dtype([("count", "<u4"), ("links", "<u4", (header.links,))])
    levels = np.zeros(header.rows, np.int64)
    lists = []
    for row, at, size_bytes in _rows_with_lists(words, header.rows):
        count, rest = divmod(size_bytes, of_list.itemsize)
        if rest or at + size_bytes // _LINK_BYTES > len(words):
            raise ValueError(f"row {row} has {size_bytes} bytes of lists, not {count} whole ones")
        levels[row] = count
        lists.append(words[at : at + size_bytes // _LINK_BYTES])
    if len(words) != header.rows + sum(map(len, lists)):
        raise ValueError("does not end where its last list of links does")
    return levels, np.concatenate([*lists, words[:0]]).view(of_list)


def _rows_with_lists(words: NDArray[np.uint32], rows: int) -> Iterator[tuple[int, int, int]]:
    """Give row, place and bytes of lists for each row that has any, which is one row in M.

    Each other row is a word of 0, and they are passed over together.
    """
    not_zero: list[int] = np.flatnonzero(words).tolist()
    row, at, following = 0, 0, 0
    while (following := bisect_left(not_zero, at, following)) < len(not_zero):
        row += not_zero[following] - at
        at = not_zero[following]
        if row >= rows:
            return
        size_bytes = int(words[at])
        yield row, at + 1, size_bytes
        row, at = row + 1, at + 1 + size_bytes // _LINK_BYTES


def _check_links(
    counts: NDArray[np.uint32], links: NDArray[np.uint32], may_be_linked: NDArray[np.bool_]
) -> None:
    """Check that lists ``(n, m)`` with counts ``(n,)`` only name rows that ``may_be_linked``.

    ``may_be_linked`` is ``(rows,)``. (A count has 16 bits. The bits after it hold the mark of a
    deleted row and must be 0 too.)

    Raises:
        ValueError: a count is too large, or a link names a row that it must not.
    """
    width = links.shape[1]
    if counts.size and counts.max() > width:
        raise ValueError(f"has a list of {counts.max()} links, there is room for {width}")
    used = links[np.arange(width) < counts[:, np.newaxis]]
    if used.size and used.max() >= len(may_be_linked):
        raise ValueError(f"links to row {used.max()} of {len(may_be_linked)}")
    if not may_be_linked[used].all():
        raise ValueError("links to a row that is not on that level")
