"""Verdicts as JUnit XML, which CI servers read."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hotfire.examples import Verdict

# What XML 1.0 cannot hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(verdicts: Sequence[Verdict], suite: str) -> str:
    """One test case an example; its errors are a failure, its differences are its output."""
    from xml.etree import ElementTree

    root = ElementTree.Element("testsuites")
    counts = {"tests": len(verdicts), "failures": sum(not one.passed for one in verdicts), "errors": 0}
    seconds = sum(one.seconds for one in verdicts)
    attributes = {"name": _text(suite), "time": f"{seconds:.3f}"}
    element = ElementTree.SubElement(
        root, "testsuite", attributes | {key: str(n) for key, n in counts.items()}
    )
    for one in verdicts:
        case = {"name": _text(one.name), "classname": _text(suite), "time": f"{one.seconds:.3f}"}
        node = ElementTree.SubElement(element, "testcase", case)
        if one.errors:
            failure = ElementTree.SubElement(node, "failure", {"message": _text(one.errors[0])})
            failure.text = _text("\n".join(one.errors))
        if one.differences:
            ElementTree.SubElement(node, "system-out").text = _text("\n".join(map(str, one.differences)))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
