"""The golden vectors of the records: what each says, what links them, and what must be refused."""

import json
import runpy
from dataclasses import fields, is_dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from vitaledger import chain, content, entry, events, messages, statement
from vitaledger.entry import entry_hash, parse_body, parse_leaf, verify_body
from vitaledger.errors import MalformedError
from vitaledger.opened import open_entry
from vitaledger.raw import decode_raw

OWN = Path(__file__).parents[2] / "vectors"
CORE = json.loads((OWN / "core.json").read_text("utf-8"))
ORIGIN = "h.example/gateway/g1"
TOPICS = {
    "down/checkpoint": messages.CHECKPOINT_ANSWER,
    "up/entries": messages.ENTRIES,
    "down/entries": messages.ENTRIES_ANSWER,
    "down/receipt": messages.RECEIPT,
    "up/status": messages.STATUS,
    "up/health": messages.HEALTH,
    "up/ledger": messages.LEDGER_SHOWN,
}
READERS = {
    "leaf": parse_leaf,
    "body": parse_body,
    "values": lambda data: content.VALUES.decode(data, "values"),
    "waves": lambda data: content.WAVES.decode(data, "waves"),
    "raw": decode_raw,
    "event": events.decode,
    "statement": statement.decode,
    **{topic: lambda data, codec=codec: codec.decode(data, "message") for topic, codec in TOPICS.items()},
}


def plain(value):
    """A record as the vectors tell it."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, Fraction):
        return [value.numerator, value.denominator]
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    return int(value) if isinstance(value, int) else value


def cases(part, name="what"):
    return [pytest.param(case, id=f"{case.get('of', part)}: {case[name]}") for case in CORE[part]]


def test_generating_again_gives_the_same_file():
    generate = runpy.run_path(str(OWN / "core_generate.py"))["generate"]
    assert generate() == (OWN / "core.json").read_text("utf-8")


@pytest.mark.parametrize("case", cases("entries"))
def test_entries(case):
    leaf, body = bytes.fromhex(case["leaf"]), bytes.fromhex(case["body"])
    opened = open_entry(leaf, body)
    assert entry_hash(leaf).hex() == case["hash"]
    assert plain(opened.entry) == case["entry"]
    for part in ("event", "values", "waves", "raw"):
        if part in case:
            assert plain(getattr(opened, part)) == case[part]
    assert entry._ENTRY.encode(opened.entry) == leaf
    if opened.event is not None:
        assert events.encode(opened.event) == parse_body(body)[-1].content


def test_entries_are_linked():
    heads = {}
    for case in CORE["entries"]:
        found = parse_leaf(bytes.fromhex(case["leaf"]))
        head = heads.get(found.chain) or chain.start(ORIGIN, found.chain)
        heads[found.chain] = chain.follow(head, found, bytes.fromhex(case["hash"]))
    assert {name: head.next_seq for name, head in heads.items()} == {"nonin:port:bed-1": 15, "gateway": 10}


def test_there_is_an_entry_with_each_event():
    told = {type(open_entry(*pair(case)).event) for case in CORE["entries"]}
    assert told - {type(None)} == {of for of, _ in events._SHAPES.values()}


def pair(case):
    return bytes.fromhex(case["leaf"]), bytes.fromhex(case["body"])


@pytest.mark.parametrize("case", cases("findings"))
def test_findings(case):
    leaf, body = pair(case)
    found = parse_leaf(leaf)
    assert verify_body(found, parse_body(body)) == ()
    assert plain(found) == case["entry"]
    with pytest.raises(MalformedError):
        open_entry(leaf, body)


@pytest.mark.parametrize("case", cases("statements"))
def test_statements(case):
    data = bytes.fromhex(case["hex"])
    found = statement.decode(data)
    assert type(found).__name__.lower() == case["what"]
    assert plain(found) == case["fields"]
    assert statement.encode(found) == data


@pytest.mark.parametrize("case", cases("messages", "topic"))
def test_messages(case):
    data, codec = bytes.fromhex(case["hex"]), TOPICS[case["topic"]]
    found = codec.decode(data, case["topic"])
    assert plain(found) == case["fields"]
    assert codec.encode(found) == data


@pytest.mark.parametrize("case", cases("refused"))
def test_refused(case):
    with pytest.raises(MalformedError):
        READERS[case["of"]](bytes.fromhex(case["hex"]))


@pytest.mark.parametrize("case", cases("packed"))
def test_packed(case):
    data = bytes.fromhex(case["hex"])
    if case["plain"] is None:
        with pytest.raises(MalformedError):
            messages.unpack(data, "up/entries")
        return
    plain = messages.unpack(data, "up/entries")
    assert plain.hex() == case["plain"]
    assert messages.unpack(messages.pack(plain), "up/entries") == plain


def test_each_refused_case_is_refused_for_itself():
    """What the cases were made of is good, so that it is the change that is refused."""
    assert {case["of"] for case in CORE["refused"]} == set(READERS)
    good = {each["what"]: bytes.fromhex(each["leaf"]) for each in CORE["entries"]}
    assert parse_leaf(good["values"])
    assert len({case["hex"] for case in CORE["refused"]}) == len(CORE["refused"])
