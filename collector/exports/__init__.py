"""Files that leave the house: the evidence, and what it proves in the forms that hospitals' systems read.

`make` gives the same bytes to the command line and to the page. Every form tells the same entries: those of a device in
a span, whole, as far as they are anchored. An entry that did not verify is told as that, with its reason, and never
with a value; only evidence refuses to be made of it. docs/exports.md says what stands where.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from collector.export import pack
from collector.exports import fhir, hl7
from collector.exports.extract import Extract, Request, evidence_of, extract
from collector.history import Device, Span
from collector.verified import VerifiedStore
from vitaledger import csvform
from vitaledger.evidence import Verified
from vitaledger.evidence_text import uses
from vitaledger.marks import Use

EVIDENCE = "evidence"


@dataclass(frozen=True, slots=True)
class Format:
    """A form: what it is called on the command line and the page, and how its files are named and typed."""

    name: str
    title: str
    suffix: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Made:
    """A file, and what whoever asked for it has to know. `verified` is what evidence proves, None in other forms."""

    format: Format
    data: bytes
    file_name: str
    told: str
    remarks: tuple[str, ...]
    verified: Verified | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 of the file, in hex."""
        return sha256(self.data).hexdigest()


FORMATS: Mapping[str, Format] = {
    each.name: each
    for each in (
        Format(EVIDENCE, "Evidence", "zip", "application/zip"),
        Format("fhir", "FHIR R4 Bundle", "fhir.json", "application/fhir+json"),
        Format("hl7", "HL7 v2 ORU^R01 (IHE PCD-01)", "hl7", "x-application/hl7-v2+er7"),
        Format("csv", "Table (CSV)", "csv", "text/csv; charset=utf-8"),
    )
}
_WRITERS: Mapping[str, Callable[[Extract], bytes]] = {
    "fhir": fhir.write,
    "hl7": hl7.write,
    "csv": lambda told: csvform.render(told.run),
}


def make(store: VerifiedStore, device: Device, span: Span, request: Request, name: str) -> Made:
    """Make a file of the form `name` of the entries of a device in a span; KeyError for another name.

    Raises:
        MisuseError: the span holds no anchored entry, or entries of several logs.
        VerificationError: evidence was asked for, and an entry in the span does not hold or is missing.
    """
    form = FORMATS[name]
    if name == EVIDENCE:
        made = evidence_of(store, device, span, request)
        claim = made.verified.claim
        told = f"{claim.chain} entries {claim.first} to {claim.last}, {len(made.files)} files, verified"
        file_name = _file_name(claim.chain, claim.first, claim.last, form)
        remarks = (*made.remarks, *_not_clinical(uses(made.verified.run)))
        return Made(form, pack(made.files), file_name, told, remarks, made.verified)
    found = extract(store, device, span, request, with_evidence=name == "fhir")
    told = f"{found.chain} entries {found.first} to {found.last}, as {form.title}"
    file_name = _file_name(found.chain, found.first, found.last, form)
    remarks = (*found.remarks, *_not_clinical(found.uses))
    return Made(form, _WRITERS[name](found), file_name, told, remarks)


def _not_clinical(found: list[Use]) -> list[str]:
    other = ", ".join(use.label for use in found if use is not Use.CLINICAL)
    return [f"NOT CLINICAL: use is stated as {other}"] if other else []


def _file_name(chain: str, first: int, last: int, form: Format) -> str:
    safe = "".join(char if char.isalnum() or char in "-." else "_" for char in chain)
    return f"{safe}_{first}-{last}.{form.suffix}"
