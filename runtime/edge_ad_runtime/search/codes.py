"""Codes: rows in few dimensions whose distances never exceed the true ones.

A code holds a row's coordinates along the bank's first principal axes, and the length of what they
leave out. With z the coordinates and r the length, by the triangle inequality in the orthogonal
complement

    |z_a - z_b|^2 + (r_a - r_b)^2  <=  |a - b|^2,

so that a row whose code is farther than the best distance found need not be looked at.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.errors import ShapeError

FloatArray = NDArray[np.float32]

_COMPARED_ROWS = 1024
_ORTHONORMAL = 1e-3  # products of axes are float32 sums
_SLACK = 1e-5  # float32 rounding of the products below, as a share of the squared lengths involved


class Codes:
    """The projection, and the codes of the bank's rows.

    Args:
        projection: ``(d + 1, D)`` float32: the bank's mean, then d orthonormal axes.
        bank: ``(n, D)``.
        rows: the codes of the bank's rows ``(n, d + 1)``, where they have been computed before:
            about a thousand of them are compared with the bank. None: they are computed.

    Raises:
        ShapeError: the axes are not orthonormal, so that codes would prove nothing; or ``rows`` are
            not the bank's codes.
    """

    def __init__(
        self, projection: FloatArray, bank: FloatArray, rows: FloatArray | None = None
    ) -> None:
        axes = projection[1:]
        is_finite = bool(np.isfinite(projection).all())
        if not is_finite or not np.allclose(axes @ axes.T, np.eye(len(axes)), atol=_ORTHONORMAL):
            raise ShapeError(f"the {len(axes)} axes of the codes are not orthonormal")
        self._mean, self._axes = projection[0], np.ascontiguousarray(axes.T)
        self._onto = np.ascontiguousarray(projection.T)  # mean and axes: one product
        self._mean_code = self._mean @ self._axes
        self._sq_mean = float(self._mean @ self._mean)
        if rows is None:
            blocks = np.array_split(bank, -(-len(bank) // 4096))
            rows = np.concatenate([self._precise(block) for block in blocks])  # (n, d + 1)
        else:
            self._compare(rows, bank)
        self.rows = rows
        self._sq_norms = np.einsum("nd,nd->n", self.rows, self.rows)
        if not np.isfinite(self._sq_norms).all():
            raise ShapeError("the codes hold numbers that are not finite")

    def _compare(self, rows: FloatArray, bank: FloatArray) -> None:
        """Raise ShapeError unless ``rows`` are the bank's codes, but for another's rounding."""
        if rows.shape != (len(bank), len(self._axes.T) + 1):
            raise ShapeError(
                f"vectors of shape {rows.shape}, the bank's codes are "
                f"{(len(bank), len(self._axes.T) + 1)}; the two come from different exports"
            )
        some = slice(None, None, -(-len(bank) // _COMPARED_ROWS))
        expected = self._precise(bank[some])
        if not np.allclose(rows[some], expected, rtol=0, atol=1e-3 * np.abs(expected).max()):
            raise ShapeError("vectors that are not the bank's codes; the two come from different "
                             "exports")  # fmt: skip

    def encode(self, vectors: FloatArray) -> FloatArray:
        """``(q, D)`` to ``(q, d + 1)``, fast; the lengths left out may be off by some 0.1%."""
        products: FloatArray = vectors @ self._onto  # (q, 1 + d)
        codes = np.empty_like(products)
        np.subtract(products[:, 1:], self._mean_code, out=codes[:, :-1])
        rest = np.einsum("qd,qd->q", vectors, vectors) - 2 * products[:, 0] + self._sq_mean
        rest -= np.einsum("qd,qd->q", codes[:, :-1], codes[:, :-1])
        np.sqrt(np.maximum(rest, 0), out=codes[:, -1])
        return codes

    def within(self, query: FloatArray, distance: float) -> NDArray[np.int64]:
        """All bank rows as near as ``distance`` to a ``(D,)`` query, and some others."""
        code = self._precise(query[np.newaxis])[0]
        sq_norm = float(code @ code)
        sq_lower = self._sq_norms - 2 * (self.rows @ code)  # (n,), less the query's own
        limit = distance**2 - sq_norm + _SLACK * (sq_norm + float(self._sq_norms.max()))
        return np.flatnonzero(sq_lower <= limit)

    def _precise(self, vectors: FloatArray) -> FloatArray:
        """As `encode`, but with the lengths of what is left out measured, not subtracted."""
        rest = vectors - self._mean
        coordinates = rest @ self._axes
        rest -= coordinates @ self._axes.T
        return np.column_stack([coordinates, np.linalg.norm(rest, axis=1)])
