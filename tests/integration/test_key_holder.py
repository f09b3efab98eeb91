"""The key holder as a process: certificates, quotas, restart, epochs, what other processes have."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.vocabulary import TokenClass
from silenthit.blinding.access import BlindingSettings, load_bundle, open_epochs
from silenthit.blinding.batches import Batch, encode_request, new_batch_id
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.blinding.holder_link import Patience
from silenthit.blinding.prf import LocalKey
from silenthit.errors import InputError, QuotaError, RefusedError, RetryError
from tests.key_holders import PLENTY, HolderProcess, client_of, close_clients, match_keys, run

HASTE = Patience(timeout_s=5, attempts=2, backoff_s=0.01, quota_s=0)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("secrets") / "epoch-1.json"
    EpochSecrets.generate(1).save(path)
    return path


@pytest.fixture(scope="module")
def holder(tmp_path_factory: pytest.TempPathFactory, secrets: Path) -> Iterator[HolderProcess]:
    started = HolderProcess(tmp_path_factory.mktemp("holder") / "federal", secrets=secrets)
    started.quotas(PLENTY)
    started.start()
    yield started
    started.stop()


@pytest.fixture(autouse=True)
def _clients() -> Iterator[None]:
    yield
    close_clients()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[HolderProcess]:
    """A key holder that the test may stop, rotate or starve."""
    made = HolderProcess(tmp_path / "own")
    yield made
    made.stop()


def test_gives_the_tokens_of_local_key(holder: HolderProcess, secrets: Path) -> None:
    keys = match_keys(1500)
    client = client_of(holder.bundle("VT0040100"))
    expected = LocalKey([EpochSecrets.load(secrets)]).tokens(1, keys)
    assert client.tokens(1, keys) == expected
    assert client.epochs().current == 1


def test_split_trust_gives_the_tokens_of_both_secrets(
    holder: HolderProcess, own: HolderProcess, secrets: Path
) -> None:
    own.start()
    client = client_of(holder.bundle("VT0040100"), own.bundle("VT0040100"))
    second = EpochSecrets.load(own.folder / "secrets" / "epoch-1.json")
    keys = match_keys(18)
    expected = LocalKey([EpochSecrets.load(secrets)], [second]).tokens(1, keys)
    assert client.tokens(1, keys) == expected


def test_a_revoked_certificate_is_refused_at_once(holder: HolderProcess) -> None:
    client = client_of(holder.bundle("REVOKED1"), patience=HASTE)
    client.tokens(1, match_keys(1))
    holder.command("revoke", "REVOKED1")
    with pytest.raises(RefusedError, match="certificate_revoked"):
        client.tokens(1, match_keys(1, "after"))


def test_an_expired_certificate_is_refused(holder: HolderProcess) -> None:
    client = client_of(holder.bundle("EXPIRED1", "--days", "-1"), patience=HASTE)
    with pytest.raises(RefusedError, match="expired"):
        client.tokens(1, match_keys(1))


def test_the_service_refuses_an_expired_certificate_itself(
    holder: HolderProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(holder.bundle("EXPIRED2", "--days", "-1"), patience=HASTE)
    link, opened = client.links[0], load_bundle(holder.bundle("VALID1"))
    context = ssl.create_default_context(cafile=str(link.ca))
    context.load_cert_chain(link.certificate, link.key)
    assert opened.name == "federal"
    monkeypatch.setattr(type(link), "_tls", lambda _: context)
    with pytest.raises(RetryError, match="does not accept this client certificate"):
        client.tokens(1, match_keys(1))


def test_a_certificate_that_expires_while_connected_is_refused(holder: HolderProcess) -> None:
    client = client_of(holder.bundle("SHORT1", "--days", str(3 / 86_400)), patience=HASTE)
    client.tokens(1, match_keys(1))

    def ask_on() -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            client.tokens(1, match_keys(1, f"{time.monotonic()}"))

    with pytest.raises(RefusedError, match="certificate_expired"):
        ask_on()


def test_a_certificate_of_another_authority_is_refused(
    holder: HolderProcess, own: HolderProcess
) -> None:
    mine, theirs = load_bundle(holder.bundle("VT0040100")), load_bundle(own.bundle("VT0040100"))
    client = client_of(holder.bundle("VT0040100"), patience=HASTE)
    client.links[0].certificate, client.links[0].key = theirs.certificate, theirs.key
    with pytest.raises(RetryError, match="does not accept this client certificate"):
        client.tokens(1, match_keys(1))
    client = client_of(holder.bundle("VT0040100"), patience=HASTE)
    client.links[0].ca = theirs.ca
    with pytest.raises(RefusedError, match="prove itself"):
        client.tokens(1, match_keys(1))
    assert mine.signer != theirs.signer


def test_no_certificate_no_answer(holder: HolderProcess) -> None:
    bundle = load_bundle(holder.bundle("VT0040100"))
    client = client_of(holder.bundle("VT0040100"), patience=HASTE)
    anonymous = ssl.create_default_context(cafile=str(bundle.ca))
    client.links[0]._tls = lambda: anonymous  # type: ignore[method-assign]
    with pytest.raises(RetryError, match="does not accept this client certificate"):
        client.tokens(1, match_keys(1))


def test_another_signer_is_refused(holder: HolderProcess) -> None:
    client = client_of(holder.bundle("VT0040100"), patience=HASTE)
    client.links[0].signer = bytes(32)
    with pytest.raises(RefusedError, match="signer"):
        client.tokens(1, match_keys(1))


def test_a_replayed_batch_is_refused(holder: HolderProcess) -> None:
    link = client_of(holder.bundle("VT0040100"), patience=HASTE).links[0]
    element = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")
    body = encode_request(
        Batch(
            epoch=1,
            batch_id=new_batch_id(time.time_ns() // 1_000_000),
            sections={TokenClass.ITEM: element},
        )
    )
    link.evaluate(lambda: body)
    with pytest.raises(RefusedError, match="replayed"):
        link.evaluate(lambda: body)


@pytest.mark.parametrize(
    "section", [bytes(32), b"\xff" * 32], ids=["the identity element", "no element"]
)
def test_what_is_no_element_is_refused(holder: HolderProcess, section: bytes) -> None:
    link = client_of(holder.bundle("VT0040100"), patience=HASTE).links[0]
    batch_id = new_batch_id(time.time_ns() // 1_000_000)
    body = encode_request(Batch(epoch=1, batch_id=batch_id, sections={TokenClass.ITEM: section}))
    with pytest.raises(InputError, match="malformed"):
        link.evaluate(lambda: body)
    with pytest.raises(InputError, match="malformed"):
        link.evaluate(lambda: body[:-1])


def test_fifty_clients_get_their_quota_and_no_more(own: HolderProcess) -> None:
    """Ten organisations of five clients each; half of them ask for more than they may have."""
    per_day, clients_each, batch = 60, 5, 4
    own.quotas(f"{{ per_minute = 100000, per_day = {per_day} }}")
    own.start()
    served = {f"ORG{number}": 0 for number in range(10)}
    refused = dict.fromkeys(served, 0)
    waits: list[float] = []
    lock = threading.Lock()

    def ask(name: str, bundle: Path, who: int) -> None:
        batches = 3 if int(name[-1]) % 2 else 6  # of 4 elements: 60 in all, or 120
        client = client_of(bundle, patience=Patience(timeout_s=60, quota_s=0))
        for number in range(batches):
            keys = match_keys(3 * batch, f"{name} {who} {number}")[::3]
            try:
                client.tokens(1, keys)
            except QuotaError as error:
                with lock:
                    refused[name] += batch
                    waits.append(error.after_s)
            else:
                with lock:
                    served[name] += batch

    bundles = {name: own.bundle(name) for name in served}
    threads = [
        threading.Thread(target=ask, args=(name, bundles[name], who))
        for name in served
        for who in range(clients_each)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert served == dict.fromkeys(served, per_day)
    assert all(0 < each <= 86_400 for each in waits)
    assert refused == {name: 0 if int(name[-1]) % 2 else 60 for name in served}
    _check_restart_forgets_nothing(own, bundles["ORG1"])


def _check_restart_forgets_nothing(own: HolderProcess, bundle: Path) -> None:
    client = client_of(bundle, patience=HASTE)
    for kill in (False, True):
        own.stop(kill=kill)
        own.start()
        with pytest.raises(QuotaError, match="come back in"):
            client.tokens(1, match_keys(1, "after the restart"))
    assert re.match(r"\d+ entries, unbroken", own.command("log", "verify"))
    entries = [
        json.loads(line) for line in own.command("log", "show", "--last", "1000").splitlines()
    ]
    counted = [each for each in entries if each.get("organisation") == "ORG1" and "counts" in each]
    assert sum(each["counts"]["person"] for each in counted) == 60


def test_two_processes_on_one_folder_share_the_quota(own: HolderProcess) -> None:
    own.quotas("{ per_minute = 100000, per_day = 60 }")
    own.start()
    beside = own.beside()
    try:
        bundles = (own.bundle("VT0040100"), own.bundle("VT0040100", "--url", beside.url))
        served = [0, 0]

        def ask(which: int) -> None:
            client = client_of(bundles[which], patience=Patience(timeout_s=30, quota_s=0))
            with contextlib.suppress(QuotaError):
                for number in range(100):
                    client.tokens(1, match_keys(1, f"{which} {number}"))
                    served[which] += 1

        threads = [threading.Thread(target=ask, args=(which,)) for which in (0, 1)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    finally:
        beside.stop()
    assert sum(served) == 60
    assert "unbroken" in own.command("log", "verify")


def test_a_waiting_client_is_served_when_its_quota_refills(own: HolderProcess) -> None:
    own.quotas("{ per_minute = 600, per_day = 100000, burst = 10 }")
    own.start()
    client = client_of(own.bundle("VT0040100"), patience=Patience(quota_s=30))
    keys = match_keys(90)
    assert len(client.tokens(1, keys)) == 90, "split to the burst, and waited for"


def test_backfill_needs_a_booking_and_leaves_live_traffic_alone(own: HolderProcess) -> None:
    own.quotas("{ per_minute = 30, per_day = 100000 }")
    own.start()
    bundle = own.bundle("VT0040100")
    backfill = client_of(bundle, backfill=True, patience=HASTE)
    with pytest.raises(RefusedError, match="no_booking"):
        backfill.tokens(1, match_keys(3))
    own.command("book", "VT0040100", "--elements", "30", "--per-minute", "20")
    backfill.tokens(1, match_keys(30, "old"))
    with pytest.raises(RefusedError, match="no_booking"):
        backfill.tokens(1, match_keys(3, "more"))
    client_of(bundle, patience=HASTE).tokens(1, match_keys(30, "live"))


def test_an_absent_key_holder_is_named_plainly(own: HolderProcess) -> None:
    bundle = own.bundle("VT0040100")
    settings = BlindingSettings(key_holders=(load_bundle(bundle),))
    client = client_of(bundle, patience=HASTE)
    with pytest.raises(RetryError, match="key holder federal"):
        client.tokens(1, match_keys(1))
    own.start()
    assert open_epochs(settings).current == 1
    assert client.tokens(1, match_keys(1))
    own.stop()
    own.start()
    assert client.tokens(1, match_keys(1, "over the old connection"))


def test_rotation_reaches_clients_and_destroy_ends_an_epoch(own: HolderProcess) -> None:
    own.start()
    client = client_of(own.bundle("VT0040100"), patience=HASTE)
    keys = match_keys(6)
    first = client.tokens(1, keys)
    own.command("prepare")
    assert client.epochs(fresh=True).watchable == (1, 2)
    prepared = client.tokens(2, keys)
    assert not {each.value for each in first} & {each.value for each in prepared}
    own.command("rotate")
    assert client.epochs(fresh=True).current == 2
    own.command("retire", "1")
    own.command("destroy", "1", "--yes")
    with pytest.raises(RefusedError, match="epoch_destroyed"):
        client.tokens(1, match_keys(1, "not asked before"))
    assert client.tokens(1, keys) == first, "derived before: nobody can take it back"
    client.epochs(fresh=True)
    with pytest.raises(RefusedError, match="epoch_destroyed"):
        client.tokens(1, keys)
    assert client.tokens(2, keys) == prepared
    assert not (own.folder / "secrets" / "epoch-1.json").exists()
    status = json.loads(own.command("status", "--json"))
    assert status["epochs"] == {"1": "destroyed", "2": "current"}


def test_only_the_key_holder_has_the_secret(holder: HolderProcess, secrets: Path) -> None:
    """Environment, arguments and bundle of everybody else, and what the key holder writes."""
    seeds = EpochSecrets.load(secrets).seeds.values()
    bundle = holder.bundle("VT0040100")
    places = [*bundle.iterdir(), holder.folder / "stderr", holder.folder / "epochs.json"]
    places += [each for each in holder.folder.glob("keyholder.*") if each.is_file()]
    for process in Path("/proc").glob("[0-9]*"):
        places += [process / "environ", process / "cmdline"]
    for place in places:
        try:
            content = place.read_bytes()
        except OSError:
            continue
        for seed in seeds:
            assert seed not in content, place
            assert seed.hex().encode() not in content, place


def test_a_signing_request_keeps_the_key_with_its_owner(
    holder: HolderProcess, tmp_path: Path
) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding

    from silenthit.certificates import new_key, write_key

    key = new_key()
    request = (
        x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, SHA256())
    )
    (tmp_path / "request.pem").write_bytes(request.public_bytes(Encoding.PEM))
    bundle = holder.bundle("CSRORG", "--csr", str(tmp_path / "request.pem"))
    assert not (bundle / "CSRORG.key").exists()
    write_key(bundle / "CSRORG.key", key)
    assert len(client_of(bundle).tokens(1, match_keys(3))) == 3


def test_other_secrets_than_declared_are_not_served(own: HolderProcess) -> None:
    path = own.folder / "secrets" / "epoch-1.json"
    path.unlink()
    assert "got none" in own.command("serve", check=False)
    EpochSecrets.generate(1).save(path)
    assert "got others" in own.command("serve", check=False)


def test_a_renewed_certificate_serves_the_same_clients(own: HolderProcess) -> None:
    bundle = own.bundle("VT0040100")
    before = (own.folder / "tls" / "server.crt").read_bytes()
    assert "valid until" in own.command("renew")
    assert (own.folder / "tls" / "server.crt").read_bytes() != before
    own.start()
    assert len(client_of(bundle).tokens(1, match_keys(3))) == 3


def test_an_unusual_hour_rings_in_log_and_metrics(own: HolderProcess) -> None:
    own.quotas(PLENTY)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = own.config.read_text("utf-8").replace("floor = 2000", "floor = 20")
    own.config.write_text(f"metrics_port = {port}\n{text}", "utf-8")
    own.start()
    client_of(own.bundle("QUIET")).tokens(1, match_keys(18))
    client_of(own.bundle("EAGER")).tokens(1, match_keys(60))
    entries = [json.loads(line) for line in own.command("log", "show").splitlines()]
    assert [each["organisation"] for each in entries if each["event"] == "alarm"] == ["EAGER"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
        metrics = page.read().decode()
    assert 'silenthit_keyholder_alarms_total{organisation="EAGER"} 1.0' in metrics
    assert 'silenthit_keyholder_elements_total{organisation="QUIET",purpose="live"} 18.0' in metrics
    assert "asks_far_more_than_usual" in (own.folder / "stderr").read_text("utf-8")
    assert "invented" not in metrics + json.dumps(entries)


def test_commands_say_what_to_do(tmp_path: Path) -> None:
    done = run("status", "--config", tmp_path / "none.toml", check=False)
    assert done.returncode == 3
    assert "make one with the `init` command" in done.stderr
