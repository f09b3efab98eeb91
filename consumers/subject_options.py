"""Read a subject from command-line options or from a watch list file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import IdentifierKind, NameKind
from silenthit.errors import InputError

_WITH_ISSUER = {
    IdentifierKind.PLATE,
    IdentifierKind.STATE_ID,
    IdentifierKind.DRIVER_LICENCE,
    IdentifierKind.PASSPORT,
    IdentifierKind.SOCIAL_HANDLE,
}
_ISSUER = re.compile(r"\s*([A-Za-z][A-Za-z .]{1,19}):(?!//)\s*(.+)")
_NAME_PARTS = ("surname", "given", "middle", "suffix", "full")
_SUBJECT_KEYS = {
    *_NAME_PARTS,
    "aliases",
    "street_names",
    "birth_dates",
    "identifiers",
    "sex",
    "minor",
    *(kind.value for kind in IdentifierKind),
}
_WATCH_KEYS = {
    "label",
    "case_number",
    "legal_basis",
    "kinds",
    "expires_at",
    "deliver_to",
    "subject",
}


def read_identifier(kind: IdentifierKind, text: str) -> Identifier:
    """Read "CT:AB12345" as plate AB12345 of Connecticut, "instagram:red" as a handle there."""
    found = _ISSUER.fullmatch(text) if kind in _WITH_ISSUER else None
    issuer, value = found.groups() if found else ("", text)
    return Identifier(kind=kind, value=value.strip(), issuer=issuer.strip())


def read_subject(fields: Mapping[str, Any]) -> Subject:
    """Build a subject from plain values: name parts, `aliases`, `phone` … (text or list).

    Raises InputError naming what is not as expected.
    """
    unknown = sorted(fields.keys() - _SUBJECT_KEYS)
    if unknown:
        raise InputError(
            f"expected the fields of a subject, got {', '.join(unknown)} as well; the fields are "
            f"{', '.join(sorted(_SUBJECT_KEYS))}"
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


def read_watch_file(path: Path) -> list[dict[str, Any]]:
    """Read a watch list (TOML, [[watch]] with [[watch.subject]]) as fields for `read_watch`.

    Raises InputError naming the file, and the watch by its place in it.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError:
        raise InputError(f"expected a watch list in {path}, got no readable file") from None
    except ValueError as error:
        at = re.search(r"\(at [^)]*\)", str(error))
        raise InputError(
            f"expected TOML in {path}, got other text {at.group() if at else ''}; see the example "
            "in `silenthit watch import --help`"
        ) from None
    watches = content.get("watch")
    if not isinstance(watches, list) or content.keys() != {"watch"}:
        raise InputError(f"expected only [[watch]] tables in {path}; see `watch import --help`")
    return watches


def watch_fields(written: Mapping[str, Any]) -> dict[str, Any]:
    """Turn one [[watch]] table into the fields of a watch. Raises InputError for unknown keys."""
    unknown = sorted(written.keys() - _WATCH_KEYS)
    if unknown:
        raise InputError(f"expected the fields of a watch, got {', '.join(unknown)} as well")
    subjects = written.get("subject", ())
    fields = {name: value for name, value in written.items() if name != "subject"}
    return {**fields, "subjects": tuple(map(read_subject, subjects))}
