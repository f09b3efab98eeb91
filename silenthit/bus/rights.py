"""Who may do what at the brokers: every right follows from the table of topics.

A principal is an organisation or a process in one role, `agency.ny0303000`, and is the common name
of its certificate. What is not granted is refused, so that a principal can't even tell a topic of
others from one that does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, not in its __all__
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from schemas.topics import TOPICS, Bus, Role, Topic
from silenthit.bus.connection import failure
from silenthit.bus.settings import KafkaSettings
from silenthit.errors import InputError

ASK_S = 10.0
# The matching workers divide the touches among themselves; nobody else is in any group.
MATCH_GROUP = "exchange"
# Of the exchange's processes the one that deconflicts writes to two partners at once.
DECONFLICTING = "silenthit-deconflict"
# And the one that tells of conflicts writes to two agencies at once.
CONFLICTS_WRITER = "silenthit-conflicts"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
# Roles that serve every organisation: their rights cover all topics of a kind.
_PROCESSES = frozenset({Role.MATCH, Role.ANSWER, Role.AUDITOR})


@dataclass(frozen=True, order=True, slots=True)
class Principal:
    """Somebody the brokers know. `name` is an organisation's as in topics, or a worker's."""

    role: Role
    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(
                "expected a name of lower-case letters, digits and hyphens, at most 48; an "
                "agency's is its ORI in lower case"
            )

    @property
    def common_name(self) -> str:
        """Common name of its certificate."""
        return f"{self.role.value}.{self.name}"

    @property
    def user(self) -> str:
        """How Kafka names it, given the rule in `PRINCIPAL_RULES`."""
        return f"User:{self.common_name}"


# Broker setting `ssl.principal.mapping.rules`: a certificate's common name is the principal.
PRINCIPAL_RULES = "RULE:^CN=([a-z]+\\.[a-z0-9-]+)$/$1/,DEFAULT"


@dataclass(frozen=True, order=True, slots=True)
class Right:
    """One thing that a principal may do: a row of Kafka's access control list."""

    user: str
    operation: str  # of Kafka's: READ, WRITE, …
    resource: str  # TOPIC, GROUP or TRANSACTIONAL_ID
    name: str
    prefixed: bool = False  # `name` begins the names that are meant

    def binding(self) -> AclBinding:
        """Return it as Kafka's admin client takes it."""
        pattern = ResourcePatternType.PREFIXED if self.prefixed else ResourcePatternType.LITERAL
        return AclBinding(
            ResourceType[self.resource],
            self.name,
            pattern,
            self.user,
            "*",
            AclOperation[self.operation],
            AclPermissionType.ALLOW,
        )

    @classmethod
    def of(cls, binding: Any) -> Self:
        """Read a row of the live list; what the table would never hold stands out in its text."""
        odd = "" if binding.host == "*" else f"@{binding.host}"
        deny = "" if binding.permission_type == AclPermissionType.ALLOW else "DENY "
        return cls(
            binding.principal + odd,
            deny + binding.operation.name,
            binding.restype.name,
            binding.name,
            binding.resource_pattern_type == ResourcePatternType.PREFIXED,
        )

    def __str__(self) -> str:
        """Return one line for an operator."""
        star = "*" if self.prefixed else ""
        return f"{self.user} {self.operation} {self.resource.lower()} {self.name}{star}"


def rights_of(principal: Principal, bus: Bus) -> frozenset[Right]:
    """Return all that a principal may do on a bus, as `schemas.topics` says."""
    rights = set()
    for topic in TOPICS:
        if topic.bus is not bus:
            continue
        for operation, roles in (("READ", topic.readers), ("WRITE", topic.writers)):
            if principal.role in roles:
                name, prefixed = _name_for(topic, principal)
                rights.add(Right(principal.user, operation, "TOPIC", name, prefixed))
    if principal.role is Role.MATCH and bus is Bus.AGENCY:
        rights.add(Right(principal.user, "READ", "GROUP", MATCH_GROUP))
    if principal.role is Role.MATCH and bus is Bus.PARTNER:
        rights.add(Right(principal.user, "WRITE", "TRANSACTIONAL_ID", DECONFLICTING))
    if principal.role is Role.ANSWER and bus is Bus.AGENCY:
        rights.add(Right(principal.user, "WRITE", "TRANSACTIONAL_ID", CONFLICTS_WRITER))
    return frozenset(rights)


def own_topics(principal: Principal, bus: Bus) -> list[tuple[Topic, str]]:
    """Return the topics that exist for this organisation alone, with their names."""
    if principal.role in _PROCESSES:
        return []
    return [
        (topic, topic.of(principal.name))
        for topic in TOPICS
        if topic.bus is bus
        and "{org}" in topic.name
        and principal.role in topic.writers | topic.readers
    ]


def buses_of(role: Role) -> tuple[Bus, ...]:
    """Return the buses that a role has any right on."""
    return tuple(
        bus for bus in Bus if any(t.bus is bus and role in t.writers | t.readers for t in TOPICS)
    )


def _name_for(topic: Topic, principal: Principal) -> tuple[str, bool]:
    if "{org}" not in topic.name:
        return topic.name, False
    if principal.role in _PROCESSES:
        return topic.name.partition("{org}")[0], True
    return topic.of(principal.name), False


def grant(settings: KafkaSettings, rights: Iterable[Right]) -> None:
    """Put rights on the live list; those that are there stay.

    Raises RefusedError without the right to alter the list, RetryError when no broker answers.
    """
    admin = AdminClient(settings.properties("silenthit-rights"))
    wanted = [right.binding() for right in rights]
    _settle(admin.create_acls(wanted) if wanted else {}, "grant rights")


def revoke(settings: KafkaSettings, rights: Iterable[Right]) -> None:
    """Take rights off the live list; those that are not there do no harm. Raises as `grant`."""
    admin = AdminClient(settings.properties("silenthit-rights"))
    filters = [_filter_for(right.binding()) for right in rights]
    _settle(admin.delete_acls(filters) if filters else {}, "revoke rights")


def granted(settings: KafkaSettings) -> frozenset[Right]:
    """Return the whole live list. Raises RefusedError or RetryError as `grant` does."""
    admin = AdminClient(settings.properties("silenthit-rights"))
    try:
        return frozenset(map(Right.of, admin.describe_acls(_everything()).result(ASK_S)))
    except KafkaException as error:
        raise failure(error.args[0], "list rights") from None


def _settle(futures: Mapping[Any, Any], doing: str) -> None:
    for future in futures.values():
        try:
            future.result(ASK_S)
        except KafkaException as error:
            raise failure(error.args[0], doing) from None


def _filter_for(binding: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )


def _everything() -> AclBindingFilter:
    anything: Any = None  # the library's stubs know no absent name
    return AclBindingFilter(
        ResourceType.ANY,
        anything,
        ResourcePatternType.ANY,
        anything,
        anything,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
