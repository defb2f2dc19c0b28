"""The long outage in short: the code of `make bench ARGS="--outage"`. What arrives, and in which order; no times."""

import pytest

from bench import outage

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_an_outage_and_the_return(tmp_path, capsys):
    figures = outage.measure(tmp_path, hours=0.12, broker="embedded", anchor_s=1)
    away, back, ended = figures.away, figures.back, figures.ended

    assert away.entries > 3 * 256
    assert back.backlog >= away.entries
    assert back.live_first
    assert back.live_entries > 0
    assert ended.entries == ended.custody > back.backlog
    assert (ended.counted, ended.samples_counted) == (ended.said, ended.samples_said)
    assert ended.counted > away.readings > 10_000

    outage.show(figures)
    printed = capsys.readouterr().out
    assert f"{away.gateway_mb_end:.1f}" in printed.split("gateway MB in the outage")[1].splitlines()[0]
    assert f"{back.collector_mb[2]:.1f}" in printed.split("collector MB: hour 2 stored")[1].splitlines()[0]
