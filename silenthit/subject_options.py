"""A subject as somebody writes it: command-line options, or plain values such as a file's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import rich_click as click
from pydantic import ValidationError

from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import IdentifierKind, NameKind
from silenthit.errors import InputError

F = TypeVar("F", bound=Callable[..., Any])
_WITH_ISSUER = {
    IdentifierKind.PLATE,
    IdentifierKind.STATE_ID,
    IdentifierKind.DRIVER_LICENCE,
    IdentifierKind.PASSPORT,
    IdentifierKind.SOCIAL_HANDLE,
}
_ISSUER = re.compile(r"\s*([A-Za-z][A-Za-z .]{1,19}):(?!//)\s*(.+)")
_NAME_PARTS = ("surname", "given", "middle", "suffix", "full")
SUBJECT_FIELDS = (
    *_NAME_PARTS,
    "aliases",
    "street_names",
    "birth_dates",
    "identifiers",
    "sex",
    "minor",
    *(kind.value for kind in IdentifierKind),
)


def subject_options(function: F) -> F:
    """Add an option for each field of a subject; their values are for `read_subject`."""
    decorate: list[Callable[[Any], Any]] = [
        click.option("--surname", default=""),
        click.option("--given", default=""),
        click.option("--middle", default=""),
        click.option("--full", default="", help="The whole name, where its parts are not known."),
        click.option("--alias", "aliases", multiple=True, help="Another name. May be repeated."),
        click.option("--street-name", "street_names", multiple=True),
        click.option("--birth-date", "birth_dates", multiple=True, help="MM/DD/YYYY or ISO 8601."),
    ]
    for kind in IdentifierKind:
        if kind is not IdentifierKind.OTHER:
            option = f"--{kind.value.replace('_', '-')}"
            decorate.append(click.option(option, kind.value, multiple=True))
    decorated: Any = function
    for each in reversed(decorate):
        decorated = each(decorated)
    return cast("F", decorated)


def read_identifier(kind: IdentifierKind, text: str) -> Identifier:
    """Read "CT:AB12345" as plate AB12345 of Connecticut, "instagram:red" as a handle there."""
    found = _ISSUER.fullmatch(text) if kind in _WITH_ISSUER else None
    issuer, value = found.groups() if found else ("", text)
    return Identifier(kind=kind, value=value.strip(), issuer=issuer.strip())


def read_subject(fields: Mapping[str, Any]) -> Subject:
    """Build a subject from plain values: name parts, `aliases`, `phone` … (text or list).

    Raises InputError naming what is not as expected.
    """
    unknown = sorted(fields.keys() - set(SUBJECT_FIELDS))
    if unknown:
        raise InputError(
            f"expected the fields of a subject, got {', '.join(unknown)} as well; the fields are "
            f"{', '.join(sorted(SUBJECT_FIELDS))}"
        )
    try:
        return Subject(
            names=tuple(_names(fields)),
            birth_dates=tuple(map(str, fields.get("birth_dates", ()))),
            identifiers=tuple(_identifiers(fields)),
            sex=fields.get("sex", ""),
            minor=fields.get("minor", False),
        )
    except ValidationError as error:
        places = [".".join(map(str, each["loc"])) for each in error.errors(include_input=False)]
        raise InputError(
            f"expected a subject, got unusable {', '.join(places)}; correct these fields"
        ) from None


def _names(fields: Mapping[str, Any]) -> list[PersonName]:
    parts = {name: fields[name] for name in _NAME_PARTS if fields.get(name)}
    names = [PersonName(**parts)] if parts else []
    for kind, name in ((NameKind.ALIAS, "aliases"), (NameKind.STREET_NAME, "street_names")):
        names += [PersonName(full=each, kind=kind) for each in _several(fields, name)]
    return names


def _identifiers(fields: Mapping[str, Any]) -> list[Identifier]:
    written = [Identifier.model_validate(each) for each in fields.get("identifiers", ())]
    return written + [
        read_identifier(kind, each) for kind in IdentifierKind for each in _several(fields, kind)
    ]


def _several(fields: Mapping[str, Any], name: str) -> Sequence[str]:
    value = fields.get(name) or ()
    return [value] if isinstance(value, str) else list(value)
