"""What a person does about each thing that `ragward doctor` can find, in words."""

from __future__ import annotations

from typing import Final

from ragward.domain.errors import CODES

_BY_CODE: Final = {
    "config.already_initialised": "nothing: it was initialised before",
    "config.generation": "`ragward model status` says which generations of vectors there are",
    "config.index_owned": "another process holds the installation and does not share it, such as an ingest or a backup: "
    "wait until it ends, or stop it; beside `ragward serve` every command works",
    "config.invalid": "correct what it names; `ragward config` shows the settings in force, docs/reference.md what each means",
    "config.model_mismatch": "set `model_dir` back to the model that the index was built with, or ingest everything anew "
    "(docs/runbook.md, another embedding model)",
    "config.newer_version": "run the version of ragward that wrote this; there is no way down",
    "config.not_initialised": "a new installation: `ragward init --tenant NAME --admin user:NAME/PERSON`; "
    "one of an earlier version: back it up, then `ragward upgrade`",
    "config.passphrase": "check `passphrase` in the settings: that its source is there, is readable by this user alone, and is "
    "the passphrase of this keyring",
    "config.policy_key": "a new installation: `ragward init` makes it; otherwise put the public key back beside `policy_key`; of one from before signed policy: "
    "`ragward policy sign --tenant NAME`",
    "integrity.audit": "stop the service; copy audit.db away as evidence; `ragward audit verify` on the copy says what was "
    "changed (docs/runbook.md)",
    "integrity.keyring": "put the keyring file back from its own backup; do not `ragward init` again",
    "integrity.model": "install the model again (`pip install --force-reinstall 'ragward[model]'`), and find out who changed it",
    "integrity.policy": "somebody edited the database: compare with the log's digests and a backup",
    "integrity.policy_root": "`ragward policy verify` names what is not as it was signed; compare with a backup, then "
    "`ragward tenant repair NAME`, or `ragward policy sign --tenant NAME --accept` once somebody looked",
    "unavailable.audit": "the log cannot be written: look for a full disk, and at owner and mode of data_dir",
    "unavailable.catalog": "the database cannot be reached: is it running, is `database_url` right, may this user connect?",
    "unavailable.egress": "a host is not named by the settings: if it should be, add it to `egress_hosts`",
    "unavailable.identity": "the issuer's key set cannot be read: check `jwks` of each of `issuers`",
    "unavailable.index": "the index cannot be read: is Qdrant running (`qdrant_url`)? Otherwise `ragward index rebuild`",
    "unavailable.keys": "the key provider or broker is away, or `keys_role` does not permit it: start the broker, or check "
    "`keys_uri` and the provider's credentials",
    "unavailable.limiter": "what `limits_uri` names is away: bring it back; until then only INTERNAL and below is answered",
    "unavailable.policy": "a policy row in the database is not valid: `ragward tenant repair NAME`, then find out who wrote it",
    "unavailable.policy_key": "write policy where the administration key is; here it only has to be verified",
}


def advice(code: str) -> str:
    """What to do about an error of this code."""
    return _BY_CODE.get(code) or f"{CODES.get(code, 'unknown')} See {code} in docs/runbook.md"
