"""No Function without a rule, and none that the walks over the routes would miss."""

from __future__ import annotations

import pytest

from functions import access
from functions.edge.endpoint import Endpoint
from functions.registry import endpoints
from tests.routes import NOWHERE, PLACEHOLDER, Request, request_for

ALL = endpoints()


@pytest.mark.parametrize("endpoint", ALL, ids=lambda each: each.name)
def test_a_function_has_a_rule_and_a_valid_request(endpoint: Endpoint) -> None:
    assert endpoint.rule == access.rule_for(endpoint.name)
    assert set(PLACEHOLDER.findall(endpoint.route)) <= NOWHERE.keys()
    request: Request = request_for(endpoint, NOWHERE, query=True)
    if endpoint.body is not None:
        content = request.content or b""
        endpoint.body.validate_json(content, strict=True, by_alias=True, by_name=False)
    if endpoint.query is not None:
        endpoint.query.validate_strings(dict(request.query), by_alias=True, by_name=False)


def test_a_rule_has_its_function() -> None:
    assert access.RULES.keys() == {each.name for each in ALL}


def test_a_function_without_a_rule_cannot_be_registered() -> None:
    with pytest.raises(LookupError, match="no_such_function has no rule"):
        access.rule_for("no_such_function")
