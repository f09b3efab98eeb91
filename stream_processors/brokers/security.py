"""What brokers need to enforce who may do what: certificates, and lines for server.properties."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from schemas.topics import Bus, Role
from silenthit.bus.handover import HandOver
from silenthit.bus.rights import PRINCIPAL_RULES
from silenthit.bus.settings import KafkaSettings
from silenthit.certificates import Authority, new_key, write_certificate, write_key, write_private
from silenthit.errors import InputError

BROKER_DAYS = 825
OPERATOR = "operator.exchange"
# Java's properties give the backslash a meaning of its own.
_PROPERTIES = """\
# Add to the server.properties of each broker; its clients' listener has the protocol SSL (or
# SASL_SSL for passwords). Brokers among themselves: TLS too, or a network of their own.
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:{operator}
ssl.principal.mapping.rules={rules}
ssl.client.auth=required
ssl.enabled.protocols=TLSv1.3,TLSv1.2
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={truststore}
sasl.enabled.mechanisms=SCRAM-SHA-512
unclean.leader.election.enable=false
# With three brokers or more, before the first topic is made:
# default.replication.factor=3
# offsets.topic.replication.factor=3
# min.insync.replicas=2
# For a listener of passwords, named here PASSWORD:
# listener.name.password.scram-sha-512.sasl.jaas.config=\
#   org.apache.kafka.common.security.scram.ScramLoginModule required;
"""


def found(folder: Path, hosts: Sequence[str], bootstrap: str, partner_bootstrap: str) -> Path:
    """Make an authority, the brokers' certificate and the operator's hand-over file.

    Returns the hand-over file. Raises InputError when the folder holds an authority already.
    """
    if (folder / "ca.key").exists():
        raise InputError(f"expected no authority in {folder}, got one; name another folder")
    now = datetime.now(UTC)
    made = Authority.create("silenthit bus development CA", now)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_key(folder / "ca.key", made.key)
    write_certificate(folder / "ca.crt", made.certificate)
    keystore = _broker_files(folder, made, hosts, now)
    rules = PRINCIPAL_RULES.replace("\\", "\\\\")
    text = _PROPERTIES.format(
        operator=OPERATOR, rules=rules, keystore=keystore, truststore=(folder / "ca.crt").resolve()
    )
    (folder / "broker.properties").write_text(text, "utf-8")
    return _operator_file(folder, made, (bootstrap, partner_bootstrap), now)


def _broker_files(folder: Path, made: Authority, hosts: Sequence[str], now: datetime) -> Path:
    key, pem = folder / "broker.key", folder / "broker.pem"
    public = new_key()
    write_key(key, public)
    certificate = folder / "broker.crt"
    write_certificate(certificate, made.server(hosts, public.public_key(), now, BROKER_DAYS))
    write_private(pem, key.read_bytes() + certificate.read_bytes())
    key.unlink()  # it stands in the PEM that the broker reads
    return pem.resolve()


def _operator_file(folder: Path, made: Authority, addresses: Sequence[str], now: datetime) -> Path:
    """Give the operator a certificate like any other; the brokers name it their super user."""
    key = new_key()
    files = {name: folder / f"operator.{name}" for name in ("key", "crt", "toml")}
    write_key(files["key"], key)
    valid = timedelta(days=BROKER_DAYS)
    write_certificate(files["crt"], made.client(OPERATOR, key.public_key(), now, valid))
    security = {
        "security.protocol": "ssl",
        "ssl.ca.pem": (folder / "ca.crt").read_text("ascii"),
        "ssl.certificate.pem": files["crt"].read_text("ascii"),
        "ssl.key.pem": files["key"].read_text("ascii"),
    }
    bus = {
        each: KafkaSettings(bootstrap_servers=address, security=security)
        for each, address in zip(Bus, addresses, strict=True)
    }
    HandOver(name="exchange", role=Role.OPERATOR, bus=bus).save(files["toml"])
    files["key"].unlink()
    files["crt"].unlink()
    return files["toml"]
