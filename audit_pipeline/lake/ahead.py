"""Work on two cores, its results in order: what runs without the interpreter's lock runs beside the rest."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_WORKERS = 2

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def map_ahead(work: Callable[[_Given], _Made], items: Iterable[_Given]) -> Iterator[_Made]:
    """`work` of each item, in order. A few are worked ahead, not all: what waits takes memory."""
    waiting: deque[Future[_Made]] = deque()
    with ThreadPoolExecutor(_WORKERS) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > _WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
