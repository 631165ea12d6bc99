"""Verdicts as JUnit XML."""

from xml.etree import ElementTree

from hotfire.comparison import Difference
from hotfire.examples import Verdict
from hotfire.junit import junit


def test_each_example_is_a_case() -> None:
    verdicts = [
        Verdict("good", seconds=0.5),
        Verdict("bad", ("status 500", "more"), seconds=0.25),
        Verdict("other", differences=(Difference("a", "new", got=1),)),
    ]
    (suite,) = ElementTree.fromstring(junit(verdicts, "news @ local"))
    assert suite.attrib == {
        "name": "news @ local",
        "tests": "3",
        "failures": "1",
        "errors": "0",
        "time": "0.750",
    }
    assert [case.attrib["name"] for case in suite] == ["good", "bad", "other"]
    assert [case.attrib["time"] for case in suite] == ["0.500", "0.250", "0.000"]
    failure = suite[1].find("failure")
    assert failure is not None
    assert (failure.attrib["message"], failure.text) == ("status 500", "status 500\nmore")
    assert suite[2].findtext("system-out") == "a is new: 1"


def test_no_example_is_an_empty_suite() -> None:
    (suite,) = ElementTree.fromstring(junit([], "news"))
    assert (suite.attrib["tests"], len(suite)) == ("0", 0)


def test_what_xml_cannot_hold_is_replaced() -> None:
    text = junit([Verdict("ü<&\x00", ("\x1b[31m\ud800 ]]>",))], "s")
    case = ElementTree.fromstring(text.encode())[0][0]
    assert case.attrib["name"] == "ü<&\ufffd"
    assert case.findtext("failure") == "\ufffd[31m\ufffd ]]>"
