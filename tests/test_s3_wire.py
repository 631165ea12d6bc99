"""S3's requests and answers by the service model."""

from typing import Any
from xml.etree import ElementTree

import pytest

from hotfire.region.s3_errors import InvalidArgument, MalformedXML, NoSuchKey, NotImplementedByS3, NotModified
from hotfire.region.s3_wire import NAMESPACE, S3Service
from hotfire.region.wire import Request

SERVICE = S3Service()
COMPLETE = b"""<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
<Part><PartNumber>1</PartNumber><ETag>"a"</ETag></Part><Part><PartNumber>2</PartNumber><ETag>b</ETag></Part>
</CompleteMultipartUpload>"""


def request(line: str, body: bytes = b"", **headers: str) -> Request:
    method, _, target = line.partition(" ")
    path, _, query = target.partition("?")
    return Request(
        method, path, query, {name.replace("_", "-"): text for name, text in headers.items()}, body
    )


def params(given: Request) -> dict[str, Any]:
    return SERVICE.parse(SERVICE.operation(given), given).params


@pytest.mark.parametrize(
    ("line", "operation"),
    [
        ("GET /", "ListBuckets"),
        ("PUT /b", "CreateBucket"),
        ("HEAD /b/", "HeadBucket"),
        ("GET /b", "ListObjects"),
        ("GET /b/?list-type=2&prefix=a", "ListObjectsV2"),
        ("GET /b?versions", "ListObjectVersions"),
        ("GET /b?location", "GetBucketLocation"),
        ("GET /b?policy=", "GetBucketPolicy"),
        ("GET /b?lifecycle", "GetBucketLifecycleConfiguration"),
        ("POST /b?delete", "DeleteObjects"),
        ("GET /b?uploads", "ListMultipartUploads"),
        ("GET /b/k/l?x-id=GetObject", "GetObject"),
        ("GET /b/k?uploadId=1", "ListParts"),
        ("PUT /b/k", "PutObject"),
        ("PUT /b/k?partNumber=1&uploadId=2", "UploadPart"),
        ("POST /b/k?uploads", "CreateMultipartUpload"),
        ("POST /b/k?uploadId=2", "CompleteMultipartUpload"),
        ("DELETE /b/k", "DeleteObject"),
        ("DELETE /b/k?uploadId=2", "AbortMultipartUpload"),
        ("PUT /b/k?tagging", "PutObjectTagging"),
        ("GET /b/k?attributes", "GetObject"),  # without the header that says which
    ],
)
def test_an_operation_is_told_by_method_path_and_query(line: str, operation: str) -> None:
    assert SERVICE.operation(request(line)).name == operation


def test_a_copy_is_told_by_its_source() -> None:
    assert SERVICE.operation(request("PUT /b/k", x_amz_copy_source="b/x")).name == "CopyObject"
    part = request("PUT /b/k?partNumber=1&uploadId=2", x_amz_copy_source="b/x")
    assert SERVICE.operation(part).name == "UploadPartCopy"


def test_what_is_no_operation_is_refused() -> None:
    with pytest.raises(NotImplementedByS3):
        SERVICE.operation(request("PATCH /b/k"))


def test_parameters_are_in_path_query_and_headers() -> None:
    given = request(
        "GET /b/a%2Fb+c%20d/?partNumber=3&response-content-type=x%2Fy",
        range="bytes=1-",
        if_modified_since="Thu, 01 Jan 2015 00:00:00 GMT",
    )
    assert params(given) == {
        "Bucket": "b",
        "Key": "a/b+c d/",
        "PartNumber": 3,
        "ResponseContentType": "x/y",
        "Range": "bytes=1-",
        "IfModifiedSince": 1420070400.0,
    }


def test_metadata_are_headers_with_a_prefix() -> None:
    given = request("PUT /b/k", x_amz_meta_one="1", x_amz_meta_two="häuser".encode().decode("latin-1"))
    assert params(given)["Metadata"] == {"one": "1", "two": "häuser"}


def test_a_document_is_read_by_the_model() -> None:
    given = params(request("POST /b/k?uploadId=u", COMPLETE))
    parts = [{"ETag": '"a"', "PartNumber": 1}, {"ETag": "b", "PartNumber": 2}]
    assert given["MultipartUpload"] == {"Parts": parts}


@pytest.mark.parametrize(
    "body", [b"<", b"no XML", b"<!DOCTYPE d []><a/>", COMPLETE.replace(b">1<", b">one<")]
)
def test_what_is_no_document_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedXML):
        params(request("POST /b/k?uploadId=u", body))


@pytest.mark.parametrize("line", ["GET /b?max-keys=x", "GET /b?prefix=%FF", "GET /b/%FF", "POST /b?delete"])
def test_what_is_no_value_is_refused(line: str) -> None:
    given = request(line)
    with pytest.raises(InvalidArgument):
        params(given)


def answer(line: str, result: dict[str, Any], **headers: str) -> tuple[int, dict[str, str], str]:
    response = SERVICE.answer(SERVICE.operation(request(line, **headers)), result, "id")
    assert isinstance(response.body, bytes)
    return response.status, dict(response.headers), response.body.decode()


def test_an_answer_is_a_document_with_its_own_name() -> None:
    _, headers, body = answer("GET /b", {"Name": "b", "Contents": [{"Key": "<&>", "Size": 1}]})
    root = ElementTree.fromstring(body)
    assert (root.tag, headers["Content-Type"]) == (f"{{{NAMESPACE}}}ListBucketResult", "application/xml")
    assert [one.text for one in root.iter(f"{{{NAMESPACE}}}Key")] == ["<&>"]


def test_an_answer_has_headers() -> None:
    status, headers, body = answer(
        "HEAD /b/k", {"ETag": '"e"', "LastModified": 0.0, "Metadata": {"m": "1\n2"}, "ContentLength": 9}
    )
    assert (status, body) == (200, "")
    assert headers["Last-Modified"] == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert (headers["ETag"], headers["x-amz-meta-m"]) == ('"e"', "1 2")


def test_a_range_and_a_removal_have_their_own_status() -> None:
    assert answer("GET /b/k", {"ContentRange": "bytes 0-0/2", "ContentLength": 1, "Body": b"1"})[0] == 206
    assert answer("DELETE /b/k", {})[::2] == (204, "")


def test_a_location_is_the_text_of_the_root() -> None:
    _, _, body = answer("GET /b?location", {"LocationConstraint": "eu-west-1"})
    assert ElementTree.fromstring(body).text == "eu-west-1"


def test_a_policy_is_no_document_of_xml() -> None:
    _, headers, body = answer("GET /b?policy", {"Policy": '{"a": 1}'})
    assert (headers["Content-Type"], body) == ("application/json", '{"a": 1}')


def test_an_attribute_stands_in_its_tag() -> None:
    grants = [{"Grantee": {"Type": "CanonicalUser", "ID": "1"}, "Permission": "READ"}]
    _, _, body = answer("GET /b?acl", {"Grants": grants})
    assert 'xsi:type="CanonicalUser"' in body
    ElementTree.fromstring(body)


def test_an_error_is_a_document() -> None:
    error = NoSuchKey("It is <not> there.", Key="k")
    response = SERVICE.refuse(error, request("GET /b/a%20b"), "id")
    assert isinstance(response.body, bytes)
    root = ElementTree.fromstring(response.body)
    told = {element.tag: element.text for element in root}
    assert (response.status, root.tag) == (404, "Error")
    assert told == {
        "Code": "NoSuchKey",
        "Message": "It is <not> there.",
        "Key": "k",
        "Resource": "/b/a b",
        "RequestId": "id",
    }


def test_what_is_not_modified_has_no_body() -> None:
    response = SERVICE.refuse(NotModified("", ETag='"e"'), request("GET /b/k"), "id")
    assert (response.status, response.body, dict(response.headers)["ETag"]) == (304, b"", '"e"')
