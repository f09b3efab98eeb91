"""The picture of a network: one HTML file with all that it needs; it asks nobody for anything."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from consumers.associations import WARNING
from consumers.network import KINDS, Link, Network, Node
from consumers.network_layout import placed
from consumers.times import iso


def page(network: Network) -> str:
    """Return the page. Text of records goes in as data, and is never taken for HTML."""
    template = files("consumers").joinpath("network_page.html").read_text("utf-8")
    return template.replace("/*DATA*/", _embedded(_data(network)))


def _data(network: Network) -> dict[str, Any]:
    at = placed(network)
    number = {node.id: n for n, node in enumerate(network.nodes)}
    return {
        "label": network.label,
        "warning": WARNING,
        "kinds": [kind for kind in KINDS if any(node.kind == kind for node in network.nodes)],
        "nodes": [_node(node, at[node.id]) for node in network.nodes],
        "links": [_link(link, number) for link in network.links],
    }


def _node(node: Node, at: tuple[float, float]) -> dict[str, Any]:
    return {
        "kind": node.kind,
        "label": node.label,
        "step": node.step,
        "watched": node.watched,
        "first": iso(node.first)[:10],
        "last": iso(node.last)[:10],
        "touches": node.touches,
        "x": at[0],
        "y": at[1],
    }


def _link(link: Link, number: dict[str, int]) -> dict[str, Any]:
    one, other = link.ends
    return {
        "a": number[one],
        "b": number[other],
        "how": link.how,
        "touches": [
            [iso(each.at)[:10], each.record_number, each.kind, each.agency] for each in link.touches
        ],
    }


def _embedded(data: dict[str, Any]) -> str:
    """JSON that ends no script element, whatever is in it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
