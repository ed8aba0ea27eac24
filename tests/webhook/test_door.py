"""A real server on 127.0.0.1, over TLS."""

import http.client
import logging
import socket
import ssl
import threading
import time
from datetime import UTC, datetime

import orjson
import pytest
from cryptography import x509

from stateward.webhook.admission import LIMIT
from stateward.webhook.server import GRACE, KEEP_ALIVE, ServeError, Server, listen, trouble

JSON = {"content-type": "application/json"}


def secured(door):
    """A connection, TLS done."""
    plain = socket.create_connection(("127.0.0.1", door.server.port), timeout=5)
    return door.trust.wrap_socket(plain, server_hostname="127.0.0.1")


def test_a_harmless_change_is_allowed_over_tls(door, reviews):
    answer = door.post(reviews.harmless("uid-1"))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["response"] == {"uid": "uid-1", "allowed": True}


def test_a_harmful_change_is_refused_byte_for_byte_as_the_route_alone_does(door, reviews, ask, app):
    body = reviews.harmful("uid-2")
    answer = door.post(body)
    assert answer.status_code == 200
    assert answer.content == ask(app, body).body
    assert answer.json()["response"]["status"]["code"] == 403


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", JSON, 400),
        (b"{}", {"content-type": "text/yaml"}, 415),
        (b" " * (LIMIT + 1), JSON, 413),
    ],
)
def test_what_cannot_be_judged_is_answered_with_its_status_and_json(door, body, headers, status):
    answer = door.post(body, headers=headers)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]


def test_a_stream_over_the_limit_is_answered_413_while_it_comes(door):
    part = b"%x\r\n%s\r\n" % (1024 * 1024, b" " * (1024 * 1024))
    with secured(door) as connection:
        connection.sendall(
            b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(8):
            connection.sendall(part)
        # Its end is never sent: the answer does not wait for it.
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer


def test_a_get_is_answered_405(door):
    assert door.get("/validate").status_code == 405


def test_a_fault_of_ours_is_answered_500_with_nothing_of_it(door, reviews, monkeypatch):
    def crash(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(door.app.admission, "judge", crash)
    answer = door.post(reviews.harmless())
    assert answer.status_code == 500
    assert "retry-after" not in answer.headers
    assert answer.json() == {"error": "a fault in Stateward, see its log for the uid of this request"}


def test_a_connection_serves_many_requests(door, reviews):
    connection = http.client.HTTPSConnection("127.0.0.1", door.server.port, context=door.trust, timeout=10)
    taken = set()
    for number in range(20):
        connection.request("POST", "/validate?timeout=5s", reviews.harmless(f"uid-{number}"), JSON)
        answer = connection.getresponse()
        assert orjson.loads(answer.read())["response"]["uid"] == f"uid-{number}"
        taken.add(connection.sock.getsockname())
    connection.close()
    assert len(taken) == 1


def test_a_body_that_stalls_is_answered_504_and_one_that_breaks_off_harms_nobody(door, reviews):
    head = (
        b"POST /validate?timeout=200ms HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
    )
    with secured(door) as connection:
        connection.sendall(head)
        assert connection.recv(4096).startswith(b"HTTP/1.1 504 ")
    with secured(door) as connection:
        connection.sendall(head)
    assert door.post(reviews.harmless()).status_code == 200


def test_health_and_metrics_are_served_beside_it(door):
    for path in ("/", "/livez", "/readyz", "/metrics"):
        assert door.get(path).status_code == 200
    assert door.get("/livez").headers.get("server") is None


def test_connections_stay_open_longer_than_the_api_server_keeps_them():
    assert KEEP_ALIVE > 90
    assert GRACE > 3


def test_certificates_are_exchanged_under_load_without_a_failed_call(serving, reviews, tmp_path):
    failures, done = [], threading.Event()
    counts = {"new": 0, "kept": 0}

    def calls(door, kept):
        client = door.client() if kept else None
        while not done.is_set():
            try:
                answer = client.post("/validate", content=body, headers=JSON) if client else door.post(body)
                assert answer.status_code == 200
                counts["kept" if kept else "new"] += 1
            except Exception as failure:
                failures.append(failure)
        if client:
            client.close()

    body = reviews.harmless()
    with serving(tmp_path) as door:
        authority = door.certificates.served.authority
        threads = [threading.Thread(target=calls, args=(door, kept)) for kept in (True, False, False)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 1.0
        swaps = 0
        while time.monotonic() < until:
            now = datetime.now(UTC)
            leaf = authority.issue(["localhost", "127.0.0.1"], now)
            door.certificates.hot.swap(*leaf.to_pem(), names=["127.0.0.1"], now=now)
            swaps += 1
            time.sleep(0.01)
        done.set()
        for thread in threads:
            thread.join()
        with secured(door) as connection:
            served = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))
    assert failures == []
    assert swaps > 10
    assert min(counts.values()) > 10
    assert served.serial_number == leaf.certificate.serial_number


def test_while_it_stops_readiness_says_no_and_requests_are_answered_on(serving, reviews, tmp_path):
    with serving(tmp_path, drain=0.8) as door:
        stopping = threading.Thread(target=door.server.stop)
        with door.client() as client:
            assert client.get("/readyz").status_code == 200
            stopping.start()
            until = time.monotonic() + 0.5
            while client.get("/readyz").status_code == 200 and time.monotonic() < until:
                time.sleep(0.01)
            assert client.get("/readyz").json() == {"ready": False, "reason": "shutting down"}
            answer = client.post("/validate", content=reviews.harmless(), headers=JSON)
        assert answer.status_code == 200
        assert answer.headers["connection"] == "close"
        assert door.get("/livez").status_code == 200  # on a new connection
        stopping.join(5)
        assert door.server.ended.is_set()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", door.server.port), timeout=1)


def test_a_stop_waits_for_no_idle_connection(serving, tmp_path, caplog):
    with serving(tmp_path) as door:
        client = door.client()
        client.get("/livez")
        began = time.monotonic()
        door.server.stop()
        assert time.monotonic() - began < 2
        client.close()
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


def test_a_request_under_way_is_finished_after_the_stop_began(serving, reviews, tmp_path):
    body = reviews.harmful()
    head = f"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with serving(tmp_path) as door, secured(door) as connection:
        connection.sendall(head.encode() + body[:100])
        time.sleep(0.1)
        stopping = threading.Thread(target=door.server.stop)
        stopping.start()
        time.sleep(0.5)
        connection.sendall(body[100:])
        answer = b""
        while part := connection.recv(65536):
            answer += part
        stopping.join(5)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer
    assert b"SW103" in answer


def test_a_drain_can_be_hurried(serving, tmp_path):
    with serving(tmp_path, drain=60) as door:
        began = time.monotonic()
        door.server.hurry()
        door.server.stop()
        assert time.monotonic() - began < 3


def test_a_port_in_use_and_an_address_that_is_none_are_errors_with_a_next_step():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match=f"127.0.0.1 port {port}: Address already in use; .*--port"):
            listen("127.0.0.1", port)
    with pytest.raises(ServeError, match="--host"):
        listen("no.such.host.invalid", 0)


def test_a_server_that_cannot_start_says_so(app):
    listening = listen("127.0.0.1", 0)
    server = Server(app, listening, context="no context")  # type: ignore[arg-type]
    with pytest.raises(ServeError, match="cannot start"):
        server.start()
    server.stop()


def test_the_own_answer_is_asked_for_over_tls(door, tmp_path):
    bundle = door.certificates.bundle
    assert trouble("127.0.0.1", door.server.port, bundle) == ""
    assert trouble("localhost", door.server.port, bundle) == ""
    with listen("127.0.0.1", 0) as silent:
        assert "timed out" in trouble("127.0.0.1", silent.getsockname()[1], bundle, seconds=0.2)
    from stateward.certs.authority import Authority

    stranger = Authority.create(datetime.now(UTC)).bundle
    assert "CERTIFICATE_VERIFY_FAILED" in trouble("127.0.0.1", door.server.port, stranger)


def test_an_own_answer_that_is_no_yes_is_told_with_its_reason(serving, tmp_path):
    from stateward.policies.policy import DEFAULT
    from stateward.policies.view import EMPTY_VIEW
    from stateward.webhook.app import build

    app = build(EMPTY_VIEW, DEFAULT, ready=lambda: (False, "not known yet: Pod"))
    with serving(tmp_path, app) as door:
        assert "503" in trouble("127.0.0.1", door.server.port, door.certificates.bundle)
        assert "not known yet: Pod" in trouble("127.0.0.1", door.server.port, door.certificates.bundle)


def test_tls_is_1_2_or_newer(door):
    with secured(door) as connection:
        assert connection.version() in ("TLSv1.2", "TLSv1.3")
    assert door.certificates.hot.context.minimum_version == ssl.TLSVersion.TLSv1_2
