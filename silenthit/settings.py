"""Read an organisation's configuration: a TOML file into a frozen model.

    settings = load_toml(Path("partner/partner.toml"), PartnerSettings)

Relative paths count from the file's folder. An environment variable overrides one key:
SILENTHIT_BUS__PARTNER__BOOTSTRAP_SERVERS stands for `bus.partner.bootstrap_servers`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from silenthit.errors import SettingsError

PREFIX = "SILENTHIT_"
SHOWN = 3  # problems named in one error

M = TypeVar("M", bound=BaseModel)


def load_toml(path: Path, model: type[M], environment: Mapping[str, str] = os.environ) -> M:
    """Return the settings in a TOML file.

    Raises SettingsError that names the file and the key, never the value.
    """
    data = _override(_read(path), model, environment)
    folder = path.resolve().parent
    try:
        settings = model.model_validate(data, context={"folder": folder})
    except ValidationError as error:
        # Its text quotes the input, which may be a secret: not chained.
        problems = _problems(error)
    else:
        resolved: M = _resolved(settings, folder)
        return resolved
    raise SettingsError(f"expected a configuration in {path}, got {problems}; correct it")


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            f"expected a configuration in {path}, got no such file; name it with --config, or "
            "make one with the `init` command"
        ) from None
    except OSError as error:
        raise SettingsError(
            f"expected to read {path}, got {error.strerror}; check its owner and mode"
        ) from None
    except ValueError as error:
        raise SettingsError(f"expected TOML (UTF-8) in {path}, got: {error}") from None


def _override(
    data: dict[str, Any], model: type[BaseModel], environment: Mapping[str, str]
) -> dict[str, Any]:
    for name, value in environment.items():
        keys = name.removeprefix(PREFIX).lower().split("__")
        if not name.startswith(PREFIX) or keys[0] not in model.model_fields:
            continue
        table = data
        for key in keys[:-1]:
            inner = table.setdefault(key, {})
            if not isinstance(inner, dict):
                raise SettingsError(f"expected {name} to name a key in a table, got none there")
            table = inner
        table[keys[-1]] = value
    return data


def _problems(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    texts = [
        f"`{'.'.join(str(part) for part in one['loc']) or 'the whole'}`: {one['msg']}"
        for one in found
    ]
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return "; ".join(texts[:SHOWN]) + more


def _resolved(value: Any, folder: Path) -> Any:
    """Return the same settings with every relative path, defaults too, put under the folder."""
    if isinstance(value, Path):
        return folder / value.expanduser()
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        changed = {name: _resolved(field, folder) for name, field in fields.items()}
        return value.model_copy(update=changed)
    if isinstance(value, dict):
        return {key: _resolved(one, folder) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(_resolved(one, folder) for one in value)
    return value
