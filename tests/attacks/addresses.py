"""Attacks by addresses: an extension's URL must not lead the agent into the inner network."""

from __future__ import annotations

from tests.attacks.attack import held, row
from tests.attacks.extensions import ended, fetched, told
from tests.attacks.target import Target
from tests.integration.agent.reconcile.https_server import Page
from tests.integration.agent.reconcile.sources import archive

CONTENT = archive({"kustomization.yaml": "resources: []\n"})


@row(
    "artifact URL",
    "private, loopback, link-local and metadata addresses, as numbers and as names",
    expected="refused; nothing asked",
)
async def inner_addresses(target: Target) -> str:
    port = target.web_port
    target.web("/inner.tgz", Page(CONTENT))
    urls = {
        "loopback": f"https://127.0.0.1:{port}/inner.tgz",
        "loopback-v6": f"https://[::1]:{port}/inner.tgz",
        "mapped": f"https://[::ffff:127.0.0.1]:{port}/inner.tgz",
        "private": "https://10.0.0.1/inner.tgz",
        "link-local": "https://169.254.169.254/latest/meta-data",
        "metadata": "https://168.63.129.16/machine",
        "by-name": f"https://localhost.localdomain:{port}/inner.tgz",
        "any": f"https://0.0.0.0:{port}/inner.tgz",
    }
    ends = await ended(target, {name: fetched(url, CONTENT) for name, url in urls.items()})
    held(set(ends.values()) == {"Failed ArtifactFailed"}, told(ends))
    return told(ends)


@row("artifact URL", "redirects to them, and to plain http", expected="refused; nothing asked")
async def redirects(target: Target) -> str:
    port = target.web_port
    target.web("/inner-redirected.tgz", Page(CONTENT))
    locations = {
        "to-metadata": "https://169.254.169.254/latest/meta-data",
        "to-loopback": f"https://127.0.0.1:{port}/inner-redirected.tgz",
        "to-http": "http://localhost/inner.tgz",
        "to-file": "file:///etc/passwd",
    }
    sources = {
        name: fetched(
            target.web(f"/{name}.tgz", Page(status=302, headers={"Location": location})), CONTENT
        )
        for name, location in locations.items()
    }
    ends = await ended(target, sources)
    held(set(ends.values()) == {"Failed ArtifactFailed"}, told(ends))
    return told(ends)


@row(
    "artifact URL", "the same addresses as a chart's repository", expected="refused; nothing asked"
)
async def inner_chart_repositories(target: Target) -> str:
    port = target.web_port
    target.web("/index.yaml", Page(b"apiVersion: v1\nentries: {}\n"))
    repositories = {
        "repo-loopback": f"https://127.0.0.1:{port}",
        "repo-metadata": "https://169.254.169.254/latest",
        "repo-private": "https://10.0.0.1/charts",
        "oci-loopback": f"oci://127.0.0.1:{port}/charts",
    }
    sources = {
        name: {"helm": {"repo": repo, "chart": "web", "version": "1.0.0"}}
        for name, repo in repositories.items()
    }
    ends = await ended(target, sources)
    messages = await target.sql(
        "select extension, failed_message from assignments where extension = any(%s)",
        [f"attack-{name}" for name in repositories],
    )
    refused = [each for each in messages if "is refused" in (each["failed_message"] or "")]
    seen = f"{told(ends)}; {len(refused)} of {len(repositories)} refused by address"
    held(set(ends.values()) == {"Failed ArtifactFailed"}, seen)
    held(len(refused) == len(repositories), seen)
    return seen
