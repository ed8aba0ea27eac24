"""`stateward certs` on a folder: what it makes, shows and says when something is wrong."""

import json
import os
import threading
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from stateward.certs.authority import Authority
from stateward.certs.folder import CertificateFolder
from stateward.cli.main import cli
from stateward.policies.policy import DEFAULT
from stateward.policies.view import EMPTY_VIEW
from stateward.webhook.app import build
from stateward.webhook.certificates import Certificates
from stateward.webhook.server import Server, listen


def run(*arguments):
    return CliRunner().invoke(cli, ["certs", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "certs"


def shown(folder, *more):
    result = run("status", "--dir", folder, "--format", "json", *more)
    return result.exit_code, json.loads(result.stdout)


def test_init_makes_a_folder_and_says_how_it_goes_into_a_cluster(folder):
    result = run("init", "--dir", folder, "--name", "stateward.stateward.svc")
    assert result.exit_code == 0
    assert "names      stateward.stateward.svc" in result.stdout
    assert f"kubectl create secret generic stateward-certs --from-file={folder}/ca.crt" in result.stdout
    assert "ok         nothing to do" in result.stdout
    before = (folder / "tls.crt").read_bytes()
    assert run("init", "--dir", folder).exit_code == 0
    assert (folder / "tls.crt").read_bytes() == before, "what is good stays, names and all"


def test_no_key_is_ever_printed(folder):
    for arguments in (("init",), ("status",), ("rotate",), ("status", "--format", "json")):
        result = run(arguments[0], "--dir", folder, *arguments[1:])
        assert "PRIVATE" not in result.output
        assert not any(line and line in result.output for line in (folder / "ca.key").read_text().splitlines()[1:-1])


def test_status_shows_parts_names_and_days_and_touches_nothing(folder):
    run("init", "--dir", folder)
    (folder / "ca.key").write_bytes(b"")
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    code, found = shown(folder)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert code == 1
    assert found["format"] == "stateward-certs/v1"
    assert found["problems"] == [f"{folder}/ca.key is empty; stateward certs init --dir {folder} mends it"]
    assert [part["part"] for part in found["parts"]] == ["leaf"]
    run("init", "--dir", folder)
    code, found = shown(folder)
    assert (code, found["good"]) == (0, True)
    assert [part["part"] for part in found["parts"]] == ["leaf", "authority", "former"]
    assert found["parts"][0]["key"] == "ECDSA P-256"
    assert 89 * 86400 < found["parts"][0]["secondsLeft"] <= 90 * 86400
    assert found["names"] == ["localhost", "127.0.0.1", "::1"]


@pytest.mark.parametrize(
    ("days", "said"), [(80, "leaf: only 9 days left, and it was not renewed"), (91, "leaf: expired at")]
)
def test_status_says_what_has_to_be_seen_to(folder, days, said):
    CertificateFolder(folder).ensure(["localhost"], datetime.now(UTC) - timedelta(days=days))
    result = run("status", "--dir", folder)
    assert result.exit_code == 1
    assert f"problem    {said}" in result.stdout
    assert f"stateward certs init --dir {folder} mends it" in result.stdout


def test_rotate_makes_anew_and_keeps_names_and_the_former_authority(folder):
    run("init", "--dir", folder, "--name", "a.svc")
    first = (folder / "ca.crt").read_bytes()
    assert run("rotate", "--dir", folder, "--leaf").exit_code == 0
    assert (folder / "ca.crt").read_bytes() == first
    result = run("rotate", "--dir", folder)
    assert result.exit_code == 0
    assert "former " in result.stdout
    assert "names      a.svc" in result.stdout
    assert (folder / "ca.crt").read_bytes() != first
    assert first in (folder / "old-ca.crt").read_bytes()
    leaf = (folder / "tls.crt").read_bytes()
    assert "former " not in run("rotate", "--dir", folder, "--forget").stdout
    assert (folder / "tls.crt").read_bytes() == leaf
    assert not (folder / "old-ca.crt").exists()


def test_a_handshake_with_a_running_server_is_tried(folder):
    with Certificates(folder, ["localhost"], every=3600) as certificates:
        with Server(build(EMPTY_VIEW, DEFAULT), listen("127.0.0.1", 0), context=certificates.hot.context) as server:
            at = f"127.0.0.1:{server.port}"
            code, found = shown(folder, "--connect", at)
            assert (code, found["handshakes"][0]["verified"]) == (0, True)
            now = datetime.now(UTC)
            other = Authority.create(now).issue(["localhost"], now)
            certificates.hot.swap(*other.to_pem(), names=["localhost"], now=now)
            result = run("status", "--dir", folder, "--connect", at)
        assert result.exit_code == 1
        assert f"handshake  {at} as localhost: fails" in result.stdout
        assert "is not trusted as localhost" in result.stdout
        code, found = shown(folder, "--connect", at)
        assert code == 1
        assert "is not reached" in found["problems"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("status", "--dir", "nowhere"), "error: nowhere: there is no such folder; make one: stateward certs init"),
        (("rotate", "--dir", "."), "error: .: there is no certificate to rotate; make one: stateward certs init"),
        (("status", "--dir", ".", "-n", "x"), "error: --dir is about a folder, --kubeconfig, --context and --namespace"),
        (("status", "--dir", ".", "--connect", "here"), 'error: --connect "here": HOST:PORT is wanted'),
        (("rotate", "--dir", ".", "--leaf", "--forget"), "error: --leaf issues a certificate, --forget ends the trust"),
        (("status", "--kubeconfig", "nowhere"), "error: kubeconfig nowhere: no such file"),
        (("init", "--dir", "d", "--name", "a b"), "error: names: 'a b' is neither a DNS name nor an IP address"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").touch()
    result = run("init", "--dir", tmp_path / "file")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")


def test_without_a_place_it_is_the_folder_that_serve_uses(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert run("init").exit_code == 0
    assert (tmp_path / "stateward" / "certs" / "tls.crt").exists()


def test_two_at_once_leave_one_good_folder(folder):
    threads = [
        threading.Thread(target=CertificateFolder(folder).ensure, args=(["a.svc"], datetime.now(UTC))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shown(folder)[0] == 0
    assert os.listdir(folder).count("tls.crt") == 1
