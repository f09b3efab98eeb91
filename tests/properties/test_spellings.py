"""Each normaliser gives one value for the spellings that its docstring promises."""

from __future__ import annotations

import string
from datetime import date

from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.parts import PersonName
from silenthit.identity import normalise
from silenthit.identity.jurisdictions import STATE_CODES, STATES
from silenthit.identity.names import parse, parse_full
from silenthit.identity.vehicles import plate_as_read, vin_checks

CODES = st.sampled_from(sorted(STATE_CODES))
WORDS = st.from_regex(r"[a-z]{4,9}", fullmatch=True)
NAMED = [(code, state) for state, code in STATES.items()]


def digits(count: int) -> st.SearchStrategy[str]:
    return st.text(alphabet=string.digits, min_size=count, max_size=count)


@given(area=st.integers(1, 899), group=st.integers(1, 99), serial=st.integers(1, 9999))
def test_an_ssn(area: int, group: int, serial: int) -> None:
    a, g, s = f"{area:03}", f"{group:02}", f"{serial:04}"
    assume(area != 666 and normalise.ssn(a + g + s))
    spellings = {f"{a}-{g}-{s}", f"{a} {g} {s}", f"{a}.{g}.{s}", f"SSN: {a}{g}{s}", a + g + s}
    assert {normalise.ssn(each) for each in spellings} == {a + g + s}


@given(
    area=st.sampled_from(["XXX", "***", "xxx", "###"]),
    group=st.sampled_from(["XX", "**", "xx", "##"]),
    serial=digits(4),
    between=st.sampled_from(["-", " ", ""]),
)
def test_a_masked_ssn_is_refused(area: str, group: str, serial: str, between: str) -> None:
    assert normalise.ssn(between.join((area, group, serial))) == ""
    assert normalise.ssn(f"SSN {between.join((area, group, serial))}") == ""


@given(number=st.from_regex(r"[1-9][0-9]{4,5}[A-HJ-NP-Z]{2}[0-9]", fullmatch=True))
def test_an_fbi_number(number: str) -> None:
    spellings = [
        number, f"FBI# {number}", f"{number[:-3]}-{number[-3:]}", f"UCN 0{number.lower()}",
        f"FBI NO. {number}",
    ]  # fmt: skip
    assert {normalise.fbi_number(each) for each in spellings} == {number}


@given(code=CODES, number=st.from_regex(r"[1-9][0-9]{5,7}", fullmatch=True))
def test_a_state_id(code: str, number: str) -> None:
    spellings = [(f"{code}{number}", code), (number, code), (f"SID {code}-{number}", code)]
    assert {normalise.state_id(*each) for each in spellings} == {f"{code}:{number}"}
    assert normalise.state_id(f"{code}:{number}") == f"{code}:{number}"


@given(state=st.sampled_from(NAMED), number=st.from_regex(r"S[0-9]{8}", fullmatch=True))
def test_a_licence(state: tuple[str, str], number: str) -> None:
    code, name = state
    spellings = [
        (number, code), (number, name), (f"{number[0]}-{number[1:5]}-{number[5:]}", code),
        (f"OLN {number[:5]} {number[5:]}", code), (number.lower(), code),
    ]  # fmt: skip
    assert {normalise.driver_licence(*each) for each in spellings} == {f"{code}:{number}"}


@given(number=st.from_regex(r"C[0-9]{8}", fullmatch=True))
def test_a_passport(number: str) -> None:
    spellings = [number, f"{number[:5].lower()} {number[5:]}", f"Passport No. {number}"]
    assert {normalise.passport(each) for each in spellings} == {number}
    assert {normalise.passport(each, "US") for each in spellings} == {f"US:{number}"}


@given(number=st.integers(1_000_000, 999_999_999))
def test_an_a_number(number: int) -> None:
    plain = f"{number:09}"
    assume(len(set(str(number))) > 1)
    spellings = [f"A{plain}", f"A {plain[:3]} {plain[3:6]} {plain[6:]}", f"A-{number}", str(number)]
    spellings += [f"A# {plain}", f"USCIS A{plain}"]
    assert {normalise.a_number(each) for each in spellings} == {plain}


@given(mailbox=st.from_regex(r"[a-z]{2,8}", fullmatch=True), tag=WORDS)
def test_a_gmail_address(mailbox: str, tag: str) -> None:
    plain = f"{mailbox}@gmail.com"
    spellings = [
        f"{mailbox[0].upper()}.{mailbox[1:]}+{tag}@GoogleMail.com", f"mailto:{plain}",
        f"<{plain}>", f"{'.'.join(mailbox)}@gmail.com",
    ]  # fmt: skip
    assert {normalise.email(each) for each in spellings} == {plain}


@given(
    platform=st.sampled_from(
        [("instagram", "IG"), ("facebook", "FB"), ("tiktok", "TikTok"), ("snapchat", "Snap")]
    ),
    handle=st.from_regex(r"[a-z]{3,8}\.[a-z0-9]{1,5}", fullmatch=True),
)
def test_a_handle(platform: tuple[str, str], handle: str) -> None:
    name, short = platform
    plain = f"{name}:{handle}"
    spellings = [
        (f"@{handle.title()}", short), (handle, name), (f"https://www.{name}.com/{handle}/", ""),
        (plain, ""), (f"{name}.com/@{handle}", ""),
    ]  # fmt: skip
    assert {normalise.social_handle(*each) for each in spellings} == {plain}
    assert normalise.social_handle(handle) == handle


@given(code=CODES, plate=st.from_regex(r"[1-9][A-Z]{3}[0-9]{2}", fullmatch=True))
def test_a_plate(code: str, plate: str) -> None:
    spellings = [
        f"{plate[:4].lower()} {plate[4:]}", f"{plate[:4]}-{plate[4:]}", f"{code} {plate}",
        f"{code} REG {plate}", plate,
    ]  # fmt: skip
    assert {normalise.plate(each) for each in spellings} == {plate}
    assert plate_as_read(plate.replace("1", "I").replace("5", "S")) == plate_as_read(plate)


@given(written=st.from_regex(r"[1-5][A-HJ-NPR-Z0-9]{16}", fullmatch=True), data=st.data())
def test_a_vin(written: str, data: st.DataObject) -> None:
    serial = next(
        each
        for each in (written[:8] + sign + written[9:] for sign in "0123456789X")
        if vin_checks(each)
    )
    spellings = [
        serial, serial.lower(), f"VIN: {serial}", f"{serial[:8]} {serial[8:]}",
        serial.replace("0", "O"), serial.replace("0", "Q").replace("1", "I"),
    ]  # fmt: skip
    assert {normalise.vin(each) for each in spellings} == {serial}
    places = [place for place in range(9, 17) if serial[place] in "S5B8Z2G6"]
    if places:
        place = data.draw(st.sampled_from(places))
        other = dict(zip("S5B8Z2G6", "5S8B2Z6G", strict=True))[serial[place]]
        misread = serial[:place] + other + serial[place + 1 :]
        mended = normalise.vin(misread)
        assert mended in {serial, misread}  # left alone where two readings would be right
        assert normalise.vin(mended) == mended


def test_a_misread_sign_is_mended_where_the_check_digit_says_so() -> None:
    assert normalise.vin("1M8GDM9AXKP04278B") == "1M8GDM9AXKP042788"
    assert normalise.vin("WM8GDM9AXKP04278B") == "WM8GDM9AXKP04278B"


@given(serial=st.from_regex(r"[1-5][A-HJ-NPR-Z0-9]{16}", fullmatch=True), wrong=st.integers(1, 9))
def test_of_all_check_digits_one_is_right(serial: str, wrong: int) -> None:
    checks = [sign for sign in "0123456789X" if vin_checks(serial[:8] + sign + serial[9:])]
    assert len(checks) == 1
    place = wrong - 1  # one of the first nine digits read as another
    if place != 8 and serial[place].isdigit():
        sound = serial[:8] + checks[0] + serial[9:]
        other = str((int(serial[place]) + 1) % 10)
        assert not vin_checks(sound[:place] + other + sound[place + 1 :])


@given(imei=digits(14), check=digits(1))
def test_an_imei(imei: str, check: str) -> None:
    assume(len(set(imei)) > 1)
    hyphened = f"{imei[:2]}-{imei[2:8]}-{imei[8:]}-{check}"
    spellings = [hyphened, imei + check, imei, f"IMEI: {imei}{check}", f"IMEI {hyphened}"]
    assert {normalise.device(each) for each in spellings} == {imei}


@given(mac=st.from_regex(r"[0-9][0-9A-F]{11}", fullmatch=True))
def test_a_mac_address(mac: str) -> None:
    assume(len(set(mac)) > 1)
    pairs = [mac[i : i + 2] for i in range(0, 12, 2)]
    spellings = [":".join(pairs), "-".join(pairs).lower(), f"MAC {mac}"]
    assert {normalise.device(each) for each in spellings} == {mac}


@given(tag=st.from_regex(r"[a-z]{4,8}[0-9]{0,3}", fullmatch=True))
def test_a_payment_name(tag: str) -> None:
    spellings = [
        f"${tag}", f"https://cash.app/${tag.title()}", f"cash.app/${tag}", f"$ {tag.upper()}",
        f"venmo.com/u/{tag}", f"paypal.me/{tag}",
    ]  # fmt: skip
    assert {normalise.payment(each) for each in spellings} == {tag}


@given(card=digits(16))
def test_a_card_number_keeps_its_digits(card: str) -> None:
    four = [card[i : i + 4] for i in range(0, 16, 4)]
    assert {normalise.payment(each) for each in (" ".join(four), "-".join(four), card)} == {card}


STREETS = st.tuples(
    st.integers(1, 9999),
    st.sampled_from([("North", "N"), ("Southwest", "SW"), ("", "")]),
    st.sampled_from(["Main", "Oak", "Elm Hill", "Washington", "3rd"]),
    st.sampled_from([("Street", "St."), ("Avenue", "AVE"), ("Road", "rd"), ("Lane", "LN")]),
)


@given(
    street=STREETS,
    unit=st.from_regex(r"[1-9][A-D]?", fullmatch=True),
    postcode=st.from_regex(r"0[1-9][0-9]{3}", fullmatch=True),
)
def test_an_address(
    street: tuple[int, tuple[str, str], str, tuple[str, str]], unit: str, postcode: str
) -> None:
    number, way, name, suffix = street
    spellings = [
        f"{number} {way[0]} {name} {suffix[0]}, Apartment {unit}, Boston, MA {postcode}",
        f"{number} {way[1]} {name.upper()} {suffix[1]} #{unit}; BOSTON MASSACHUSETTS {postcode}",
        f"{number} {way[1]} {name} {suffix[0]}\nUnit {unit}, Boston, MA {postcode}-0001",
    ]
    assert len({normalise.address(each) for each in spellings}) == 1
    assert normalise.address(spellings[0])


@given(state=st.sampled_from(NAMED))
def test_a_jurisdiction(state: tuple[str, str]) -> None:
    code, name = state
    spellings = [code, code.lower(), name, name.upper(), name.title(), f"US-{code}", f" {code}. "]
    assert {normalise.jurisdiction(each) for each in spellings} == {code}


@given(word=st.from_regex(r"b[a-z]{3,8}", fullmatch=True), other=WORDS)
def test_a_name(word: str, other: str) -> None:
    assert normalise.name(f"O'{word.title()}") == normalise.name(f"O{word.upper()}")
    assert normalise.name(f"Mc {word.title()}") == normalise.name(f"Mc{word.title()}")
    assert normalise.name(f"al-{word.title()}") == normalise.name(f"Al {word.title()}")
    quoted = f'{word.title()} "{other.title()}" {other.title()}'
    assert normalise.name(quoted) == normalise.name(f"{word} {other}")
    assert normalise.name(f"Mr. {word.title()}") == word


@given(name=st.sampled_from(["josé", "françois", "müller", "łukasz", "søren", "nuñez"]))
def test_an_accent_is_no_difference(name: str) -> None:
    assert normalise.name(name) == normalise.name(name.upper())
    assert normalise.name(name).isascii()


@given(one=WORDS, other=WORDS)
def test_a_street_name(one: str, other: str) -> None:
    spellings = [f"{one.title()}' {other.title()}", f"{one.upper()} {other.upper()}", one + other]
    assert {normalise.street_name(each) for each in spellings} == {one + other}


@given(on=st.dates(date(1980, 1, 1), date(2026, 1, 1)), age=st.integers(0, 120))
def test_an_age_at_a_date_is_one_of_two_years(on: date, age: int) -> None:
    year = int(normalise.birth_year_at(str(age), on))
    assert on.year - age - 1 <= year <= on.year - age
    assert normalise.birth_year_at(f"{age}x", on) == ""


@given(line=st.from_regex(r"[2-9][0-9]{7}", fullmatch=True))
def test_a_number_from_abroad(line: str) -> None:
    number = f"44 20 {line[:4]} {line[4:]}"
    spellings = [f"+{number}", f"011 {number}", f"+{number.replace(' ', '-')}", f"+4420{line}"]
    assert len({normalise.phone(each) for each in spellings}) == 1
    assert normalise.phone(f"+{number}") in {f"+4420{line}", ""}


@given(line=st.from_regex(r"[2-9][0-9]{6}", fullmatch=True), digit=st.sampled_from("23456789"))
def test_a_number_without_area_code_and_a_blank_filled_in_are_refused(
    line: str, digit: str
) -> None:
    assert normalise.phone(line) == normalise.phone(f"{line[:3]}-{line[3:]}") == ""
    assert normalise.phone(digit * 10) == ""


@given(
    given_name=st.sampled_from(["John", "Maria", "Oleg", "Wilhelmina"]),
    middle=st.sampled_from("MBKT"),
    surname=st.sampled_from(["Doe", "Kaminsky", "O'Brien", "McDonald", "van der Berg"]),
    suffix=st.sampled_from(["Jr", "Sr", "III"]),
)
def test_a_whole_name(given_name: str, middle: str, surname: str, suffix: str) -> None:
    spellings = [
        f"{surname}, {given_name} {middle}. {suffix}.", f"{given_name} {middle} {surname} {suffix}",
        f"{surname.upper()}, {given_name.upper()} {middle} {suffix.upper()}",
        f"{surname} {suffix}, {given_name} {middle}.",
        f"{given_name} {middle}. {surname}, {suffix}.",
    ]  # fmt: skip
    assert len({parse_full(each) for each in spellings}) == 1
    apart = PersonName(given=given_name, middle=middle, surname=surname, suffix=suffix)
    assert parse(apart) == parse_full(spellings[0])


@given(born=st.dates(min_value=date(1950, 1, 1), max_value=date(2024, 12, 31)))
def test_a_birth_date_s_other_spellings(born: date) -> None:
    spellings = [
        f"{born.month}/{born.day}/{born.year}", f"{born:%m-%d-%Y}", f"{born:%m%d%Y}",
        f"DOB: {born:%m/%d/%Y}", f"{born:%d %B %Y}", f"{born:%Y-%m-%d}T00:00:00Z",
        f"{born:%Y/%m/%d}", f"{born.month}/{born.day}/{born:%y}", f"{born:%m%d%y}",
    ]  # fmt: skip
    assert {normalise.birth_date(each) for each in spellings} == {f"{born:%Y-%m-%d}"}
    if born.day > 12:
        assert normalise.birth_date(f"{born:%d/%m/%Y}") == f"{born:%Y-%m-%d}"
    assert normalise.birth_date(f"{born:%Y}") == f"{born:%Y}"
    assert normalise.birth_date(f"{born:%m/%Y}") == f"{born:%Y-%m}"
