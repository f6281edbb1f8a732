"""Consoles over HTTP and websockets: tokens that open one console once, screens and serial lines."""

from __future__ import annotations

import os
import struct
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlparse

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from pilvi.cli.console import talk
from pilvi.compute import consoles
from pilvi.compute.tables import console_tokens
from tests.support.cloud import Session, simulated_cloud
from tests.support.wait import eventually
from tests.support.websocket import console, heard

V21 = "/compute/v2.1"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with simulated_cloud(tmp_path_factory.mktemp("cloud")) as served:
        yield served


@pytest.fixture(scope="module")
def user(served) -> Session:
    return served.login()


@pytest.fixture(scope="module")
def server(served, user) -> str:
    flavor = user.get(f"{V21}/flavors")["flavors"][0]["id"]
    body = {"server": {"name": "one", "flavorRef": flavor, "imageRef": served.image(), "networks": "none"}}
    server_id = user.post(f"{V21}/servers", body)["server"]["id"]
    eventually(lambda: user.get(f"{V21}/servers/{server_id}")["server"]["status"] == "ACTIVE")
    return server_id


def asked(session: Session, server: str, protocol: str, kind: str, version: str = "2.96"):
    body = {"remote_console": {"protocol": protocol, "type": kind}}
    return session.request("POST", f"{V21}/servers/{server}/remote-consoles", body,
                           {"OpenStack-API-Version": f"compute {version}"})


def opened(session: Session, server: str, protocol: str = "serial", kind: str = "serial") -> str:
    answer = asked(session, server, protocol, kind)
    assert answer.status == 200, answer.body
    found = answer.json()["remote_console"]
    assert (found["protocol"], found["type"]) == (protocol, kind)
    return found["url"]


def screen_line(url: str) -> str:
    """The websocket's address, as noVNC makes it of the page's."""
    parts = urlparse(url)
    return f"ws://{parts.netloc}/{parse_qs(parts.query)['path'][0]}"


def test_a_screen_has_a_page_and_speaks_rfb(user, server):
    url = opened(user, server, "vnc", "novnc")
    parts = urlparse(url)
    assert parts.netloc == f"127.0.0.1:{user.port}"
    page = user.request("GET", f"{parts.path}?{parts.query}")
    assert page.status == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert b"noVNC" in page.body
    with console(screen_line(url)) as line:
        assert line.subprotocol == "binary"
        assert heard(line, 12) == b"RFB 003.008\n"
        line.send(b"RFB 003.008\n")
        assert heard(line, 2) == b"\x01\x01"
        line.send(b"\x01")
        assert heard(line, 4) == bytes(4)
        line.send(b"\x01")
        width, height = struct.unpack(">HH", heard(line, 24 + len("one"))[:4])
        line.send(struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
        assert len(heard(line, 16 + width * height * 4)) == 16 + width * height * 4


def test_a_serial_console_carries_bytes_and_text(user, server):
    with console(opened(user, server)) as line:
        assert b"one login:" in heard(line, 12)
        line.send(b"\x00\xffbytes")
        assert heard(line, 7) == b"\x00\xffbytes"
        line.send("text: ä")
        assert heard(line, 8) == "text: ä".encode()
    assert user.request("GET", "/console/serial").status == 200
    assert user.request("GET", "/console/telepathy").status == 404


def test_a_token_opens_its_own_console_and_once(user, server):
    url = opened(user, server)
    for wrong in (url.replace("token=", "token=bad"), url.split("?")[0], url.replace("/serial?", "/vnc?"),
                  url.replace("/serial?", "/telepathy?"), url.replace("/console/serial", "/compute/v2.1")):
        with pytest.raises(InvalidStatus) as refused, console(wrong):
            pass
        assert refused.value.response.status_code == 403, wrong
    with console(url):
        pass
    with pytest.raises(InvalidStatus), console(url):
        pass


def test_a_token_expires_and_leaves_nothing(served, user, server, monkeypatch):
    monkeypatch.setattr(consoles, "TOKEN_SECONDS", 0)
    url = opened(user, server)
    with pytest.raises(InvalidStatus), console(url):
        pass
    monkeypatch.undo()
    with console(opened(user, server)):
        pass
    with served.cloud.db.read() as tx:
        assert tx.all(console_tokens.select()) == []


def test_tokens_are_not_kept_in_plain_text(served, user, server):
    token = opened(user, server).split("token=")[1]
    with served.cloud.db.read() as tx:
        assert token not in str(tx.all(console_tokens.select()))


def test_a_proxy_is_told_where_a_token_leads(served, user, server):
    admin, token = served.login("admin"), opened(user, server).split("token=")[1]
    path = f"{V21}/os-console-auth-tokens/{token}"
    found = admin.get(path)["console"]
    assert found["instance_uuid"] == server
    assert found["host"] == "simulated-1"
    assert found["internal_access_path"].endswith(f"{server}.serial")
    old = {"OpenStack-API-Version": "compute 2.30"}
    assert admin.request("GET", path, headers=old).status == 401
    assert user.request("GET", path).status == 403
    assert admin.request("GET", f"{V21}/os-console-auth-tokens/nothing").status == 404


def test_consoles_that_there_are_not(served, user, server):
    for version, protocol, kind, status in (
        ("2.5", "vnc", "novnc", 404), ("2.6", "spice", "spice-html5", 400), ("2.6", "rdp", "rdp-html5", 400),
        ("2.6", "vnc", "xvpvnc", 400), ("2.6", "vnc", "serial", 400), ("2.7", "mks", "webmks", 400),
        ("2.8", "mks", "webmks", 501), ("2.96", "smoke", "signals", 400),
    ):
        assert asked(user, server, protocol, kind, version).status == status, (version, protocol, kind)
    assert asked(user, "00000000-0000-4000-8000-000000000000", "vnc", "novnc").status == 404
    assert asked(served.new_user("stranger"), server, "vnc", "novnc").status == 404
    for body in ({}, {"remote_console": {}}, {"remote_console": {"protocol": "vnc", "type": "novnc", "more": 1}}):
        assert user.request("POST", f"{V21}/servers/{server}/remote-consoles", body).status == 400


def test_a_console_ends_with_its_guest(served, user, server):
    url = opened(user, server)
    with console(opened(user, server)) as line:
        heard(line, 12)
        user.post(f"{V21}/servers/{server}/action", {"os-stop": None})
        with pytest.raises(ConnectionClosed):
            heard(line, 1 << 20)
    served.settle()
    assert asked(user, server, "vnc", "novnc").status == 409
    with pytest.raises(InvalidStatus), console(url):
        pass
    user.post(f"{V21}/servers/{server}/action", {"os-start": None})
    served.settle()
    with console(opened(user, server)) as line:
        assert heard(line, 12)


def test_a_terminal_is_a_serial_line(served, user, server):
    """What `pilvi console` does with a terminal's two ends."""
    typed, terminal = os.pipe()
    shown, screen = os.pipe()
    with console(opened(user, server)) as line, ThreadPoolExecutor(1) as other:
        left = other.submit(talk, line, typed, screen)
        assert b"login" in os.read(shown, 100)
        os.write(terminal, b"words")
        assert os.read(shown, 100) == b"words"
        os.write(terminal, b"\x1dlost")
        assert left.result(10) is True
    with console(opened(user, server)) as line, ThreadPoolExecutor(1) as other:
        left = other.submit(talk, line, typed, screen)
        assert b"login" in os.read(shown, 100)
        user.post(f"{V21}/servers/{server}/action", {"reboot": {"type": "HARD"}})
        assert left.result(10) is False
    served.settle()
    for end in (typed, terminal, shown, screen):
        os.close(end)
