"use strict";
/** Made from the Python package by `make docs`: the codes and the templates of `vitaledger/vitals.py` and
 * `vitaledger/evidence_text.py` that the table and the texts of an evidence file are written with. */

/** MDC unit code: UCUM. @type {Map<number, string>} */
export const UCUM = new Map([
  [262688, "%"],
  [264864, "/min"],
  [264928, "/min"],
  [266016, "mm[Hg]"],
  [268192, "Cel"],
  [263875, "kg"],
  [264274, "mg/dL"],
  [266866, "mmol/L"],
  [263762, "mL"],
  [265216, "L/min"],
  [266048, "cm[H2O]"],
  [262656, "1"],
]);

/** MDC code: the first LOINC code. @type {Map<number, string>} */
export const LOINC = new Map([
  [150456, "59408-5"],
  [149530, "8889-8"],
  [147842, "8867-4"],
  [150448, "61006-3"],
  [150021, "8480-6"],
  [150022, "8462-4"],
  [150023, "8478-0"],
  [150344, "8310-5"],
  [151562, "9279-1"],
  [151708, "19891-1"],
  [160184, "41653-7"],
  [160188, "41653-7"],
  [188736, "29463-7"],
  [151980, "76222-9"],
  [151868, "75958-9"],
  [152004, "76009-0"],
  [152000, "76008-2"],
  [151976, "76248-4"],
  [151973, "76531-3"],
  [152196, "3150-0"],
]);

/** @type {Map<string, string>} */
export const TEMPLATES = new Map([
  ["README.txt", `Evidence: what a medical device sent
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
`],
  ["policy.txt", `# Trusts the provider ledger {ledger}.
# A template: take the key from another source than the evidence file, and name witnesses where there are some.
log {ledger_vkey}
quorum none
`],
  ["certification.txt", `CERTIFICATION OF A RECORDS CUSTODIAN (template)

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
`],
]);
