"""Patterns and cues of our own, beside presidio's: what they match, how sure a match is, and which words must stand near.

PERSON is found by titles, cue words and mail headers, and then everywhere in the same document; names that nothing
announces are missed (a trained detector is a later step). English only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_LETTERS: Final = [chr(code) for code in range(0xC0, 0x180)]
_UPPER: Final = "A-Z" + "".join(letter for letter in _LETTERS if letter.isupper())
_LOWER: Final = "a-z'\u2019" + "".join(letter for letter in _LETTERS if letter.islower())
_PART: Final = rf"[{_UPPER}][{_LOWER}]+(?:[{_UPPER}][{_LOWER}]+)?"  # Weber, O'Neil, McDonald
_NAME: Final = rf"{_PART}(?:[-\s](?:[A-Z]\.|(?:de|van|von|di|la|el|bin|al)\s)?\s?{_PART}){{0,3}}"
_FULL_NAME: Final = (
    rf"{_PART}(?:[ -][A-Z]\.)?(?:[ -](?:de |van |von |di |la |el |bin |al )?{_PART}){{1,3}}"
)
_MONTH: Final = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_DATE: Final = rf"(?:\d{{4}}-\d{{2}}-\d{{2}}|\d{{1,2}}[./-]\d{{1,2}}[./-]\d{{2,4}}|\d{{1,2}}\s{_MONTH}\s\d{{4}}|{_MONTH}\s\d{{1,2}},\s\d{{4}})"
_AMOUNT: Final = r"(?:[$€£]\s?\d[\d,.]{0,30}\d(?:\s?[kK])?|(?:USD|EUR|GBP|CHF)\s?\d[\d,.]{0,30}\d|\d[\d,.]{0,30}\d\s?(?:USD|EUR|GBP|CHF|dollars|euros))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """A pattern whose group `v` is the personal data."""

    entity_type: str
    pattern: str
    score: float


CUES: Final = (
    # presidio's own recognizer fetches a list of top-level domains, and refuses what is not on it
    Cue(
        entity_type="EMAIL_ADDRESS",
        pattern=r"(?P<v>\b[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b)",
        score=1.0,
    ),
    Cue(entity_type="PERSON", pattern=rf"\b(?:Mr|Mrs|Ms|Mx|Dr|Prof)\.?\s(?P<v>{_NAME})", score=0.9),
    Cue(
        entity_type="PERSON",
        pattern=rf"\b(?:Name|Employee|Patient|Manager|Author|Contact|Claimant|Complainant|Respondent|Candidate|Payee|Beneficiary|Account holder|Cardholder|Approved by|Prepared by|Reported by|Signed|Signed by|Submitted by|Requested by|Assignee|Owner|Traveller|Traveler|Interviewer|Witness|Attendees)(?: name)?[:;]\s*(?P<v>{_FULL_NAME})",
        score=0.85,
    ),
    Cue(
        entity_type="PERSON",
        pattern=rf"(?m)^(?:From|To|Cc|Reply-To|Sender):\s*\"?(?P<v>{_FULL_NAME})\"?\s*<",
        score=0.9,
    ),
    Cue(
        entity_type="PERSON", pattern=rf"(?P<v>{_FULL_NAME})\s*(?:<|\()[\w.+-]+@[\w.-]+", score=0.85
    ),
    Cue(entity_type="PERSON", pattern=rf"\b(?:Dear|Hi|Hello)\s(?P<v>{_NAME})[,\n]", score=0.75),
    Cue(
        entity_type="PERSON",
        pattern=rf"(?:[Rr]egards|[Ss]incerely|[Tt]hanks|Best),?\n\s*(?P<v>{_NAME})\s*(?:\n|$)",
        score=0.75,
    ),
    Cue(
        entity_type="PERSON",
        pattern=rf"(?P<v>{_FULL_NAME}),?\s\((?:employee|born|aged|DOB|ID)\b",
        score=0.85,
    ),
    Cue(
        entity_type="DATE_OF_BIRTH",
        pattern=rf"(?i:\b(?:date of birth|birth date|born(?: on)?|d\.?o\.?b\.?))[:\s]{{1,3}}(?P<v>{_DATE})",
        score=0.9,
    ),
    Cue(
        entity_type="EMPLOYEE_ID",
        pattern=r"(?i:\b(?:employee|staff|personnel|payroll)\s?(?:id|no|number|#)\.?)[:;\s#]{1,3}(?P<v>[A-Z]{0,4}-?\d{3,8})\b",
        score=0.9,
    ),
    Cue(
        entity_type="SALARY",
        pattern=rf"(?i:\b(?:salary|base pay|compensation|remuneration|wage|bonus|severance))\b[^.\n]{{0,60}}?(?P<v>{_AMOUNT})",
        score=0.8,
    ),
    Cue(
        entity_type="SALARY",
        pattern=rf"(?P<v>{_AMOUNT})[^.\n]{{0,30}}?(?i:\b(?:salary|per annum|a year|annually|base pay))",
        score=0.7,
    ),
    Cue(
        entity_type="STREET_ADDRESS",
        pattern=r"\b(?P<v>\d{1,5}[A-Za-z]?\s(?:[A-Z][a-z'\u2019]+\s){1,3}(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Court|Ct|Way|Boulevard|Blvd|Place|Pl|Square|Terrace|Close|Row)\b\.?(?:,\s(?:Apt|Unit|Suite)\s?\w+)?(?:,\s(?:St\.\s)?[A-Z][A-Za-z'-]+(?:\s[A-Z][A-Za-z'-]+){0,3})?(?:,?\s(?:[A-Z]{2}\s)?\d{5}(?:-\d{4})?|,?\s[A-Z]{1,2}\d[A-Z\d]?\s\d[A-Z]{2})?)",
        score=0.8,
    ),
    Cue(entity_type="AGE", pattern=r"(?i:\b(?:aged|age))[:\s]\s?(?P<v>\d{1,3})\b", score=0.7),
    Cue(entity_type="AGE", pattern=r"\b(?P<v>\d{1,3})[\s-]years?[\s-]old\b", score=0.7),
)

#: Identifiers that are plain digits or letters: a match counts only with one of these words within 60 characters before it.
NEEDS_CONTEXT: Final = {
    "US_DRIVER_LICENSE": r"\b(?:driver'?s? licen[cs]e|driving licen[cs]e|DL)\b",
    "US_BANK_NUMBER": r"\b(?:account|acct|bank|routing|direct deposit|checking|savings)\b",
    "US_PASSPORT": r"\bpassport\b",
    "US_ITIN": r"\b(?:ITIN|taxpayer)\b",
    "UK_NHS": r"\b(?:NHS|national health)\b",
    "MEDICAL_LICENSE": r"\b(?:DEA|medical licen[cs]e|prescriber|licen[cs]e)\b",
}
CONTEXT_CHARACTERS: Final = 60
