"""The single-file verifier, opened from disk: it says what evidence proves, names what fails, and loads nothing."""

import re
import shutil
import sqlite3

import pytest
from click.testing import CliRunner

from collector.cli import cli
from collector.export import export
from collector.history import Span, find_device
from collector.reader import Reader
from collector.verified import VerifiedStore
from collector.web.verifier import bundle, verifier_page
from tests.browser.verify_fixtures import browser, serious, zipped
from tests.evidence_world import POLICY_TEXT, World
from tests.fault.ward import make_ward
from vitaledger import evidence, policy
from vitaledger.cli.verify import words
from vitaledger.errors import VerificationError

WORLD = World()
FILES = WORLD.files(0, 5)
POLICY_FILE = {"name": "policy.txt", "mimeType": "text/plain", "buffer": POLICY_TEXT}


@pytest.fixture(scope="module")
def chrome(request):
    with browser(request) as found:
        yield found


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("verifier") / "verify.html"
    result = CliRunner().invoke(cli, ["verifier", "-o", str(path)])
    assert result.exit_code == 0, result.output
    return path


@pytest.fixture
def page(chrome, file):
    made = chrome.new_page()
    wrong = []
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    asked = []
    made.on("request", lambda request: asked.append(request.url))
    made.goto(file.as_uri())
    made.wait_for_selector("html[data-ready]")
    yield made
    assert asked == [file.as_uri()]
    assert wrong == []
    made.close()


def choose(page, data, name="evidence.zip"):
    page.set_input_files("#evidence-file", {"name": name, "mimeType": "application/zip", "buffer": data})


def check(page, files, rules=POLICY_FILE):
    page.set_input_files("#policy-file", rules)
    page.wait_for_selector(".keys")
    choose(page, files if isinstance(files, bytes) else zipped(files))
    page.wait_for_selector("#result .banner.good, #result .banner.bad")
    return page.inner_text("#result .banner")


def told(page):
    """The claims and limits on the page, as the command would print them."""
    found = page.evaluate("""() => [...document.querySelectorAll('.claims dt')].map((label) => {
        const lines = [];
        for (let next = label.nextElementSibling; next?.tagName === 'DD'; next = next.nextElementSibling)
            lines.push(next.textContent);
        return [label.textContent, lines];
    })""")
    lines = [f"  {label:<13}{rest[0]}" for label, rest in found for rest in [rest]]
    more = {label: rest[1:] for label, rest in found}
    lines = [each for line, (label, _) in zip(lines, found, strict=True) for each in
             (line, *(f"{'':15}{other}" for other in more[label]))]  # fmt: skip
    limits = page.eval_on_selector_all(".limits li", "all => all.map((each) => `  ${each.textContent}`)")
    return ["VERIFIED", *lines, "What it cannot prove:", *limits]


def test_it_says_what_the_command_prints(page):
    assert "VERIFIED" in check(page, FILES)
    trusted = policy.parse(POLICY_TEXT)
    assert told(page) == "\n".join(words(evidence.verify(FILES, trusted), trusted)).split("\n")
    assert page.eval_on_selector_all(".steps li", "all => all.map((each) => each.dataset.state)") == ["good"] * 11
    assert "be31d4b0" in page.inner_text(".keys")
    readings = page.eval_on_selector_all(".readings tbody tr", "all => all.map((each) => each.innerText)")
    assert len(readings) == FILES["readings.csv"].count(b"\n") - 1
    assert "spo2\t97\t%\tgood\t2\tproven" in readings[3]
    assert any("no value: sensor-off" in each for each in readings)
    assert serious(page) == []


def test_a_changed_value_is_named_and_no_reading_shown(page):
    name = "entries/000000000006.body"
    changed = FILES[name][:60] + bytes([FILES[name][60] ^ 1]) + FILES[name][61:]
    assert "NOT VERIFIED" in check(page, {**FILES, name: changed})
    said = page.inner_text("#result")
    assert re.search(r"nonin:port:bed-1 entry 3: part \w+: commitment expected [0-9a-f]{4}…, found [0-9a-f]{4}…", said)
    assert "index 6 of the gateway's log, which is number 3 of nonin:port:bed-1" in said
    assert page.get_attribute('[data-step="parts"]', "data-state") == "bad"
    assert page.get_attribute('[data-step="chain"]', "data-state") == "waiting"
    assert page.query_selector(".readings") is None
    assert serious(page) == []


def test_a_value_changed_in_the_table_alone(page):
    table = FILES["readings.csv"].replace(b",spo2,98,", b",spo2,89,")
    assert "NOT VERIFIED" in check(page, {**FILES, "readings.csv": table})
    assert "readings.csv: line 6 is not what the entries say" in page.inner_text(".why")


def test_it_waits_for_a_policy_and_says_what_is_none(page):
    choose(page, zipped(FILES))
    page.wait_for_selector("#result .banner.waiting")
    assert "it needs a policy" in page.inner_text("#result")
    page.fill("#policy-text", "log nonsense\nquorum none\n")
    page.wait_for_selector("#policy .bad")
    assert "policy line 1" in page.inner_text("#policy .bad")
    page.fill("#policy-text", POLICY_TEXT.decode())
    page.wait_for_selector("#result .banner.good")
    page.fill("#policy-text", "")
    page.wait_for_selector("#result .banner.waiting")
    assert page.query_selector(".claims") is None


def test_a_file_that_is_dropped(page):
    page.fill("#policy-text", POLICY_TEXT.decode())
    page.wait_for_selector(".keys")
    page.evaluate(
        """(bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], 'dropped.zip'));
            document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true }));
        }""",
        list(zipped(FILES)),
    )
    page.wait_for_selector("#result .banner.good")
    assert "dropped.zip" in page.inner_text("#chosen")


def test_what_is_no_zip(page):
    assert "NOT VERIFIED" in check(page, b"no zip at all, only words")
    assert "not an evidence file (a zip)" in page.inner_text(".why")


def test_a_byte_changed_in_the_database(page, tmp_path):
    """Export refuses; and what somebody packs of the changed store by hand fails in the verifier, at that entry."""
    ward = make_ward(tmp_path, entries=40)
    ward.close()
    files = exported(ward, ward.path)
    path = tmp_path / "changed.sqlite"
    shutil.copyfile(ward.path, path)
    db = sqlite3.connect(path, isolation_level=None)
    (index,) = [int(name[8:20]) for name in sorted(files) if name.endswith("14.leaf")]
    ((row, body),) = db.execute("SELECT id, body FROM entries WHERE id % (1 << 40) = ? AND id < (2 << 40)", (index,))
    at = body.index(b"spo2") + 4
    db.execute("UPDATE entries SET body = ? WHERE id = ?", (body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :], row))
    db.close()
    with pytest.raises(VerificationError, match="cannot be evidence") as refused:
        exported(ward, path)
    which = re.search(r"nonin:port:bed-1 entry \d+: part values: commitment expected", str(refused.value))[0]
    with Reader.open(path) as reader:
        (log,) = {row.log for row in reader.logs() if row.gateway == "g1"}
        _, changed = reader.entry(log, index)
    by_hand = {**files, f"entries/{index:012d}.body": evidence.withhold(changed, evidence.RAW_AND_WAVES)}
    rules = {**POLICY_FILE, "buffer": f"log {ward.vkey}\nquorum none\n".encode()}
    assert "✓ VERIFIED" in check(page, files, rules)
    choose(page, zipped(by_hand))
    page.wait_for_selector("#result .banner.bad")
    assert f"index {index} of the gateway's log" in page.inner_text("#result")
    assert which in page.inner_text(".why")


def exported(ward, path):
    with Reader.open(path) as reader:
        store = VerifiedStore(reader, ward.vkey)
        device = find_device(store, "bed-1")
        span = Span(first_seq=5, last_seq=20)
        return export(store, device, span, exported="2026-01-01T00:00:00Z", by="", program="test").files


# -- the file ---------------------------------------------------------------------------------------------------------


def test_the_file_loads_nothing_and_is_always_the_same():
    page = verifier_page()
    assert page == verifier_page()
    page = re.sub(r'import\("\./[a-z]+\.js"\)\.', "", page)  # types in comments
    assert "default-src 'none'; script-src 'sha256-" in page
    assert not re.search(
        r"<(link|img|iframe|object|embed)\b|\bsrc=|@import|url\(|\bfetch\(|XMLHttpRequest|\bimport\(", page
    )
    assert not re.search(r"^\s*(import|export)\b", page, re.MULTILINE)
    assert not re.search(r"\{\{\w+\}\}", page)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('import * as b from "./b.js";\n', "expected imports by name"),
        ('import b from "./b.js";\n', "expected imports by name"),
        ("export default 1;\n", "expected imports by name"),
        ('import { c } from "./b.js";\nconst c = 1;\n', "declares c, as b.js does"),
        ('import { c } from "./b.js";\nconst [d, c] = [1, 2];\n', "declares c, as b.js does"),
        ('import { x } from "./app.js";\n', "imports itself"),
        ('const end = "</script>";\n', "cannot hold its own end"),
    ],
)
def test_a_module_of_another_form_is_no_part_of_it(tmp_path, text, why):
    (tmp_path / "b.js").write_text('"use strict";\nexport const c = 1;\n')
    (tmp_path / "app.js").write_text(text)
    with pytest.raises(ValueError, match=re.escape(why)):
        bundle(tmp_path, "app.js")
