"""Which web servers images may come from: names are resolved once, and every address is looked at."""

from __future__ import annotations

import socket

import pytest

from pilvi.faults import BadRequest
from pilvi.image.fetch import Fetcher, FetchError
from tests.support import images


def resolver(*addresses, asked=None):
    def resolve(host, port, **_):
        if asked is not None:
            asked.append(host)
        if not addresses:
            raise socket.gaierror("unknown")
        return [(None, None, None, "", (address, port)) for address in addresses]

    return resolve


@pytest.fixture
def web():
    with images.web() as server:
        server.pages["/x"] = b"0123456789"
        yield server


def test_a_name_is_resolved_once_and_that_address_connected_to(web):
    asked = []
    fetcher = Fetcher(["mirror.example"], resolver("127.0.0.1", asked=asked))
    found = fetcher.open(web.url("/x").replace("127.0.0.1", "mirror.example"))
    assert (found.read(100), found.size, asked) == (b"0123456789", 10, ["mirror.example"])
    found.close()


@pytest.mark.parametrize("addresses", [
    ["10.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["fe80::1%eth0"], ["::ffff:192.168.0.1"], ["64:ff9b::a00:1"],
    ["2002:a00:1::"], ["100.64.0.1"], ["0.0.0.0"], ["224.0.0.1"], ["fd00::1"],
])
def test_a_name_that_leads_inside_is_refused(addresses):
    with pytest.raises(BadRequest, match="is not a public address"):
        Fetcher((), resolver(*addresses)).open("http://example.org/")


def test_an_unknown_name_is_told():
    with pytest.raises(FetchError, match=r"the name example\.org is not known"):
        Fetcher((), resolver()).open("http://example.org/")
    with pytest.raises(FetchError, match="has no address"):
        Fetcher((), lambda *_, **__: []).open("http://example.org/")


@pytest.mark.parametrize(("allowed", "url", "passes"), [
    ((), "http://93.184.215.14/x", True),
    ((), "https://93.184.215.14:443/x", True),
    ((), "http://93.184.215.14:8080/x", False),
    (("93.184.215.14",), "http://93.184.215.14:8080/x", True),
    (("10.0.0.0/8",), "http://10.1.2.3/x", True),
    (("10.0.0.0/8",), "http://11.1.2.3:8080/x", False),
    (("*.internal",), "http://mirror.internal:8080/x", True),
    (("*.internal",), "http://internal.example:8080/x", False),
    (("localhost",), "http://localhost/x", True),
    ((), "http://LOCALHOST./x", False),
    ((), "http://93.184.215.14/" + "x" * 2048, False),
])
def test_what_the_url_alone_tells(allowed, url, passes):
    if passes:
        Fetcher(allowed).check(url)
    else:
        with pytest.raises(BadRequest, match="does not pass filtering"):
            Fetcher(allowed).check(url)


def test_a_part_is_read_also_where_the_server_knows_no_ranges(web):
    found = Fetcher(["127.0.0.1"]).open(web.url("/x"), start=7)
    assert (found.read(100), web.asked[-1]) == (b"789", ("/x", "bytes=7-"))
    found.close()


def test_a_redirect_is_followed(web):
    web.pages["/old"] = (301, {"Location": "/x"}, b"")
    assert Fetcher(["127.0.0.1"]).size(web.url("/old")) == 10
    web.pages["/nowhere"] = (302, {}, b"")
    with pytest.raises(FetchError, match="redirects to nowhere"):
        Fetcher(["127.0.0.1"]).open(web.url("/nowhere"))


def test_a_server_that_does_not_answer_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(FetchError, match="cannot be read"):
        Fetcher(["127.0.0.1"]).open(f"http://127.0.0.1:{port}/")
