"""What TensorBoard shows on its Custom Scalars page, and what it says about the rest, on its Text page."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

SPREAD = ("lives/return_iqm", "lives/return_ci_low", "lives/return_ci_high")


class Chart(NamedTuple):
    """A chart of some tags."""

    title: str  # above it
    tags: str  # a regular expression of the tags that it shows
    # a line between two others, in place of lines side by side: its tag and those of the lower and upper end
    band: tuple[str, str, str] | None = None


class Category(NamedTuple):
    """Charts under one heading."""

    title: str
    charts: Sequence[Chart]


CHARTS = (
    Category(
        "returns",
        (
            Chart(
                "return of the last 100 episodes, over lifetimes: interquartile mean, 95% interval", "^lives/", SPREAD
            ),
            Chart("mean return of the last 100 episodes", "^rollout/ep_rew_mean$"),
            Chart("mean length of the last 100 episodes, in env steps", "^rollout/ep_len_mean$"),
            Chart("mean reward of an env step", "^rollout/reward_rate$"),
            Chart("share of the lifetimes that reached a milestone", "^milestones/.*_lives$"),
        ),
    ),
    Category(
        "learning",
        (
            Chart("td error: its mean, and that of its absolute value", "^learn/td_error(_magnitude)?$"),
            Chart("value", "^learn/value$"),
            Chart("entropy of the policy, in nats", "^learn/entropy$"),
            Chart("averaged log-probability of the actions, in nats", "^learn/logprob_trace$"),
            Chart("step size", "^learn/step_size_.*$"),
            Chart("norm of the eligibility traces", "^learn/(trace_norm_.*|eligibility_norm)$"),
            Chart("weights: their mean, and the share at a bound", "^learn/weight(_at_bounds)?$"),
        ),
    ),
    Category(
        "spikes",
        (
            Chart("spikes per neuron and tick", "^spikes/.*_rate$"),
            Chart("share of silent neurons", "^spikes/.*_silent$"),
            Chart("share of saturated neurons", "^spikes/.*_saturated$"),
            Chart("by how many spikes the chosen action won", "^spikes/margin$"),
        ),
    ),
)


def charts_of(tags: Iterable[str]) -> list[Category]:
    """Return the charts that have something to show of these tags, under their headings."""
    there = list(tags)
    found = [Category(title, [chart for chart in charts if _shows(chart, there)]) for title, charts in CHARTS]
    return [category for category in found if category.charts]


def _shows(chart: Chart, tags: Sequence[str]) -> bool:
    if chart.band is not None:
        return set(chart.band) <= set(tags)
    return any(re.match(chart.tags, tag) for tag in tags)


GUIDE = """
| page | group | what it tells |
|---|---|---|
| Custom Scalars | | the charts to begin with: returns, learning, spikes |
| Scalars | `rollout/` | what was earned: mean return and length of the last 100 episodes, reward per env step |
| | `lives/` | of many lifetimes: the interquartile mean of their returns and its 95% bootstrap interval |
| | `milestones/` | when a mean return was first reached, in env steps; of many lifetimes the median, and their share |
| | `learn/` | td error, value, entropy, step sizes, norms of traces: means since the point before |
| | `spikes/` | per layer: spikes per neuron and tick, share of silent and of saturated neurons |
| | `time/` | env steps per second, of all lifetimes together |
| Histograms | `weights/`, `traces/` | how the numbers of a layer are distributed, over all lifetimes |
| | `decays/`, `thresholds/` | the same of its neurons' decays and thresholds, where they are learned |
| Images | `pictures/raster` | lifetime 0, consecutive env steps: spikes, membranes, probabilities, value, td error |
| | `pictures/decays` | decays and thresholds now (filled) and initially (line), over all lifetimes |
| HParams | | runs compared: the settings that differ come first; choose `rollout/ep_rew_mean` among the metrics |
| Text | `config` | the resolved settings |

Learning goes well where returns rise while entropy falls slowly and few neurons are silent or saturated. An entropy
that is at zero before returns are high leaves nothing to try out: more `agent.entropy`, or a smaller step size.
`docs/tags.md` has every tag with its unit, `docs/tensorboard.md` the pages with pictures.
"""
