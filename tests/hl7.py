"""HL7 v2 as others read it: hl7apy checks each message against the grammar of 2.6 before its fields are looked at."""

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message


def messages_of(data):
    """The messages of a batch file, each as rows of fields; field n of a segment stands at n."""
    *segments, rest = data.decode().split("\r")
    assert rest == ""
    assert [each[:3] for each in (segments[0], segments[1], segments[-2], segments[-1])] == ["FHS", "BHS", "BTS", "FTS"]
    found = []
    for segment in segments[2:-2]:
        if segment.startswith("MSH|"):
            found.append([])
        found[-1].append(segment)
    assert segments[-2] == f"BTS|{len(found)}"
    for message in found:
        parsed = parse_message("\r".join(message), validation_level=VALIDATION_LEVEL.STRICT, find_groups=True)
        assert parsed.validate()
    return [[_fields(segment) for segment in message] for message in found]


def _fields(segment):
    fields = segment.split("|")
    return ["MSH", "|", *fields[1:]] if fields[0] == "MSH" else fields
