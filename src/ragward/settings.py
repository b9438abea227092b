"""All settings: one frozen model, from `ragward.toml`, then `RAGWARD_*` variables; unknown names are errors.

Unsafe combinations are refused when the process starts, not when they are used.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from ragward.domain.errors import ConfigurationError, InvalidRequestError
from ragward.domain.labels import Classification, require_principal, tenant_of
from ragward.domain.proof import ACR_LEVELS, AMR_LEVELS, DEVICE_VALUES, Assurance, Device

DEVELOPMENT_AUDIENCE = "https://ragward.invalid/api"
_ROOT: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}/[^/]{1,100}")
_POSIX: Final = re.compile(r"(?:uid|gid):\d{1,10}|(?:user|group):[^:\s]{1,64}")
_PUBLIC_URL: Final = re.compile(r"https://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


class IssuerSettings(BaseModel):
    """A token issuer that is trusted for one tenant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(description="Exact `iss` value.")
    tenant: str = Field(description="The tenant its subjects belong to.")
    jwks: str = Field(description="Key set: an https URL or a file path.")
    subject_claim: str = Field("sub", description="The immutable claim that names a person.")
    subject_prefix: str = Field(
        "", description="Put before the claim's value in `user:tenant/...`."
    )
    max_token_age_seconds: int = Field(
        43_200, ge=60, le=86_400, description="Oldest accepted `iat`."
    )
    acr_claim: str = Field("acr", description="The claim that says how somebody authenticated.")
    amr_claim: str = Field("amr", description="The claim that lists the methods they used.")
    auth_time_claim: str = Field("auth_time", description="The claim that says when they did.")
    device_claim: str = Field("device", description="The claim that says what their device is.")
    acr_levels: dict[str, str] = Field(
        default_factory=lambda: dict(ACR_LEVELS),
        description="acr value = single-factor, mfa or phishing-resistant; others prove nothing.",
    )
    amr_levels: dict[str, str] = Field(
        default_factory=lambda: dict(AMR_LEVELS), description="The same of single amr values."
    )
    device_values: dict[str, str] = Field(
        default_factory=lambda: dict(DEVICE_VALUES),
        description="Value of the device claim = managed or compliant; others are unknown.",
    )

    @field_validator("acr_levels", "amr_levels", "device_values")
    @classmethod
    def _require_words(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        kind = Device if info.field_name == "device_values" else Assurance
        for word in value.values():
            kind.parse(word)  # a ValueError says what is wrong
        return value


class ClassifierSettings(BaseModel):
    """A trained classifier; it says itself whose documents it is for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(description="What `ragward classifier train` wrote.")
    sha256: str = Field(
        pattern=r"^[0-9a-fA-F]{64}$", description="Its digest, as that command printed it."
    )


class SearchModelSettings(BaseModel):
    """A further embedding model, to take the place of the one that answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_dir: Path = Field(description="Its directory.")
    manifest: Path = Field(description='SHA-256 of each of its files: {"files": {path: sha256}}.')
    sha256: str = Field(
        pattern=r"^[0-9a-fA-F]{64}$",
        description="The manifest's digest, as `ragward model digest` prints it.",
    )


class ConsoleSettings(BaseModel):
    """Where people sign in to the console: OpenID Connect, authorization code with PKCE."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(description="Exact `iss` value: one of `issuers`.")
    client_id: str = Field(
        min_length=1,
        description="The console's client at that issuer, registered here as an application that is a public client.",
    )
    client_secret: SecretStr | None = Field(
        None, description="Its secret there; left out, the console is a public client there too."
    )
    authorization_endpoint: str = Field(description="https URL that browsers are sent to.")
    token_endpoint: str = Field(description="https URL that codes are exchanged at.")
    scopes: str = Field("openid", description="What is asked for, separated by spaces.")

    @field_validator("authorization_endpoint", "token_endpoint")
    @classmethod
    def _require_https(cls, value: str) -> str:
        place = urlsplit(value)
        near = place.scheme == "http" and is_loopback(place.hostname or "")
        if not place.hostname or place.fragment or not (place.scheme == "https" or near):
            raise ValueError("the console's endpoints are https URLs, or http on this machine")
        return value

    @field_validator("scopes")
    @classmethod
    def _require_openid(cls, value: str) -> str:
        if "openid" not in value.split():
            raise ValueError("scopes hold openid: without an ID token there is no nonce")
        return value


class Settings(BaseSettings):
    """What an installation can choose."""

    model_config = SettingsConfigDict(
        env_prefix="RAGWARD_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    data_dir: Path = Field(description="Catalog, index and audit log; holds no keys.")
    keyring: Path = Field(description="The keyring file; outside data_dir and its backups.")
    passphrase: str = Field(
        "prompt:",
        description="Where the keyring's passphrase comes from: prompt:, file:PATH, fd:N, credential:NAME, env:NAME (demo only).",
    )
    keys_uri: str = Field(
        "file:",
        description="Where KEKs are: file: (in `keyring`), pkcs11:..., awskms:..., vault:... or broker:SOCKET (docs/keys.md).",
    )
    keys_for: dict[str, str] = Field(
        default_factory=dict,
        description="CLASSIFICATION = URI: classifications whose KEKs are elsewhere than keys_uri says.",
    )
    keys_role: Literal["service", "query", "ingest"] = Field(
        "service",
        description="What this process may do with keys: service (all), query (unwrap only), ingest (wrap, and open vectors only).",
    )
    keys_rotate_after_days: dict[str, int] = Field(
        default_factory=lambda: {
            "PUBLIC": 730,
            "INTERNAL": 365,
            "CONFIDENTIAL": 365,
            "RESTRICTED": 90,
        },
        description="CLASSIFICATION = days after which `keys status` and `doctor` call its KEK due; 365 for what is left out.",
    )
    policy_key: Path | None = Field(
        None,
        description="The administration key that policy is signed with, its public key beside it (.pub); left out, policy-signing.key beside `keyring`. Processes that cannot read it write no policy.",
    )
    policy_seen: Path | None = Field(
        None,
        description="Directory of the newest policy roots seen, outside data_dir and the database; left out, DATA_DIR.policy-roots.",
    )
    audit_origin: str = Field(
        "ragward/audit",
        pattern=r"^[^\s+]{1,200}$",
        description="The name of the audit log in what it signs; one of its own for each installation.",
    )
    audit_anchors: tuple[str, ...] | None = Field(
        None,
        description="Where checkpoints of the audit log are kept: file:PATH, https: URLs; left out, a file beside data_dir.",
    )
    audit_export: tuple[str, ...] = Field(
        (),
        description="Where the audit log is sent as OCSF lines: file:PATH, syslog+udp:// syslog+tcp:// or syslog+tls://HOST:PORT, https: URLs (docs/export.md).",
    )
    audit_export_names: Literal["named", "tagged"] = Field(
        "named",
        description="Principals in exported lines as they are, or as keyed tags; one that holds an @ is always a tag.",
    )
    audit_export_token: SecretStr | None = Field(
        None, description="Bearer token that receivers of the export are shown."
    )
    audit_export_ca: Path | None = Field(
        None, description="Certificates that receivers of the export are verified with."
    )
    otel_endpoint: str = Field(
        "",
        description="Where spans of retrievals are sent: the URL of an OTLP/HTTP collector; empty means no tracing (docs/export.md#spans).",
    )
    ingest_engine: Literal["local", "dask"] = Field(
        "local",
        description="What reads documents: this process, or Dask workers (docs/ingesting.md).",
    )
    dask_scheduler: str | None = Field(
        None,
        description="The cluster's scheduler, tls: beyond this machine; left out, `dask_workers` processes of this machine.",
    )
    dask_workers: int = Field(2, ge=1, le=256, description="Worker processes without a scheduler.")
    dask_tls_ca: Path | None = Field(None, description="Certificate of the cluster's authority.")
    dask_tls_cert: Path | None = Field(
        None, description="Certificate that the cluster knows us by."
    )
    dask_tls_key: Path | None = Field(None, description="Its private key.")
    database_url: str = Field("", description="SQLAlchemy URL; empty means SQLite in data_dir.")
    audit_database_url: str = Field(
        "",
        description="PostgreSQL database of the audit log (docs/audit.md); empty means SQLite in data_dir.",
    )
    qdrant_url: str = Field(
        "", description="Qdrant server; empty means the embedded engine in data_dir."
    )
    qdrant_api_key: SecretStr | None = Field(None, description="API key of the Qdrant server.")
    model_dir: Path | None = Field(
        None, description="Directory of the embedding model; empty means the installed wheel."
    )
    search_models: tuple[SearchModelSettings, ...] = Field(
        (),
        description="Models of further generations of vectors (docs/vectors.md#another-model); model_dir stays the one that reads names.",
    )
    policies_dir: Path | None = Field(
        None,
        description="Directory with every file of the shipped `policies/`, changed as you need; empty means the shipped ones. `ragward doctor` names what it lacks.",
    )
    classifiers: tuple[ClassifierSettings, ...] = Field(
        (),
        description="Trained classifiers, one per tenant at most; without one, rules alone (docs/classification.md).",
    )
    names_engine: Path | None = Field(
        None,
        description="presidio's analyzer configuration, for names by spaCy, transformers or GLiNER; empty means the trained detector.",
    )
    four_eyes: bool = Field(
        True,
        description="A policy change that touches RESTRICTED, and a lower classification than RESTRICTED, wait for a second person.",
    )
    max_agents: int = Field(
        3, ge=0, le=9, description="Longest chain of agents that may act for a person."
    )
    agents_need_task_grant: bool = Field(
        False, description="Agents are answered only under a task grant (docs/agents.md)."
    )
    task_grant_max_minutes: int = Field(
        60, ge=1, le=1440, description="Longest that a task grant may hold."
    )
    audience: str = Field(DEVELOPMENT_AUDIENCE, description="The `aud` tokens must carry.")
    issuers: tuple[IssuerSettings, ...] = Field((), description="Trusted token issuers.")
    allowed_client_pairs: tuple[tuple[str, str], ...] = Field(
        (),
        description="(application's client id, client id in a person's token): tokens issued to another client that this application may bring.",
    )
    development_issuer: Path | None = Field(
        None, description="Directory of a local development issuer; loopback only."
    )
    development_tenants: tuple[str, ...] = Field(
        (), description="Tenants the development issuer may speak for."
    )
    console: ConsoleSettings | None = Field(
        None,
        description="How people sign in to `/console`; left out, only the development issuer signs in there, and without that there is no console (docs/console.md).",
    )
    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: int = Field(8420, ge=0, le=65_535, description="Port the API listens on.")
    public_url: str = Field(
        "",
        description="The https URL, without a path, at which others reach the API; needed for `/.well-known/authzen-configuration`.",
    )
    mcp_hosts: tuple[str, ...] = Field(
        (),
        description="Further HOST or HOST:PORT by which `/mcp` may be reached, beside loopback and that of public_url (docs/mcp.md).",
    )
    mcp_issuers: tuple[str, ...] = Field(
        (),
        description="Issuers that `/.well-known/oauth-protected-resource` names; left out, the trusted issuer where there is only one.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        (),
        description="CIDRs of proxies whose X-Forwarded-For and Client-Cert (RFC 9440) are believed; of nobody else.",
    )
    zones: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="NAME = CIDRs: networks that handling.toml and assurance.toml can demand.",
    )
    alerts: tuple[str, ...] = Field(
        (),
        description="Where emergencies are announced before they begin: file:PATH, https: URLs; without one there are none.",
    )
    max_body_bytes: int = Field(30 * 2**20, ge=1024, le=2**30, description="Largest request body.")
    max_file_bytes: int = Field(20 * 2**20, ge=1024, le=2**30, description="Largest document.")
    parser_seconds: int = Field(
        20, ge=1, le=600, description="Longest a parser may take for one document."
    )
    requests_per_minute: int = Field(120, ge=1, description="Requests per subject and minute.")
    agent_requests_per_minute: int | None = Field(
        None,
        ge=1,
        description="Requests per agent and minute, for whomever; left out, 50 times a subject's.",
    )
    limits_uri: str = Field(
        "memory:",
        pattern=r"^(memory:|catalog:|rediss?://|redis\+unix://)",
        description="Where requests are counted: memory: (this installation's owner), catalog: (its database), redis:, rediss: or redis+unix: URLs.",
    )
    concurrent_requests: int = Field(
        8, ge=1, le=1024, description="Requests of one subject at the same time."
    )
    request_seconds: int = Field(30, ge=1, le=600, description="Longest a request may take.")
    ingest_roots: dict[str, Path] = Field(
        default_factory=dict,
        description="TENANT/NAME = directory: where REST ingest jobs of that tenant may read.",
    )
    ingest_urls: dict[str, str] = Field(
        default_factory=dict,
        description="TENANT/NAME = fsspec URL: the same where documents lie in an object store.",
    )
    loaders: dict[str, str] = Field(
        default_factory=dict,
        description="SUFFIX = distribution whose `ragward.loaders` entry point reads such files (docs/ingesting.md).",
    )
    everybody: dict[str, str] = Field(
        default_factory=dict,
        description="TENANT = group that documents are granted to which are open to everybody at their source; without it, to nobody.",
    )
    posix_principals: dict[str, str] = Field(
        default_factory=dict,
        description="uid:N, gid:N, user:NAME or group:NAME of this machine = principal, for sources whose owners and modes say who may read.",
    )
    gone_grace_days: int = Field(
        7,
        ge=0,
        le=3650,
        description="Days after which a document that its source no longer has is deleted by the next job that misses it; 0 is at once.",
    )
    gone_ask_above_percent: int = Field(
        20,
        ge=0,
        le=100,
        description="More of a source than this missing at once, and more than five documents, is `source.many_gone` until confirmed.",
    )
    sealed_memory_mb: int = Field(
        1024, ge=16, le=2**20, description="Memory for decrypted vectors of sealed classifications."
    )
    sealed_idle_seconds: int = Field(
        600,
        ge=1,
        le=86_400,
        description="Decrypted vectors that nobody asked for are dropped then.",
    )
    embedding_threads: int = Field(2, ge=1, le=64, description="Threads of the embedding model.")
    log_format: Literal["json", "console"] = Field(
        "json", description="Log lines as JSON or for people."
    )
    egress_hosts: tuple[str, ...] = Field(
        (),
        description="Further hosts that a serving process may connect to, beside those of database_url, qdrant_url and key sets.",
    )
    demo: bool = Field(False, description="A throw-away installation: allows env: passphrases.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments over variables over the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @classmethod
    def load(cls, file: Path | None = None, **values: Any) -> Settings:
        """Settings from `file` (TOML), the environment and `values`. Raises `config.invalid`."""
        if file is not None and not file.is_file():
            raise ConfigurationError(f"there is no settings file {file.name}")
        try:
            return cls._of(file)(**values)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
                for item in error.errors(include_input=False)
            )
            raise ConfigurationError(problems) from None
        except (
            OSError,
            ValueError,
        ) as error:  # of the file itself: not readable, not TOML, not UTF-8
            raise ConfigurationError(f"the settings file cannot be read: {error}") from None

    @classmethod
    def _of(cls, file: Path | None) -> type[Settings]:
        """These settings; pydantic takes the name of a file from the class."""
        if file is None:
            return cls

        class FromFile(cls):  # type: ignore[valid-type,misc]  # a class made in a method: mypy cannot follow
            model_config = SettingsConfigDict(toml_file=file)

        return FromFile

    @field_validator("ingest_roots", "ingest_urls")
    @classmethod
    def _require_tenant(cls, value: dict[str, Any]) -> dict[str, Any]:
        """What lies in a root becomes readable to whoever may ingest, so each is one tenant's."""
        if not all(_ROOT.fullmatch(name) for name in value):
            raise ValueError("a root is named TENANT/NAME")
        return value

    @field_validator("everybody", "posix_principals")
    @classmethod
    def _require_principals(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        for key, principal in value.items():
            try:
                tenant = tenant_of(require_principal(principal))
            except InvalidRequestError as error:
                raise ValueError(error.detail) from None
            if info.field_name == "everybody":
                if tenant != key or not principal.startswith("group:"):
                    raise ValueError("everybody of a tenant is a group of that tenant")
            elif not _POSIX.fullmatch(key):
                raise ValueError("posix_principals names uid:N, gid:N, user:NAME or group:NAME")
        return value

    @field_validator("keys_for")
    @classmethod
    def _require_classification(cls, value: dict[str, str]) -> dict[str, str]:
        if not value.keys() <= set(Classification.__members__):
            raise ValueError("keys_for names classifications")
        return value

    @field_validator("keys_rotate_after_days")
    @classmethod
    def _require_days(cls, value: dict[str, int]) -> dict[str, int]:
        if not value.keys() <= set(Classification.__members__):
            raise ValueError("keys_rotate_after_days names classifications")
        if not all(1 <= days <= 3650 for days in value.values()):
            raise ValueError("keys are rotated after 1 to 3650 days")
        return value

    @field_validator("trusted_proxies", "zones")
    @classmethod
    def _require_networks(cls, value: Any) -> Any:
        groups = value.values() if isinstance(value, dict) else [value]
        for cidr in (cidr for group in groups for cidr in group):
            ipaddress.ip_network(cidr)  # a ValueError says what is wrong
        return value

    @field_validator("public_url")
    @classmethod
    def _require_public_url(cls, value: str) -> str:
        """AuthZEN 1.0, 9.1.1: the identifier has the https scheme, no query and no fragment."""
        if value and not _PUBLIC_URL.fullmatch(value):
            raise ValueError("public_url is https://HOST or https://HOST:PORT and nothing more")
        return value

    @field_validator("otel_endpoint")
    @classmethod
    def _require_protected(cls, value: str) -> str:
        """Spans say which documents were read: they travel under TLS, or stay on this machine."""
        if value:
            place = urlsplit(value)
            near = place.scheme == "http" and is_loopback(place.hostname or "")
            if not place.hostname or not (place.scheme == "https" or near):
                raise ValueError("otel_endpoint is an https URL, or http on this machine")
        return value

    @model_validator(mode="after")
    def _require_one_place(self) -> Settings:
        if both := self.ingest_roots.keys() & self.ingest_urls.keys():
            raise ValueError(f"{min(both)} is a directory and a URL")
        return self

    @model_validator(mode="after")
    def _refuse_unsafe(self) -> Settings:
        data = self.data_dir.resolve()
        secrets = {
            "keyring": self.keyring,
            "policy_key": self.policy_key_file,
            "policy_seen": self.policy_roots_seen,
        }
        if self.passphrase.startswith("file:"):
            secrets["passphrase"] = Path(self.passphrase.removeprefix("file:"))
        if self.development_issuer is not None:
            secrets["development_issuer"] = self.development_issuer
        for name, path in secrets.items():
            if path.resolve().is_relative_to(data):
                raise ValueError(
                    f"{name} must lie outside data_dir: a copy of the data must not open it"
                )
        if self.passphrase.startswith("env:") and not self.demo:
            raise ValueError("a passphrase from the environment is for demos only")
        if self.development_issuer is not None and not is_loopback(self.host):
            raise ValueError(
                "the development issuer is refused on an address that others can reach"
            )
        return self

    @model_validator(mode="after")
    def _require_issuer_of_console(self) -> Settings:
        if self.console and self.console.issuer not in {each.issuer for each in self.issuers}:
            raise ValueError("the console's issuer is one of issuers")
        return self

    @property
    def needs_passphrase(self) -> bool:
        """Whether a keyring is a file under a passphrase."""
        return "file:" in (self.keys_uri, *self.keys_for.values())

    @property
    def other_keyrings(self) -> dict[Classification, tuple[str, Path]]:
        """(URI, keyring file beside the main one) of the classifications that have a keyring of their own."""
        return {
            Classification[name]: (
                uri,
                self.keyring.with_name(f"{self.keyring.stem}.{name.lower()}{self.keyring.suffix}"),
            )
            for name, uri in self.keys_for.items()
        }

    @property
    def rotate_after_days(self) -> dict[Classification, int]:
        """`keys_rotate_after_days`, by classification."""
        return {Classification[name]: days for name, days in self.keys_rotate_after_days.items()}

    @property
    def dask_tls(self) -> tuple[Path, Path, Path] | None:
        """Authority, certificate and key of the cluster, where all are given."""
        ca, cert, key = self.dask_tls_ca, self.dask_tls_cert, self.dask_tls_key
        return (ca, cert, key) if ca and cert and key else None

    @property
    def base_url(self) -> str:
        """Where addresses of what the API serves begin."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"

    @property
    def audit_log(self) -> Path:
        """The log's file."""
        return self.data_dir / "audit.db"

    @property
    def audit_spools(self) -> Path:
        """Where processes leave events for the log's writer."""
        return self.audit_log.with_suffix(".spool")

    @property
    def export_places(self) -> Path:
        """Where exports keep how far they have come."""
        return self.data_dir / "exports"

    @property
    def audit_anchor_uris(self) -> Sequence[str]:
        """Where checkpoints of the log are kept: unless the settings say otherwise, in a file beside the data directory."""
        if self.audit_anchors is None:
            beside = self.data_dir.with_name(f"{self.data_dir.name}.checkpoints")
            return (f"file:{beside}",)
        return self.audit_anchors

    @property
    def policy_key_file(self) -> Path:
        """Where the administration key is, if it is here."""
        return self.policy_key or self.keyring.with_name("policy-signing.key")

    @property
    def policy_roots_seen(self) -> Path:
        """Where the newest policy roots are remembered."""
        return self.policy_seen or self.data_dir.with_name(f"{self.data_dir.name}.policy-roots")

    @property
    def broker_origin(self) -> str:
        """The name of a key broker's own log."""
        return f"{self.audit_origin}/broker"

    @property
    def broker_log(self) -> Path:
        """The log of a key broker that these settings start: beside its keyring."""
        return self.keyring.with_name("broker-audit.db")

    @property
    def catalog_url(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.database_url or f"sqlite:///{self.data_dir / 'catalog.db'}"


def outgoing_hosts(settings: Settings) -> frozenset[str]:
    """The hosts that these settings make a serving process connect to."""
    urls: list[str | None] = [settings.database_url, settings.audit_database_url]
    urls.append(settings.qdrant_url)
    urls += [settings.limits_uri] if settings.limits_uri.startswith("redis") else []
    sinks = (*settings.audit_anchor_uris, *settings.audit_export, *settings.alerts)
    urls += [uri for uri in sinks if not uri.startswith("file:")]
    urls.append(settings.otel_endpoint)
    urls += [settings.console.token_endpoint] if settings.console else []
    urls += [issuer.jwks for issuer in settings.issuers if "://" in issuer.jwks]
    urls += [_key_service(uri) for uri in (settings.keys_uri, *settings.keys_for.values())]
    named = (urlsplit(url).hostname for url in urls if url)
    return frozenset({*settings.egress_hosts, *(host for host in named if host)})


def _key_service(uri: str) -> str | None:
    """Where a provider of KEKs is reached over the network, as a URL; for AWS, what the region's name says."""
    scheme, _, rest = uri.partition(":")
    where, _, query = rest.partition("?")
    if scheme == "vault":
        return where
    if scheme != "awskms":
        return None
    given = dict(parse_qsl(query))
    region = given.get("region")
    return given.get("endpoint") or (f"https://kms.{region}.amazonaws.com" if region else None)


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
