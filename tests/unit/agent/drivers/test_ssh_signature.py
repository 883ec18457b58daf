"""Signatures that ssh-keygen made are taken; whatever is changed about them is not."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.drivers.ssh_signature import SignatureRefused, check_signature

MADE = {
    "ed25519": (
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILNqGfkxbSglU9fPdh3I6lROdCV05vZSIeA1YrxLoHnZ",
        "U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgs2oZ+TFtKCVT1892HcjqVE50JXTm9lIh4DVivEugedkA"
        "AAADZ2l0AAAAAAAAAAZzaGE1MTIAAABTAAAAC3NzaC1lZDI1NTE5AAAAQOfjNyL23kjsnkVETIaIbBMWCmhDqEro"
        "yU5rb7Q1jkuK9ziN3gJzoY2EyuuAQjQGsEOd4ewdVChdJO57rdmZqQA=",
    ),
    "ecdsa": (
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHqnHMrrn6aLR2bM"
        "JjaAIRHjRtfHgsAnKhwzJEiufHsSCBzwIVKO9QzDwGxUxWYUotsGKMJP9bL8jvVNMFx2ck0=",
        "U1NIU0lHAAAAAQAAAGgAAAATZWNkc2Etc2hhMi1uaXN0cDI1NgAAAAhuaXN0cDI1NgAAAEEEeqccyuufpotHZswm"
        "NoAhEeNG18eCwCcqHDMkSK58exIIHPAhUo71DMPAbFTFZhSi2wYowk/1svyO9U0wXHZyTQAAAANnaXQAAAAAAAAA"
        "BnNoYTUxMgAAAGQAAAATZWNkc2Etc2hhMi1uaXN0cDI1NgAAAEkAAAAhALfjN0vy7WIwSjvS0EZE+Iwi1kSblVid"
        "/Rgix+oft8gbAAAAIBtqadpX6IDyfwdG9L3r6PkD2VdayyGnVn5j0bZV1mDG",
    ),
    "rsa": (
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQCGirfcRvd9cDRveU4w6TYoprPtUd25u5JKLTWr8DwSU/Oaja0c"
        "qtNLHA31fVIU0lc72AVEOaAAOoHpFgbC/cx8mIf7/fCfiy1rRSUfs6+OqxoTaL6r5BgwJsOW3kQjCROb9veVaZLv"
        "P4E4cud77HiA37GIeHKHzTf3u3iUtmKrNp0+Kh9TCEnRP3hQBSZ2zOupSpviau/AEgPX/WSi3e5Tz8p2ZzC9w2mY"
        "gOF/z3MFpx8vh8ImBYObAi8fC9N/P5MVF12tRrvKA4+Y6e9sgFHrTJL/iXAZznvgv8E2+PmMufMzDSBn5Q30b68z"
        "NRdAj/2UQ6Qoar0ZlpeE32k4Cj+3BThSxbWGBsTRoRR5VO1/ozM7kuZZA2AjfjIXJpDNiKxi7xIfZeI2NNlBM0d+"
        "P6+4F8Srpp27fwFMllnD80Gca/P42mBod6aHE6uCOqZlwdrPe4Rkoijcu1DQ66FOWDCsa5MegwIQhwBS+26cPAim"
        "cQk9mzIJHcATrfcY7Pdz6PE=",
        "U1NIU0lHAAAAAQAAAZcAAAAHc3NoLXJzYQAAAAMBAAEAAAGBAIaKt9xG931wNG95TjDpNiims+1R3bm7kkotNavw"
        "PBJT85qNrRyq00scDfV9UhTSVzvYBUQ5oAA6gekWBsL9zHyYh/v98J+LLWtFJR+zr46rGhNovqvkGDAmw5beRCMJ"
        "E5v295Vpku8/gThy53vseIDfsYh4cofNN/e7eJS2Yqs2nT4qH1MISdE/eFAFJnbM66lKm+Jq78ASA9f9ZKLd7lPP"
        "ynZnML3DaZiA4X/PcwWnHy+HwiYFg5sCLx8L038/kxUXXa1Gu8oDj5jp72yAUetMkv+JcBnOe+C/wTb4+Yy58zMN"
        "IGflDfRvrzM1F0CP/ZRDpChqvRmWl4TfaTgKP7cFOFLFtYYGxNGhFHlU7X+jMzuS5lkDYCN+MhcmkM2IrGLvEh9l"
        "4jY02UEzR34/r7gXxKumnbt/AUyWWcPzQZxr8/jaYGh3pocTq4I6pmXB2s97hGSiKNy7UNDroU5YMKxrkx6DAhCH"
        "AFL7bpw8CKZxCT2bMgkdwBOt9xjs93Po8QAAAANnaXQAAAAAAAAABnNoYTUxMgAAAZQAAAAMcnNhLXNoYTItNTEy"
        "AAABgG2hFQe4EPAktqH5Z3pUdVtymiUgcv1OGYBhgJ1BDhuls3f9Cwg06RA0mHGG+0ydTQGdTVIZQeKeFtGenSFD"
        "2xdqYW+4mj0ikZp7gk9TdUEsxWrJFOEvf9M5xmhtV+pRSBQXqKwfj3ydz+QJxmWQNMuVa1K8Mha0yHunx7wgCF0h"
        "ZxdDCUOjdYDxhGaVXP1typI/6vGQmTga6xbgrr0LrVQaKLPMd+FxqdFDMdW9eslJt1nuB53bmeptPHK5Vms2gWq0"
        "J3NriIiCtjZrTqf1mCdEo5JzmBcL58IkxW3OMbhL7/uvjRWMWchHWafeDmrVSS983lypGYvY5q/6CNT54FRF9MWD"
        "ZTUhuaOklo3LQ1xM//Z0G8qaFiq44JAySWscJTaQHYPujZ2iUh715AFaa4zfpw13AqtDAICAvCJKztwpw+s5kl9k"
        "uNhV0RoyB2YffU1whbTlfe6FbN/Ym0CYG5OkDNssjq88peTZOznVrd8qYu7jf+ryB3JyTO62Zeepig==",
    ),
}
"""Public key and signature of `hello`, made with `ssh-keygen -Y sign -n git`."""
ALL = tuple(key for key, _ in MADE.values())


def armored(body: str) -> str:
    return f"-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n"


def check(body: str, message: bytes = b"hello", namespace: str = "git") -> str:
    return check_signature(armored(body), message, namespace=namespace, keys=ALL)


@pytest.mark.parametrize("kind", MADE)
def test_what_ssh_keygen_signed_is_taken_from_its_key_only(kind: str) -> None:
    key, body = MADE[kind]
    assert check(body).startswith("SHA256:")
    others = [other for other in ALL if other != key]
    for keys in (others, [], ["junk"], ["ssh-ed25519 %%%"]):
        with pytest.raises(SignatureRefused, match="not among the keys"):
            check_signature(armored(body), b"hello", namespace="git", keys=keys)
    with pytest.raises(SignatureRefused, match="not of this content"):
        check(body, b"hellO")
    with pytest.raises(SignatureRefused, match="another purpose"):
        check(body, namespace="file")


@given(st.sampled_from(sorted(MADE)), st.integers(0, 10_000), st.integers(1, 255))
def test_a_signature_with_any_bit_changed_is_refused(kind: str, at: int, flip: int) -> None:
    blob = bytearray(base64.b64decode(MADE[kind][1]))
    blob[at % len(blob)] ^= flip
    with pytest.raises(SignatureRefused):
        check(base64.b64encode(blob).decode())


@given(st.binary(max_size=200))
def test_junk_is_refused(junk: bytes) -> None:
    for body in (junk, b"SSHSIG\0\0\0\1" + junk):
        with pytest.raises(SignatureRefused):
            check(base64.b64encode(body).decode())
    with pytest.raises(SignatureRefused):
        check_signature(junk.decode(errors="replace"), b"", namespace="git", keys=ALL)
