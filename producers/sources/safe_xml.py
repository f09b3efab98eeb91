"""Read XML that strangers wrote: no document type, no entities, no network, bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.parsers import expat

from lxml import etree

MAX_BYTES = 64 * 2**20
MAX_ELEMENTS = 1_000_000  # held at once
_CHUNK = 65_536


class UnsafeXmlError(ValueError):
    """The document is not read; `expected` and `remedy` say why, never quoting it."""

    def __init__(self, expected: str, remedy: str, line: int = 0) -> None:
        super().__init__(f"expected {expected}; {remedy}")
        self.expected, self.remedy, self.line = expected, remedy, line


class _RootReachedError(Exception):
    """The prolog is over and was harmless."""


def parse(data: bytes) -> etree._Element:
    """Return the root element. Raises UnsafeXmlError.

    A document type declaration is refused before the tree is built: it is what entity bombs and
    external entities need, and no exchange of records has one.
    """
    if len(data) > MAX_BYTES:
        raise UnsafeXmlError(
            f"at most {MAX_BYTES // 2**20} MiB of XML in one file", "split the export"
        )
    refuse_document_type(data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK))
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,  # nobody asks libxml2 for them
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise UnsafeXmlError(
            "well-formed XML", "export the file again", error.lineno or 0
        ) from None
    if root.getroottree().docinfo.doctype:
        raise UnsafeXmlError("no document type declaration", "remove <!DOCTYPE …>")
    return root


def elements(path: Path, name: str) -> Iterator[etree._Element]:
    """Yield the elements of this local name in a file of any size, each forgotten after its use.

    Raises UnsafeXmlError, where it breaks off after the elements before.
    """
    with path.open("rb") as file:
        refuse_document_type(iter(lambda: file.read(_CHUNK), b""))
        file.seek(0)
        parsed = etree.iterparse(
            file,
            events=("start", "end"),
            resolve_entities=False,
            load_dtd=False,
            no_network=True,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        )
        held = 0
        try:
            for event, element in parsed:
                held += event == "start"
                if held > MAX_ELEMENTS:
                    raise UnsafeXmlError(
                        f"at most {MAX_ELEMENTS:,} elements to a {name}", "split the export"
                    )
                if event == "end" and element.tag.rpartition("}")[2] == name:
                    yield element
                    _forget(element)
                    held = 0
        except etree.XMLSyntaxError as error:
            raise UnsafeXmlError(
                "well-formed XML", "export the file again", error.lineno or 0
            ) from None


def _forget(element: etree._Element) -> None:
    """Free an element and all before it: a document of 2 GB is read in the room of one element."""
    element.clear()
    for each in (element, *element.iterancestors()):
        while (before := each.getprevious()) is not None:
            before.getparent().remove(before)


def refuse_document_type(chunks: Iterable[bytes]) -> None:
    """Read a document as far as its root element. Raises UnsafeXmlError for a document type."""
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise UnsafeXmlError(
            "no document type declaration", "remove <!DOCTYPE …>", parser.CurrentLineNumber
        )

    def stop(*_: object) -> None:
        raise _RootReachedError

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = stop
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except _RootReachedError:
        return
    except expat.ExpatError as error:
        raise UnsafeXmlError("well-formed XML", "export the file again", error.lineno) from None
