"""Stored readings sent twice are recorded once; true equal readings are kept."""

import pytest

from firmware_sim.devices.contec import encode
from gateway.drivers import api
from gateway.drivers.contec import ContecDriver
from gateway.repeats import MAX_HELD, Repeats
from gateway.source import Source
from vitaledger.marks import Absence


def dump(count, *, time="2026-01-01 08:00:00", value=lambda n: 97, first=0):
    return [
        api.Reading("spo2", n, value(n), None if value(n) else Absence.INVALID, stored=api.Stored(n, time))
        for n in range(first, first + count)
    ]


class Line:
    """A line's dumps in pieces; `kept` is what is recorded."""

    def __init__(self, **options):
        self.repeats, self.now, self.kept, self.notices = Repeats(**options), 0, [], []

    def send(self, events, piece=7):
        for at in range(0, len(events), piece):
            self.now += 100_000
            self._take(self.repeats.judge(list(events[at : at + piece]), self.now))
        return self

    def rest(self, seconds=3):
        for _ in range(seconds * 4):
            self.now += 250_000
            self._take(self.repeats.judge([], self.now))
        return self

    def _take(self, found):
        self.kept += [event for event in found if isinstance(event, api.Reading)]
        self.notices += [event.text for event in found if isinstance(event, api.Notice)]


def test_a_dated_dump_sent_again_is_left_out_row_by_row_and_told():
    line = Line().send(dump(50)).rest().send(dump(50)).rest()
    assert line.kept == dump(50)
    assert line.notices == ["50 stored readings were sent again and are not recorded twice"]


def test_a_dated_dump_that_goes_on_gives_only_what_is_new():
    line = Line().send(dump(20)).rest().send(dump(50)).rest()
    assert line.kept == dump(50)


def test_true_equal_readings_are_kept():
    later = dump(50, time="2026-01-01 09:00:00")
    line = Line().send(dump(50)).rest().send(later).rest()
    assert line.kept == dump(50) + later
    changed = dump(50, value=lambda n: 97 if n != 30 else 96)
    line = Line().send(dump(50)).rest().send(changed).rest()
    assert line.kept == [*dump(50), changed[30]]  # that place holds another value now: it is recorded


def test_an_undated_dump_is_known_by_all_of_its_content():
    one = dump(50, time=None, value=lambda n: 90 + n % 9)
    line = Line().send(one).rest().send(one).rest().send(one).rest()
    assert line.kept == one
    assert len(line.notices) == 2


def test_an_undated_dump_that_only_begins_alike_is_kept_whole():
    one = dump(50, time=None, value=lambda n: 90 + n % 9)
    other = [*one[:40], *dump(10, time=None, first=40, value=lambda n: 80)]
    line = Line().send(one).rest().send(other).rest()
    assert line.kept == one + other
    shorter = one[:30]
    line = Line().send(one).rest().send(shorter).rest()
    assert line.kept == one + shorter  # it may be another recording that was shorter
    line = Line().send(shorter).rest().send(one).rest()
    assert line.kept == shorter + one


def test_a_dump_ends_with_live_data_or_when_ordinals_begin_again():
    one = dump(30, time=None, value=lambda n: 90 + n % 9)
    live = api.Reading("spo2", 5, 95)
    line = Line().send(one).send([live]).send([*one, *one, live])
    assert [event for event in line.kept if event.stored] == one
    assert [event for event in line.kept if not event.stored] == [live, live]


def test_what_is_held_back_and_known_is_bounded():
    one = dump(MAX_HELD + 50, time=None, value=lambda n: 90 + n % 9)
    line = Line().send(one, 64).rest().send(one, 64).rest()
    assert line.kept == one + one  # rather twice than not at all
    line = Line(most=100).send(dump(1000)).rest().send(dump(1000)).rest()
    assert len(line.kept) == 2000
    assert len(line.repeats._dated) == 100


def test_live_readings_pass_untouched():
    live = [api.Reading("spo2", 1, 97)] * 3
    assert Repeats().judge(live, 1) is live


@pytest.mark.parametrize("cut", [0, 8, 31, 100, 400])
def test_a_dump_is_one_however_its_bytes_come(cut):
    """Live samples in the same call as the first stored seconds came before them, and are told before them."""
    live = bytes.fromhex("01e0849392bce3ffff") * 3
    start = encode(0x07, bytes(6)) + encode(0x12, bytes(6))
    sent = live + start + b"".join(encode(0x09, bytes((90 + n % 9, 60, 200, 0))) for n in range(100)) + live
    source, kept, notices = Source(ContecDriver(may_send=False)), [], []
    source.opened(0)
    for began, at in ((1, cut), (10, len(live))):
        for n, data in enumerate((sent[:at], sent[at:])):
            found = source.receive(data, (began + n) * 100_000)
            kept += [each.stored.ordinal for each in found if isinstance(each, api.Reading) and each.stored]
            notices += [each.text for each in found if isinstance(each, api.Notice)]
    assert kept == sorted([*range(100)] * 3)
    assert notices == ["300 stored readings were sent again and are not recorded twice"]
