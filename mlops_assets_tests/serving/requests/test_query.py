"""What a request's headers and URL ask for: known, or refused by what was found."""

import pytest

from mlops_assets.serving.requests.query import body_type, explains
from mlops_assets.serving.requests.refusal import Refused


@pytest.mark.parametrize(
    ("content_type", "found"),
    [
        (None, "json"),
        (b"application/json", "json"),
        (b"application/json; charset=utf-8", "json"),
        (b"application/json;charset=UTF-8", "json"),
        (b'Application/JSON ; charset="utf-8"', "json"),
        (b"application/x-www-form-urlencoded", "json"),
        (b"application/octet-stream", "json"),
        (b"text/csv", "csv"),
        (b"text/csv; charset=utf8", "csv"),
        (b"text/csv; header=present", "csv"),
    ],
)
def test_json_and_csv_are_read(content_type, found):
    assert body_type(content_type, None) == body_type(content_type, b"identity") == found


@pytest.mark.parametrize(
    ("content_type", "encoding", "said"),
    [
        (b"text/xml", None, "Content-Type is 'text/xml'; right is application/json or text/csv, in UTF-8"),
        (b"application/json; charset=latin-1", None, "charset=latin-1'; right is"),
        (b"application/json; version=2", None, "right is application/json or text/csv"),
        (b"application/vnd.apache.parquet", None, "right is application/json or text/csv"),
        (b"multipart/form-data; boundary=x", None, "Content-Type is 'multipart"),
        (b"", None, "Content-Type is ''"),
        (b"\xff", None, "Content-Type is"),
        (b"application/json", b"gzip", "Content-Encoding is 'gzip'; right is an uncompressed body"),
        (None, b"br, gzip", "Content-Encoding is 'br, gzip'"),
    ],
)
def test_another_type_is_a_415(content_type, encoding, said):
    with pytest.raises(Refused, match=said) as refused:
        body_type(content_type, encoding)

    assert refused.value.status == 415


@pytest.mark.parametrize(
    ("query", "asked"),
    [(b"", False), (b"explain=true", True), (b"explain=false", False), (b"explain=false&explain=true", True)],
)
def test_reasons_are_asked_for_in_the_url(query, asked):
    assert explains(query) is asked


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (b"explain", "explain=''; right is true or false"),
        (b"explain=1", "explain='1'; right is true or false"),
        (b"explian=true", "query parameter 'explian' is not known; right is explain=true"),
        (b"explain=true&x=%ff", "query parameter 'x' is not known"),
        (b"\xff=1", "is not known"),
    ],
)
def test_a_query_that_is_not_known_is_a_400(query, said):
    with pytest.raises(Refused, match=said) as refused:
        explains(query)

    assert refused.value.status == 400
