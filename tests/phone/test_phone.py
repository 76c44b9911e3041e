"""Phone numbers against libphonenumber: the example numbers of every region, spelled as people
spell them, must be read as it reads them."""

import os
import pathlib
import random
import subprocess

import pytest

phonenumbers = pytest.importorskip("phonenumbers", reason="python3-phonenumbers is missing")

from phonenumbers import PhoneMetadata, PhoneNumberFormat, PhoneNumberType  # noqa: E402

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = TOP / os.environ.get("CAPI_BUILD", "build") / "tests" / "phone"
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
AGREEMENT = 0.999
# What is dialled first where libphonenumber's pattern allows for more than one thing.
EXIT_CODES = {"BR": "0015", "SG": "001", "KR": "00700", "HK": "001", "ID": "001", "CO": "009",
              "CL": "1230", "AU": "0011"}


def ours(questions):
    """What the module hashes for each (region, spelling), `` for what it refuses."""
    text = "".join(f"{region}\t{spelling}\n" for region, spelling in questions)
    done = subprocess.run([PROGRAM], input=text, stdout=subprocess.PIPE, text=True, check=True,
                          timeout=300)
    answers = done.stdout.split("\n")[:-1]
    assert len(answers) == len(questions)
    return answers


def parsed(region, spelling):
    try:
        return phonenumbers.parse(spelling, region or None)
    except phonenumbers.NumberParseException:
        return None


def fits_an_outline(number):
    national = phonenumbers.national_significant_number(number)
    code = number.country_code
    return any(phonenumbers.phonenumberutil._match_national_number(
        national, PhoneMetadata.metadata_for_region_or_calling_code(code, region).general_desc,
        False) for region in phonenumbers.region_codes_for_country_code(code))


def theirs(region, spelling):
    """What libphonenumber says, at the level that match_phone.c declares."""
    number = parsed(region, spelling)
    if number is None or phonenumbers.is_possible_number_with_reason(number) != \
            phonenumbers.ValidationResult.IS_POSSIBLE or not fits_an_outline(number):
        return ""
    if len(set(phonenumbers.national_significant_number(number))) == 1:
        return ""
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)[1:]


def examples():
    """(region, number), one of each type that the region has."""
    found = {}
    for region in REGIONS:
        for kind in PhoneNumberType.values():
            number = phonenumbers.example_number_for_type(region, kind)
            if number and kind != PhoneNumberType.VOICEMAIL:
                found[region, phonenumbers.format_number(number, PhoneNumberFormat.E164)] = number
    return [(region, number) for (region, _), number in found.items()]


def exit_code(region):
    pattern = PhoneMetadata.metadata_for_region(region).international_prefix
    return pattern if pattern.isdigit() else EXIT_CODES.get(region, "00")


def compare(questions):
    """The questions that are answered otherwise, as (region, spelling, ours, theirs)."""
    return [(*question, our, their) for question, our, their in
            zip(questions, ours(questions), (theirs(*question) for question in questions))
            if our != their]


def is_stored_without_plus(difference):
    """49… in Germany: match_phone.c reads the country's code, libphonenumber the area code of
    Ostfriesland. A number of another country that dials 0 first, too."""
    region, _, our, their = difference
    return bool(our) and their == f"{phonenumbers.country_code_for_region(region)}{our}"


def is_as_long_as_voicemail(difference):
    """libphonenumber-js knows no voicemail boxes, whose numbers are longer in four countries."""
    region, spelling, our, their = difference
    number = parsed(region, spelling)
    if our or number is None:
        return False
    plan = PhoneMetadata.metadata_for_region(
        phonenumbers.region_code_for_country_code(number.country_code), None)
    length = len(phonenumbers.national_significant_number(number))
    ordinary = {n for kind in (plan.fixed_line, plan.mobile, plan.toll_free, plan.premium_rate,
                               plan.shared_cost, plan.personal_number, plan.voip, plan.pager,
                               plan.uan) if kind for n in kind.possible_length}
    return length in plan.voicemail.possible_length and length not in ordinary


def assert_agreement(questions, differences):
    listed = "\n".join(f"  {region or '--'} {spelling!r}: {our or 'refused'}, libphonenumber: "
                       f"{their or 'refused'}" for region, spelling, our, their in differences)
    rate = 1 - len(differences) / len(questions)
    print(f"{len(questions)} spellings, {len(differences)} differ, agreement {rate:.4%}\n{listed}")
    assert rate >= AGREEMENT, listed
    unexplained = [d for d in differences
                   if not is_stored_without_plus(d) and not is_as_long_as_voicemail(d)]
    assert not unexplained, listed


def full_width(text):
    return "".join(chr(ord(c) + 0xfee0) if "!" <= c <= "~" else "\u3000" if c == " " else c
                   for c in text)


def arabic(text):
    return text.translate({ord("0") + i: 0x660 + i for i in range(10)})


def persian(text):
    return text.translate({ord("0") + i: 0x6f0 + i for i in range(10)})


def with_trunk_in_brackets(region, number):
    prefix = PhoneMetadata.metadata_for_region(region).national_prefix
    national = phonenumbers.national_significant_number(number)
    return f"+{number.country_code} ({prefix or '0'}){national}"


EXTENSIONS = [" ext. 123", " x123", " #123", ";ext=123", " extension 44", "x 5", " int 7",
              " доб. 12", " anexo 9", ",,123", " - 503#", " extensión 31", "~8", ";123",
              " ｅｘｔ７", " Durchwahl 12", " DW 12", " ext 302/x2303"]
AROUND = ["Tel: {}", "tel:{}", "Telefon {}", "({})", "{} (mobil)", "{}.", "{} - privat", "☎ {}",
          "call {} now", "{}/", "\u202a{}\u202c", "{} oder 555", "mobile: {};", "<{}>"]
SEPARATORS = ["-", ".", "/", " - ", "\u00a0", "\u2011", "\u2013", "  ", "", ") ", "\u200b"]


def spellings(region, number, dice):
    """Some fifteen ways to write a number, of which dice choose the details."""
    style = phonenumbers.format_number
    national = style(number, PhoneNumberFormat.NATIONAL)
    international = style(number, PhoneNumberFormat.INTERNATIONAL)
    e164 = style(number, PhoneNumberFormat.E164)
    other = dice.choice(REGIONS)
    either = dice.choice([national, international])
    yield region, national
    yield region, international
    yield other, international
    yield "", international
    yield region, phonenumbers.national_significant_number(number)
    yield region, style(number, PhoneNumberFormat.RFC3966)
    yield region, e164[1:]
    yield other, phonenumbers.format_out_of_country_calling_number(number, other)
    yield other, exit_code(other) + " " + international[1:]
    yield region, exit_code(region) + e164[1:]
    yield region, dice.choice(["00", "011", "+00", "++", "+0"]) + international[1:]
    yield region, with_trunk_in_brackets(region, number)
    yield region, either.replace(" ", dice.choice(SEPARATORS)).replace("-", dice.choice(SEPARATORS))
    yield region, either + dice.choice(EXTENSIONS)
    yield region, dice.choice(AROUND).format(either)
    yield region, dice.choice([full_width, arabic, persian])(either)
    yield region, national[:dice.randrange(1, len(national))]
    yield region, e164 + str(dice.randrange(10 ** dice.randrange(1, 9)))
    yield region, "0" + phonenumbers.national_significant_number(number)
    yield other, national
    yield region, f"{national};phone-context=+{number.country_code}"
    yield region, f"tel:{national};phone-context=shop.example"
    at = dice.randrange(len(either) + 1)
    yield region, either[:at] + dice.choice("x*+#,;:=a\\?(ü ") + either[at:]


def generated(seed=20221018):
    dice = random.Random(seed)
    return sorted({question for region, number in examples()
                   for question in spellings(region, number, dice)})


def test_example_numbers_of_every_region_are_read_as_libphonenumber_reads_them():
    questions = []
    for region, number in examples():
        e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
        questions += [(region, phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)),
                      (region, phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)),
                      ("", e164)]
    assert {region for region, _ in questions} >= set(REGIONS)
    assert_agreement(questions, compare(questions))


def test_generated_spellings_are_read_as_libphonenumber_reads_them():
    questions = [q for q in generated() if q[0]]
    assert len(questions) >= 10000
    assert_agreement(questions, compare(questions))


def test_numbers_that_belong_to_no_country_are_read_as_libphonenumber_reads_them():
    questions = []
    for code in sorted(phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS):
        number = phonenumbers.example_number_for_non_geo_entity(code)
        questions += [("", phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)),
                      ("DE", f"00{code}{number.national_number}"), ("US", f"+{code} 12")]
    assert_agreement(questions, compare(questions))


def test_without_a_region_a_plus_is_needed_or_two_zeros_or_a_number_that_fits():
    e164 = [phonenumbers.format_number(number, PhoneNumberFormat.E164)[1:]
            for _, number in examples()]
    e164 = [number for number in e164 if theirs("", "+" + number)]
    assert len(e164) > 1000
    assert ours([("", "00" + number) for number in e164]) == e164
    assert ours([("", number) for number in e164]) == e164
    # XX is no region, and AQ has no numbering plan.
    assert ours([("XX", "0049 30 1234567"), ("AQ", "+49 30 1234567"), ("", "030 1234567")]) == \
        ["49301234567", "49301234567", ""]


def test_vanity_numbers_become_the_digits_of_the_keypad():
    questions = [("US", "1-800-FLOWERS"), ("US", "1 800 SIX-FLAG"), ("US", "+1-800-GOT-JUNK"),
                 ("NZ", "0800 DDA 005"), ("US", "1-800-MICROSOFT"), ("AU", "1300 FLIGHT"),
                 ("GB", "0800 1111 ab"), ("US", "FLOWERS"), ("US", "18 00 x x x"),
                 ("DE", "0800 CALLME1")]
    assert compare(questions) == []
    assert ours(questions[:1]) == ["18003569377"]


NO_NUMBERS = ["", " ", "-", "+", "++", "keine", "n/a", "123", "0", "00", "000", "+0", "+000000000",
              "0000000000", "1111111111", "9999999999", "a@b.example", "Hauptstraße 5",
              "12:30", "1" * 300, "+49", "+49 1", "+999 123456789", "٠", "...1...",
              "4111 1111 1111 1111 1111", "unbekannt 0", "555", "#31#", "*100#", ";ext=5"]


@pytest.mark.parametrize("region", ["", "DE", "US", "IT", "GB", "AR", "BR", "CN", "XK"])
def test_what_is_no_number_is_refused(region):
    questions = [(region, text) for text in NO_NUMBERS]
    accepted = [(q, our) for q, our in zip(questions, ours(questions)) if our]
    assert accepted == []


def test_random_text_is_judged_as_libphonenumber_judges_it():
    dice = random.Random(7)
    # Not both letters and digits of other scripts: libphonenumber loses the digits then.
    alphabets = ["0123456789" * 4 + "+-. ()/x#~,;:*e\\=ext" + "é٪–",
                 "0123456789" * 2 + "+-. ()/#~,;:*\\" + "０１２３٤٥٦٧৮৯०"]
    questions = [(dice.choice(REGIONS), "".join(dice.choices(dice.choice(alphabets),
                                                             k=dice.randrange(1, 24))))
                 for _ in range(20000)]
    assert_agreement(questions, compare(questions))
