"""The table [control]."""

from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from alicia_scheduler.config.control import Address, ControlSettings
from alicia_scheduler.config.document import Document
from alicia_scheduler.config.load import configuration


def read(text, folder=Path()):
    return configuration(Document.parse(f"[control]\n{text}", str(folder / "home.toml")))


def issue(text, folder=Path()):
    (found,) = read(text, folder).issues
    return str(found)


def test_without_the_table_there_is_no_tcp_door():
    loaded = configuration(Document.parse("", "home.toml"))
    assert loaded.control == ControlSettings()
    assert loaded.control.addresses == ()


@pytest.mark.parametrize(
    ("listen", "addresses"),
    [
        ("8123", [("127.0.0.1", 8123)]),
        ('"8123"', [("127.0.0.1", 8123)]),
        ('"127.0.0.1:8123"', [("127.0.0.1", 8123)]),
        ('"127.0.0.7:8123"', [("127.0.0.7", 8123)]),
        ('"localhost:8123"', [("localhost", 8123)]),
        ('"[::1]:8123"', [("::1", 8123)]),
        ('[8123, "[::1]:8123", 8123]', [("127.0.0.1", 8123), ("::1", 8123)]),
        ("[]", []),
    ],
)
def test_where_to_listen_is_a_port_or_an_address_with_one(listen, addresses):
    loaded = read(f"listen = {listen}")
    assert loaded.issues == []
    assert loaded.control.addresses == tuple(Address(*item) for item in addresses)


@pytest.mark.parametrize(
    "listen",
    [
        '"nonsense"',
        '"host:8123"',
        '":8123"',
        '"::1:8123"',
        '"127.0.0.1:0"',
        '"127.0.0.1:99999"',
        '"127.0.0.1:"',
        '"0"',
        '"[127.0.0.1]x:1"',
        '"127.0.0.1:８０"',
    ],
)
def test_an_address_that_is_none_is_refused_with_examples(listen):
    said = issue(f"listen = {listen}")
    assert "home.toml:2: control.listen: " in said
    assert '"127.0.0.1:8123"' in said


@pytest.mark.parametrize("listen", ["0", "70000", "true", "1.5", "{}"])
def test_what_can_be_no_address_at_all_is_refused_at_its_place(listen):
    assert "control.listen" in issue(f"listen = {listen}")


@pytest.mark.parametrize("listen", ['"0.0.0.0:8123"', '"[::]:8123"', '[8123, "192.168.1.5:8123"]'])
def test_beyond_this_machine_it_takes_tls_or_a_written_word(listen):
    assert "others can read along" in issue(f"listen = {listen}")
    assert read(f"listen = {listen}\ninsecure = true").issues == []


def pem(folder, name, *blobs):
    with (folder / name).open("wb") as out:
        for blob in blobs:
            out.write(blob.bytes())


@pytest.fixture(scope="module")
def certificate():
    return trustme.CA().issue_cert("home.example")


def test_certificate_and_key_are_files_beside_the_configuration(tmp_path, certificate):
    pem(tmp_path, "cert.pem", *certificate.cert_chain_pems)
    pem(tmp_path, "key.pem", certificate.private_key_pem)
    loaded = read('listen = "0.0.0.0:8123"\ncertificate = "cert.pem"\nkey = "key.pem"', tmp_path)
    assert loaded.issues == []
    assert loaded.control.certificate == tmp_path / "cert.pem"


def test_a_file_that_is_missing_is_named(tmp_path):
    assert "control.certificate: " in issue('certificate = "cert.pem"', tmp_path)
    assert "No such file" in issue('certificate = "cert.pem"', tmp_path)


def test_a_key_of_another_certificate_is_refused(tmp_path, certificate):
    pem(tmp_path, "cert.pem", *certificate.cert_chain_pems)
    pem(tmp_path, "key.pem", trustme.CA().issue_cert("other.example").private_key_pem)
    said = issue('certificate = "cert.pem"\nkey = "key.pem"', tmp_path)
    assert "cannot be used" in said


def test_what_is_no_certificate_is_refused(tmp_path):
    tmp_path.joinpath("cert.pem").write_text("nonsense")
    assert "cannot be used" in issue('certificate = "cert.pem"', tmp_path)


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(tmp_path, certificate):
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    pem(tmp_path, "cert.pem", *certificate.cert_chain_pems)
    tmp_path.joinpath("key.pem").write_bytes(locked)
    said = issue('certificate = "cert.pem"\nkey = "key.pem"', tmp_path)
    assert "control.key: " in said
    assert "has a passphrase" in said


def test_a_key_alone_is_refused():
    assert "needs its certificate" in issue('key = "key.pem"')


@pytest.mark.parametrize("origin", ["home.example", "https://home.example/page", "ftp://x", "*"])
def test_an_origin_is_written_as_browsers_send_it(origin):
    assert "is no origin" in issue(f'origins = ["{origin}"]')


def test_origins_and_hosts_are_compared_in_lower_case():
    loaded = read('origins = ["https://Home.Example:8443"]\nhosts = ["Home.Example"]')
    assert loaded.control.origins == {"https://home.example:8443"}
    assert loaded.control.hosts == {"home.example"}


def test_an_unknown_key_is_refused_with_the_near_one():
    assert "certificate" in issue('certificat = "x"')


@pytest.mark.parametrize(
    "line", ["replay = -1", "rate = 0", "max_message = 1", "max_connections = 0"]
)
def test_a_limit_out_of_bounds_is_refused(line):
    assert f"control.{line.split()[0]}" in issue(line)
