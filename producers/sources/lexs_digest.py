"""Find one's way in a LEXS data item package: by local name, by id, and who refers to whom."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

from lxml import etree


class ElementError(ValueError):
    """An element that can't be used: its name and line, what was expected there, and the remedy."""

    def __init__(self, element: etree._Element, expected: str, remedy: str) -> None:
        super().__init__(f"expected {expected}; {remedy}")
        self.element, self.line = named(element), element.sourceline or 0
        self.expected, self.remedy = expected, remedy


@lru_cache(4096)
def _without_namespace(tag: str) -> str:
    return tag.rpartition("}")[2]


def local(element: etree._Element) -> str:
    """Name of an element without its namespace."""
    return _without_namespace(element.tag)


def named(element: etree._Element) -> str:
    """Name of an element with the prefix that the document gives it."""
    return f"{element.prefix}:{local(element)}" if element.prefix else local(element)


def text_of(element: etree._Element) -> str:
    """All text within an element, on one line but for paragraphs of its own."""
    if not len(element):
        return (element.text or "").strip()
    return "".join(element.itertext()).strip()


def child_text(element: etree._Element, name: str) -> str:
    """Text of the first descendant of this local name, empty when there is none."""
    found = next(element.iter(f"{{*}}{name}"), None)
    return "" if found is None else text_of(found)


def first_children(element: etree._Element) -> dict[str, etree._Element]:
    """First descendant of each local name; looks once where many are asked for."""
    found: dict[str, etree._Element] = {}
    for each in element.iterdescendants("{*}*"):
        found.setdefault(_without_namespace(each.tag), each)
    return found


def text_in(found: dict[str, etree._Element], name: str) -> str:
    """Text of one of them, empty when there is none."""
    element = found.get(name)
    return "" if element is None else text_of(element)


class Within:
    """What stands within an element, itself included: found once where many names are asked for."""

    def __init__(self, element: etree._Element) -> None:
        self._all = [(_without_namespace(each.tag), each) for each in element.iter("{*}*")]

    def named(self, *names: str) -> list[etree._Element]:
        """Elements of these local names, in document order."""
        return [each for name, each in self._all if name in names]

    def text(self, name: str) -> str:
        """Text of the first element of a local name, empty when there is none."""
        return next((text_of(each) for each in self.named(name)), "")


def reference(element: etree._Element) -> str:
    """The id that an element refers to (s:ref, lexslib:ref), empty when it does not."""
    return next((v for k, v in element.items() if _without_namespace(k) == "ref"), "")


@dataclass(frozen=True, slots=True)
class Association:
    """An association of the digest: its local name and the ids that it ties together."""

    name: str
    refs: tuple[str, ...]


# What `Digest` is asked for by name: an element that Python never sees costs a tenth.
_ASKED_FOR = """
    Activity ActivityCategoryText ActivityDescriptionText ArrestReport Booking BookingReport
    ContactEmailID DataItemCategoryText DataItemContact DataItemID DataItemPublishInstruction
    DataItemReferenceID DataOwnerContact DataOwnerMetadata EnforcementUnitBeatIdentification
    Incarceration IncidentCaseNumberText IncidentCategoryCode InstantMessenger
    LatitudeDegreeValue MGRSCoordinateStringText NIBRSOffenseCode OffenseCode OffenseText
    OffenseUCRCode Person RoleOfPersonReference TelephoneNumber Vehicle
"""
_NAMED = {name: f"{{*}}{name}" for name in _ASKED_FOR.split()}
_WITH_ATTRIBUTES = etree.XPath("descendant-or-self::*[@*]")  # one in five


class Digest:
    """One data item package, indexed in one pass."""

    def __init__(self, package: etree._Element) -> None:
        self.package = package
        self._named: dict[str, list[etree._Element]] = {name: [] for name in _NAMED}
        self._name_of: dict[str, str] = {}
        self._by_id: defaultdict[str, dict[str, etree._Element]] = defaultdict(dict)
        tied: dict[etree._Element, list[str]] = {}
        for element in package.iter(*_NAMED.values()):
            self._named[_without_namespace(element.tag)].append(element)
        for element in _WITH_ATTRIBUTES(package):
            for key, value in element.items():
                attribute = _without_namespace(key)
                if attribute == "id":
                    name = local(element)
                    if self._name_of.setdefault(value, name) == name:
                        self._by_id[name].setdefault(value, element)
                elif attribute == "ref" and value:
                    tied.setdefault(element.getparent(), []).append(value)
        self.associations = tuple(
            Association(name, tuple(refs))
            for element, refs in tied.items()
            if (name := local(element)).endswith("Association")
        )

    def all(self, name: str) -> list[etree._Element]:
        """Elements of a local name, one of those that are looked for, in document order."""
        return self._named[name]

    def first(self, name: str) -> etree._Element | None:
        """First element of a local name."""
        return next(iter(self.all(name)), None)

    def first_text(self, name: str) -> str:
        """Text of the first element of a local name, empty when there is none."""
        return next(iter(self.texts(name)), "")

    def texts(self, name: str) -> list[str]:
        """What elements of a local name say, empty ones left out."""
        return [text for each in self.all(name) if (text := text_of(each))]

    def by_id(self, name: str) -> dict[str, etree._Element]:
        """Elements of a local name that have an id."""
        return self._by_id.get(name, {})

    def is_a(self, key: str, name: str) -> bool:
        """Whether the element of this id has this local name."""
        return self._name_of.get(key) == name
