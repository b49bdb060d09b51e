"""An act -> the same act signed with a personal key (Ed25519), and whether an act is as its signer signed it.

What is signed is the act itself as canonical JSON, the public key in it and all but the signature. Without a key an act
is by the operating system's user, marked *asserted*, since nothing proves it.
"""

import getpass
import os
from base64 import b64decode, b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.records import Json, canonical, digest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Proof = Literal["signed", "asserted", "broken"]
ASSERTED = " (asserted)"
SCHEME = "ed25519:"
KEY, SIGNATURE = "key", "signature"  # facts of a signed act
_MEANT_FOR = b"mlops_assets act 1\n"  # or a signature made for something else could be taken for one of an act
_OTHERS = 0o077


def person() -> str:
    """Return who acts without a key: the operating system's user, marked as asserted."""
    return f"{getpass.getuser()}{ASSERTED}"


def name_of(by: str) -> str:
    """Return the name in `by`, signed or asserted."""
    return by.removesuffix(ASSERTED)


def id_of(act: Act) -> str:
    """Return the act's sha256."""
    return digest(canonical(act))


def new_key(file: Path) -> str:
    """Write a new private key that only its owner can read, and return its public key.

    Raises:
        ValueError: If the file is there already: a key is never overwritten.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as problem:
        raise ValueError(f"{file} is there already; a key is never overwritten: choose another file") from problem
    with os.fdopen(handle, "wb") as out:
        out.write(text)
    return public_text(key)


def read_key(file: Path) -> "Ed25519PrivateKey":
    """Return the private key in `file`.

    Raises:
        ValueError: If it is no such key, or others may read it.
        OSError: If it cannot be read.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    mode = file.stat().st_mode & 0o777
    if mode & _OTHERS:
        raise ValueError(f"{file}: others may read or change this key (mode {mode:o}); right is chmod 600 {file}")
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
        raise ValueError(f"{file} is no private key; mlops-assets key NAME --out FILE makes one") from problem
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{file} is a key of another kind; right is Ed25519: mlops-assets key NAME --out FILE")
    return key


def public_text(key: "Ed25519PrivateKey") -> str:
    """Return the public key as `people.yaml` has it: `ed25519:` and 32 bytes in base64."""
    return SCHEME + b64encode(key.public_key().public_bytes_raw()).decode()


def public_bytes(text: str) -> bytes:
    """Return the 32 bytes of a public key.

    Raises:
        ValueError: If it is none.
    """
    try:
        found = b64decode(text.removeprefix(SCHEME), validate=True) if text.startswith(SCHEME) else b""
    except ValueError:
        found = b""
    if len(found) != 32 or text != SCHEME + b64encode(found).decode():
        raise ValueError(f"{text[:60]!r} is no public key; right is the line that `mlops-assets key` prints")
    return found


def sign(act: Act, key: "Ed25519PrivateKey") -> Act:
    """Return `act` with the public key and a signature of all of it."""
    named = msgspec.structs.replace(act, facts={**_unsigned(act), KEY: public_text(key)})
    signature = b64encode(key.sign(_signed_bytes(named))).decode()
    return msgspec.structs.replace(named, facts={**named.facts, SIGNATURE: signature})


def proof_of(act: Act) -> Proof:
    """Return whether a person's act is signed by the key that it names, is only asserted, or says what is not so."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key, signature = act.facts.get(KEY), act.facts.get(SIGNATURE)
    if key is None and signature is None:
        return "asserted" if act.by.endswith(ASSERTED) else "broken"
    try:
        public = Ed25519PublicKey.from_public_bytes(public_bytes(str(key)))
        public.verify(b64decode(str(signature), validate=True), _signed_bytes(act))
    except (InvalidSignature, ValueError):
        return "broken"
    return "broken" if act.by.endswith(ASSERTED) else "signed"


def _unsigned(act: Act) -> dict[str, Json]:
    return {name: value for name, value in act.facts.items() if name != SIGNATURE}


def _signed_bytes(act: Act) -> bytes:
    return _MEANT_FOR + canonical(msgspec.structs.replace(act, facts=_unsigned(act)))
