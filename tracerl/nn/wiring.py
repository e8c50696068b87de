"""How the layers of a network are connected: nodes, edges, and the routes along which credit travels back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

INPUT = -1  # the source that stands for the network's input

Route = tuple[int, ...]  # nodes from one above a neuron to one under the readout


@dataclass(frozen=True)
class Node:
    """A layer with what it receives: one vector, its sources side by side.

    Attributes:
        layer: a spiking layer, or a stateless map such as pooling; has ``n_in`` and ``n_out``.
        sources: nodes received at the same tick, all of them earlier in the network, or ``INPUT``.
        delayed: nodes of which the spikes of the tick before are received, after ``sources``. A layer's own are not
            among them: it is ``recurrent`` itself.
    """

    layer: Any
    sources: tuple[int, ...]
    delayed: tuple[int, ...] = ()


class Wiring:
    """The nodes of a network, in an order in which each is advanced after its sources.

    Attributes:
        nodes: see ``Node``.
        outputs: the nodes that the readout receives, side by side.
        readout: the layer on top of them.
        n_in: size of the network's input.
    """

    def __init__(self, nodes: Sequence[Node], outputs: Sequence[int], readout: Any, n_in: int) -> None:
        """Take nodes whose layers fit together."""
        self.nodes, self.outputs, self.readout, self.n_in = tuple(nodes), tuple(outputs), readout, n_in

    def size(self, source: int) -> int:
        """Return how many numbers a source hands on."""
        return self.n_in if source == INPUT else int(self.nodes[source].layer.n_out)

    def block(self, node: int, source: int) -> slice:
        """Return where a source of the same tick stands in what a node receives."""
        sources = self.nodes[node].sources
        return _block([self.size(other) for other in sources], sources.index(source))

    def output_block(self, node: int) -> slice:
        """Return where a node stands in what the readout receives."""
        return _block([self.size(other) for other in self.outputs], self.outputs.index(node))

    def routes(self, node: int) -> Iterator[Route]:
        """Yield every way from a node through others to the readout, within one tick, shortest part first."""
        for i, above in enumerate(self.nodes):
            if node in above.sources:
                if i in self.outputs:
                    yield (i,)
                for rest in self.routes(i):
                    yield (i, *rest)

    @cached_property
    def all_routes(self) -> list[Route]:
        """The routes of all nodes, each after what it ends with."""
        return sorted({route for i in range(len(self.nodes)) for route in self.routes(i)}, key=len)


def _block(sizes: Sequence[int], place: int) -> slice:
    start = sum(sizes[:place])
    return slice(start, start + sizes[place])
