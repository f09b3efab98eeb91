"""Templates: what a channel shows. Without leave, nothing of a subject.

A template names fields in braces: `{decision}: {label}`. Which fields there are, and which of them
quote a record, is for the edge to say; those a channel shows only with `subject_data = true`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from string import Formatter

from silenthit.call_tree.channels import ChannelSettings
from silenthit.errors import SettingsError


def check_template(
    name: str, settings: ChannelSettings, *, public: Collection[str], private: Collection[str]
) -> None:
    """Refuse a template that cannot be filled. Raises SettingsError naming channel and field."""
    for template in (settings.title, settings.body):
        for field in _fields_of(name, template or ""):
            if field in private and not settings.subject_data:
                raise SettingsError(
                    f"expected no subject data in the template of channels.{name}, got "
                    f"{{{field}}}; take it out, or set subject_data = true if whoever reads that "
                    "channel may see it"
                )
            if field not in {*public, *private}:
                raise SettingsError(
                    f"expected fields of an alert in the template of channels.{name}, got another; "
                    f"there are {', '.join([*public, *private])}"
                )


def _fields_of(name: str, template: str) -> list[str]:
    try:
        return [field for _, field, _, _ in Formatter().parse(template) if field is not None]
    except ValueError:
        raise SettingsError(
            f"expected {{field}} in the template of channels.{name}, got unmatched braces"
        ) from None


def render(template: str, fields: Mapping[str, str]) -> str:
    """Fill a checked template; a field is put in as it is, whatever follows its name."""
    pieces = (
        text + (fields.get(field, "") if field is not None else "")
        for text, field, _, _ in Formatter().parse(template)
    )
    return "".join(pieces)
