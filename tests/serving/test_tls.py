"""Mutual TLS: a server that is known, and clients that somebody vouches for."""

import ssl
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

import untrained
from certificates import Authority
from served_policy import OBS, Doubling, serving

from imitate.cli.main import main
from imitate.deploy.predictor import load_predictor
from imitate.errors import ConfigError, ServerError
from imitate.serving.access import AccessConfig, ClientTlsConfig
from imitate.serving.answering import load_answerer
from imitate.serving.client import PolicyClient
from imitate.serving.server import ServerConfig


def knowing(authority: Authority, *certificate: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.file))
    if certificate:
        context.load_cert_chain(*certificate)
    return context


def test_only_whom_the_authority_vouches_for_comes_in(tmp_path: Path) -> None:
    ours = Authority(tmp_path)
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "another authority").vouch_for("stranger")
    cert, key = ours.vouch_for("server")
    access = AccessConfig(cert=cert, key=key, client_ca=str(ours.file))
    with serving(Doubling(), ServerConfig(port=0, access=access)) as server:
        url = f"wss://127.0.0.1:{server.port}"
        with PolicyClient(url, tls=knowing(ours, *ours.vouch_for("robot"))) as robot:
            assert robot.predict(OBS, seed=3).tolist() == [[2, 2], [4, 4]]
        for refused in (knowing(ours), knowing(ours, *stranger)):
            with pytest.raises(ServerError):
                PolicyClient(url, tls=refused, timeout_s=1.0)
        with pytest.raises(ServerError):
            PolicyClient(f"ws://127.0.0.1:{server.port}", timeout_s=1.0)
        assert server.metrics.answered == 1


def test_a_server_that_nobody_vouches_for_is_not_told_anything(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path).vouch_for("server")
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other", "another authority")
    with (
        serving(Doubling(), ServerConfig(port=0, access=AccessConfig(cert=cert, key=key))) as server,
        pytest.raises(ServerError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        PolicyClient(f"wss://127.0.0.1:{server.port}", tls=knowing(other), timeout_s=1.0)


def test_files_that_are_no_certificates_are_refused(tmp_path: Path) -> None:
    nonsense = tmp_path / "x.pem"
    nonsense.write_text("nothing")
    with pytest.raises(ConfigError, match="cannot be used"):
        AccessConfig(cert=str(nonsense), key=str(nonsense)).build("127.0.0.1")
    with pytest.raises(ConfigError, match="belong together"):
        AccessConfig(cert=str(nonsense))
    with pytest.raises(ConfigError, match="needs access"):
        AccessConfig(client_ca=str(nonsense))


def test_a_robot_shows_its_certificate_by_settings(tmp_path: Path, capsys) -> None:
    ours = Authority(tmp_path)
    cert, key = ours.vouch_for("server")
    answerer = load_answerer(str(untrained.checkpoint(tmp_path)), "cpu", None, 1)
    config = ServerConfig(port=0, access=AccessConfig(cert=cert, key=key, client_ca=str(ours.file)))
    with serving(answerer, config) as server:  # type: ignore[arg-type]
        words = ["deploy", f"policy=wss://127.0.0.1:{server.port}", "env=tabletop/reach", "longest_s=1"]
        shown = dict(zip(("tls.cert", "tls.key"), ours.vouch_for("robot"), strict=True))
        keys = [f"{name}={file}" for name, file in {**shown, "tls.ca": ours.file}.items()]
        assert main([*words, *keys, f"out={tmp_path / 'session'}"]) == 0
        answered = server.metrics.answered
        assert answered > 0
        capsys.readouterr()
        assert main([*words, f"tls.ca={ours.file}", f"out={tmp_path / 'other'}"]) == 2
        assert capsys.readouterr().err.strip().count("\n") == 0
        assert server.metrics.answered == answered and not (tmp_path / "other").exists()


def test_certificates_of_a_client_that_cannot_be_used(tmp_path: Path) -> None:
    nonsense = tmp_path / "x.pem"
    nonsense.write_text("nothing")
    with pytest.raises(ConfigError, match=r"tls.ca, cert or key cannot be used"):
        ClientTlsConfig(ca=str(nonsense)).build()
    with pytest.raises(ConfigError, match=r"tls.cert and tls.key belong together"):
        ClientTlsConfig(cert=str(nonsense))
    with pytest.raises(ConfigError, match="is no server at wss"):
        load_predictor("ws://127.0.0.1:1", tls=ClientTlsConfig(ca=str(nonsense)))
    assert ClientTlsConfig().build() is None
