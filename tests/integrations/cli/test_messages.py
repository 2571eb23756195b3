"""What the command says when something is wrong: one line, in this project's words."""

import datetime
import os
import re
import socket
import sqlite3
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.integrations.cli.conftest import PASS, one, serve

ARN = "arn:aws:states:us-east-1:123456789012"
KEYS = "[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n"
LIBRARIES = re.compile(
    r"\[Errno|Error:|sqlite3|asyncpg|botocore|pydantic|httptools|urllib|http\.client|Traceback"
)


def said(done) -> str:
    """The message of a command that was refused."""
    assert (done.exit_code, done.stdout) == (2, ""), done.stderr
    assert re.fullmatch(r"stepwell: [^\n]+\n", done.stderr), done.stderr
    assert LIBRARIES.search(done.stderr) is None, done.stderr
    return done.stderr.removeprefix("stepwell: ")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("folder", "folder is a folder, not a database"),
        ("text.db", "it is not a SQLite database"),
        ("cut.db", "the file is damaged"),
        ("other.db", "is a database of another program"),
        ("empty.db", "is empty"),
    ],
)
def test_what_is_no_database(invoke, write, place, name, words):
    file = write("m.asl.json", PASS)
    invoke("run", file, "-q", "--db", "good.db")
    (place / "folder").mkdir()
    (place / "text.db").write_text("not a database" * 200)
    (place / "cut.db").write_bytes((place / "good.db").read_bytes()[:3000])
    (place / "empty.db").touch()
    with sqlite3.connect("other.db") as other:
        other.execute("CREATE TABLE t(x)")
    assert words in said(invoke("list", "--db", name))
    if name != "empty.db":
        assert words in said(invoke("run", file, "--db", name))


def test_databases_that_cannot_be_opened(invoke, write):
    file = write("m.asl.json", PASS)
    refused = said(invoke("list", "--db", "none.db"))
    assert "none.db yet: `stepwell run FILE --db none.db` creates it" in refused
    assert "yet: `stepwell run FILE` creates it" in said(invoke("list"))
    assert said(invoke("run", file, "--db", "/proc/x.db")).endswith("No such file or directory\n")
    assert "no store for mysql" in said(invoke("list", "--db", "mysql://x/y"))
    pytest.importorskip("asyncpg")
    refused = said(invoke("list", "--db", "postgresql://me:secret@127.0.0.1:9/x"))
    assert "nothing listens at that host and port (127.0.0.1:9)" in refused
    assert "secret" not in refused


def test_places_that_are_no_urls(invoke):
    for url in ("nope", "ftp://x", "http://", "http://h/?a=b", "http://h:x"):
        assert "not a URL such as" in said(invoke("list", "--server", url))
    assert "not both" in said(invoke("list", "--server", "http://h", "--db", "x"))


class Page(BaseHTTPRequestHandler):
    """Its path is the status of the answer; /cut: one that ends too early; /CODE: a refusal."""

    def do_POST(self) -> None:
        status = self.path.strip("/")
        if status.isalpha() and status != "cut":
            self.send_response(403)
            self.end_headers()
            self.wfile.write(b'{"__type": "%s", "message": "Because."}' % status.encode())
            return
        self.send_response(int(status) if status.isdigit() else 404)
        if status == "cut":
            self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"<h1>not here</h1>")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def web():
    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_servers_that_are_not_ours(invoke, web):
    port = web.server_port
    url = f"http://127.0.0.1:{port}"
    for status in ("404", "500"):
        words = f"does not speak the API of Step Functions: it answers with status {status}"
        assert words in said(invoke("list", "--server", f"{url}/{status}"))
    for status in ("502", "503", "504"):
        words = f"no server behind {url}/{status} is ready: it answers with status {status}"
        assert words in said(invoke("list", "--server", f"{url}/{status}"))
    assert "the connection was closed" in said(invoke("list", "--server", f"{url}/cut"))
    assert "does not speak TLS" in said(invoke("list", "--server", f"https://127.0.0.1:{port}"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    assert "nothing listens there" in said(invoke("list", "--server", f"http://127.0.0.1:{free}"))
    assert "not known" in said(invoke("list", "--server", "http://no.such.host.invalid"))


def test_refusals_have_the_advice_that_helps(invoke, web):
    for code, advice in (
        ("AccessDeniedException", ""),  # the message says what is not allowed
        ("ExpiredTokenException", "; get new credentials"),
        ("UnrecognizedClientException", "; are these the right AWS credentials?"),
        ("RequestExpired", "; is the clock of this machine right?"),
    ):
        url = f"http://127.0.0.1:{web.server_port}/{code}"
        words = f"the server at {url} refuses the request: Because."
        assert said(invoke("list", "--server", url)) == f"{words}{advice}\n"


def test_a_certificate_that_is_not_trusted(invoke, web, place, monkeypatch):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (place / "cert.pem").write_bytes(made.public_bytes(pem))
    (place / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain("cert.pem", "key.pem")
    web.socket = tls.wrap_socket(web.socket, server_side=True)
    url = f"https://localhost:{web.server_port}"
    refused = said(invoke("list", "--server", url))
    assert f"the certificate of {url} is not accepted" in refused
    assert "AWS_CA_BUNDLE" in refused
    monkeypatch.setenv("AWS_CA_BUNDLE", "cert.pem")
    assert "does not speak the API" in said(invoke("list", "--server", url))
    monkeypatch.setenv("AWS_CA_BUNDLE", "key.pem")
    assert "AWS_CA_BUNDLE key.pem: not a file of" in said(invoke("list", "--server", url))


def test_a_server_that_checks_signatures(invoke, write, place, monkeypatch):
    write("keys", KEYS)
    server = serve(place, place / "signed.db", "--credentials", place / "keys")
    try:
        refused = said(invoke("machines", "list", "--server", server.url))
        assert "refuses the request" in refused
        assert "AWS_ACCESS_KEY_ID" in refused
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        refused = said(invoke("machines", "list", "--server", server.url))
        assert "are these the right AWS credentials?" in refused
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        refused = said(invoke("machines", "list", "--server", server.url))
        assert "not 'eu-west-1'" in refused
        assert refused.endswith(
            "; set AWS_REGION to the region of the server: that of its ARNs, us-east-1 if `serve "
            "--region` does not name another\n"
        )
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        created = invoke("machines", "create", write("m.asl.json", PASS), "--server", server.url)
        assert created.exit_code == 0, created.stderr
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        refused = said(invoke("machines", "list", "--server", server.url))
        assert "there is no AWS profile called nobody" in refused
    finally:
        server.process.kill()
        server.process.wait()


def test_a_missing_function(invoke, write, place):
    write("functions/charge-card.py", "def handler(event, context):\n return 1\n")
    resource = "arn:aws:lambda:us-east-1:123456789012:function:charge_card"
    file = write("m.asl.json", one({"Type": "Task", "Resource": resource, "End": True}))
    done = invoke("run", file, "--db", "x.db")
    assert done.exit_code == 1
    line = next(line for line in done.stderr.splitlines() if line.startswith("charge_card | "))
    folder = place / "functions"
    for words in (
        "looked for charge_card.py, charge_card/handler.py, charge_card/lambda_function.py, "
        "charge_card/app.py and charge_card/index.py (or .js, .mjs, .cjs) in "
        f"{folder}",
        "did you mean charge-card?",
        f"write {folder}/charge_card.py with: def handler(event, context)",
    ):
        assert words in line
    assert "Lambda.ResourceNotFoundException" in done.stderr, "the history has AWS's error"
    os.rename("functions", "elsewhere")
    done = invoke("run", file, "--db", "y.db")
    assert "charge_card | there is no such function: no folder of functions is known" in done.stderr


def test_letters_are_shown_as_letters(invoke, write):
    file = write("m.asl.json", one({"Type": "Pass", "End": True}))
    given = r'{"name": "\u00e7a \ud83d\ude00 \\u00e7 \u0007"}'
    invoke("run", file, "--name", "letters", "--input", given, "--db", "x.db")
    shown = invoke("show", "letters", "--db", "x.db").stdout
    assert r'input    {"name":"ça 😀 \\u00e7 \u0007"}' in shown


def test_the_command_of_a_worker_names_the_database(invoke, write, place):
    asks = one({"Type": "Task", "Resource": f"{ARN}:activity:ask", "End": True})
    waits = invoke("run", write("a.asl.json", asks), "--db", "a.db", "--timeout", "0.5")
    assert waits.exit_code == 3
    assert "for a worker: stepwell activity poll ask --db a.db)" in waits.stderr
