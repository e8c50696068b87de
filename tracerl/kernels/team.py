"""Threads that share the lives out among them; kernels run without Python's lock."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class Team:
    """A fixed number of threads, the calling one among them.

    Which lives a thread has does not matter to what they live: kernels write to the memory of one life at a time.

    Attributes:
        shares: first life and the one after the last, for each thread.
    """

    def __init__(self, n_lives: int, threads: int) -> None:
        """Share the lives out evenly; never among more threads than there are lives."""
        size = min(threads, n_lives)
        edges = [n_lives * i // size for i in range(size + 1)]
        self.shares = list(zip(edges, edges[1:], strict=False))
        self._others = ThreadPoolExecutor(size - 1, "tracerl") if size > 1 else None

    def __call__(self, work: Callable[[int, int, int], object]) -> None:
        """Call ``work(thread, first, last)`` once for each share, at the same time, and wait for all."""
        if self._others is None:
            work(0, *self.shares[0])
            return
        futures = [self._others.submit(work, i, *share) for i, share in enumerate(self.shares[1:], 1)]
        work(0, *self.shares[0])
        for future in futures:
            future.result()
