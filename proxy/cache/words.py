"""The words that guards know."""

from typing import Final

#: words that may be exchanged, put in or left out without asking something else
IGNORED: Final = frozenset(
    "a an the please kindly just so well also really very hey hi hello ok okay oh um thanks thank you i me my we us our"
    " your can could would will shall should do does did is are was were am be been being have has had it its it's"
    " that this these those there here what's whats i'm im i'd i'll i've ive some any of for and or to".split()
)

_SMALL: Final = (
    "zero two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
).split()
_TENS: Final = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_ORDINALS: Final = "first second third fourth fifth sixth seventh eighth ninth tenth".split()
#: number words and what they are. "One" is none of them: it is a pronoun more often than a number
NUMBER_WORDS: Final[dict[str, str]] = {
    **{word: str(number if number == 0 else number + 1) for number, word in enumerate(_SMALL)},
    **{word: str(10 * (number + 2)) for number, word in enumerate(_TENS)},
    **{word: f"{number + 1}." for number, word in enumerate(_ORDINALS)},
    "hundred": "100",
    "thousand": "1000",
    "million": "1000000",
    "billion": "1000000000",
    "dozen": "12",
    "half": "0.5",
    "twice": "2",
    "double": "2",
    "triple": "3",
}

_MONTHS: Final = (
    "january february march april june july august september october november december jan feb mar apr jun jul aug sep"
    " sept oct nov dec"
).split()
_DAYS: Final = "monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thurs fri sat sun".split()
_WHEN: Final = (
    "today tonight tomorrow yesterday now morning noon afternoon evening night midnight weekend weekday spring summer"
    " autumn winter next last previous past daily weekly monthly yearly annually hourly century decade year month week"
    " day hour minute christmas easter"
).split()
#: words of dates and times, by what they mean
TIMES: Final[dict[str, str]] = {
    **{word: word[:3] for word in _MONTHS},
    **{word: "day " + word[:3] for word in _DAYS},
    **{word: word for word in _WHEN},
    "fall": "autumn",
    "tomorrow's": "tomorrow",
    "today's": "today",
}
for _plain in ("year", "month", "week", "day", "hour", "minute"):
    TIMES[_plain + "s"] = _plain

#: units of numbers, by what they mean; a word behind a number that is none of these is no unit
UNITS: Final[dict[str, str]] = {
    spelling: name
    for name, spellings in {
        "$": "$ usd dollar dollars bucks",
        "€": "€ eur euro euros",
        "£": "£ gbp pound pounds quid lb lbs",
        "¥": "¥ yen jpy",
        "%": "% percent pct",
        "km": "km kilometer kilometers kilometre kilometres",
        "m": "m meter meters metre metres",
        "cm": "cm centimeters centimetres",
        "mm": "mm millimeters millimetres",
        "mi": "mi mile miles",
        "ft": "ft foot feet",
        "in": "inch inches",
        "kg": "kg kilo kilos kilogram kilograms",
        "g": "g gram grams",
        "mg": "mg milligrams",
        "oz": "oz ounce ounces",
        "l": "l liter liters litre litres",
        "ml": "ml milliliters millilitres",
        "gal": "gallon gallons",
        "c": "c celsius °c",
        "f": "f fahrenheit °f",
        "s": "s sec secs second seconds",
        "min": "min mins minute minutes",
        "h": "h hr hrs hour hours",
        "d": "d day days",
        "w": "week weeks",
        "mo": "month months",
        "y": "y yr yrs year years",
        "am": "am",
        "pm": "pm",
        "kb": "kb",
        "mb": "mb",
        "gb": "gb",
        "tb": "tb",
        "k": "k",
        "bn": "b bn",
        "mph": "mph",
        "kmh": "kmh kph",
        "w.": "watt watts",
        "kw": "kw kilowatt kilowatts",
    }.items()
    for spelling in spellings.split()
}
