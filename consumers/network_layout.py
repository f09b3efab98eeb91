"""Where each node of a network is drawn: the same network always in the same places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from consumers.network import Network

SPACE = 64.0  # between two nodes, in units of the drawing
_NEAREST = 38.0  # no two are closer
_MARGIN = 50.0
_ROUNDS = 120  # fewer for many nodes, whose places they change less
_MANY = 500
_AT_ONCE = 1024  # rows of distances held in memory
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
    number = {name: n for n, name in enumerate(names)}
    edges = sorted(sorted((number[one], number[other])) for one, other in part.edges)
    spread = SPACE * np.sqrt(len(names))
    at = _sprung(len(names), np.array(edges, np.intp).reshape(-1, 2)) * spread
    at = _apart(at)
    moved: NDArray[np.float64] = at - at.min(axis=0)
    return moved


def _sprung(count: int, edges: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return places by springs: all push each other off, an edge pulls its ends together.

    Fruchterman and Reingold, Graph drawing by force-directed placement, 1991.
    """
    at = np.random.default_rng(7).random((count, 2))
    length, reach = 2.2 / np.sqrt(count), 0.1
    one, other = edges.T
    rounds = int(np.clip(_ROUNDS * _MANY / count, _ROUNDS // 4, _ROUNDS))
    for turn in range(rounds):
        force = np.empty_like(at)
        for rows, far2 in _far2(at):
            push = length**2 / np.maximum(far2, 1e-4)
            force[rows] = push.sum(axis=1)[:, None] * at[rows] - push @ at
        between = at[one] - at[other]
        pull = np.hypot(*between.T)[:, None] / length * between
        force += _summed(other, pull, count) - _summed(one, pull, count)
        strength = np.maximum(np.hypot(*force.T), 0.01)[:, None]
        at = at + force / strength * reach * (1 - turn / rounds)
    return at


def _apart(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Push apart what is drawn too close, a little at a time."""
    for _ in range(_ROUNDS):
        one, other = _too_close(at)
        if not len(one):
            break
        between = at[one] - at[other]
        far = np.hypot(*between.T)[:, None]
        push = 0.3 * (_NEAREST - far) / np.maximum(far, 1e-3) * between
        at = at + _summed(one, push, len(at)) - _summed(other, push, len(at))
    return at


def _too_close(at: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return each pair of nodes that are too close, by going from left to right."""
    order = np.argsort(at[:, 0], kind="stable")
    across, down = at[order].T
    firsts, seconds = [order[:0]], [order[:0]]
    for apart in range(1, len(at)):
        wide = across[apart:] - across[:-apart]
        if not (wide < _NEAREST).any():
            break
        near = np.flatnonzero(np.hypot(wide, down[apart:] - down[:-apart]) < _NEAREST)
        firsts.append(order[near])
        seconds.append(order[near + apart])
    return np.concatenate(firsts), np.concatenate(seconds)


def _far2(at: NDArray[np.float64]) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield the square of how far each is from all, so many rows at once."""
    square = (at**2).sum(axis=1)
    for start in range(0, len(at), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        yield rows, np.maximum(square[rows, None] + square - 2 * at[rows] @ at.T, 0.0)


def _summed(which: NDArray[np.intp], moves: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the sum of the moves of each node."""
    return np.stack([np.bincount(which, each, count) for each in moves.T], axis=1)
