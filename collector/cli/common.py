"""What every command needs: the configuration, the store read only, the ledger's key, and one way to print."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from collector import config, keys
from collector.cli.times import has_zone, parse_time
from collector.config import Config
from collector.history import Span
from collector.reader import Reader
from collector.verified import VerifiedStore
from vitaledger.errors import MisuseError, VerificationError

PLACES = (Path(config.FILE_NAME), Path("/etc/vitaledger") / config.FILE_NAME)


@dataclass
class Context:
    """What the options of the program say; the configuration is read when a command asks for it."""

    config_file: Path | None
    ledger: int | None = None

    @cached_property
    def path(self) -> Path:
        """Where the configuration is; MisuseError where there is none."""
        for path in (self.config_file,) if self.config_file is not None else PLACES:
            if path.is_file():
                return path
        if self.config_file is not None:
            raise MisuseError(f"{self.config_file}: cannot read the configuration: no such file")
        raise MisuseError(f"no configuration: expected --config FILE, or one of {', '.join(map(str, PLACES))}")

    @cached_property
    def config(self) -> Config:
        """The configuration, for the ledger that was asked for, or the newest; MisuseError where there is none."""
        newest = config.load(self.path)
        return newest if self.ledger is None else config.choose(newest, self.ledger)

    @cached_property
    def vkey(self) -> str:
        """The ledger's key that everything is held against: that of the key file, which no store can change.

        Whoever may read the store and not the key is told that the store's own word is taken instead.
        """
        try:
            return str(keys.load(self.config.key_path, self.config.ledger_origin).vkey)
        except MisuseError as error:
            click.echo(f"the ledger's key is taken from the store itself ({error}); pin it by --vkey", err=True)
        with Reader.open(self.config.store_path) as reader:
            return reader.ledger_vkey()

    @contextmanager
    def verified(self) -> Iterator[VerifiedStore]:
        """The store as it stands now, its ledger verified."""
        with Reader.open(self.config.store_path) as reader, reader.snapshot():
            yield VerifiedStore(reader, self.vkey)


pass_context = click.make_pass_decorator(Context)


@contextmanager
def readable() -> Iterator[None]:
    """A store that SQLite cannot read is a failed verification with a clear word, not a crash."""
    try:
        yield
    except sqlite3.Error as error:
        raise VerificationError(f"the store cannot be read: {error}; `verify` says more") from error


def now_us() -> int:
    """This machine's clock, in µs since 1970 UTC."""
    return time.time_ns() // 1000


def span_of(since: str | None, until: str | None, seqs: str | None) -> Span:
    """A span from the options --from, --to and --seq."""
    if seqs is not None:
        first, dash, last = seqs.partition("-")
        if not first.isdecimal() or (dash and last and not last.isdecimal()):
            raise MisuseError(f"--seq {seqs!r}: expected N, N-M or N-")
        end = int(last) if last else None if dash else int(first)
        return Span(first_seq=int(first), last_seq=end)
    for text in (since, until):
        if text is not None and not has_zone(text):
            click.echo(f"{text}: no zone, taken as UTC", err=True)
    now = now_us()
    found = Span(None if since is None else parse_time(since, now), None if until is None else parse_time(until, now))
    if found.from_us is not None and found.to_us is not None and found.from_us > found.to_us:
        raise MisuseError(f"--from {since} is after --to {until}")
    return found


def write(output: Path, data: bytes) -> None:
    """Write a file; MisuseError where it cannot be."""
    try:
        output.write_bytes(data)
    except OSError as error:
        raise MisuseError(f"{output}: cannot be written: {error.strerror}") from error


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on one line, out at once."""
    click.echo(json.dumps(value, ensure_ascii=False))


TIME = "ISO 8601 (UTC where no zone is given), now, or a span back from now as -15m, -1h, -7d."
since_option = click.option("--from", "since", metavar="TIME", help=TIME)
until_option = click.option("--to", "until", metavar="TIME", help="The same; default: everything up to the newest.")
seq_option = click.option("--seq", "seqs", metavar="N[-M]", help="By entry numbers instead of times.")
json_option = click.option("--json", "as_json", is_flag=True, help="JSON lines.")
