"""CBOR that is refused, each for its reason, and what is written."""

import cbor2
import pytest

from vitaledger import cbor, content, messages
from vitaledger.errors import MalformedError, MisuseError

REFUSED = [
    ("nothing", "", "not CBOR"),
    ("map", "a10102", "dict"),
    ("float", "f93c00", "float"),
    ("float64", "fb3ff0000000000000", "float"),
    ("true", "f5", "bool"),
    ("false inside", "8201f4", "bool"),
    ("undefined", "f7", "not of the subset"),
    ("simple value", "e0", "not of the subset"),
    ("break alone", "ff", "not (CBOR|of the subset)"),
    ("open array", "9f01ff", "not in its shortest form"),
    ("open bytes", "5f4101ff", "not in its shortest form"),
    ("open text", "7f6161ff", "not in its shortest form"),
    ("1 in two bytes", "1801", "not in its shortest form"),
    ("1 in nine bytes", "1b0000000000000001", "not in its shortest form"),
    ("−1 in two bytes", "3800", "not in its shortest form"),
    ("length in two bytes", "5801ff", "not in its shortest form"),
    ("text length in three bytes", "79000161", "not in its shortest form"),
    ("array length in two bytes", "980101", "not in its shortest form"),
    ("bignum", "c249010000000000000000", "outside ±2⁶³"),
    ("bignum that fits", "c24101", "not in its shortest form"),
    ("negative bignum", "c349010000000000000000", "outside ±2⁶³"),
    ("2⁶³", "1b8000000000000000", "outside ±2⁶³"),
    ("2⁶³ in an array", "82001b8000000000000000", "outside ±2⁶³"),
    ("−2⁶³ − 1", "3b8000000000000000", "outside ±2⁶³"),
    ("date text", "c074323032302d30312d30315430303a30303a30305a", "datetime"),
    ("date number", "c100", "datetime"),
    ("decimal", "c4820001", "Decimal"),
    ("decimal of bytes", "c48241004100", "not CBOR"),
    ("decimal beyond all bounds", "c4821b7fffffffffffffff01", "not CBOR"),
    ("binary fraction beyond all bounds", "c5821a4000000001", "not CBOR"),
    ("date in the year 10¹⁶", "c11b7fffffffffffffff", "not CBOR"),
    ("set of maps", "d9010281a0", "set|not CBOR"),
    ("set of sets that hold themselves", "d81cd9010281d81d00", "not CBOR|set"),
    ("unclosed regular expression", "d8236128", "not CBOR"),
    ("fraction of nothing", "d81e820100", "not CBOR"),
    ("rational", "d81e820102", "Fraction"),
    ("regular expression", "d8236161", "Pattern"),
    ("set", "d901028101", "set"),
    ("self-described", "d9d9f701", "not in its shortest form"),
    ("shared value", "d81c8101", "not in its shortest form"),
    ("shared twice", "82d81c8101d81d00", "not in its shortest form"),
    ("reference to nothing", "d81d00", "not CBOR"),
    ("list in itself", "d81c81d81d00", "nested deeper"),
    ("list in itself twice", "d81c82d81d00d81d00", "nested deeper"),
    ("tag in itself", "d81cd840d81d00", "typed array"),
    ("unknown tag", "d8ff01", "typed array"),
    ("typed array of an array", "d8408101", "typed array"),
    ("big-endian samples", "d8414100", "typed array"),
    ("64-bit samples", "d8474800000000000000ff", "typed array"),
    ("half a sample", "d8454100", "no whole number"),
    ("samples in a wide array", "d845420100", "narrower"),
    ("samples signed for nothing", "d8484101", "narrower"),
    ("no sample in a wide array", "d84540", "narrower"),
    ("bytes left over", "0102", "left over"),
    ("bytes left over behind an array", "8000", "left over"),
    ("array cut short", "8201", "not CBOR"),
    ("2⁶⁴ − 1 items", "9bffffffffffffffff", "not CBOR"),
    ("2³¹ items", "9a80000000", "not CBOR"),
    ("2⁶³ bytes", "5b8000000000000000", "not CBOR"),
    ("2⁴⁰ bytes of text", "7b0000010000000000", "not CBOR"),
    ("not UTF-8", "61ff", "not CBOR"),
    ("half a surrogate pair", "63eda080", "not CBOR"),
    ("overlong UTF-8", "62c080", "not CBOR"),
    ("nested 13 deep", "81" * 13 + "80", "nested deeper"),
    ("nested 300 deep", "81" * 300 + "80", "nested deeper"),
    ("nested 100,000 deep", "81" * 100_000 + "80", "not CBOR"),
    ("tagged 100,000 times", "c6" * 100_000 + "80", "not CBOR"),
]


@pytest.mark.parametrize(("data", "why"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused(data, why):
    with pytest.raises(MalformedError, match=f"^thing.*({why})"):
        cbor.decode(bytes.fromhex(data), "thing")


@pytest.mark.parametrize("data", [case[1] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused_inside_a_record(data):
    """The same items where a record stands, and as each of its fields."""
    item = bytes.fromhex(data)
    for codec in (messages.HEALTH, messages.RECEIPT, messages.ENTRIES, content.VALUES, content.WAVES):
        with pytest.raises(MalformedError):
            codec.decode(item, "record")
    good = [b"\x00", b"\xf6", b"\x00", b"\x00", b"\xf6"]
    for n in range(len(good)):
        with pytest.raises(MalformedError):
            messages.HEALTH.decode(b"\x85" + b"".join([*good[:n], item, *good[n + 1 :]]), "up/health")


TAKEN = [
    (0, "00"),
    (23, "17"),
    (24, "1818"),
    (2**63 - 1, "1b7fffffffffffffff"),
    (-1, "20"),
    (-(2**63), "3b7fffffffffffffff"),
    ("", "60"),
    ("é", "62c3a9"),
    (b"", "40"),
    (None, "f6"),
    ([], "80"),
    ([[[[[[[[[[[[]]]]]]]]]]]], "81" * 11 + "80"),
    ([1, None, -2], "8301f621"),
]


@pytest.mark.parametrize(("item", "data"), TAKEN)
def test_taken(item, data):
    assert cbor.encode(item).hex() == data
    assert cbor.decode(bytes.fromhex(data)) == item


@pytest.mark.parametrize(
    ("samples", "data"),
    [
        ((), "d84040"),
        ((0, 255), "d8404200ff"),
        ((-1, 127), "d84842ff7f"),
        ((256,), "d845420001"),
        ((-129,), "d84d427fff"),
        ((65_536,), "d8464400000100"),
        ((-32_769,), "d84e44ff7fffff"),
        ((2**32 - 1,), "d84644ffffffff"),
        ((-(2**31), 2**31 - 1), "d84e4800000080ffffff7f"),
    ],
)
def test_samples(samples, data):
    assert cbor.encode(cbor.pack_samples(samples)).hex() == data
    assert cbor.unpack_samples(cbor.decode(bytes.fromhex(data))) == samples


@pytest.mark.parametrize("samples", [(2**32,), (-(2**31) - 1,), (-1, 2**31)])
def test_samples_that_do_not_fit(samples):
    with pytest.raises(MisuseError):
        cbor.pack_samples(samples)


LOOP = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    "item", [1.0, True, {1: 2}, (1,), 2**63, [[], 1.0], cbor2.CBORTag(1, 0), {1}, "\ud800", ["\udfff"], LOOP, object()]
)
def test_what_is_not_of_the_subset_is_not_written(item):
    with pytest.raises(MisuseError, match="cannot encode"):
        cbor.encode(item)


@pytest.mark.parametrize(
    "number", ["c2590800" + "ff" * 2048, "c3590800" + "ff" * 2048, "c259ffff" + "ff" * 65535], ids=len
)
def test_a_number_too_long_to_be_printed_is_refused_in_words(number):
    with pytest.raises(MalformedError, match=r"backlog: expected an integer from 0 .* found one outside"):
        messages.HEALTH.decode(bytes.fromhex("85" + number + "f60000f6"), "up/health")
