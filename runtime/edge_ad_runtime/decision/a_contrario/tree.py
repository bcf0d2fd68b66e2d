r"""The tree test (Tailanian et al. 2022): which regions of one scale count, and their log10 NFA.

The regions are those of the component tree of the levels: for every level v the 4-connected
components of {level >= v}. Those of a higher v lie within those of a lower one. Let R be a region
of \|R\| positions whose lowest level is m, and let z have C channels. If z is standard normal, then
by Chernoff's bound all of R is at m or above with a probability of at most p,

    log10 p(R) = -\|R\| (C / 2) (m - 1 - ln m) / ln 10    for m > 1.

The bound is one of the upper tail. At m <= 1 there is nothing unusual: log10 p = 0 there. The paper
lacks this guard, and so flags latents *smaller* than noise, as those of a very even part, all over.

Which of the nested regions count is decided from the leaves down to the root. Each region has a
*best*, one of the regions within it, for as long as it is *whole*:

- A leaf is whole, and it is its own best.
- A region of one child that is whole is whole. Its best is the one of lower NFA of the child's best
  and itself, and the child's if they tie.
- A region of several children that are all whole is whole if its own NFA is no higher than that of
  any child's best. Then it is its own best.
- No other region is whole. The best of each of its children that are whole counts.

The best of the root counts if the root is whole.

With the guard positions at 1 or below need no tree. Regions that reach down to them are never the
best of anything, and the best of what is whole above them counts in the end. So the components of
{level > 1} are looked at one by one, each as if it were a tree of its own.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def log10_nfa_of_regions(
    levels: NDArray[np.floating],
    degrees: float,
    log10_tests: FloatArray,
    *,
    guarded: bool = True,
) -> FloatArray:
    """The log10 NFA of the region that counts at each position.

    Args:
        levels: ``(rows, cols)``, the mean of z^2 over the channels.
        degrees: C, or less where the channels depend on one another.
        log10_tests: ``(rows * cols,)``, see `edge_ad_runtime.decision.a_contrario.counting`.
        guarded: False leaves out the guard, as the paper does. It is there to compare with.

    Returns:
        ``(rows, cols)``. Where no region counts it is that of a single position with p = 1, which
        is also the most that it can be.
    """
    flat = levels.astype(np.float64).ravel()
    found = np.full(len(flat), log10_tests[0])
    above = np.flatnonzero(flat > 1) if guarded else np.arange(len(flat))
    order = above[np.argsort(-flat[above], kind="stable")]  # by falling level
    if len(order):
        m = flat[order]
        # what a position adds to -log10 p
        decades = degrees / 2 * (m - 1 - np.log(m)) / math.log(10)
        tree = _Tree(m.tolist(), decades.tolist(), log10_tests.tolist())
        tree.grow(_pairs(order, levels.shape))
        found[order] = np.minimum(tree.best_of_positions(), log10_tests[0])
    return found.reshape(levels.shape)


def _pairs(order: NDArray[np.intp], shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """The pairs of neighbours ``(later, earlier)`` in an order of positions, by the later one.

    Args:
        order: positions of the flat grid. Those that are left out are nobody's neighbours.
        shape: ``(rows, cols)``.
    """
    rank = np.full(shape[0] * shape[1], -1)
    rank[order] = np.arange(len(order))
    grid = rank.reshape(shape)
    one = np.concatenate([grid[:, :-1].ravel(), grid[:-1].ravel()])
    other = np.concatenate([grid[:, 1:].ravel(), grid[1:].ravel()])
    both = np.minimum(one, other) >= 0
    later, earlier = np.maximum(one, other)[both], np.minimum(one, other)[both]
    by_later = np.argsort(later, kind="stable")
    return list(zip(later[by_later].tolist(), earlier[by_later].tolist(), strict=True))


class _Tree:
    """A component tree that grows by falling level: a node for each position, named by its rank.

    A node that is not melted into a later one of the same level stands for a region: the one that
    the position has joined or begun. Lists are plain, as numpy is slow for single numbers.
    """

    def __init__(self, levels: list[float], decades: list[float], log10_tests: list[float]) -> None:
        count = len(levels)
        self._levels = levels
        self._decades = decades
        self._log10_tests = log10_tests
        self._above = list(range(count))  # union-find, shortened on the way
        self._parents = list(range(count))  # the same, never shortened. Roots are their own
        self._areas = [1] * count
        self._children: list[list[int] | None] = [None] * count  # None: a leaf
        first = log10_tests[0]
        self._nfa = [first - each for each in decades]  # of the best. Leaves are right already
        self._best = list(range(count))
        self._is_whole = [True] * count
        self._counts: list[int] = []

    def grow(self, pairs: list[tuple[int, int]]) -> None:
        """Join the positions in order. Each pair is a position and a neighbour before it."""
        above, levels, parents, areas = self._above, self._levels, self._parents, self._areas
        children = self._children
        for node, neighbour in pairs:
            root = neighbour
            while above[root] != root:
                above[root] = above[above[root]]
                root = above[root]
            if root == node:
                continue
            above[root] = parents[root] = node
            areas[node] += areas[root]
            mine, theirs = children[node], children[root]
            if levels[root] == levels[node]:  # one region: melt
                children[node] = (mine or []) + (theirs or []) or None
                continue
            if theirs is not None:
                self._evaluate(root, theirs)
            if mine is None:
                children[node] = [root]
            else:
                mine.append(root)
        self._finish()

    def best_of_positions(self) -> FloatArray:
        """The log10 NFA of the region that counts at each position, infinite where none does."""
        found = [math.inf] * len(self._parents)
        for node in self._counts:
            found[node] = self._nfa_of(node)
        parents = self._parents
        for node in range(len(parents) - 1, -1, -1):  # parents come later than their children
            if found[node] == math.inf:
                found[node] = found[parents[node]]
        return np.array(found)

    def _nfa_of(self, node: int) -> float:
        area = self._areas[node]
        return self._log10_tests[area - 1] - area * self._decades[node]

    def _evaluate(self, node: int, children: list[int]) -> None:
        """Decide whether a region is whole, and its best, once all of its positions are there."""
        own = self._nfa_of(node)
        nfa, is_whole = self._nfa, self._is_whole
        if len(children) == 1:
            (child,) = children
            if is_whole[child]:
                is_own = own < nfa[child]
                nfa[node] = own if is_own else nfa[child]
                self._best[node] = node if is_own else self._best[child]
            else:
                is_whole[node] = False
            return
        if all(is_whole[child] and own <= nfa[child] for child in children):
            nfa[node] = own
            return
        is_whole[node] = False
        self._counts += [self._best[child] for child in children if is_whole[child]]

    def _finish(self) -> None:
        """Evaluate the roots. The best of each that is whole counts."""
        for node, parent in enumerate(self._parents):
            if parent != node:
                continue
            children = self._children[node]
            if children is not None:
                self._evaluate(node, children)
            elif self._areas[node] > 1:  # a leaf of several positions of one level
                self._nfa[node] = self._nfa_of(node)
            if self._is_whole[node]:
                self._counts.append(self._best[node])
