"""What each level of agreement is worth: Fellegi-Sunter m and u probabilities, and thresholds.

m is the share of true pairs at a level, u that of strangers (Fellegi and Sunter 1969); the weight
is log2(m/u). `null` for u means: the shared name's own frequency, so that Smith counts for less
than Kaminsky. `silenthit partner estimate-model` estimates both from anybody's records.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import log2
from pathlib import Path
from typing import Any

from silenthit.errors import SettingsError
from silenthit.identity.level import Level

# A shared name's frequency counts within these: no name alone is proof, none worth nothing.
_COMMONEST, _RAREST = 0.02, 0.0001


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """Weights in bits by (field, level), and thresholds of probability for a decision."""

    prior: float  # bits: log2 of the odds that a blind candidate is the person
    hit: float
    possible: float
    mentioned: float  # bits for a subject that only a narrative mentions
    bits: dict[tuple[str, str], float]
    m_bits: dict[tuple[str, str], float]  # log2(m) where u is a name's own frequency

    @classmethod
    def load(cls, path: Path) -> Model:
        """Read a model that replaces ours. Raises SettingsError naming the file."""
        try:
            return cls.parsed(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            raise SettingsError(
                f"expected an identity model in {path}; make one with `silenthit partner "
                "estimate-model`"
            ) from None

    @classmethod
    def parsed(cls, content: dict[str, Any]) -> Model:
        """Take a model from its JSON. Raises ValueError, KeyError or TypeError for another form."""
        bits, m_bits = {}, {}
        for field, outcomes in content["levels"].items():
            for level, (m, u) in outcomes.items():
                if u is None:
                    m_bits[field, level] = log2(m)
                else:
                    bits[field, level] = log2(m / u)
        return cls(
            prior=log2(content["prior"] / (1 - content["prior"])),
            hit=content["hit"],
            possible=content["possible"],
            mentioned=content["mentioned"],
            bits=bits,
            m_bits=m_bits,
        )

    def weight(self, level: Level) -> float:
        """Bits of evidence in one field's outcome."""
        key = (level.field, level.level)
        if level.frequency and key in self.m_bits:
            return self.m_bits[key] - log2(max(_RAREST, min(level.frequency, _COMMONEST)))
        return self.bits.get(key, 0.0)


def default_content() -> dict[str, Any]:
    """The shipped model as JSON, for one of your own to start from."""
    file = files("silenthit.identity").joinpath("data", "model.json")
    content: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return content


@cache
def default_model() -> Model:
    """The model that comes with this package."""
    return Model.parsed(default_content())
