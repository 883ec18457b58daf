"""What ArcBridge is made of is written down and asked about; a database away is no pass."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dev import audit, sbom
from dev.locks import LOCKS, LockError, packages
from dev.state import REPOSITORY

NOW = datetime(2026, 1, 1, tzinfo=UTC)
VULNERABLE = "pkg:pypi/redis"


@pytest.mark.parametrize("name", LOCKS)
def test_a_deployables_components_are_its_locks(name: str) -> None:
    found = packages(LOCKS[name])
    document = sbom.bom(name, found, now=NOW)
    assert document["bomFormat"] == "CycloneDX"
    refs = [each["bom-ref"] for each in document["components"]]
    assert len(refs) == len(set(refs)) == LOCKS[name].read_text().count("==") - _markers(name)
    assert document["dependencies"][0]["dependsOn"] == refs
    assert all(each["externalReferences"] for each in document["components"])
    again = sbom.bom(name, found, now=NOW)
    assert again["serialNumber"] == document["serialNumber"]


def _markers(name: str) -> int:
    """Comparisons with == that stand in markers, not between a name and its version."""
    lines = [line for line in LOCKS[name].read_text().splitlines() if " ; " in line]
    return sum(line.partition(" ; ")[2].count("==") for line in lines)


def test_a_line_that_is_not_understood_is_not_left_out(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.txt"
    for text in ("httpx>=1\n", "httpx==1.0 \\\n", "-e .\n", "httpx @ https://x/y.whl\n"):
        lock.write_text(text)
        with pytest.raises(LockError):
            packages(lock)


class Osv(BaseHTTPRequestHandler):
    """Answers as the database does: one result for each question."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        results = [
            {"vulns": [{"id": "PYSEC-1"}]} if VULNERABLE in each["package"]["purl"] else {}
            for each in asked
        ]
        body = json.dumps({"results": results}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Not in the test's output."""


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv(audit.VARIABLE, f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()
        thread.join(10)


@pytest.mark.usefixtures("database")
def test_a_finding_fails_until_it_is_accepted_with_a_reason_and_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "accepted.json"
    monkeypatch.setattr(audit, "ACCEPTED", file)
    file.write_text("[]")
    assert audit.main() == 1
    assert "FOUND PYSEC-1 in pkg:pypi/redis@" in capsys.readouterr().out
    entry = {"id": "PYSEC-1", "reason": "not called", "until": "2999-01-01"}
    file.write_text(json.dumps([entry]))
    assert audit.main() == 0
    assert audit.accepted(file, date(2999, 1, 2)) == {}


def test_a_database_that_is_away_is_no_pass(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(audit.VARIABLE, "http://127.0.0.1:1")
    assert audit.main() == audit.UNREACHABLE
    assert "Nothing was checked: this is no pass" in capsys.readouterr().err


def test_what_is_accepted_has_a_reason_and_an_end() -> None:
    for each in json.loads(audit.ACCEPTED.read_text()):
        assert each["reason"]
        assert date.fromisoformat(each["until"])


def test_a_bandit_class_rule_is_only_suppressed_with_a_reason_beside() -> None:
    bare = re.compile(r"# noqa: (?:[A-Z]+\d+, *)*S\d{3}(?:, *[A-Z]+\d+)*\s*$")
    folders = ("functions", "shared", "relay", "agent", "arcbridge", "dev", "tests", "infra")
    found = [
        f"{path.relative_to(REPOSITORY)}:{number}"
        for folder in folders
        for path in (REPOSITORY / folder).rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if bare.search(line)
    ]
    assert not found
