"""The verifier as one HTML file: the page's own modules in one script, with nothing to load and nowhere to send to.

The modules of `static/verify/` are what the browser runs on the collector's pages as well. They keep to a form that
makes one script of them without a build tool: imports stand at the top and name what they take, exports are
declarations, and no two modules declare the same name.

    import { hex } from "./bytes.js";      is left out: the declarations of bytes.js stand above
    export function hex(bytes) {           becomes `function hex(bytes) {`

The same sources give the same bytes. The page's policy forbids everything but this one script and style, by their
SHA-256, so that it can neither load anything nor send what it was given.
"""

import base64
import hashlib
import re
from importlib import resources
from importlib.resources.abc import Traversable

from vitaledger import __version__

ENTRY = "app.js"
STYLES = ("verify.css", "alone.css")
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([a-z]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=async function |function |class |const )", re.MULTILINE)
_LEFT = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)
_DECLARED = re.compile(r"^(?:async )?(?:function|class|const|let) (?:\[([^\]]*)\]|(\w+))", re.MULTILINE)
_STRICT = '"use strict";\n'


def verifier_page() -> str:
    """The page: HTML that a browser opens from disk."""
    here = resources.files("collector.web")
    folder = here.joinpath("static", "verify")
    style = "".join(folder.joinpath(name).read_text("utf-8") for name in STYLES)
    script = bundle(folder, ENTRY)
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    page = here.joinpath("verifier.html").read_text("utf-8")
    for name, text in {"csp": policy, "version": __version__, "style": style, "script": script}.items():
        page = page.replace("{{" + name + "}}", text, 1)
    return page


def bundle(folder: Traversable, entry: str) -> str:
    """One script of a module and all that it imports, those first that others need.

    Raises:
        ValueError: a module does not keep to the form; names it.
    """
    texts: dict[str, str] = {}
    _collect(folder, entry, texts, ())
    declared: dict[str, str] = {}
    for name, text in texts.items():
        for several, one in _DECLARED.findall(text):
            for word in re.findall(r"\w+", several or one):
                if declared.setdefault(word, name) != name:
                    raise ValueError(f"{name}: declares {word}, as {declared[word]} does")
    script = _STRICT + "".join(f"\n// {name}\n{text}" for name, text in texts.items())
    if re.search(r"</script|<!--", script, re.IGNORECASE):
        raise ValueError(f"{entry}: a script in a page cannot hold its own end")
    return script


def _collect(folder: Traversable, name: str, texts: dict[str, str], path: tuple[str, ...]) -> None:
    if name in path:
        raise ValueError(f"{name}: imports itself, by {', '.join(path)}")
    source = folder.joinpath(name).read_text("utf-8")
    for needed in _IMPORT.findall(source):
        if needed not in texts:
            _collect(folder, needed, texts, (*path, name))
    text = _EXPORT.sub("", _IMPORT.sub("", source)).removeprefix(_STRICT)
    if found := _LEFT.search(text):
        raise ValueError(f"{name}: expected imports by name and exported declarations, found {found[0]!r}")
    texts[name] = text


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
