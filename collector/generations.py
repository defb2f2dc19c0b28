"""A device over all logs that it was on: the first, their successors, and what those carry over."""

from collections.abc import Iterator

from collector.carried import carried_history
from collector.history import Device, Seen, Span, chain_history
from collector.verified import VerifiedStore


def history(store: VerifiedStore, device: Device, span: Span, newest: int | None = None) -> Iterator[Seen]:
    """The entries of a device in a span, log by log, in order of their numbers; with `newest`, only so many a log.

    Behind the entries of a log that ended stand those of it that a successor carries over and it does not have.
    """
    for log, chain in device.chains:
        yield from chain_history(store.log(log), chain, span, newest)
        carried = carried_history(store, log, chain.name, span)
        yield from carried if newest is None else list(carried)[-newest:]
