"""Records of everyday business, each with facts of its own: tickets, expense reports, minutes, calibration, invoices."""

from __future__ import annotations

import random
from collections.abc import Iterator

FIRST = [
    "Anna",
    "Ben",
    "Chiara",
    "David",
    "Eva",
    "Felix",
    "Greta",
    "Hugo",
    "Ines",
    "Jan",
    "Karla",
    "Lars",
    "Mira",
    "Nils",
    "Olga",
    "Pavel",
    "Rosa",
    "Sven",
    "Tara",
    "Uwe",
]
LAST = [
    "Abel",
    "Brandt",
    "Costa",
    "Dahl",
    "Engel",
    "Fischer",
    "Graf",
    "Holm",
    "Ivens",
    "Jung",
    "Kraus",
    "Lenz",
    "Maurer",
    "Nowak",
    "Orth",
    "Peters",
    "Quist",
    "Roth",
    "Sommer",
    "Thal",
]
CITIES = [
    "Lyon",
    "Turin",
    "Graz",
    "Bergen",
    "Porto",
    "Leeds",
    "Gdansk",
    "Basel",
    "Utrecht",
    "Malmo",
    "Bilbao",
    "Ghent",
    "Tartu",
    "Kosice",
]
CUSTOMERS = [
    "the Rhine grid operator",
    "a university in Delft",
    "the national institute in Turin",
    "a maker of pacemakers",
    "a railway signal plant",
    "an aircraft service",
    "a battery laboratory",
    "a power station in Linz",
    "a test house in Oslo",
    "a car supplier in Graz",
]
DEVICES = (
    "DM-6 multimeter",
    "VR-10 voltage reference",
    "CS-3 current source",
    "RB-2 resistance bridge",
)
FAULTS = (
    (
        "shows overload on the 10 volt range although nothing is connected",
        "the input fuse was replaced and the zero offset stored again",
    ),
    (
        "loses the calibration constants after a brown-out",
        "firmware 4.3 was installed and the constants were restored from the certificate",
    ),
    ("does not answer over USB", "the cable was defective; a shielded one was sent"),
    ("drifts by {ppm} ppm within a week", "a cracked solder joint at the heater was repaired"),
    ("has a dark display", "the backlight converter was exchanged under warranty"),
    ("clicks when ranges change", "a relay was replaced; the contact had {ohm} milliohms"),
)
TOPICS = (
    (
        "the new cleanroom",
        "The air shower was delivered late",
        "the inspection takes place on {day} {month}",
    ),
    (
        "the supplier of enclosures",
        "{pct} percent of the last lot had scratches",
        "a second supplier is asked for an offer until {day} {month}",
    ),
    (
        "the customer portal",
        "{num} customers have signed in",
        "certificates can be downloaded from {day} {month} on",
    ),
    (
        "the energy bill",
        "the consumption of the climate chambers rose by {pct} percent",
        "two chambers are switched off at weekends",
    ),
    (
        "the trade fair",
        "{num} visitors left their address",
        "the stand is booked again for next year",
    ),
    (
        "spare parts",
        "the stock of relays lasts for {num} days",
        "a minimum stock of 400 pieces was agreed",
    ),
)
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


def records(tenant: str, chance: random.Random) -> Iterator[tuple[dict, str]]:
    """(manifest entry, text) of every generated record."""
    from build_company import entry

    many = tenant == "aurora"
    for i in range(30 if many else 8):
        suffix = ("txt", "md", "html")[i % 3]
        yield (
            entry(
                tenant,
                f"documents/support/ticket-{1000 + i}.{suffix}",
                "support",
                "INTERNAL",
                "",
                "staff",
            ),
            _ticket(i, suffix, chance),
        )
    for i in range(18 if many else 5):
        suffix = ("csv", "md", "eml")[i % 3]
        yield (
            entry(
                tenant,
                f"documents/finance/expenses-{200 + i}.{suffix}",
                "finance",
                "CONFIDENTIAL",
                "",
                "finance",
            ),
            _expenses(tenant, i, suffix, chance),
        )
    for i in range(20 if many else 6):
        suffix = ("md", "docx", "txt", "pdf")[i % 4]
        level, granted = (("INTERNAL", "staff"), ("CONFIDENTIAL", "engineering"))[i % 2]
        yield (
            entry(
                tenant,
                f"documents/engineering/minutes-{i + 1:02}.{suffix}",
                "engineering",
                level,
                "",
                granted,
            ),
            _minutes(i, chance),
        )
    for i in range(16 if many else 4):
        suffix = ("pdf", "txt")[i % 2]
        yield (
            entry(
                tenant,
                f"documents/engineering/certificate-{3000 + i}.{suffix}",
                "engineering",
                "INTERNAL",
                "",
                "technical,contractors" if many else "engineering",
            ),
            _certificate(i, chance),
        )


def _name(chance: random.Random) -> str:
    return f"{chance.choice(FIRST)} {chance.choice(LAST)}"


def _day(chance: random.Random) -> str:
    return f"{chance.randint(1, 28)} {chance.choice(MONTHS)}"


def _ticket(i: int, suffix: str, chance: random.Random) -> str:
    fault, cure = chance.choice(FAULTS)
    device, customer, contact = chance.choice(DEVICES), chance.choice(CUSTOMERS), _name(chance)
    numbers = {"ppm": chance.randint(2, 9), "ohm": chance.randint(120, 900)}
    serial = f"{chance.randint(2, 10)}-{chance.randint(1000, 19999)}"
    parts = [
        f"Ticket {1000 + i}",
        f"Contact: {contact} of {customer}, {contact.lower().replace(' ', '.')}@example.com.",
        f"The {device} with serial number {serial} {fault.format(**numbers)}. It was reported on {_day(chance)}.",
        f"On {_day(chance)} {cure.format(**numbers)}. The work took {chance.randint(1, 9)} hours; the instrument was sent back by {chance.choice(('courier', 'parcel', 'the field service'))}.",
        f"The customer rated the service with {chance.randint(2, 5)} of 5 points.",
    ]
    if suffix == "html":
        body = "".join(f"<p>{part}</p>" for part in parts[1:])
        return f"<html><head><title>{parts[0]}</title></head><body><h1>{parts[0]}</h1>{body}</body></html>\n"
    heading = f"# {parts[0]}" if suffix == "md" else parts[0]
    return "\n\n".join([heading, *parts[1:]]) + "\n"


def _expenses(tenant: str, i: int, suffix: str, chance: random.Random) -> str:
    traveller, city = _name(chance), chance.choice(CITIES)
    nights, hotel = chance.randint(1, 4), chance.randint(95, 188)
    fare, meals = chance.randint(60, 420), chance.randint(20, 160)
    total = nights * hotel + fare + meals
    iban = ("DE89 3704 0044 0532 0130 00", "GB29 NWBK 6016 1331 9268 19", "NL91 ABNA 0417 1643 00")[
        i % 3
    ]
    if suffix == "csv":
        rows = [f"{_day(chance)},hotel,{hotel}.00" for _ in range(nights)]
        rows += [
            f"{_day(chance)},fare to {city},{fare}.00",
            f"{_day(chance)},meals,{meals}.00",
            f"total for {city},sum,{total}.00",
        ]
        return "date,item,euros\n" + "\n".join(rows) + "\n"
    purpose = chance.choice(
        (
            "a customer visit",
            "an audit of a supplier",
            "a conference",
            "the installation of a reference",
        )
    )
    text = (
        f"The journey to {city} for {purpose} from {_day(chance)} cost {total} euros: {nights} nights at {hotel} euros, "
        f"the fare of {fare} euros and meals for {meals} euros. Please pay to IBAN {iban}."
    )
    if suffix == "eml":
        mail = f"{traveller.lower().replace(' ', '.')}@{tenant}.example"
        return f"From: {traveller} <{mail}>\nTo: Expenses <expenses@{tenant}.example>\nSubject: Expense report {200 + i}, {city}\nDate: Mon, 05 Oct 2026 09:00:00 +0200\n\nHello,\n\n{text}\n\nRegards,\n{traveller}\n"
    return f"# Expense report {200 + i}\n\nTraveller: {traveller}. {text}\n\nApproved by: {_name(chance)} on {_day(chance)}.\n"


def _minutes(i: int, chance: random.Random) -> str:
    lines = [
        f"Minutes of the engineering round {i + 1}",
        "",
        f"The round met on {_day(chance)} with {chance.randint(5, 14)} people.",
    ]
    for topic, fact, decision in chance.sample(TOPICS, 3):
        numbers = {
            "day": chance.randint(1, 28),
            "month": chance.choice(MONTHS),
            "pct": chance.randint(3, 38),
            "num": chance.randint(12, 480),
        }
        lines += [
            "",
            f"Topic: {topic}.",
            f"{fact.format(**numbers)}. It was decided that {decision.format(**numbers)}.",
        ]
    lines += [
        "",
        f"The next round takes place on {_day(chance)}. Actions are tracked in list {chance.randint(100, 999)}.",
    ]
    return "\n".join(lines) + "\n"


def _certificate(i: int, chance: random.Random) -> str:
    device = chance.choice(DEVICES)
    return (
        f"Calibration certificate {3000 + i}\n\n"
        f"Instrument: {device}, serial number {chance.randint(2, 10)}-{chance.randint(1000, 19999)}.\n"
        f"Calibrated on {_day(chance)} at {22 + chance.random():.1f} degrees Celsius and {chance.randint(35, 55)} percent humidity.\n"
        f"Deviation at 10 volts: {chance.uniform(-6, 6):.2f} microvolts, expanded uncertainty {chance.uniform(0.9, 2.4):.2f} microvolts.\n"
        f"Deviation at 1 volt: {chance.uniform(-1, 1):.3f} microvolts. The instrument {chance.choice(('meets', 'meets', 'meets', 'does not meet'))} its specification.\n"
        f"The certificate is valid for {chance.choice((12, 24))} months.\n"
    )
