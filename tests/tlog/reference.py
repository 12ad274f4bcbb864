"""Merkle trees as RFC 9162 section 2.1 defines them, by recursion: slow, and written from the text alone.

D[n] is a list of entries. Results are kept by range, so that all sizes of one list cost one tree.
"""

import hashlib
from collections.abc import Sequence


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def largest_power_of_two_below(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


class Reference:
    """MTH, PATH and PROOF of the RFC over prefixes of one list of entries."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.entries = entries
        self._known: dict[tuple[int, int], bytes] = {}

    def root(self, lo: int, hi: int) -> bytes:
        """MTH(D[lo:hi]), section 2.1.1."""
        if (lo, hi) not in self._known:
            self._known[lo, hi] = self._root(lo, hi)
        return self._known[lo, hi]

    def _root(self, lo: int, hi: int) -> bytes:
        n = hi - lo
        if n == 0:
            return sha256(b"")
        if n == 1:
            return sha256(b"\x00" + self.entries[lo])
        k = largest_power_of_two_below(n)
        return sha256(b"\x01" + self.root(lo, lo + k) + self.root(lo + k, hi))

    def path(self, m: int, lo: int, hi: int) -> list[bytes]:
        """PATH(m, D[lo:hi]), section 2.1.3.1; `m` counts from `lo`."""
        n = hi - lo
        if n == 1:
            return []
        k = largest_power_of_two_below(n)
        if m < k:
            return [*self.path(m, lo, lo + k), self.root(lo + k, hi)]
        return [*self.path(m - k, lo + k, hi), self.root(lo, lo + k)]

    def proof(self, m: int, n: int) -> list[bytes]:
        """PROOF(m, D[0:n]), section 2.1.4.1, for 0 < m <= n."""
        return self._subproof(m, 0, n, True)

    def _subproof(self, m: int, lo: int, hi: int, is_whole: bool) -> list[bytes]:
        n = hi - lo
        if m == n:
            return [] if is_whole else [self.root(lo, hi)]
        k = largest_power_of_two_below(n)
        if m <= k:
            return [*self._subproof(m, lo, lo + k, is_whole), self.root(lo + k, hi)]
        return [*self._subproof(m - k, lo + k, hi, False), self.root(lo, lo + k)]
