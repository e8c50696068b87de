"""The connections of a network's layers: nodes, edges, and the routes of credit assignment."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

INPUT = -1  # number of the network's input as a source

Route = tuple[int, ...]  # nodes from the one after a neuron to the one before the readout


@dataclass(frozen=True)
class Node:
    """A layer and its sources, whose outputs it receives as one concatenated vector."""

    layer: Any  # a spiking layer, or a stateless map such as pooling; has ``n_in`` and ``n_out``
    sources: tuple[int, ...]  # nodes received at the same tick, all of them earlier in the network, or ``INPUT``
    # nodes whose spikes of the previous tick are received, after ``sources``. They do not include the layer itself,
    # which is ``recurrent`` instead
    delayed: tuple[int, ...] = ()


class Wiring:
    """The nodes of a network, each after its sources."""

    def __init__(self, nodes: Sequence[Node], outputs: Sequence[int], readout: Any, n_in: int) -> None:
        """Store the nodes, the nodes whose outputs the readout receives, the readout and the size of the input."""
        self.nodes, self.outputs, self.readout, self.n_in = tuple(nodes), tuple(outputs), readout, n_in

    def size(self, source: int) -> int:
        """Return the number of outputs of a source."""
        return self.n_in if source == INPUT else int(self.nodes[source].layer.n_out)

    def block(self, node: int, source: int) -> slice:
        """Return the slice of a source of the same tick in the input of a node."""
        sources = self.nodes[node].sources
        return _block([self.size(other) for other in sources], sources.index(source))

    def output_block(self, node: int) -> slice:
        """Return the slice of a node in the input of the readout."""
        return _block([self.size(other) for other in self.outputs], self.outputs.index(node))

    def routes(self, node: int) -> Iterator[Route]:
        """Yield every route from a node through others to the readout within one tick, direct ones first."""
        for i, above in enumerate(self.nodes):
            if node in above.sources:
                if i in self.outputs:
                    yield (i,)
                for rest in self.routes(i):
                    yield (i, *rest)


def _block(sizes: Sequence[int], place: int) -> slice:
    start = sum(sizes[:place])
    return slice(start, start + sizes[place])
