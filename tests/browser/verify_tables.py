"""What the browser needs of the Python package, as verify/tables.js: `make docs` writes it, a test compares."""

import json
from pathlib import Path

from vitaledger import vitals
from vitaledger.evidence_text import TEMPLATES

TABLES = Path(__file__).parents[2] / "collector" / "web" / "static" / "verify" / "tables.js"


def tables() -> str:
    """The module's text."""
    units = "\n".join(f"  [{each.code}, {json.dumps(each.ucum)}]," for each in vitals.UNITS.values())
    signs = [sign for sign in vitals.SIGNS if sign.code and sign.loinc]
    loinc = "\n".join(f"  [{sign.code}, {json.dumps(sign.loinc[0])}]," for sign in signs)
    texts = "\n".join(f"  [{json.dumps(name)}, `{_template(text)}`]," for name, text in TEMPLATES.items())
    return f"""\
"use strict";
/** Made from the Python package by `make docs`: the codes and the templates of `vitaledger/vitals.py` and
 * `vitaledger/evidence_text.py` that the table and the texts of an evidence file are written with. */

/** MDC unit code: UCUM. @type {{Map<number, string>}} */
export const UCUM = new Map([
{units}
]);

/** MDC code: the first LOINC code. @type {{Map<number, string>}} */
export const LOINC = new Map([
{loinc}
]);

/** @type {{Map<string, string>}} */
export const TEMPLATES = new Map([
{texts}
]);
"""


def _template(text: str) -> str:
    return text.replace("\\", "\\\\").replace("`", "\\`").replace("${", "\\${")
