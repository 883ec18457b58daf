"""Route × role: every Function of the app stands in the table, and nothing else does."""

from __future__ import annotations

import importlib
import inspect
import typing

import azure.functions as func
import pytest

import function_app
from functions.access import RULES, Rule, Who, rule_for
from functions.registry import endpoints
from shared.contract.states import Role

# An app can be indexed once: it is made anew here, so that no other test has done it.
APP = importlib.reload(function_app).app
FUNCTIONS = {each.get_function_name(): each for each in APP.get_functions()}
HTTP = {
    name: each
    for name, each in FUNCTIONS.items()
    if any(binding.type == "httpTrigger" for binding in each.get_bindings())
}
OPEN = {"health_live", "health_ready", "metrics", "openapi", "docs"}


def test_every_http_function_has_a_rule_and_every_rule_a_function() -> None:
    assert set(HTTP) == set(RULES)


def test_what_needs_no_credential_is_a_short_and_known_list() -> None:
    assert {name for name, rule in RULES.items() if rule.who is Who.ANYONE} == OPEN


def test_a_member_rule_names_a_role_and_no_other_rule_does() -> None:
    for rule in RULES.values():
        assert bool(rule.roles) == (rule.who in (Who.MEMBER, Who.PLATFORM))


def test_a_function_without_a_rule_cannot_be_registered() -> None:
    with pytest.raises(LookupError, match=r"functions/access\.py"):
        rule_for("something_new")


@pytest.mark.parametrize("endpoint", endpoints(), ids=lambda each: each.name)
def test_only_an_operator_or_admin_changes_what_a_member_can_change(endpoint: typing.Any) -> None:
    if endpoint.name == "rollouts_override_freeze":
        return  # the test below
    if endpoint.rule.who is Who.MEMBER and endpoint.method != "GET":
        assert not endpoint.rule.allows(frozenset({Role.READER, Role.RESPONDER}))
        assert endpoint.rule.allows(frozenset({Role.ADMIN}))


def test_an_operator_alone_does_not_lift_a_freeze_off_a_rollout() -> None:
    rule = RULES["rollouts_override_freeze"]
    assert not rule.allows(frozenset({Role.OPERATOR}))
    assert rule.allows(frozenset({Role.RESPONDER}))
    assert rule.allows(frozenset({Role.ADMIN}))


def test_a_platform_admin_is_nobody_inside_a_tenant() -> None:
    members = [rule for rule in RULES.values() if rule.who is Who.MEMBER]
    assert not any(rule.allows(frozenset({Role.PLATFORM_ADMIN})) for rule in members)


def test_an_admin_may_what_every_member_may() -> None:
    members = [rule for rule in RULES.values() if rule.who is Who.MEMBER]
    assert all(rule.allows(frozenset({Role.ADMIN})) for rule in members)
    assert not Rule(Who.MEMBER, (Role.ADMIN,)).allows(frozenset({Role.OPERATOR}))


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_has_the_shape_that_the_worker_library_takes(name: str) -> None:
    function = FUNCTIONS[name].get_user_function()
    assert inspect.iscoroutinefunction(function)
    trigger = FUNCTIONS[name].get_trigger()
    assert trigger is not None
    assert list(inspect.signature(function).parameters) == [trigger.name]
    hints = typing.get_type_hints(function)
    if name in HTTP:
        assert hints["return"] is func.HttpResponse
        assert hints[trigger.name] is func.HttpRequest
    else:
        assert hints[trigger.name] is func.TimerRequest
