"""Choose which env steps are drawn, and how long each frame is shown."""


class Pace:
    """Skip env steps if the env is faster than the frame rate.

    Attributes:
        speed: env time per watched time. It can be changed at any time.
    """

    def __init__(self, rate: float, speed: float, fps: float) -> None:
        self._rate, self.speed, self._most = rate, speed, fps
        self._waited = self.stride - 1

    @property
    def stride(self) -> float:
        """Env steps per frame, 1 or more."""
        return max(1.0, self._rate * self.speed / self._most)

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self._rate * self.speed / self.stride

    def due(self) -> bool:
        """Return whether the next env step is drawn."""
        self._waited += 1
        if self._waited < self.stride:
            return False
        self._waited %= self.stride
        return True
