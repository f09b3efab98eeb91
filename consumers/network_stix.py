"""A network as a STIX 2.1 bundle, checked by the library `stix2` as it is made.

People are `identity`, places `location`, e-mail addresses and handles the observables that STIX
has. It has none for a phone, a car, a device or a payment account: these are one observable of our
own, defined by an extension (STIX 2.1, section 7.3) in the same bundle. All of it is TLP:RED.
"""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID, uuid5

import stix2
from stix2.properties import StringProperty

from consumers.associations import WARNING, kind_word
from consumers.network import Link, Network, Node
from schemas.vocabulary import IdentifierKind

_NAMESPACE = UUID("5b9f4fd1-6c1e-4d53-9d0e-8f1f6a1c2d77")
_EXTENSION = "extension-definition--2f0f7a43-5a0e-4c7c-8d4c-1f4a9d2b7e10"
_OWN = "x-silenthit-item"


@stix2.v21.CustomObservable(
    _OWN,
    [
        ("item_kind", StringProperty(required=True)),
        ("value", StringProperty(required=True)),
        ("issuer", StringProperty()),
    ],
    ["item_kind", "value", "issuer"],
    extension_name=_EXTENSION,
)
class _Item:
    """A phone, plate, VIN, device or payment account."""


def bundle(network: Network) -> str:
    """Return the bundle as JSON; the same network gives the same objects."""
    if not network.nodes:
        return cast("str", stix2.v21.Bundle(objects=[]).serialize(pretty=True))
    made = min(node.first for node in network.nodes)
    fixed = {"created": made, "modified": made, "object_marking_refs": [stix2.v21.TLP_RED.id]}
    author = stix2.v21.Identity(
        id=_named("identity", "silenthit"), name="SilentHit", identity_class="system", **fixed
    )
    fixed["created_by_ref"] = author.id
    objects = {node.id: _object(node, fixed) for node in network.nodes}
    links = [_relationship(link, objects, fixed) for link in network.links]
    members = [each.id for each in (*objects.values(), *links)]
    around = stix2.v21.Grouping(
        id=_named("grouping", network.label),
        name=network.label,
        context="suspicious-activity",
        description=WARNING,
        object_refs=members,
        allow_custom=True,
        **fixed,
    )
    note = stix2.v21.Note(
        id=_named("note", network.label),
        abstract="How to read this",
        content=WARNING,
        object_refs=[around.id],
        **fixed,
    )
    head = [stix2.v21.TLP_RED, author, _extension(author.id, made), around, note]
    made_of = stix2.v21.Bundle(
        id=_named("bundle", network.label),
        objects=[*head, *objects.values(), *links],
        allow_custom=True,
    )
    return cast("str", made_of.serialize(pretty=True))


def _named(kind: str, text: str) -> str:
    return f"{kind}--{uuid5(_NAMESPACE, f'{kind}/{text}')}"


def _object(node: Node, fixed: dict[str, Any]) -> Any:
    marks = {"object_marking_refs": fixed["object_marking_refs"]}
    item = node.identifier
    if item is None:
        labels = ["watched"] if node.watched else [f"step-{node.step}"]
        fields = {"name": node.label, "identity_class": "individual", "labels": labels}
        return stix2.v21.Identity(id=_named("identity", node.id), **fields, **fixed)
    if node.kind == "place":
        return stix2.v21.Location(
            id=_named("location", node.id),
            name=node.label,
            street_address=item.value,
            country="US",
            **fixed,
        )
    if item.kind is IdentifierKind.EMAIL:
        return stix2.v21.EmailAddress(value=item.value, **marks)
    if item.kind is IdentifierKind.SOCIAL_HANDLE:
        platform = {"account_type": item.issuer.casefold()} if item.issuer else {}
        return stix2.v21.UserAccount(account_login=item.value, **platform, **marks)
    issuer = {"issuer": item.issuer} if item.issuer else {}
    return _Item(**{"item_kind": kind_word(item.kind), "value": item.value, **issuer, **marks})


def _relationship(link: Link, objects: dict[str, Any], fixed: dict[str, Any]) -> Any:
    one, other = (objects[end].id for end in link.ends)
    records = ", ".join(dict.fromkeys(each.record_number for each in link.touches))
    span = {"start_time": link.first, "stop_time": link.last} if link.last > link.first else {}
    return stix2.v21.Relationship(
        id=_named("relationship", f"{one} {link.how} {other}"),
        source_ref=one,
        target_ref=other,
        relationship_type="related-to",
        allow_custom=True,
        description=f"{link.how}; {len(link.touches)} records: {records}",
        **span,
        **fixed,
    )


def _extension(author: str, made: Any) -> Any:
    return stix2.v21.ExtensionDefinition(
        id=_EXTENSION,
        created_by_ref=author,
        created=made,
        modified=made,
        name="SilentHit item",
        description="A phone, plate, VIN, device or payment account that a record names.",
        schema="item_kind (string, required), value (string, required), issuer (string)",
        version="1.0.0",
        extension_types=["new-sco"],
    )
