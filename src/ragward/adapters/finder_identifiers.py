"""Further patterns: telephone numbers, dates, ages, titles, postcodes, nationalities, cards, and national ids with their check digits.

Beside `finder_patterns`; the same `Cue`. Types that most documents are full of (dates, titles, nationalities, places) are found
only where `policies/redaction.toml` asks for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from ragward.adapters.finder_patterns import Cue

_MONTH: Final = r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?"
_TIME: Final = r"\d{1,2}:\d{2}(?::\d{2})?(?:\s?[AaPp]\.?[Mm]\b\.?)?"
_YEAR: Final = r"(?:1[89]|20)\d\d"
_SEPARATED: Final = r"(?:[\s.\-/]{1,2})"
_CALLING: Final = (
    r"(?i:\b(?:phone|telephone|tel|mobile|cell|cellphone|fax|call|called|calling|dial|ring|text|sms|whatsapp|"
    r"hotline|landline|reach(?:ed)?|contact|number|line|ext)\b)"
)
_DIGITS: Final = r"\(?\+?\d(?:[\s().\-/]{0,2}\d){6,14}(?!\d)"

CUES: Final = (
    Cue(
        entity_type="PHONE_NUMBER",
        pattern=r"(?<![\w+])(?P<v>(?:\+|00)[1-9]\d{0,2}[\s.\-/]?(?:\(0?\d{0,4}\)[\s.\-/]?)?\d(?:[\s.\-/]?\d){5,11}(?:\s?(?:x|ext\.?\s?)\d{1,5})?)(?![\w])",
        score=0.7,
    ),
    Cue(
        entity_type="PHONE_NUMBER",
        pattern=r"(?<![\w.\-+/])(?P<v>(?:\+?1[\s.\-])?(?:\([2-9]\d\d\)\s?|[2-9]\d\d[\-.])[2-9]\d\d[\s.\-]\d{4}(?:\s?(?:x|ext\.?\s?)\d{1,5})?)(?![\w\-]|\.\d)",
        score=0.7,
    ),
    Cue(  # a trunk prefix and groups, as written in most of Europe
        entity_type="PHONE_NUMBER",
        pattern=rf"(?<![\w.\-+/])(?P<v>\(?0[1-9]\d{{0,4}}\)?{_SEPARATED}(?=(?:[\s.\-/]?\d){{5,9}}(?!\d))\d{{2,8}}(?:[\s.\-/]\d{{2,4}}){{0,4}})(?![\w\-]|\.\d)",
        score=0.6,
    ),
    Cue(
        entity_type="PHONE_NUMBER",
        pattern=rf"{_CALLING}[^\n\d]{{0,40}}?(?<![\d.$€£])(?P<v>{_DIGITS})(?![\w%]|[.,]\d)",
        score=0.6,
    ),
    Cue(
        entity_type="PHONE_NUMBER",
        pattern=r"(?<![\w.\-+/$€£])(?P<v>[1-9]\d\d[\s\-]\d{3}[\s\-]\d{3,4}|0\d{9,10})(?![\w\-%]|[.,]\d| ?\d)",
        score=0.5,
    ),
    Cue(
        entity_type="CREDIT_CARD",
        pattern=r"(?i:\b(?:card|visa|mastercard|amex|american express|maestro|discover|diners)\b)[^\n\d]{0,40}?(?<!\d)(?P<v>\d(?:[ \-]?\d){11,18})(?!\d)",
        score=0.75,
    ),
    Cue(
        entity_type="IBAN_CODE",
        pattern=r"(?i:\bIBAN\b)[^\n\d]{0,30}?\b(?P<v>[A-Za-z]{2}\d{2}(?:\s?[A-Za-z0-9]{4}){2,7}(?:\s?[A-Za-z0-9]{1,3})?)\b",
        score=0.8,
    ),
    Cue(
        entity_type="DATE_TIME",
        pattern=rf"\b(?P<v>\d{{4}}-\d{{2}}-\d{{2}}(?:[T\s]{_TIME})?|\d{{1,2}}[./-]\d{{1,2}}[./-](?:\d{{4}}|\d{{2}})(?:\s{_TIME})?|\d{{1,2}}(?:st|nd|rd|th)?(?:\sof)?[\s-]{_MONTH}(?:,?[\s-]{_YEAR})?|{_MONTH}\s\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s{_YEAR})?|{_MONTH},?\s{_YEAR})(?![\w])",
        score=0.6,
    ),
    Cue(
        entity_type="DATE_TIME",
        pattern=r"\b(?P<v>(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?)\b",
        score=0.5,
    ),
    Cue(
        entity_type="DATE_TIME",
        pattern=rf"(?i:\b(?:in|since|from|until|till|by|year|during|before|after|between|and|to|of|born|circa|class of|early|late)\s)(?P<v>{_YEAR}s?)(?![\w\-]|[.,]\d)",
        score=0.5,
    ),
    Cue(
        entity_type="AGE",
        pattern=r"(?i:\b(?:I'm|I am|(?:s)?he's|(?:s)?he is|they are|turned|turns|turning|age of|aged|age is|ages))\s(?P<v>\d{1,3})(?![\w%]|[.,:/\-]\d|\s(?i:percent|km|miles|minutes|hours|days|weeks|months|times|pages|per|of|euros|dollars))",
        score=0.6,
    ),
    Cue(
        entity_type="AGE",
        pattern=r"(?<![\w.])(?P<v>\d{1,3})\s?(?:y/?o|yrs?\.?(?:\sold)?)\b",
        score=0.6,
    ),
    Cue(entity_type="AGE", pattern=r"\b(?P<v>\d{1,3})[\s-]year[\s-]old", score=0.7),
    Cue(
        entity_type="TITLE",
        pattern=r"\b(?P<v>(?:Mr|Mrs|Ms|Mx|Dr|Prof|Rev|Hon)\.|(?:Mr|Mrs|Ms|Mx|Dr|Prof|Miss|Sir|Madam|Professor|Doctor))(?=\s[A-Z\u00C0-\u017F])",
        score=0.6,
    ),
    Cue(
        entity_type="ZIP_CODE",
        pattern=r"(?i:\b(?:zip|zip ?code|post ?code|postal code|PLZ)\b)[^\n\d]{0,20}?(?P<v>\d{4,6}(?:-\d{3,4})?(?:\s[A-Z]{2}\b)?|\d{3}\s\d{2}|[A-Z]\d[A-Z]\s?\d[A-Z]\d|[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2})\b",
        score=0.7,
    ),
    Cue(
        entity_type="ZIP_CODE",
        pattern=r"\b(?P<v>[A-Z]{1,2}\d[A-Z\d]?\s\d[ABD-HJLNP-UW-Z]{2}|[ABCEGHJ-NPRSTVXY]\d[A-Z]\s\d[A-Z]\d)\b",
        score=0.6,
    ),
    Cue(
        entity_type="ZIP_CODE",
        pattern=r"\b(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY])\s(?P<v>\d{5}(?:-\d{4})?)\b",
        score=0.6,
    ),
    Cue(
        entity_type="URL",
        pattern=r"(?P<v>\b(?:https?://|www\.)[^\s<>\"'()\[\]{}]{2,300}[^\s<>\"'()\[\]{}.,;:!?])",
        score=0.7,
    ),
)

_DEMONYMS: Final = [
    "Afghan",
    "Albanian",
    "Algerian",
    "American",
    "Andorran",
    "Angolan",
    "Argentine",
    "Argentinian",
    "Armenian",
    "Australian",
    "Austrian",
    "Azerbaijani",
    "Bahamian",
    "Bahraini",
    "Bangladeshi",
    "Barbadian",
    "Belarusian",
    "Belgian",
    "Belizean",
    "Beninese",
    "Bhutanese",
    "Bolivian",
    "Bosnian",
    "Brazilian",
    "British",
    "Bulgarian",
    "Burkinabe",
    "Burmese",
    "Burundian",
    "Cambodian",
    "Cameroonian",
    "Canadian",
    "Chadian",
    "Chilean",
    "Chinese",
    "Colombian",
    "Congolese",
    "Croatian",
    "Cuban",
    "Cypriot",
    "Czech",
    "Dane",
    "Danish",
    "Djiboutian",
    "Dominican",
    "Dutch",
    "Ecuadorian",
    "Egyptian",
    "Emirati",
    "English",
    "Eritrean",
    "Estonian",
    "Ethiopian",
    "Fijian",
    "Filipino",
    "Filipina",
    "Finn",
    "Finnish",
    "French",
    "Gabonese",
    "Gambian",
    "Georgian",
    "German",
    "Ghanaian",
    "Greek",
    "Greenlander",
    "Grenadian",
    "Guatemalan",
    "Guinean",
    "Guyanese",
    "Haitian",
    "Honduran",
    "Hungarian",
    "Icelander",
    "Icelandic",
    "Indian",
    "Indonesian",
    "Iranian",
    "Iraqi",
    "Irish",
    "Israeli",
    "Italian",
    "Ivorian",
    "Jamaican",
    "Japanese",
    "Jordanian",
    "Kazakh",
    "Kenyan",
    "Korean",
    "Kurdish",
    "Kuwaiti",
    "Kyrgyz",
    "Laotian",
    "Latvian",
    "Lebanese",
    "Liberian",
    "Libyan",
    "Lithuanian",
    "Luxembourger",
    "Macedonian",
    "Malagasy",
    "Malawian",
    "Malaysian",
    "Maldivian",
    "Malian",
    "Maltese",
    "Mauritanian",
    "Mauritian",
    "Mexican",
    "Moldovan",
    "Mongolian",
    "Montenegrin",
    "Moroccan",
    "Mozambican",
    "Namibian",
    "Nepalese",
    "Nepali",
    "Nicaraguan",
    "Nigerian",
    "Norwegian",
    "Omani",
    "Pakistani",
    "Palestinian",
    "Panamanian",
    "Paraguayan",
    "Peruvian",
    "Pole",
    "Polish",
    "Portuguese",
    "Qatari",
    "Romanian",
    "Russian",
    "Rwandan",
    "Salvadoran",
    "Samoan",
    "Saudi",
    "Scot",
    "Scottish",
    "Senegalese",
    "Serb",
    "Serbian",
    "Singaporean",
    "Slovak",
    "Slovakian",
    "Slovene",
    "Slovenian",
    "Somali",
    "Spaniard",
    "Spanish",
    "Sudanese",
    "Surinamese",
    "Swede",
    "Swedish",
    "Swiss",
    "Syrian",
    "Taiwanese",
    "Tajik",
    "Tanzanian",
    "Thai",
    "Tibetan",
    "Togolese",
    "Tongan",
    "Trinidadian",
    "Tunisian",
    "Turk",
    "Turkish",
    "Turkmen",
    "Ugandan",
    "Ukrainian",
    "Uruguayan",
    "Uzbek",
    "Venezuelan",
    "Vietnamese",
    "Welsh",
    "Yemeni",
    "Zambian",
    "Zimbabwean",
    "Muslim",
    "Christian",
    "Jewish",
    "Jew",
    "Hindu",
    "Buddhist",
    "Sikh",
    "Catholic",
    "Protestant",
    "Mormon",
    "Sunni",
    "Shia",
    "Baptist",
    "Methodist",
    "Lutheran",
    "Anglican",
    "Atheist",
    "Englishman",
    "Englishwoman",
    "Frenchman",
    "Frenchwoman",
    "Irishman",
    "Dutchman",
    "Welshman",
    "Scotsman",
    "Basque",
    "Catalan",
    "Roma",
    "Hispanic",
    "Latino",
    "Latina",
    "African",
    "Asian",
    "European",
    "Arab",
]
NATIONALITIES: Final = Cue(
    entity_type="NRP",
    pattern=rf"\b(?P<v>(?:{'|'.join(sorted(_DEMONYMS, key=len, reverse=True))})(?:e?s)?)\b",
    score=0.5,
)


# National ids. ------------------------------------------------------------------------------------------------------


def _luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _weighted(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def _spanish(value: str) -> bool:
    """NIF and NIE: the letter is the number modulo 23 (Orden INT/2058/2008)."""
    number = value[:-1].translate(str.maketrans("XYZ", "012"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == value[-1]


def _cpf(value: str) -> bool:
    """Two check digits modulo 11 (Receita Federal)."""
    if len(set(value)) == 1:
        return False
    first = _weighted(value, tuple(range(10, 1, -1))) * 10 % 11 % 10
    second = _weighted(value, tuple(range(11, 1, -1))) * 10 % 11 % 10
    return value[9:] == f"{first}{second}"


def _pesel(value: str) -> bool:
    return _weighted(value, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def _bsn(value: str) -> bool:
    """The "eleven test"."""
    return _weighted(value, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0 and int(value) > 0


def _nir(value: str) -> bool:
    """97 less the number modulo 97; Corsica's 2A and 2B count as 19 and 18 (INSEE)."""
    number = value[:13].replace("2A", "19").replace("2B", "18")
    return 97 - int(number) % 97 == int(value[13:])


def _hetu(value: str) -> bool:
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(value[:6] + value[-4:-1]) % 31] == value[-1]


def _iban(value: str) -> bool:
    """ISO 13616, in small letters too."""
    moved = (value[4:] + value[:4]).upper()
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


LOWER_IBAN: Final = re.compile(
    r"\b(?P<v>[a-z]{2}\d{2}(?:\s?[a-z0-9]{4}){2,7}(?:\s?[a-z0-9]{1,3})?)\b"
)


def is_lower_iban(value: str) -> bool:
    """An IBAN written in small letters, which presidio does not look for."""
    return 15 <= len(value) <= 34 and _iban(value)


#: pattern of group `v`, and what its check digits must satisfy once spaces, dots and hyphens are taken out.
NATIONAL_IDS: Final[tuple[tuple[str, Callable[[str], bool]], ...]] = (
    (  # United Kingdom: National Insurance number
        r"\b(?P<v>(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\s?\d{2}\s?\d{2}\s?\d{2}\s?[A-D])\b",
        lambda _value: True,
    ),
    (r"\b(?P<v>(?:\d{8}|[XYZ]\d{7})-?[A-HJ-NP-TV-Z])\b", _spanish),
    (  # Italy: codice fiscale
        r"\b(?P<v>[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z])\b",
        lambda _value: True,
    ),
    (r"\b(?P<v>\d{3}\.\d{3}\.\d{3}-\d{2})\b", _cpf),
    (
        r"\b(?P<v>[12]\s?\d{2}\s?(?:0[1-9]|1[0-2])\s?(?:\d{2}|2[AB])\s?\d{3}\s?\d{3}\s?\d{2})\b",
        _nir,
    ),
    (r"\b(?P<v>\d{6}[-+A]\d{3}[0-9A-FHJ-NPR-Y])\b", _hetu),
    (r"(?i:\bPESEL\b)[^\n\d]{0,20}(?P<v>\d{11})\b", _pesel),
    (r"(?i:\b(?:BSN|burgerservicenummer)\b)[^\n\d]{0,20}(?P<v>\d{9})\b", _bsn),
    (
        r"(?i:\b(?:SIN|social insurance)\b)[^\n\d]{0,20}(?P<v>\d{3}[\s-]?\d{3}[\s-]?\d{3})\b",
        _luhn,
    ),
    (r"(?i:\baadhaar\b)[^\n\d]{0,20}(?P<v>[2-9]\d{3}\s?\d{4}\s?\d{4})\b", lambda _value: True),
    (
        r"(?i:\b(?:national id(?:entity)?(?: card)?|identity card|personnummer|tax id)(?: (?:no|number|nr))?)\b[.:#\s]{1,4}(?P<v>[A-Z0-9][A-Z0-9.\-/]{5,16}\d)\b",
        lambda value: sum(map(str.isdigit, value)) >= 5,
    ),
)
#: One of these stands before every id above that begins with its name.
ANNOUNCED: Final = re.compile(
    r"(?i:PESEL|BSN|burgerservice|\bSIN\b|social insurance|aadhaar|national id|identity card|personnummer|tax id)"
)
#: What takes the place of a number's groups.
SEPARATORS: Final = re.compile(r"[\s.\-]")
