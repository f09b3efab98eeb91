"""The partner's edge on each kind of broker: registrations out, alerts in, both by command."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from pydantic import SecretStr

from consumers.alert_list import alerts_listed
from consumers.inbox import Outcome, Received
from consumers.partner import Partner
from consumers.placing import remove_watch
from consumers.receiving import care, catch_up, receive_until
from consumers.registrations import unconfirmed
from consumers.settings import BusSettings, ChannelSettings, PartnerSettings
from schemas import codec
from schemas.messages import Alert, AlertStatus, WatchRegistration, registration_key
from schemas.topics import ALERTS, WATCHES
from silenthit.blinding.access import BlindingSettings
from silenthit.bus.admin import create_topics
from silenthit.bus.clients import KafkaSettings, Message, Publisher, TopicReader
from tests.partner_room import NOW, Room, john, watch_on

# apprise imports modules that Python is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

PRIVATE = ("quillfeather", "203-555", "219-09", "1980", "tanglewood", "tail light", "50a-nh")


class Desk:
    """An HTTP endpoint that stands for a channel; it can be told to refuse."""

    def __init__(self) -> None:
        self.took: Queue[str] = Queue()
        self.refusals = 0
        desk = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                if desk.refusals:
                    desk.refusals -= 1
                    self.send_response(503)
                else:
                    desk.took.put(body)
                    self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self._server.server_port}/desk"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.stop()


@pytest.fixture
def name(bus: KafkaSettings, request: pytest.FixtureRequest) -> str:
    """A partner of this test alone, with its topics."""
    partner = f"p{abs(hash(request.node.nodeid)) % 10**9}"
    create_topics(bus, [(WATCHES, WATCHES.of(partner)), (ALERTS, ALERTS.of(partner))])
    return partner


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room.make(tmp_path)


@pytest.fixture
def partner(bus: KafkaSettings, name: str, room: Room, desk: Desk) -> Partner:
    settings = PartnerSettings(
        name=name,
        bus=BusSettings(partner=bus),
        blinding=BlindingSettings(),
        channels={"desk": ChannelSettings(url=SecretStr(desk.url))},
        deliver_to=("desk",),
    )
    return Partner(settings, room.vault)


def _publish(bus: KafkaSettings, name: str, *alerts: Alert | bytes) -> None:
    with Publisher(bus, client_id="exchange") as exchange:
        for alert in alerts:
            plain = isinstance(alert, Alert)
            key = alert.alert_id if isinstance(alert, Alert) else b"k" * 16
            value = codec.encode(alert) if isinstance(alert, Alert) else alert
            exchange.send(ALERTS.of(name), key, value).result(30)
            assert plain or value


def _on_topic(bus: KafkaSettings, topic: str) -> list[Message]:
    found: list[Message] = []
    with TopicReader(bus, [topic], client_id="test") as reader:
        while not reader.caught_up():
            found += reader.read(100, 1.0)
    return found


def test_a_watch_reaches_the_exchange_and_its_tombstone_too(
    bus: KafkaSettings, partner: Partner, room: Room
) -> None:
    (watch_id,) = room.add()
    care(partner)
    assert unconfirmed(room.vault) == 0
    (sent,) = _on_topic(bus, WATCHES.of(partner.settings.name))
    registration = codec.decode(sent.value or b"", WatchRegistration)
    assert sent.key == registration_key(registration.registration_id, registration.epoch)
    remove_watch(room.vault, watch_id, NOW)
    care(partner)
    later = _on_topic(bus, WATCHES.of(partner.settings.name))
    assert [(message.key, message.value is None) for message in later][-1] == (sent.key, True)


def test_each_alert_is_stored_once_and_posted_once_without_subject_data(
    bus: KafkaSettings, partner: Partner, room: Room, desk: Desk
) -> None:
    room.add(watch_on(john()))
    registration = room.registrations()[0]
    alert = room.alert(room.touch(), registration)
    outcomes: list[Outcome] = []

    def tell(batch: Any) -> None:
        outcomes.extend(each.outcome for each in batch)

    _publish(bus, partner.settings.name, alert, b"no alert", alert)
    catch_up(partner, tell)
    catch_up(partner, tell)
    assert sorted(outcomes) == [Outcome.NEW, Outcome.UNCHANGED, Outcome.UNOPENED]
    assert sorted(each["status"] for each in alerts_listed(room.vault)) == ["active", "unopened"]
    posted = desk.took.get(timeout=10)
    assert desk.took.empty()
    for wanted in ("Blue Heron 1", "traffic stop", "Hartford PD", "hit", alert.alert_id.hex()):
        assert wanted in posted
    for word in PRIVATE:
        assert word not in posted.lower(), word


def test_a_channel_that_refuses_is_tried_again_until_it_takes_the_page(
    bus: KafkaSettings, partner: Partner, room: Room, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("silenthit.call_tree.posting.FIRST_RETRY_MS", 50)
    room.add()
    desk.refusals = 2
    _publish(bus, partner.settings.name, room.alert(room.touch(), room.registrations()[0]))
    stop, got = threading.Event(), Queue[Received]()
    running = threading.Thread(
        target=receive_until, args=(partner, stop, lambda batch: [got.put(each) for each in batch])
    )
    running.start()
    try:
        assert got.get(timeout=20).outcome is Outcome.NEW
        assert "Blue Heron 1" in desk.took.get(timeout=20)
    finally:
        stop.set()
        running.join()
    assert desk.refusals == 0
    assert desk.took.empty()


def test_reading_goes_on_where_the_vault_says(
    bus: KafkaSettings, partner: Partner, room: Room
) -> None:
    room.add()
    registration = room.registrations()[0]
    seen: list[Received] = []
    for revision in (1, 2, 3):
        alert = room.alert(room.touch(revision=revision), registration)
        _publish(bus, partner.settings.name, alert)
        catch_up(partner, seen.extend)
    assert [each.outcome for each in seen] == [Outcome.NEW, Outcome.UPDATED, Outcome.UPDATED]
    with room.vault.read() as rows:
        assert sum(rows.offsets().values()) == 3


def _silenthit(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "silenthit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_whole_life_of_a_watch_and_its_alert_by_command(
    bus: KafkaSettings, name: str, room: Room, tmp_path: Path, desk: Desk
) -> None:
    folder, key, signer = tmp_path / "fbi", tmp_path / "epoch1.json", tmp_path / "signer.json"
    made = _silenthit("keyholder", "generate", str(key), "--epoch", "1")
    assert made.returncode == 0, made.stderr
    signer.write_text(
        json.dumps(
            {
                "key_id": room.signer().key_id,
                "name": room.signer().name,
                "public_key": room.signer().public_key,
            }
        )
    )
    options = ["--name", name, "--bootstrap", bus.bootstrap_servers, "--local-key", str(key)]
    made = _silenthit("partner", "init", str(folder), *options, "--channel", f"desk={desk.url}")
    assert made.returncode == 0, made.stderr
    config = ["--config", str(folder / "partner.toml")]
    about = ["--label", "Blue Heron 1", "--phone", "203-555-0142"]
    refused = _silenthit("watch", "add", *about, *config)
    assert refused.returncode == 5
    assert "28 CFR 23.20" in refused.stderr
    added = _silenthit("watch", "add", *about, "--legal-basis", "affidavit", "--json", *config)
    assert added.returncode == 0, added.stderr
    assert json.loads(added.stdout)["state"] == "active"
    (sent,) = _on_topic(bus, WATCHES.of(name))
    registration = codec.decode(sent.value or b"", WatchRegistration)

    room.prf = _prf(key)
    alert = room.alert(room.touch(), registration)
    _publish(bus, name, alert)
    assert _silenthit("alerts", "receive", "--once", *config).returncode == 0
    (listed,) = json.loads(_silenthit("alerts", "list", "--json", *config).stdout)
    assert (listed["status"], listed["reason"]) == ("unopened", "unknown_signer")
    trusted = _silenthit("partner", "trust", str(signer), "--json", *config)
    assert json.loads(trusted.stdout)["reopened"] == [alert.alert_id.hex()]
    assert _silenthit("alerts", "receive", "--once", *config).returncode == 0
    (listed,) = json.loads(_silenthit("alerts", "list", "--json", *config).stdout)
    assert (listed["label"], listed["record_number"]) == ("Blue Heron 1", "H-1")
    assert alert.alert_id.hex() in desk.took.get(timeout=10)
    shown = _silenthit("alerts", "show", listed["alert_id"][:8], *config)
    assert "860-555-0100" in shown.stdout
    assert "tail light" in shown.stdout

    _publish(bus, name, room.notice(registration, AlertStatus.RETRACTED, revision=2))
    assert _silenthit("alerts", "receive", "--once", *config).returncode == 0
    (listed,) = json.loads(_silenthit("alerts", "list", "--json", *config).stdout)
    assert (listed["status"], listed["record_number"]) == ("retracted", None)
    assert _silenthit("watch", "remove", "Blue Heron 1", *config).returncode == 0
    assert json.loads(_silenthit("watch", "list", "--json", *config).stdout) == []
    assert _on_topic(bus, WATCHES.of(name))[-1].value is None


def _prf(path: Path) -> Any:
    from silenthit.blinding.prf import EpochSecrets, LocalKey

    return LocalKey([EpochSecrets.load(path)])


def test_the_inbox_stops_at_sigterm_with_everything_stored(
    bus: KafkaSettings, name: str, tmp_path: Path
) -> None:
    folder, key = tmp_path / "fbi", tmp_path / "epoch1.json"
    _silenthit("keyholder", "generate", str(key), "--epoch", "1")
    options = ["--name", name, "--bootstrap", bus.bootstrap_servers, "--local-key", str(key)]
    _silenthit("partner", "init", str(folder), *options)
    config = ["--config", str(folder / "partner.toml")]
    command = [sys.executable, "-m", "silenthit", "alerts", "receive", *config]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as inbox:
        _publish(bus, name, b"no alert")
        assert inbox.stdout is not None
        assert inbox.stdout.readline().startswith(b"unopened")
        inbox.send_signal(signal.SIGTERM)
        assert inbox.wait(20) == 0
    (listed,) = json.loads(_silenthit("alerts", "list", "--json", *config).stdout)
    assert listed["reason"] == "undecodable"


PROTOCOL = """
timezone: UTC
people:
  reyes: {channels: [desk]}
  duty: {channels: [desk]}
branches:
  - name: stops
    when: {kind: traffic_stop}
    levels: [{call: [reyes], within: 10m}]
last_resort: {call: [duty]}
"""


@pytest.fixture
def edge(
    embedded_broker: KafkaSettings, room: Room, tmp_path: Path, desk: Desk
) -> tuple[Room, list[str], KafkaSettings]:
    """A partner set up by command, with a call tree and one alert on its topic."""
    folder, key = tmp_path / "fbi", tmp_path / "epoch1.json"
    assert _silenthit("keyholder", "generate", str(key), "--epoch", "1").returncode == 0
    options = ["--name", "fbi", "--bootstrap", embedded_broker.bootstrap_servers]
    options += ["--local-key", str(key), "--channel", f"desk={desk.url}"]
    assert _silenthit("partner", "init", str(folder), *options).returncode == 0
    config = folder / "partner.toml"
    (folder / "protocol.yaml").write_text(PROTOCOL, "utf-8")
    text = config.read_text("utf-8").replace('deliver_to = ["desk"]', "deliver_to = []")
    config.write_text(f'protocol = "protocol.yaml"\n{text}', "utf-8")
    for name in ("okafor", "reyes"):
        words = ["user", "add", name, "--role", "analyst", "--config", str(config)]
        assert _silenthit("partner", *words).returncode == 0
    signer = tmp_path / "signer.json"
    signer.write_text(json.dumps(room.signer().model_dump()))
    assert _silenthit("partner", "trust", str(signer), "--config", str(config)).returncode == 0
    about = ["--label", "Blue Heron 1", "--legal-basis", "affidavit", "--phone", "203-555-0142"]
    assert _silenthit("watch", "add", *about, "--config", str(config)).returncode == 0
    (sent,) = _on_topic(embedded_broker, WATCHES.of("fbi"))
    room.prf = _prf(key)
    registration = codec.decode(sent.value or b"", WatchRegistration)
    _publish(embedded_broker, "fbi", room.alert(room.touch(), registration))
    return room, ["--config", str(config)], embedded_broker


def test_somebody_answers_for_an_alert_by_command(
    edge: tuple[Room, list[str], KafkaSettings], desk: Desk, tmp_path: Path
) -> None:
    _, config, _ = edge
    assert "nobody is missed" in _silenthit("protocol", "check", *config).stdout
    assert _silenthit("alerts", "receive", "--once", *config).returncode == 0
    called = desk.took.get(timeout=10)
    assert "level 1" in called
    (alert,) = json.loads(_silenthit("alerts", "list", "--open", "--json", *config).stdout)
    code = alert["alert_id"][:8]
    assert f"silenthit alerts claim {code}" in called
    explained = _silenthit("protocol", "explain", code, *config).stdout
    assert "taken: stops" in explained
    assert "last resort 3: duty by desk" in explained
    refused = _silenthit("alerts", "close", code, "--as", "reyes", *config)
    assert refused.returncode == 5
    assert "alerts claim" in refused.stderr
    claimed = _silenthit("alerts", "claim", code, "--as", "okafor", "--json", *config)
    assert json.loads(claimed.stdout)["owner"] == "okafor"
    _silenthit("alerts", "receive", "--once", *config)
    assert "claimed by okafor" in desk.took.get(timeout=10)
    taken = _silenthit("alerts", "claim", code, "--as", "reyes", *config)
    assert taken.returncode == 5
    closing = ["--as", "okafor", "--text", "spoke with Hartford"]
    assert _silenthit("alerts", "close", code, *closing, *config).returncode == 0
    assert json.loads(_silenthit("alerts", "list", "--open", "--json", *config).stdout) == []
    shown = _silenthit("alerts", "show", code, *config).stdout
    assert "closed okafor: spoke with Hartford" in shown

    file = tmp_path / "case.json"
    refused = _silenthit("alerts", "export", code, str(file), *config)
    assert refused.returncode == 5
    assert not file.exists()
    reason = ["--to", "AUSA Bell", "--purpose", "26-cr-114", "--as", "okafor"]
    assert _silenthit("alerts", "export", code, str(file), *reason, *config).returncode == 0
    assert json.loads(file.read_text("utf-8"))["touch"]["common"]["record_number"] == "H-1"
    assert file.stat().st_mode & 0o777 == 0o600
    done = json.loads(_silenthit("alerts", "show", code, "--json", *config).stdout)["history"]
    assert [each["action"] for each in done][-2:] == ["viewed", "exported"]
    assert done[-1]["text"] == "to AUSA Bell: 26-cr-114"


def test_a_watch_list_is_imported_changed_and_renewed_by_command(
    edge: tuple[Room, list[str], KafkaSettings], tmp_path: Path
) -> None:
    _, config, broker = edge
    watches = tmp_path / "watches.toml"
    watches.write_text(
        """
[[watch]]
label = "two people"
legal_basis = "affidavit"
[[watch.subject]]
phone = "203-555-0143"
[[watch.subject]]
plate = "CT:AB12345"
[[watch]]
label = "no basis"
stated_by = "SA Reyes"
[[watch.subject]]
phone = "203-555-0144"
""",
        "utf-8",
    )
    tried = _silenthit("watch", "import", str(watches), "--dry-run", "--json", *config)
    assert json.loads(tried.stdout)["added"] == []
    imported = _silenthit("watch", "import", str(watches), *config)
    assert imported.returncode == 2
    assert "1 watches added, 1 refused" in imported.stdout
    assert "watch 2: expected the legal basis" in imported.stderr
    edited = _silenthit("watch", "edit", "two people", "--label", "Heron", "--json", *config)
    assert json.loads(edited.stdout)["state"] == "active"
    refused = _silenthit("watch", "renew", "Heron", *config)
    assert refused.returncode == 5
    assert "28 CFR 23.20(h)" in refused.stderr
    renewed = _silenthit("watch", "renew", "Heron", "--review", "SSA Ford: stands", *config)
    assert renewed.returncode == 0
    done = json.loads(_silenthit("watch", "history", "Heron", "--json", *config).stdout)
    assert [each["action"] for each in done] == ["added", "edited", "renewed"]
    found = json.loads(_silenthit("watch", "list", "--search", "her", "--json", *config).stdout)
    assert {each["label"] for each in found} == {"Blue Heron 1", "Heron"}
    sent = [m.value for m in _on_topic(broker, WATCHES.of("fbi"))]
    ids = {codec.decode(each or b"", WatchRegistration).registration_id for each in sent}
    assert (len(sent), len(ids)) == (4, 2)


def test_a_protocol_that_could_miss_somebody_is_not_used(
    edge: tuple[Room, list[str], KafkaSettings],
) -> None:
    _, config, _ = edge
    path = Path(config[1]).parent / "protocol.yaml"
    path.write_text(PROTOCOL.replace("call: [reyes]", "call: [reyse]"), "utf-8")
    checked = _silenthit("protocol", "check", *config)
    assert checked.returncode == 2
    assert "reyse, which is no person" in checked.stdout
    refused = _silenthit("alerts", "receive", "--once", *config)
    assert refused.returncode == 3
    assert "protocol check" in refused.stderr
