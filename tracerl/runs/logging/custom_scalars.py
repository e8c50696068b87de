"""The charts on TensorBoard's Custom Scalars page, and the guide on its Text page."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

SPREAD = ("lives/return_iqm", "lives/return_ci_low", "lives/return_ci_high")


class Chart(NamedTuple):
    """A chart of tags."""

    title: str
    tags: str  # regular expression
    band: tuple[str, str, str] | None = None  # tags of a line, its lower and its upper end; None: one line per tag


CHARTS = {
    "returns": (
        Chart("return of the last 100 episodes, over lifetimes: interquartile mean, 95% interval", "^lives/", SPREAD),
        Chart("mean return of the last 100 episodes", "^rollout/ep_rew_mean$"),
        Chart("mean length of the last 100 episodes, in env steps", "^rollout/ep_len_mean$"),
        Chart("mean return of frozen copies", "^eval/mean_reward$"),
        Chart("mean length of their episodes, in env steps", "^eval/mean_ep_length$"),
        Chart("mean reward of an env step", "^rollout/reward_rate$"),
        Chart("share of the lifetimes that reached a milestone", "^milestones/.*_lives$"),
    ),
    "learning": (
        Chart("td error: its mean, and that of its absolute value", "^learn/td_error(_magnitude)?$"),
        Chart("value", "^learn/value$"),
        Chart("entropy of the policy, in nats", "^learn/entropy$"),
        Chart("averaged log-probability of the actions, in nats", "^learn/logprob_trace$"),
        Chart("step size", "^learn/step_size_.*$"),
        Chart("norm of the eligibility traces", "^learn/(trace_norm_.*|eligibility_norm)$"),
        Chart("weights: their mean, and the share at a bound", "^learn/weight(_at_bounds)?$"),
    ),
    "spikes": (
        Chart("spikes per neuron and tick", "^spikes/.*_rate$"),
        Chart("synaptic operations of the policy per decision", "^spikes/synaptic_operations$"),
        Chart("share of silent neurons", "^spikes/.*_silent$"),
        Chart("share of saturated neurons", "^spikes/.*_saturated$"),
        Chart("by how many spikes the chosen action won", "^spikes/margin$"),
    ),
}


def charts_of(tags: Iterable[str]) -> dict[str, list[Chart]]:
    """Return the charts with at least one of these tags, by category."""
    known = list(tags)
    found = {title: [chart for chart in charts if _shows(chart, known)] for title, charts in CHARTS.items()}
    return {title: charts for title, charts in found.items() if charts}


def _shows(chart: Chart, tags: Sequence[str]) -> bool:
    if chart.band is not None:
        return set(chart.band) <= set(tags)
    return any(re.match(chart.tags, tag) for tag in tags)


GUIDE = """
| page | group | content |
|---|---|---|
| Custom Scalars | | the main charts: returns, learning, spikes |
| Scalars | `rollout/` | mean return and length of the last 100 episodes, reward per env step |
| | `eval/` | with `eval.every`: mean return and length of the episodes of frozen copies |
| | `lives/` | for many lifetimes: the interquartile mean of the returns and its 95% bootstrap interval |
| | `milestones/` | env step at which a mean return was first reached; for many lifetimes the median and their share |
| | `learn/` | td error, value, entropy, step sizes, norms of traces: means since the previous point |
| | `spikes/` | per layer: spikes per neuron and tick, share of silent and of saturated neurons; synaptic operations |
| | `time/` | env steps per second, over all lifetimes |
| Histograms | `weights/`, `traces/` | distribution of the numbers of a layer, over all lifetimes |
| | `decays/`, `thresholds/` | distribution of learned decays and thresholds, over all lifetimes |
| Images | `pictures/raster` | lifetime 0, consecutive env steps: spikes, membranes, probabilities, value, td error |
| | `pictures/decays` | decays and thresholds now (filled) and initially (line), over all lifetimes |
| HParams | | comparison of runs: differing settings come first; choose `rollout/ep_rew_mean` among the metrics |
| Text | `config` | the resolved settings |

In a good run returns rise, entropy falls slowly, and few neurons are silent or saturated. Without entropy the agent no
longer explores: if entropy is zero before returns are high, raise `agent.entropy` or lower the step size.
`docs/tags.md` lists every tag with its unit. `docs/tensorboard.md` explains the pages with pictures.
"""
