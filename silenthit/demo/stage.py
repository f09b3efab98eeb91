"""The demo's plot: who is started when, and how it is known that nothing more will come.

Nothing here sleeps and hopes: a file says that a process is ready, the broker's offsets say that
every touch is matched and how many alerts there are to be opened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from silenthit.demo.onlooker import Onlooker
from silenthit.demo.outcome import Outcome, SeenAlert, seen_alert
from silenthit.demo.processes import Crew
from silenthit.demo.progress import Progress
from silenthit.demo.samples import (
    AGENCIES,
    Agency,
    Batch,
    count_watches,
    expected_alerts,
    joined,
    paced_batches,
    watch_lists,
    whole_batches,
)
from silenthit.demo.scene import AcceptedRecords, Scene

READY_S = 60.0
MATCHED_S = 60.0
ARRIVED_S = 30.0
PACED_S = 30.0  # after this a slow machine gets the rest of the records at once
EXCHANGE = "exchange"  # name of the exchange, and so of its workers' consumer group
EXCHANGE_KEYS = "exchange-keys.json"  # public: what partners seal to
KEY_HOLDERS = ("federal", "state")  # the second one only with split trust

Call = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One run in one folder."""

    folder: Path
    samples: Path
    crew: Crew
    scene: Scene
    paced: bool  # in small pieces, to be watched
    split_trust: bool  # two key holders

    def play(self) -> Outcome:
        """Run the whole way and return what came of it. The crew is the caller's to stop."""
        bootstrap = self._start_broker()
        self._found_key_holders()
        self._found(bootstrap)
        self._enrol()
        self._watch()
        with Onlooker(bootstrap, self.scene.passing.append):
            self._publish()
            outcome = self._settle(bootstrap)
        self.scene.outcome = outcome
        self.scene.step = "done"
        return outcome

    def _start_broker(self) -> str:
        self.scene.step = "starting the broker"
        port_file = self.folder / "broker.txt"
        self.crew.start("broker", "exchange", "broker", "--port-file", str(port_file))
        return self.crew.wait_for(port_file, READY_S)

    def _found_key_holders(self) -> None:
        """Set up and start the key holders, and give every organisation a bundle of each."""
        self.scene.step = "founding the key holder"
        names = self._key_holders
        self._at_once(
            [("keyholder", "init", each, "--name", each, "--port", "0") for each in names]
        )
        asking = (*(each.folder for each in AGENCIES), *self.scene.partners)
        # One key holder's calls write its one book, so they go one after another.
        self._side_by_side([[_certify(each, who) for who in asking] for each in names])
        for each in names:
            port_file = ("--port-file", f"{each}.port")
            config = _config(each, "keyholder.toml")
            self.crew.start(f"{each}-key-holder", "keyholder", "serve", *config, *port_file)
        for each in names:
            self.crew.wait_for(self.folder / f"{each}.port", READY_S)

    @property
    def _key_holders(self) -> tuple[str, ...]:
        return KEY_HOLDERS if self.split_trust else KEY_HOLDERS[:1]

    def _asks(self, organisation: str) -> Call:
        """Options that make an organisation ask the key holders for its tokens."""
        bundles = [_bundle(each, organisation) for each in self._key_holders]
        return tuple(word for each in bundles for word in ("--key-holder", each))

    def _found(self, bootstrap: str) -> None:
        """Set up every organisation, each in a folder of its own."""
        self.scene.step = "founding agencies, exchange, partners"
        shared = ("--bootstrap", bootstrap)
        config = _config(EXCHANGE, "exchange.toml")
        keys: Call = ("exchange", "deconflict-key", "--out", EXCHANGE_KEYS, *config)
        lines: list[list[Call]] = [[("exchange", "init", EXCHANGE, *shared), keys]]
        for each in AGENCIES:
            about = ("--ori", each.ori, "--name", each.name)
            asks = self._asks(each.folder)
            lines.append([("agency", "init", each.folder, *about, *shared, *asks)])
        for partner in self.scene.partners:
            named = ("--name", partner)
            lines.append([("partner", "init", partner, *named, *shared, *self._asks(partner))])
        self._side_by_side(lines)

    def _enrol(self) -> None:
        """Hand over what agencies and partners hand over; start the worker."""
        self.scene.step = "enrolling"
        config = _config(EXCHANGE, "exchange.toml")
        signers = tuple(f"{each.folder}/signer.json" for each in AGENCIES)
        enrol: list[Call] = [
            ("exchange", "enrol", "agency", f"{each.folder}/sender.json", *config)
            for each in AGENCIES
        ]
        enrol += [("exchange", "enrol", "partner", each, *config) for each in self.scene.partners]
        enrol.append(("exchange", "topics", *config))
        trust: list[list[Call]] = [
            [
                ("partner", "trust", *signers, *_config(each, "partner.toml")),
                ("partner", "trust-exchange", EXCHANGE_KEYS, *_config(each, "partner.toml")),
            ]
            for each in self.scene.partners
        ]
        # The exchange's calls change one file, so they go one after another.
        self._side_by_side([enrol, *trust])
        ready = ("--ready-file", "worker.ready")
        self.crew.start("worker", "exchange", "work", *config, *ready)

    def _watch(self) -> None:
        """Place the watches and open the inboxes, while the worker gets ready."""
        self.scene.step = "placing private watches"
        lists = watch_lists(self.samples)
        self._at_once(
            [
                ("watch", "import", str(lists[each]), *_config(each, "partner.toml"))
                for each in self.scene.partners
            ]
        )
        self.scene.watches.update({each: count_watches(path) for each, path in lists.items()})
        for each in self.scene.partners:
            self._open_inbox(each)
        self.crew.wait_for(self.folder / "worker.ready", READY_S)

    def _open_inbox(self, partner: str) -> None:
        """Start a partner's inbox, and a second process that shows what comes into it."""
        config = _config(partner, "partner.toml")

        def show(line: str) -> None:
            found = json.loads(line)
            self.scene.seen[found["alert_id"]] = seen_alert(partner, found)

        self.crew.start(f"{partner}-inbox", "alerts", "receive", *config)
        self.crew.start(
            f"{partner}-tail", "alerts", "tail", "--all", "--json", *config, on_line=show
        )

    def _publish(self) -> None:
        """Publish the records, the agencies side by side; to be watched, in small pieces."""
        self.scene.step = "agencies publish their day"
        if self.paced:
            pieces = self.folder / "pieces"
            pieces.mkdir()
            batches = list(paced_batches(self.samples, pieces))
        else:
            batches = whole_batches(self.samples)
        _all(lambda agency: self._publish_all(agency, batches), list(AGENCIES))

    def _publish_all(self, agency: Agency, batches: Iterable[Batch]) -> None:
        """Publish an agency's batches in turn; what is left when time is short, in few calls."""
        waiting = [each for each in batches if each.agency == agency]
        while waiting:
            if monotonic() - self.scene.began > PACED_S:
                waiting = joined(waiting)
            self._publish_batch(waiting.pop(0))

    def _publish_batch(self, batch: Batch) -> None:
        mapping = ("--mapping", str(batch.mapping)) if batch.mapping else ()
        files = tuple(map(str, batch.files))
        config = _config(batch.agency.folder, "agency.toml")
        output = self.crew.run("agency", "publish", *files, *mapping, *config, "--json")
        accepted = json.loads(output)["accepted"]
        self.scene.accepted.append(AcceptedRecords(batch.agency.name, batch.source, accepted))

    def _settle(self, bootstrap: str) -> Outcome:
        """Wait until all is matched and every alert there is has been opened."""
        scene, wait = self.scene, self.crew.wait_until
        scene.step = "waiting for the last alert"
        with Progress(bootstrap, EXCHANGE) as progress:
            wait(progress.all_matched, MATCHED_S, "the exchange to match every touch")
            written = sum(progress.alerts(each) for each in scene.partners)
            wait(lambda: len(scene.seen) >= written, ARRIVED_S, "the partners to open every alert")
            touches = progress.touches()
        return Outcome(
            touches=touches,
            watches=sum(scene.watches.values()),
            expected=expected_alerts(self.samples),
            seen=[alert for each in scene.partners for alert in self._in_vault(each)],
        )

    def _in_vault(self, partner: str) -> list[SeenAlert]:
        """Return every alert that a partner's vault holds in the end."""
        config = _config(partner, "partner.toml")
        found = json.loads(self.crew.run("alerts", "list", "--json", *config))
        return [seen_alert(partner, each) for each in found]

    def _at_once(self, calls: Iterable[Call]) -> None:
        self._side_by_side([[each] for each in calls])

    def _side_by_side(self, rows: list[list[Call]]) -> None:
        """Run rows of commands side by side, those of one row one after another."""

        def run(row: list[Call]) -> None:
            for call in row:
                self.crew.run(*call)

        _all(run, rows)


def _all(work: Callable[[Any], None], items: list[Any]) -> None:
    with ThreadPoolExecutor(len(items)) as pool:
        for each in [pool.submit(work, item) for item in items]:
            each.result()


def _bundle(key_holder: str, organisation: str) -> str:
    return f"{key_holder}-bundles/{organisation}"


def _certify(key_holder: str, organisation: str) -> Call:
    config = _config(key_holder, "keyholder.toml")
    return (
        "keyholder",
        "certify",
        organisation,
        *config,
        "--out",
        _bundle(key_holder, organisation),
    )


def _config(folder: str, file: str) -> tuple[str, str]:
    return ("--config", f"{folder}/{file}")
