"""`stateward serve` as a process: its start, its words, its end."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
import pytest

from stateward.certs.authority import Authority

JSON = {"content-type": "application/json"}
PROGRAM = [sys.executable, "-c", "from stateward.cli.main import main; main()", "serve"]


class Process:
    """A running `stateward serve`."""

    def __init__(self, running, said, certs):
        self.running, self.said = running, said
        found = re.search(r"https://127\.0\.0\.1:(\d+)/validate", "\n".join(said))
        assert found, said
        self.port = int(found[1])
        self.base = f"https://127.0.0.1:{self.port}"
        self.authority = certs / "ca.crt"
        self.trust = ssl.create_default_context(cafile=str(self.authority))

    def client(self):
        return httpx.Client(base_url=self.base, verify=self.trust, trust_env=False, timeout=10)

    def end(self, number=signal.SIGTERM):
        """(exit code, standard output, standard error)."""
        self.running.send_signal(number)
        out, err = self.running.communicate(timeout=15)
        return self.running.returncode, out, err


@contextmanager
def process(state, *options, certs=None):
    """On a free port, when it has said that it has started."""
    with subprocess.Popen(
        [*PROGRAM, "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_STATE_HOME": str(state)},
    ) as running:
        try:
            said = []
            for line in running.stdout:
                said.append(line.rstrip("\n"))
                if line.startswith("  stop "):
                    break
            yield Process(running, said, certs if certs is not None else state / "stateward" / "certs")
        finally:
            running.kill()


def run(*options, code="from stateward.cli.main import main; main()", **environment):
    """A start that fails."""
    return subprocess.run(
        [sys.executable, "-c", code, "serve", *options],
        capture_output=True,
        text=True,
        timeout=20,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_without_any_option_judges_and_ends_cleanly(reviews, tmp_path, number):
    with process(tmp_path) as serve:
        said = "\n".join(serve.said)
        assert f"authority {serve.authority}" in said
        assert "production@1, built in" in said
        assert f"curl --cacert {serve.authority} {serve.base}/readyz" in said
        with serve.client() as client:
            assert client.get("/readyz").json() == {"ready": True}
            answer = client.post("/validate?timeout=5s", content=reviews.harmful("uid-5"), headers=JSON).json()
        assert answer["response"]["uid"] == "uid-5"
        assert answer["response"]["allowed"] is False
        code, _, log = serve.end(number)
    assert code == 0
    assert "Traceback" not in log
    [line] = log.splitlines()
    assert line.endswith(
        "INFO stateward.webhook denied uid=uid-5 user=jane operation=UPDATE kind=StatefulSet.apps object=prod/db rules=SW103"
    )


def test_the_line_it_prints_for_curl_works(tmp_path):
    with process(tmp_path) as serve:
        [line] = [line for line in serve.said if line.endswith("/readyz")]
        asked = subprocess.run(line.split()[1:], capture_output=True, timeout=10)
        assert json.loads(asked.stdout) == {"ready": True}


def test_a_policy_and_further_names_are_heeded(reviews, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "apiVersion: stateward.dev/v1alpha1\nkind: WardPolicy\nspec: {profile: baseline@1, rules: {SW103: warn}}\n"
    )
    own = tmp_path / "own"
    with process(tmp_path, "--policy", str(policy), "--name", "door.example", "--certs", str(own), certs=own) as serve:
        assert f"baseline@1, {policy}" in "\n".join(serve.said)
        with serve.client() as client:
            answer = client.post("/validate", content=reviews.harmful(), headers=JSON).json()
        assert answer["response"]["allowed"] is True
        assert answer["response"]["warnings"][0].startswith("SW103")
        with socket.create_connection(("127.0.0.1", serve.port), timeout=5) as plain:
            serve.trust.wrap_socket(plain, server_hostname="door.example").close()


def test_sigterm_under_load_fails_no_call(reviews, serving, tmp_path):
    """Four callers, as an API server with kept connections; a second door takes over when readiness says no."""
    body = reviews.harmless()
    failures, counts, done = [], {"first": 0, "second": 0}, threading.Event()
    with (
        process(tmp_path, "--drain", "1.5") as first,
        serving(tmp_path / "stateward" / "certs") as second,
    ):
        chosen = {"base": first.base}

        def call():
            client, base = None, ""
            while not done.is_set():
                try:
                    if client is None:
                        base = chosen["base"]
                        client = httpx.Client(base_url=base, verify=first.trust, trust_env=False, timeout=10)
                    answer = client.post("/validate?timeout=5s", content=body, headers=JSON)
                    assert answer.status_code == 200
                    counts["first" if base == first.base else "second"] += 1
                    if answer.headers.get("connection") == "close":
                        client.close()
                        client = None
                except Exception as failure:
                    failures.append((chosen["base"] == first.base, failure))
                    done.set()
            if client is not None:
                client.close()

        def endpoints():
            # What the endpoints controller and kube-proxy do.
            with first.client() as client:
                while client.get("/readyz").status_code == 200:
                    time.sleep(0.05)
            chosen["base"] = second.base

        threads = [threading.Thread(target=call) for _ in range(4)] + [threading.Thread(target=endpoints)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        code, _, log = first.end()
        time.sleep(0.2)
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert code == 0
    assert "ERROR" not in log
    assert min(counts.values()) > 20


def test_a_port_in_use_is_one_line_and_exit_code_2(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("--port", str(port), "--certs", str(tmp_path))
    assert ended.returncode == 2
    assert ended.stderr == (f"error: 127.0.0.1 port {port}: Address already in use; stop what listens there or use --port\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--policy", "/nowhere/policy.yaml"], "/nowhere/policy.yaml"),
        (["--register"], "--register is about a cluster; name it with --kubeconfig"),
        (["--kubeconfig", "/nowhere/config"], "/nowhere/config: no such file"),
        (["--certs", "/dev/null/x"], "/dev/null/x"),
        (["--name", "not a name"], "not a name"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_exit_code_2(tmp_path, options, said):
    ended = run("--port", "0", *options, XDG_STATE_HOME=str(tmp_path))
    assert ended.returncode == 2
    assert said in ended.stderr
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1


def test_a_cluster_that_does_not_answer_is_one_line_and_exit_code_2(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    config = tmp_path / "config"
    config.write_text(
        f"apiVersion: v1\nkind: Config\ncurrent-context: a\n"
        f"clusters: [{{name: a, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n"
        "users: [{name: a, user: {}}]\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n"
    )
    ended = run("--port", "0", "--kubeconfig", str(config), XDG_STATE_HOME=str(tmp_path))
    assert ended.returncode == 2
    assert f"127.0.0.1:{port}" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_without_its_packages_it_says_how_to_install_them():
    code = "import sys; sys.modules['fastapi'] = None; from stateward.cli.main import main; main()"
    ended = run(code=code)
    assert ended.returncode == 2
    assert ended.stderr == "error: fastapi is missing; install it with: pip install 'stateward[serve]'\n"


def test_admission_can_be_held_to_a_client_certificate_and_health_is_not(tmp_path, reviews, client_of):
    authority = Authority.create(datetime.now(UTC))
    pair = client_of(authority, "kube-apiserver", tmp_path / "callers")
    trusted = tmp_path / "callers.crt"
    trusted.write_bytes(authority.bundle)
    options = ("--client-ca", str(trusted), "--client-name", "kube-apiserver")
    with process(tmp_path, *options) as running:
        with running.client() as nobody:
            refused = nobody.post("/validate", content=reviews.harmless(), headers=JSON)
            alive = nobody.get("/livez")
        running.trust.load_cert_chain(*pair)
        with running.client() as known:
            judged = known.post("/validate", content=reviews.harmless(), headers=JSON)
        code, _, _ = running.end()
    assert (refused.status_code, alive.status_code, judged.status_code, code) == (401, 200, 200, 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--client-name", "kube-apiserver"), "--client-name is about a certificate of --client-ca"),
        (("--client-ca", "missing.crt"), "--client-ca missing.crt: No such file or directory"),
        (("--client-ca", os.devnull), "no PEM certificate in it"),
    ],
)
def test_client_certificates_that_cannot_be_asked_for_are_one_line_and_exit_code_2(options, said):
    done = run("--port", "0", *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
