"""Contexts: what is chosen, what is kept, and what is never kept."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from arcbridge.cli import config
from arcbridge.cli.config import Config, Context
from arcbridge.cli.exits import CommandError, Exit
from arcbridge.cli.login.cache import TokenCache, Tokens

PROD = Context(name="prod", server="https://prod.test", issuer="https://login.test/t/v2.0")
LAB = Context(name="lab", server="http://127.0.0.1:7071")


def both(path: Path) -> Config:
    return Config(path).put(LAB).put(PROD)


def test_a_configuration_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "config.yaml"
    config.save(both(path))
    assert config.load(path) == both(path)


def test_a_file_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert config.load(tmp_path / "none.yaml").contexts == {}


@pytest.mark.parametrize("text", ["[", "contexts: 5", "contexts: {a: {sever: x}}", "a: &b 1"])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(CommandError, match=r"config\.yaml") as caught:
        config.load(path)
    assert caught.value.status is Exit.USAGE


def test_an_option_goes_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    known = both(tmp_path / "c")
    environ = {"ARCBRIDGE_CONTEXT": "lab"}
    assert config.choose(known, name=None, server=None, environ={}) == PROD
    assert config.choose(known, name=None, server=None, environ=environ) == LAB
    assert config.choose(known, name="prod", server=None, environ=environ) == PROD
    chosen = config.choose(known, name=None, server="https://other.test", environ={})
    assert (chosen.server, chosen.issuer) == ("https://other.test", PROD.issuer)


def test_an_unknown_context_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="lab, prod"):
        config.choose(both(tmp_path / "c"), name="nope", server=None, environ={})


def test_without_any_server_the_remedy_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        config.choose(Config(tmp_path / "c"), name=None, server=None, environ={})
    assert "ARCBRIDGE_SERVER" in str(caught.value.remedy)


def test_tokens_are_for_their_owner_only_and_for_one_server(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    cache = TokenCache(path)
    cache.put(PROD, Tokens("secret", 1000.0))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert cache.get(PROD) == Tokens("secret", 1000.0)
    assert cache.get(config.replace(PROD, server="https://evil.test")) is None
    cache.drop(PROD)
    assert cache.get(PROD) is None


def test_a_token_is_renewed_a_minute_before_its_end() -> None:
    assert Tokens("t", 1000.0).is_fresh(939.0)
    assert not Tokens("t", 1000.0).is_fresh(941.0)
