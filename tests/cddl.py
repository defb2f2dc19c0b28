"""A strict reader of the part of CDDL (RFC 8610) that docs/entry.cddl uses, so that the grammar can be held both ways.

pycddl reads the grammar as well, and judges its scalar rules; but its validator (0.6) takes arrays for granted inside
choices, and loses count after a nested array that holds a choice, so that it cannot say no where it matters.

    grammar = Grammar(text)
    grammar.wrong("leaf", item)      # None, or where and why the item does not match
"""

import json
import re

import cbor2

_TOKEN = re.compile(
    r"""\s+|;[^\n]*
    |(?P<text>"(?:[^"\\]|\\.)*")
    |(?P<tag>\#6\.\d+)
    |(?P<range>-?\d+\.\.-?\d+)
    |(?P<occur>\d*\*\d*)
    |(?P<number>-?\d+)
    |(?P<control>\.[a-z]+)
    |(?P<name>[A-Za-z][A-Za-z0-9-]*)
    |(?P<mark>//|[=/\[\](),:])""",
    re.VERBOSE,
)
_PRELUDE = {
    "text": lambda item: type(item) is str,
    "bytes": lambda item: type(item) is bytes,
    "null": lambda item: item is None,
    "int": lambda item: type(item) is int,
    "uint": lambda item: type(item) is int and item >= 0,
}


class Grammar:
    def __init__(self, source):
        self._tokens = list(_tokens(source))
        self._at = 0
        self.rules = {}
        self.used = set()
        while self._at < len(self._tokens):
            name = self._take("name")
            self._take("mark", "=")
            assert name not in self.rules, f"rule {name} twice"
            self.rules[name] = self._type()
        nowhere = self.used - set(self.rules) - set(_PRELUDE)
        assert not nowhere, f"rules that are nowhere: {nowhere}"

    def wrong(self, rule, item):
        return self.rules[rule](item, rule)

    # each type is a function (item, where) -> None or what is wrong

    def _type(self):
        choices = [self._one()]
        while self._peek("mark", "/"):
            self._at += 1
            choices.append(self._one())
        if len(choices) == 1:
            return choices[0]

        def choice(item, where):
            found = [each(item, where) for each in choices]
            return None if None in found else " | ".join(map(str, found))

        return choice

    def _one(self):
        kind, token = self._tokens[self._at]
        self._at += 1
        if (kind, token) == ("mark", "["):
            return self._array()
        if (kind, token) == ("mark", "("):
            inner = self._type()
            self._take("mark", ")")
            return inner
        if kind == "tag":
            number = int(token[3:])
            self._take("mark", "(")
            inner = self._type()
            self._take("mark", ")")
            return lambda item, where: (
                inner(item.value, where)
                if type(item) is cbor2.CBORTag and item.tag == number
                else f"{where}: no tag {number}"
            )
        if kind in {"number", "range"}:
            low, _, high = token.partition("..")
            least, most = int(low), int(high or low)
            return lambda item, where: (
                None if type(item) is int and least <= item <= most else f"{where}: not in {least}..{most}"
            )
        assert kind == "name", (kind, token)
        if not self._peek("control"):
            return self._named(token)
        control = self._take("control")
        if control == ".regexp":
            pattern = re.compile(json.loads(self._take("text")), re.DOTALL)
            return lambda item, where: (
                None if type(item) is str and pattern.fullmatch(item) else f"{where}: not of {pattern.pattern}"
            )
        assert (control, token) == (".size", "bytes")
        bound = self._one()
        return lambda item, where: (
            bound(len(item), f"{where}.size") if type(item) is bytes else f"{where}: not a byte string"
        )

    def _array(self):
        entries = []
        while not self._peek("mark", "]"):
            least, most = 1, 1
            if self._peek("occur"):
                low, _, high = self._take("occur").partition("*")
                least, most = int(low or 0), int(high) if high else None
            name = ""
            if self._tokens[self._at + 1] == ("mark", ":"):
                name = self._take("name")
                self._at += 1
            entries.append((name, least, most, self._type()))
            if self._peek("mark", ","):
                self._at += 1
        self._at += 1

        def array(item, where):
            if type(item) is not list:
                return f"{where}: not an array"
            at = 0
            for name, least, most, inner in entries:
                count, found = 0, None
                while at < len(item) and (most is None or count < most):
                    found = inner(item[at], f"{where}.{name}[{at}]")
                    if found:
                        break
                    at, count = at + 1, count + 1
                if count < least:
                    return found or f"{where}.{name}: missing"
                if found:
                    return found
            return None if at == len(item) else f"{where}: {len(item) - at} items too many"

        return array

    def _peek(self, kind, token=None):
        return (
            self._at < len(self._tokens)
            and self._tokens[self._at][0] == kind
            and token in {None, self._tokens[self._at][1]}
        )

    def _take(self, kind, token=None):
        assert self._peek(kind, token), f"expected {kind} {token or ''}, found {self._tokens[self._at : self._at + 3]}"
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _named(self, name):
        self.used.add(name)

        def named(item, where):
            if name in self.rules:
                return self.rules[name](item, where)
            return None if _PRELUDE[name](item) else f"{where}: not {name}"

        return named


def _tokens(source):
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        assert match, f"cannot read {source[at : at + 40]!r}"
        at = match.end()
        if match.lastgroup:
            yield match.lastgroup, match[0]
