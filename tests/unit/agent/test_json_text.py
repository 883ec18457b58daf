"""What the agent writes is read by YAML's readers as it was meant."""

from __future__ import annotations

import json

import pytest
import yaml

from agent.json_text import json_text

ODD = ["\U0001f600", "\x7f", "a\u0085b", "a\u2028b", "\ufeff", "tab\t\x1f", 'q"\\u263a', "ä€"]


@pytest.mark.parametrize("text", ODD)
def test_json_and_yaml_read_the_same(text: str) -> None:
    written = json_text({"a": [text]})
    assert json.loads(written) == {"a": [text]}
    assert yaml.safe_load(written) == {"a": [text]}
    assert b"\\ud83d" not in written


def test_half_a_character_is_left_to_the_reader_to_refuse() -> None:
    assert json_text("\ud83d") == b'"\\ud83d"'
