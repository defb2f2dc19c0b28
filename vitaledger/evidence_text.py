"""The texts of an evidence file: some lines for people, a template of a policy, one of a custodian's certification.

Like the table they are written again by whoever checks the file and compared byte for byte, so the templates and the
fields are part of the format (`csvform.RENDERING`; docs/evidence.md lists the fields). A field is told as it is proven
or, where it is the exporter's word, as a claim; it never holds a line end.

>>> print(fill("Entries {first} to {last}.", {"first": "2", "last": "4"}))
Entries 2 to 4.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vitaledger.checkpoint import Checkpoint
from vitaledger.csvform import Placed, render, sum_up, utc_ms
from vitaledger.entry import part_name
from vitaledger.events import Identity
from vitaledger.evidence_files import CERTIFICATION, POLICY, README, TABLE, Claim
from vitaledger.marks import Use

_NOT_TOLD = "not told"
_FIELD = re.compile(r"\{([a-z_]+)\}")

_README_TEMPLATE = """\
Evidence: what a medical device sent
====================================

This file shows what one device sent over one stretch of time, complete and in order, and lets anybody check that
without trusting who made it. It is a record. It raises no alarms and is not for active monitoring.

  device         {chain}
  gateway's log  {origin}
  entries        {first} to {last}: {count}, none between them missing
  readings       {readings}, of which {absent} are stated absences
  findings       {findings} entries that are proven and cannot be read
  use            {use}
  gateway's time {from} to
                 {to} (a claim of the gateway's clock)
  sealed before  {before}, by the collector's clock
  sealed after   {after}, by the collector's clock
  left out       {withheld}
  gateway        {gateway}: {gateway_vkey}
  its log        anchored at size {size}
  ledger         {ledger}, size {ledger_size}

Claims of who exported it, not proven:
  exported       {exported} by {by}, with {with}
  elsewhere      the same device is known from: {elsewhere}

What is in it
-------------
readings.csv       the readings and events as a table; times are UTC
entries/, ledger/  the entries as they were sealed, and the proofs
policy.txt         whom a checker has to trust: a template
certification.txt  a template for a records custodian

How to check it
---------------
    vitaledger verify EVIDENCE.zip --policy policy.txt
or open the verifier's page in a browser and drop this file on it; neither needs a network. Take the ledger's key in
the policy from another source than this file. The check writes readings.csv and the texts again from what is
proven: where one byte differs, it fails.

What it cannot prove
--------------------
- That the sensor was on the right patient, or that the device measured well.
- That nobody who held the gateway's key wrote entries that were not yet anchored.
- That the device was on no other gateway at that time: this file speaks of one log.
- That no revocation of the gateway's key came after this ledger checkpoint.
- That the provider shows everybody the same ledger, unless the policy asks for witnesses.
"""

_POLICY_TEMPLATE = """\
# Trusts the provider ledger {ledger}.
# A template: take the key from another source than the evidence file, and name witnesses where there are some.
log {ledger_vkey}
quorum none
"""

_CERTIFICATION_TEMPLATE = """\
CERTIFICATION OF A RECORDS CUSTODIAN (template)

A template, no legal advice: have it fitted to the law of the place where it is used. What stands in brackets is to be
filled in; the rest was taken from the evidence file.

1. My name is [name]. I am [position] at [organisation, address]. By my duties I am familiar with how the organisation
   makes and keeps the electronic records of its medical devices, and qualified to make this certification.

2. The record is the evidence file [file name], whose SHA-256 is
   [the SHA-256 that the export printed, 64 hexadecimal digits].
   It was exported {exported} by {by}, with {with}.

3. It holds entries {first} to {last} of the record
     {chain}
   in the log
     {origin}:
   {count} entries with {readings} readings, of which {absent} are stated absences. The stated use of the device was:
   {use}. By the gateway's clock they are from {from}
   to {to}.

4. The entries were made by an automatic process, at or near the time at which the device sent what they hold: the
   gateway {gateway} received it and sealed it in a log that it signs. That log was anchored in the provider ledger
     {ledger}
   before {before}, by the collector's clock. The process makes an accurate record, as this can be
   checked: each entry is proven to be what was sealed, and nothing between the entries shown is missing.

5. Such records are made and kept in the course of the organisation's regularly conducted activity, as a regular
   practice.

6. I checked the file on [date] with [program and version] against a policy with the ledger's key
     {ledger_vkey}
   which I had from [source other than the file]. The result was: [result].

7. Left out of the file: {withheld}.
   Other records of the same device that the ledger knows: {elsewhere}.
   The file does not prove on whom the device was used, nor that it measured well: see its README.txt.

I declare [under penalty of perjury, or as the law of the place wants it] that this is true and correct.

[place, date]                                        [signature]
"""

TEMPLATES: Mapping[str, str] = {
    README: _README_TEMPLATE,
    POLICY: _POLICY_TEMPLATE,
    CERTIFICATION: _CERTIFICATION_TEMPLATE,
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What table and texts are written from: all of it proven, but for the exporter's words in the claim."""

    claim: Claim
    run: Sequence[Placed]  # entries first … last
    gateway: str
    gateway_vkey: str
    gateway_size: int
    anchored_ms: int
    after_ms: int | None
    withheld: Sequence[int]
    ledger: Checkpoint
    ledger_vkey: str


def write(facts: Facts) -> dict[str, bytes]:
    """The table and the texts, by the names of their files."""
    told = fields(facts)
    texts = {name: fill(template, told).encode() for name, template in TEMPLATES.items()}
    return {TABLE: render(facts.run), **texts}


def fields(facts: Facts) -> dict[str, str]:
    """What the fields of the templates say."""
    claim, counts = facts.claim, sum_up(facts.run)
    return {
        "origin": claim.origin,
        "chain": claim.chain,
        "first": str(claim.first),
        "last": str(claim.last),
        "exported": claim.exported or _NOT_TOLD,
        "by": claim.by or _NOT_TOLD,
        "with": claim.program or _NOT_TOLD,
        "elsewhere": ", ".join(claim.elsewhere) or "none",
        "count": str(claim.last - claim.first + 1),
        "readings": str(counts.readings),
        "absent": str(counts.absent),
        "findings": str(counts.findings),
        "from": utc_ms(facts.run[0].entry.clock.wall_ms),
        "to": utc_ms(facts.run[-1].entry.clock.wall_ms),
        "use": ", ".join(use.label for use in uses(facts.run)) or _NOT_TOLD,
        "gateway": facts.gateway,
        "gateway_vkey": facts.gateway_vkey,
        "size": str(facts.gateway_size),
        "before": utc_ms(facts.anchored_ms),
        "after": _NOT_TOLD if facts.after_ms is None else utc_ms(facts.after_ms),
        "withheld": ", ".join(part_name(part) for part in facts.withheld) or "nothing",
        "ledger": facts.ledger.origin,
        "ledger_size": str(facts.ledger.size),
        "ledger_vkey": facts.ledger_vkey,
    }


def uses(run: Sequence[Placed]) -> list[Use]:
    """What the line was for, as values and identities of the run say, in the order of the numbers."""
    found: set[Use] = set()
    for each in run:
        if each.opened is None:
            continue
        if each.opened.values is not None:
            found.add(each.opened.values.use)
        elif isinstance(each.opened.event, Identity):
            found.add(each.opened.event.use)
    return sorted(found)


def fill(template: str, told: Mapping[str, str]) -> str:
    """Put the fields into a template; each once, so that a field that looks like another stays as it is."""
    return _FIELD.sub(lambda match: told[match[1]], template)
