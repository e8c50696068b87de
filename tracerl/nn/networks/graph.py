"""A network declared as named nodes and edges, with any skip connections, joins and recurrence."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tracerl.config import checks
from tracerl.config.checks import ConfigError
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.networks.base import Network
from tracerl.nn.networks.neurons import Neurons
from tracerl.nn.wiring import INPUT, Node

_OF_THE_WHOLE = {
    "readout_decay",
    "output_scale",
    "learn_readout_decay",
    "ticks",
    "credit",
    "feedback",
    "feedback_decay",
}  # settings of the network, not of a node


@dataclass(frozen=True, kw_only=True)
class Graph(Neurons):
    """Settings of a network of named layers; ``build`` makes one.

    An edge transmits the spikes of the same tick, a delayed edge those of the previous tick. Edges that are not delayed
    must not form a cycle. The inputs of a node from several edges are concatenated, each with its own weights. The
    readout receives all nodes with an edge to ``output``. Credit ``otpe`` follows the edges within a tick along every
    route to the output and treats the inputs from delayed edges as constant, as e-prop does. It does not train a node
    that is connected to the output by delayed edges only. Credit ``exact`` follows all edges.

    Attributes:
        nodes: mappings with ``name``, ``neurons`` and the settings that differ in this node.
        edges: ``[from, to]`` or ``[from, to, delayed]``, with names of nodes, ``input`` and ``output``.
        hidden: must be None.
    """

    nodes: Any
    edges: Any
    hidden: None = None

    def __post_init__(self) -> None:
        """Check every setting, raising a ConfigError that names it."""
        super().__post_init__()
        if self.hidden is not None:
            raise ConfigError("hidden", f"must be null: a graph has nodes instead, got {self.hidden!r}")
        wanted = "must be a list such as [{name: a, neurons: 64}]"
        if not isinstance(self.nodes, Sequence) or isinstance(self.nodes, str) or not self.nodes:
            raise ConfigError("nodes", f"{wanted}, got {self.nodes!r}")
        for node in self.nodes:
            if not isinstance(node, Mapping) or not isinstance(node.get("name"), str):
                raise ConfigError("nodes", f"{wanted}, got {node!r} in it")
            if node["name"] in ("input", "output"):
                raise ConfigError("nodes", f"must not be named {node['name']}, a reserved name of edges")
            if self._names().count(node["name"]) > 1:
                raise ConfigError("nodes", f"must have different names, {node['name']} occurs twice")
            self._settings_of(node["name"])
        if not isinstance(self.edges, Sequence) or isinstance(self.edges, str):
            raise ConfigError("edges", f"must be a list such as [[input, a], [a, output]], got {self.edges!r}")
        for edge in self.edges:
            self._check_edge(edge)
        for end, place in (("input", 0), ("output", 1)):
            if not any(edge[place] == end for edge in self.edges):
                raise ConfigError("edges", f"must have one {'from' if place == 0 else 'to'} {end}")
        for name in self._names():
            if not any(edge[1] == name for edge in self.edges):
                raise ConfigError("edges", f"must have one to {name}, which has no inputs")
        self._order()

    def ignored_settings(self) -> dict[str, str]:
        """Return the settings without effect in any node; see ``tracerl.config.ignored``."""
        first, *others = (Neurons.ignored_settings(self._settings_of(name)[1]) for name in self._names())
        found = {name: reason for name, reason in first.items() if all(name in other for other in others)}
        if any(len(edge) == 3 for edge in self.edges):  # delayed edges have weights of recurrent_scale too
            found.pop("recurrent_scale", None)
        return found

    def _check_edge(self, edge: Any) -> None:
        wanted = "must each be [from, to] or [from, to, delayed]"
        if isinstance(edge, str) or not isinstance(edge, Sequence) or len(edge) not in (2, 3):
            raise ConfigError("edges", f"{wanted}, got {edge!r}")
        source, target, *delayed = edge
        if delayed and delayed != ["delayed"]:
            raise ConfigError("edges", f"{wanted}, got {list(edge)}")
        for name, end in ((source, "input"), (target, "output")):
            if name not in self._names() and name != end:
                known = ", ".join([end, *self._names()])
                verb = "begin" if end == "input" else "end"
                raise ConfigError("edges", f"must {verb} at one of {known}; got {name!r}")
        if source == "input" and target == "output":
            raise ConfigError("edges", "must not lead from input to output: the readout receives the spikes of nodes")
        if delayed and (source == "input" or target == "output"):
            raise ConfigError("edges", f"can be delayed between nodes only, got {list(edge)}")
        if sum(list(other[:2]) == [source, target] for other in self.edges) > 1:
            raise ConfigError("edges", f"must be given once, {source} to {target} occurs twice")

    def _names(self) -> list[str]:
        return [node["name"] for node in self.nodes]

    def _settings_of(self, name: str) -> tuple[int, "Graph"]:
        """Return a node's number of neurons and its settings."""
        own = dict(self.nodes[self._names().index(name)])
        neurons = checks.whole(f"nodes.{own.pop('name')}.neurons", own.pop("neurons", None), 1)
        allowed = sorted(set(Neurons.__dataclass_fields__) - _OF_THE_WHOLE)
        for key in own:
            if key not in allowed:
                problem = f"does not exist. Keys of a node: name, neurons, {', '.join(allowed)}"
                raise ConfigError(f"nodes.{name}.{key}", problem)
        if not own:
            return neurons, self
        alone: dict[str, Any] = {
            "nodes": [{"name": name, "neurons": neurons}],
            "edges": [["input", name], [name, "output"]],
        }
        try:
            return neurons, replace(self, **own, **alone)
        except ConfigError as error:
            raise error.under(f"nodes.{name}") from error

    def _sources(self, name: str, delayed: bool) -> list[str]:
        """Return the sources of a node's edges, in the order of ``edges``."""
        return [edge[0] for edge in self.edges if edge[1] == name and (len(edge) == 3) == delayed]

    def _order(self) -> list[str]:
        """Return the nodes, each after its sources within a tick."""
        order: list[str] = []
        waiting = self._names()
        while waiting:
            ready = [n for n in waiting if all(s == "input" or s in order for s in self._sources(n, False))]
            if not ready:
                problem = f"must form no cycle within a tick: delay one among {', '.join(waiting)}"
                raise ConfigError("edges", problem)
            order.append(ready[0])
            waiting.remove(ready[0])
        return order

    def build(self, shape: Sequence[int], n_out: int, lifetimes: Lifetimes) -> Network:
        """Make a network of these settings; see ``Dense.build``."""
        order, n_in = self._order(), math.prod(shape)
        number = {"input": INPUT} | {name: i for i, name in enumerate(order)}
        sizes = {"input": n_in} | {name: self._settings_of(name)[0] for name in order}
        nodes = []
        for name in order:
            neurons, settings = self._settings_of(name)
            sources, delayed = self._sources(name, False), self._sources(name, True)
            others = [source for source in delayed if source != name]
            settings = replace(settings, recurrent=settings.recurrent or name in delayed)
            late = sum(sizes[source] for source in others)
            layer = settings.dense(sum(sizes[source] for source in sources) + late, neurons, lifetimes, late)
            nodes.append(Node(layer, tuple(number[s] for s in sources), tuple(number[s] for s in others)))
        outputs = [name for name in order if name in self._sources("output", False)]
        readout = self.readout(sum(sizes[name] for name in outputs), n_out, lifetimes)
        return Network(nodes, [number[name] for name in outputs], readout, n_in, lifetimes, self.ticks, self.credit)
