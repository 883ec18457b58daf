from __future__ import annotations

import pytest

from shared.contract.errors import ErrorCode
from shared.rpc.status import PUSHBACK_KEY, code_in, retry_after_in, status_of, trailers_of


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_code_has_a_status_and_comes_back_from_its_trailers(code: ErrorCode) -> None:
    assert status_of(code).name != "OK"
    assert code_in(trailers_of(code)) is code


def test_the_pause_travels_in_milliseconds() -> None:
    trailers = trailers_of(ErrorCode.RATE_LIMITED, retry_after=1.5)
    assert (PUSHBACK_KEY, "1500") in trailers
    assert retry_after_in(trailers) == 1.5


@pytest.mark.parametrize("trailers", [None, (), ((PUSHBACK_KEY, "-1"),), ((PUSHBACK_KEY, "x"),)])
def test_no_pause_is_no_pause(trailers: tuple[tuple[str, str], ...] | None) -> None:
    assert retry_after_in(trailers) is None


def test_a_code_from_a_later_release_is_unknown() -> None:
    assert code_in((("arcbridge-code", "SomethingNew"),)) is None
