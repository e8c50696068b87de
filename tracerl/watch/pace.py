"""How fast a lifetime is shown: which of its moments are drawn, and how long each stays."""


class Pace:
    """Skips moments where the env is faster than the frames.

    Attributes:
        speed: env time per time watched; may be changed at any time.
    """

    def __init__(self, rate: float, speed: float, fps: float) -> None:
        self._rate, self.speed, self._most = rate, speed, fps
        self._waited = self.stride - 1

    @property
    def stride(self) -> float:
        """Moments per frame, 1 or more."""
        return max(1.0, self._rate * self.speed / self._most)

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self._rate * self.speed / self.stride

    def due(self) -> bool:
        """Say whether the next moment is to be drawn."""
        self._waited += 1
        if self._waited < self.stride:
            return False
        self._waited %= self.stride
        return True
