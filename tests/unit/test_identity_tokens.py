"""What tokens hold, and how the keys that seal them change."""

from __future__ import annotations

import os
import stat
import threading

import pytest
from click.testing import CliRunner
from cryptography.fernet import InvalidToken

from pilvi.cli.main import main
from pilvi.identity import passwords, tokens
from pilvi.keys import KEPT, Keys


def token(**changes):
    values = {
        "user_id": "a" * 32,
        "scope": tokens.PROJECT,
        "scope_id": "b" * 32,
        "methods": ("password", "token"),
        "audit_ids": (tokens.new_audit_id(), tokens.new_audit_id()),
        "issued_at": 1_700_000_000_123_456,
        "expires_at": 1_700_003_600_000_000,
        "epoch": 7,
        "application_credential_id": "",
    }
    return tokens.Token(**{**values, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"scope": tokens.SYSTEM, "scope_id": ""},
        {"scope": tokens.DOMAIN, "scope_id": "default"},
        {"user_id": "not-hexadecimal"},
        {"scope_id": "é" * 20},
        {"application_credential_id": "c" * 32},
    ],
)
def test_a_token_says_what_was_put_in(tmp_path, changes):
    keys = Keys(tmp_path / "keys")
    put = token(**changes)
    assert tokens.unseal(tokens.seal(put, keys), keys) == put


def test_a_token_fits_into_a_header_and_a_url(tmp_path):
    text = tokens.seal(token(), Keys(tmp_path / "keys"))
    assert len(text) < 256
    assert "=" not in text


@pytest.mark.parametrize("text", ["", "x", "gAAAAA", "é", "=" * 300, "A" * 5000, "gAAAAA\0"])
def test_what_is_no_token_is_none(tmp_path, text):
    assert tokens.unseal(text, Keys(tmp_path / "keys")) is None


def test_a_changed_token_is_none(tmp_path):
    keys = Keys(tmp_path / "keys")
    text = tokens.seal(token(), keys)
    for position in (10, len(text) // 2, len(text) - 2):
        changed = text[:position] + ("A" if text[position] != "A" else "B") + text[position + 1 :]
        assert tokens.unseal(changed, keys) is None


def test_another_clouds_token_is_none(tmp_path):
    assert tokens.unseal(tokens.seal(token(), Keys(tmp_path / "a")), Keys(tmp_path / "b")) is None


def test_keys_are_for_their_owner_only(tmp_path):
    Keys(tmp_path / "keys").encrypt(b"x", 0)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()] == [0o600]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_key_is_the_folders_owners(tmp_path):
    folder = tmp_path / "keys"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    Keys(folder).rotate()
    assert [path.stat().st_uid for path in folder.iterdir()] == [65534]


def test_old_keys_read_on_until_they_are_dropped(tmp_path):
    keys = Keys(tmp_path / "keys")
    sealed = keys.encrypt(b"x", 1_700_000_000)
    for _ in range(KEPT - 1):
        keys.rotate()
        assert keys.decrypt(sealed) == b"x"
    keys.rotate()
    with pytest.raises(InvalidToken):
        keys.decrypt(sealed)
    assert len(list((tmp_path / "keys").iterdir())) == KEPT


def test_another_controller_finds_the_new_key(tmp_path):
    first, second = Keys(tmp_path / "keys"), Keys(tmp_path / "keys")
    assert second.decrypt(first.encrypt(b"x", 0)) == b"x"
    first.rotate()
    assert second.decrypt(first.encrypt(b"y", 0)) == b"y"


def test_controllers_that_start_at_once_use_one_key(tmp_path):
    every = [Keys(tmp_path / "keys") for _ in range(8)]
    sealed: list[str] = []
    threads = [
        threading.Thread(target=lambda keys=keys: sealed.append(keys.encrypt(b"x", 0))) for keys in every
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [keys.decrypt(text) for keys in every for text in sealed] == [b"x"] * 64


def test_passwords():
    kept = passwords.hashed("right")
    assert passwords.matches("right", kept)
    assert not passwords.matches("wrong", kept)
    assert not passwords.matches("right", None)
    assert not passwords.matches("nobody's password", None)
    assert not passwords.matches("right", "no hash")
    assert "$m=19456,t=2,p=1$" in kept


def test_a_rotation_elsewhere_takes_effect_at_once(tmp_path):
    serving, command = Keys(tmp_path / "keys"), Keys(tmp_path / "keys")
    old = serving.encrypt(b"x", 1_700_000_000)
    assert command.rotate() == 1
    new = serving.encrypt(b"y", 1_700_000_000)
    for path in (tmp_path / "keys").iterdir():
        if path.name == "0":
            path.unlink()
    later = Keys(tmp_path / "keys")
    assert later.decrypt(new) == b"y"
    with pytest.raises(InvalidToken):
        later.decrypt(old)


def test_the_command_rotates_and_says_when_it_must_wait(tmp_path):
    Keys(tmp_path / "identity").encrypt(b"x", 0)

    def run(*more):
        return CliRunner().invoke(main, ["keys", "rotate", "--state", str(tmp_path), *more])

    for number, older in ((1, "0"), (2, "1, 0")):
        done = run()
        assert done.exit_code == 0, done.output
        assert f"{number} seals new tokens; older keys read on: {older}." in done.output
    done = run()
    assert done.exit_code == 1
    assert "may be in use for 12.0 hours" in done.output
    assert sorted(path.name for path in (tmp_path / "identity").iterdir()) == ["0", "1", "2"]
    assert run("--force").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "identity").iterdir()) == ["1", "2", "3"]
    os.utime(tmp_path / "identity" / "2", (0, 0))
    assert run().exit_code == 0
    missing = CliRunner().invoke(main, ["keys", "rotate", "--state", str(tmp_path / "none")])
    assert (missing.exit_code, "no cloud has been up" in missing.output) == (1, True)
