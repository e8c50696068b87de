"""Handwritten digits as a bandit: the reward is 1 for the correct class, else 0."""

import math
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import DependencyNotInstalled

from tracerl.config import checks, forms
from tracerl.config.forms import whole

from . import drawing
from .episodic import Episodic, Observation

SIDE, CLASSES, BRIGHTEST = 8, 10, 16  # width, number of classes and largest pixel of scikit-learn's images


class Digits(Episodic):
    """Each episode shows one image of a handwritten digit. The action with its label has reward 1, any other 0.

    The images are the 1,797 of 8 x 8 pixels that come with scikit-learn (``load_digits``: the test half of Alpaydin
    and Kaynak 1998, https://doi.org/10.24432/C50P49), drawn with replacement. The reward shows only whether the action
    was correct. An episode has ``showings`` steps with the same image, and only the last action counts. The mean return
    of a random agent is 0.1, that of an optimal one 1. The final observation is the image too, so that running
    statistics of observations include images only.

    A fixed random part is held out: ``split=train`` never shows it, ``split=held_out`` shows only this part. The part
    depends on ``held_out``, not on seeds. Both parts contain images of the same writers. The reward contains the label,
    so an agent must not learn during a test on held-out images; see ``scripts/held_out_digits.py``.
    """

    metadata: dict[str, Any] = {"render_modes": drawing.MODES, "render_fps": 2}

    def __init__(
        self,
        split: str = "train",
        held_out: float = 0.2,
        bernoulli: bool = False,
        showings: int = 1,
        render_mode: str | None = None,
    ) -> None:
        """Load the images and make the spaces.

        Args:
            split: ``train`` or ``held_out``.
            held_out: share of held-out images, in [0.01, 0.99]; 0.2: 360 images.
            bernoulli: False: pixels are intensities in [0, 1]. True: each pixel is 1 with the probability of its
                intensity, else 0, sampled at every step.
            showings: env steps of an episode, at least 1.
            render_mode: None, or ``rgb_array``: the image above the last action.

        Raises:
            ConfigError: naming the invalid argument.
            DependencyNotInstalled: scikit-learn is not installed.
        """
        self.split = checks.choice("split", split, ("train", "held_out"))
        checks.number("held_out", held_out, "a number in [0.01, 0.99]", 0.01, 0.99)
        self.bernoulli, self.showings = checks.flag("bernoulli", bernoulli), checks.whole("showings", showings, 1)
        self.render_mode = drawing.checked_mode(render_mode)
        images, labels = _load()
        chosen = _chosen(len(labels), split, held_out)
        self.images, self.labels = images[chosen], labels[chosen]  # [n, 8, 8], [n]
        self.observation_space = spaces.Box(0.0, 1.0, (SIDE, SIDE), np.float32)
        self.action_space = spaces.Discrete(CLASSES)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Sample an image and return it: float32, [8, 8].

        Args:
            seed: seed of the images and Bernoulli pixels.
            options: ``{"image": i}`` selects the i-th image of the split, counted from 0.

        Returns:
            The observation, and an info with ``label`` (the digit) and ``held_out`` (whether the image is held out).

        Raises:
            ConfigError: the image does not exist.
        """
        super().reset(seed=seed)
        if options is not None and "image" in options:
            self.number = checks.whole("options.image", options["image"], 0, len(self.labels) - 1)
        else:
            self.number = int(self.np_random.integers(len(self.labels)))
        self.label = int(self.labels[self.number])
        return self._show(), self._info()

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Return the image again, and the reward of the action in the last step."""
        reward, over = self._advance(action, self.showings, self.label)
        return self._show(), reward, over, False, self._info()

    def _show(self) -> Observation:
        image: Observation = self.images[self.number]
        if self.bernoulli:
            image = (self.np_random.random(image.shape) < image).astype(np.float32)
        self.shown = image.copy()
        return self.shown.copy()

    def _info(self) -> dict[str, Any]:
        return {"label": self.label, "held_out": self.split == "held_out"}

    def _fields(self) -> dict[str, Any]:
        return {
            "number": whole(0, len(self.labels) - 1),
            "label": whole(0, CLASSES - 1),
            "elapsed": whole(0),
            **super()._fields(),
            "shown": forms.array((SIDE, SIDE), "f"),
        }

    def _draw(self) -> drawing.Picture:
        return drawing.stacked(drawing.enlarged(self.shown, 32), self._draw_answer(side=22))


def _load() -> tuple[Observation, np.ndarray[Any, np.dtype[np.int64]]]:
    """Return all images, float32 in [0, 1], [n, 8, 8], and their digits, [n]."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DependencyNotInstalled('scikit-learn is not installed: pip install "tracerl[digits]"') from error
    found = load_digits()
    return (found.images / BRIGHTEST).astype(np.float32), found.target.astype(np.int64)


def _chosen(n: int, split: str, held_out: float) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the indices of a split among n images, in ascending order."""
    order = np.random.RandomState(0).permutation(n)  # NumPy does not change this generator in new versions
    n_held_out = math.ceil(held_out * n)
    return np.sort(order[:n_held_out] if split == "held_out" else order[n_held_out:])
