import asyncio
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared.contract.errors import ErrorCode
from shared.contract.registration import RegisterRequest
from shared.domain.errors import ArcBridgeError
from shared.identity.peer import check_peer
from shared.services import bootstrap_tokens, events, registration
from shared.services.control_plane import ControlPlane
from tests.integration.conftest import Clock
from tests.integration.services.joining import admin, csr_of, join, new_key, new_token

REFUSED = ErrorCode.REGISTRATION_REFUSED


async def refusal(cp: ControlPlane, request: RegisterRequest) -> ArcBridgeError:
    with pytest.raises(ArcBridgeError) as caught:
        await registration.register(cp, request, address="198.51.100.1")
    return caught.value


async def count(cp: ControlPlane, table: str) -> int:
    from shared.store.queries import Query

    async with cp.db.platform() as tx:
        query = Query("count", "test", f"select count(*) from {table}")  # type: ignore[arg-type]  # noqa: S608 - a test's own table name
        return int(await tx.value(query))


async def test_a_cluster_registers_and_gets_a_certificate_with_its_own_name_only(
    control_plane: ControlPlane, clock: Clock
) -> None:
    key = new_key()
    answer = await join(control_plane, "eu-1", key=key, labels={"env": "prod"})
    peer = check_peer(
        answer.certificate_chain.encode(),
        authorities=(await control_plane.ca.trust()).authorities,
        trust_domain="arcbridge.local",
        now=clock(),
    )
    assert (peer.tenant, peer.cluster_id, peer.serial) == ("acme", answer.cluster_id, answer.serial)
    assert answer.relay_address == "relay.example.org:8443"
    assert answer.audience == "https://arcbridge.example.org"


async def test_a_token_used_by_fifty_at_once_makes_exactly_one_certificate(
    control_plane: ControlPlane,
) -> None:
    token = await new_token(control_plane)

    async def attempt(number: int) -> str:
        request = RegisterRequest(token=token, csr=csr_of(new_key()), cluster_name=f"c-{number}")
        try:
            address = f"203.0.113.{number}"
            return (await registration.register(control_plane, request, address=address)).serial
        except ArcBridgeError as error:
            return error.code

    outcomes = await asyncio.gather(*(attempt(number) for number in range(50)))
    assert sorted(outcomes).count(REFUSED) == 49
    assert await count(control_plane, "certificates") == 1
    assert await count(control_plane, "clusters") == 1


async def test_fifty_repeats_of_one_request_get_one_and_the_same_answer(
    control_plane: ControlPlane,
) -> None:
    request = RegisterRequest(
        token=await new_token(control_plane), csr=csr_of(new_key()), cluster_name="eu-1"
    )
    answers = await asyncio.gather(
        *(
            registration.register(control_plane, request, address=f"203.0.113.{number}")
            for number in range(50)
        )
    )
    assert len({answer.serial for answer in answers}) == 1
    assert await count(control_plane, "certificates") == 1


async def test_a_lost_answer_is_repeated_for_ten_minutes_and_not_longer(
    control_plane: ControlPlane, clock: Clock
) -> None:
    request = RegisterRequest(
        token=await new_token(control_plane), csr=csr_of(new_key()), cluster_name="eu-1"
    )
    first = await registration.register(control_plane, request)
    clock.ahead = timedelta(minutes=9)
    assert await registration.register(control_plane, request) == first
    clock.ahead = timedelta(minutes=11)
    assert (await refusal(control_plane, request)).code is REFUSED


async def test_every_token_that_does_not_hold_gets_the_same_answer(
    control_plane: ControlPlane, clock: Clock
) -> None:
    used = await new_token(control_plane)
    await join(control_plane, "eu-1", token=used)
    revoked = await bootstrap_tokens.create(
        control_plane, admin(), bootstrap_tokens.BootstrapTokenRequest()
    )
    await bootstrap_tokens.revoke(control_plane, admin(), revoked.id)
    good = await new_token(control_plane)
    flawed = {
        "used": used,
        "revoked": revoked.token,
        "bound elsewhere": await new_token(control_plane, name="us-1"),
        "guessed secret": good[:-4] + ("AAAA" if not good.endswith("AAAA") else "BBBB"),
        "another tenant's id": good.replace("abt_acme.", "abt_other."),
        "no token": "abt_" + "x" * 40,
        "expired": await new_token(control_plane, lifetime=timedelta(minutes=1)),
    }
    clock.ahead = timedelta(minutes=2)
    answers = {
        (error.code, error.detail)
        for token in flawed.values()
        for error in [
            await refusal(
                control_plane,
                RegisterRequest(token=token, csr=csr_of(new_key()), cluster_name="ap-1"),
            )
        ]
    }
    assert len(answers) == 1
    assert answers.pop()[0] is REFUSED
    assert await count(control_plane, "clusters") == 1


async def test_guessing_is_limited_per_address(control_plane: ControlPlane) -> None:
    request = RegisterRequest(token="abt_" + "x" * 40, csr=csr_of(new_key()), cluster_name="eu-1")
    codes = [(await refusal(control_plane, request)).code for _ in range(13)]
    assert codes[:10] == [REFUSED] * 10
    assert ErrorCode.RATE_LIMITED in codes[10:]


async def test_a_name_that_is_taken_needs_a_token_bound_to_it(
    control_plane: ControlPlane,
) -> None:
    first = await join(control_plane, "eu-1", labels={"env": "prod", "ring": "a"})
    unbound = await new_token(control_plane)
    request = RegisterRequest(token=unbound, csr=csr_of(new_key()), cluster_name="eu-1")
    assert (await refusal(control_plane, request)).code is ErrorCode.ALREADY_EXISTS
    # The refusal has not spent the token.
    await join(control_plane, "eu-2", token=unbound)
    bound = await new_token(control_plane, name="eu-1", labels={"ring": "b"})
    again = await join(control_plane, "eu-1", token=bound, labels={"env": "agent-says"})
    assert again.cluster_id == first.cluster_id
    assert again.serial != first.serial
    from shared.store.queries import Query

    async with control_plane.db.tenant("acme") as tx:
        row = await tx.one(Query("q", "test", "select labels from clusters where name = 'eu-1'"))
        states = await tx.all(
            Query("q", "test", "select state from certificates where cluster_id = %(id)s"),
            id=first.cluster_id,
        )
    assert row == {"labels": {"env": "prod", "ring": "b"}}
    assert sorted(state["state"] for state in states) == ["Current", "Retired"]


async def test_labels_of_the_token_win_over_those_the_agent_asks_for(
    control_plane: ControlPlane,
) -> None:
    token = await new_token(control_plane, labels={"env": "dev"})
    await join(control_plane, "eu-1", token=token, labels={"env": "prod", "zone": "1"})
    from shared.store.queries import Query

    async with control_plane.db.tenant("acme") as tx:
        row = await tx.one(Query("q", "test", "select labels from clusters"))
    assert row == {"labels": {"env": "dev", "zone": "1"}}


async def test_a_request_that_asks_for_more_gets_a_plain_leaf(
    control_plane: ControlPlane,
) -> None:
    greedy = csr_of(
        new_key(),
        common_name="cluster-admin",
        extensions=[
            x509.BasicConstraints(ca=True, path_length=None),
            x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier("spiffe://arcbridge.local/tenant/other/cluster/x")]
            ),
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
        ],
    )
    request = RegisterRequest(token=await new_token(control_plane), csr=greedy, cluster_name="eu-1")
    answer = await registration.register(control_plane, request)
    leaf = x509.load_pem_x509_certificate(answer.certificate_chain.encode())
    extensions = leaf.extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in names] == [
        f"spiffe://arcbridge.local/tenant/acme/cluster/{answer.cluster_id}"
    ]
    usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    subject = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    assert subject == str(answer.cluster_id)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(rsa.generate_private_key(65537, 2048), id="rsa-2048"),
        pytest.param(ec.generate_private_key(ec.SECP192R1()), id="p-192"),
        pytest.param(ec.generate_private_key(ec.SECP521R1()), id="p-521"),
    ],
)
async def test_a_weak_or_odd_key_is_refused_and_the_token_stays_good(
    control_plane: ControlPlane, key: object
) -> None:
    token = await new_token(control_plane)
    request = RegisterRequest(token=token, csr=csr_of(key), cluster_name="eu-1")
    assert (await refusal(control_plane, request)).code is ErrorCode.INVALID_REQUEST
    await join(control_plane, "eu-1", token=token)


async def test_a_first_try_that_died_while_it_was_signed_for_is_taken_up_again(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = RegisterRequest(
        token=await new_token(control_plane), csr=csr_of(new_key()), cluster_name="eu-1"
    )
    issue = control_plane.ca.issue_agent

    async def away(*args: object, **kwargs: object) -> None:
        raise ArcBridgeError(ErrorCode.UNAVAILABLE, "the signing key does not answer")

    monkeypatch.setattr(control_plane.ca, "issue_agent", away)
    assert (await refusal(control_plane, request)).code is ErrorCode.UNAVAILABLE
    monkeypatch.setattr(control_plane.ca, "issue_agent", issue)
    await registration.register(control_plane, request)
    assert await count(control_plane, "certificates") == 1


async def test_joining_is_in_the_audit_trail_without_the_secret(
    control_plane: ControlPlane,
) -> None:
    token = await new_token(control_plane)
    answer = await join(control_plane, "eu-1", token=token)
    page = await events.list_events(control_plane, admin())
    assert [event.action for event in page.items] == ["cluster.register", "bootstrap-token.create"]
    assert page.items[0].actor == f"cluster:{answer.cluster_id}"
    secret = token.rpartition(".")[2]
    assert secret not in page.model_dump_json()
    verified = await events.verify(control_plane, admin())
    assert (verified.intact, verified.checked) == (True, 2)
