"""`make audit`: whether a known vulnerability is in what the deployables are locked to.

    python -m dev.audit

Asks the OSV database (osv.dev) about every package and version of the locks. Exit status 0 when
there is nothing, 1 for a finding, 3 when the database cannot be reached: then nothing was checked,
which is no pass. A finding that does not concern us stands in `dev/audit-accepted.json` with its
reason and the day until which that is believed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx

from dev.locks import LOCKS, Package, packages

DATABASE = "https://api.osv.dev"
VARIABLE = "ARCBRIDGE_OSV_URL"
ACCEPTED = Path(__file__).with_name("audit-accepted.json")
AT_ONCE = 500
"""The database takes 1,000 questions at a time."""
SECONDS = 30.0
UNREACHABLE = 3


class DatabaseUnreachable(Exception):
    """The database does not answer, or not as it should."""


def locked() -> dict[str, Package]:
    """Every package of every deployable, by package URL."""
    return {each.purl: each for lock in LOCKS.values() for each in packages(lock)}


def ask(found: Iterable[Package], url: str) -> dict[str, list[str]]:
    """Ids of vulnerabilities by package URL. Raises DatabaseUnreachable."""
    waiting = list(found)
    known: dict[str, list[str]] = {}
    try:
        with httpx.Client(base_url=url, timeout=SECONDS) as client:
            for start in range(0, len(waiting), AT_ONCE):
                part = waiting[start : start + AT_ONCE]
                query = [{"package": {"purl": each.purl}} for each in part]
                answer = client.post("/v1/querybatch", json={"queries": query}).raise_for_status()
                results = answer.json()["results"]
                if len(results) != len(part):
                    raise DatabaseUnreachable(f"{url} answered {len(results)} of {len(part)}")
                for each, result in zip(part, results, strict=True):
                    if ids := [vuln["id"] for vuln in result.get("vulns") or ()]:
                        known[each.purl] = ids
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise DatabaseUnreachable(f"{url} cannot be asked: {error}") from error
    return known


def accepted(path: Path, today: date) -> dict[str, str]:
    """Findings that are believed not to concern us today, by id, with the reason."""
    entries: list[Mapping[str, Any]] = json.loads(path.read_text())
    return {
        each["id"]: each["reason"]
        for each in entries
        if each["reason"] and date.fromisoformat(each["until"]) >= today
    }


def main() -> int:
    """Ask, and say what was found."""
    url = os.environ.get(VARIABLE, DATABASE)
    asked = locked()
    try:
        known = ask(asked.values(), url)
    except DatabaseUnreachable as error:
        print(f"make audit: {error}\nNothing was checked: this is no pass.", file=sys.stderr)
        return UNREACHABLE
    reasons = accepted(ACCEPTED, datetime.now(UTC).date())
    open_ids = 0
    for purl, ids in sorted(known.items()):
        for each in ids:
            why = reasons.get(each)
            open_ids += why is None
            print(f"{'accepted' if why else 'FOUND'} {each} in {purl}{f': {why}' if why else ''}")
    print(f"{len(asked)} packages, {open_ids} known vulnerabilities")
    return 1 if open_ids else 0


if __name__ == "__main__":
    sys.exit(main())
