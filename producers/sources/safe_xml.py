"""Read XML that strangers wrote: no document type, no entities, no network, bounded size."""

from __future__ import annotations

from xml.parsers import expat

from lxml import etree

MAX_BYTES = 64 * 2**20
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
    _refuse_document_type(data)
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
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


def _refuse_document_type(data: bytes) -> None:
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
        for start in range(0, len(data), _CHUNK):
            parser.Parse(data[start : start + _CHUNK], False)
        parser.Parse(b"", True)
    except _RootReachedError:
        return
    except expat.ExpatError as error:
        raise UnsafeXmlError("well-formed XML", "export the file again", error.lineno) from None
