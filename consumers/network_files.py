"""A network for other tools: GraphML for Gephi, yEd or Cytoscape, CSV for a spreadsheet."""

from __future__ import annotations

import csv
import io
from typing import Any

import networkx as nx

from consumers.associations import WARNING
from consumers.network import Link, Network
from consumers.times import iso

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_COLUMNS = (
    *("from_kind", "from", "to_kind", "to", "how", "first", "last", "touches", "records"),
    "agencies",
)


def as_graphml(network: Network) -> str:
    """Return GraphML; the warning is an attribute of the graph."""
    graph: Any = nx.MultiGraph(label=network.label, warning=WARNING)
    for node in network.nodes:
        graph.add_node(
            node.id,
            label=_plain(node.label),
            kind=node.kind,
            step=node.step,
            watched=node.watched,
            first=iso(node.first),
            last=iso(node.last),
            touches=node.touches,
        )
    for link in network.links:
        fields = {name: _plain(text) for name, text in _told(link).items()}
        graph.add_edge(*link.ends, **fields, touches=len(link.touches))
    return "\n".join(["<?xml version='1.0' encoding='utf-8'?>", *nx.generate_graphml(graph), ""])


def as_csv(network: Network) -> str:
    """Return one line a link; what a spreadsheet would take for a formula gets a quote first."""
    nodes = {node.id: node for node in network.nodes}
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(_COLUMNS)
    for link in network.links:
        one, other = (nodes[end] for end in link.ends)
        told = _told(link)
        cells: list[str] = [
            one.kind,
            one.label,
            other.kind,
            other.label,
            told["how"],
            told["first"],
        ]
        cells += (told["last"], str(len(link.touches)), told["records"], told["agencies"])
        table.writerow(f"'{each}" if each.startswith(_FORMULA) else each for each in cells)
    return text.getvalue()


def _told(link: Link) -> dict[str, str]:
    return {
        "how": link.how,
        "first": iso(link.first),
        "last": iso(link.last),
        "records": "; ".join(dict.fromkeys(each.record_number for each in link.touches)),
        "agencies": "; ".join(dict.fromkeys(each.agency for each in link.touches)),
    }


def _plain(text: str) -> str:
    """Without the control characters that XML 1.0 has no place for."""
    return "".join(each for each in text if each.isprintable() or each in "\t\n")
