"""Where each node of a network is drawn: the same network always in the same places."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from consumers.network import Network

SPACE = 64.0  # between two nodes, in units of the drawing
_NEAREST = 38.0  # no two are closer
_MARGIN = 50.0
_ROUNDS = 120
_WIDE = 1.5  # width of the whole to its height


def placed(network: Network) -> dict[str, tuple[float, float]]:
    """Return x and y of each node: parts that are not linked lie side by side, large ones first."""
    parts = _parts(network)
    drawn = [(sorted(part.nodes), _layout(part)) for part in parts]
    area = sum(float(np.prod(_size(at))) for _, at in drawn)
    widest = max([*(float(_size(at)[0]) for _, at in drawn), np.sqrt(area * _WIDE)], default=0.0)
    places: dict[str, tuple[float, float]] = {}
    x = y = row = 0.0
    for names, at in drawn:
        width, height = (float(each) for each in _size(at))
        if x and x + width > widest:
            x, y, row = 0.0, y + row, 0.0
        for name, (left, top) in zip(names, at.tolist(), strict=True):
            places[name] = (round(x + left + _MARGIN, 1), round(y + top + _MARGIN, 1))
        x, row = x + width, max(row, height)
    return places


def graph_of(network: Network) -> Any:
    """Return the network as a networkx graph: one edge for two ends, heavier with each touch."""
    graph = nx.Graph()
    graph.add_nodes_from(sorted(node.id for node in network.nodes))
    for link in network.links:
        one, other = link.ends
        known = graph.get_edge_data(one, other, {"weight": 0})["weight"]
        graph.add_edge(one, other, weight=known + len(link.touches))
    return graph


def _parts(network: Network) -> list[Any]:
    graph = graph_of(network)
    parts = [graph.subgraph(nodes).copy() for nodes in nx.connected_components(graph)]
    return sorted(parts, key=lambda part: (-len(part), min(part.nodes)))


def _size(at: NDArray[np.float64]) -> NDArray[np.float64]:
    size: NDArray[np.float64] = at.max(axis=0) + 2 * _MARGIN
    return size


def _layout(part: Any) -> NDArray[np.float64]:
    """Return the places of a part's nodes, in order of their names, from 0 on."""
    names = sorted(part.nodes)
    ordered = nx.Graph()
    ordered.add_nodes_from(names)
    ordered.add_edges_from(sorted(tuple(sorted(edge)) for edge in part.edges))
    spread = SPACE * np.sqrt(len(names))
    found: dict[str, Any] = nx.spring_layout(
        ordered, k=2.2 / np.sqrt(len(names)), iterations=_ROUNDS, seed=7, method="force"
    )
    at = np.array([found[name] for name in names], np.float64) * spread
    at = _apart(at)
    moved: NDArray[np.float64] = at - at.min(axis=0)
    return moved


def _apart(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Push apart what is drawn too close, a little at a time."""
    for _ in range(_ROUNDS):
        between = at[:, None, :] - at[None, :, :]
        far = np.hypot(between[..., 0], between[..., 1])
        np.fill_diagonal(far, _NEAREST)
        near = far < _NEAREST
        if not near.any():
            break
        push = np.where(near, (_NEAREST - far) / np.maximum(far, 1e-3), 0.0)
        at = at + 0.3 * (push[..., None] * between).sum(axis=1)
    return at
