"""The environment, read once: the only module that reads `os.environ`."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A proxy in front of the endpoints: the lower-case header in which it names who asks, and where it asks from."""

    header: bytes
    networks: tuple[Network, ...]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where this deployment keeps and finds things.

    `home` holds evidence, logs and state; relative source paths start from `root`; `defs` holds the declarations.
    `alerts` are the URLs that alerts go to; they hold secrets. On Kubernetes, trainings with a GPU run on nodes with
    the labels `gpu_nodes`, and with `step_pods` each asset that is materialized by hand has a pod of its own.
    `personal_key` is a file with a secret, of which each product's key is made that hashes personal columns.
    `access` is the folder that says who may do what at the endpoints, if it is not in `home`; `proxy` tells who asks.
    """

    home: Path
    root: Path
    defs: Path
    dagster_home: Path
    mlflow_uri: str
    ui_url: str
    alerts: tuple[str, ...] = field(default=(), repr=False)
    gpu_nodes: Mapping[str, str] = field(default_factory=dict[str, str])
    step_pods: bool = False
    key: Path | None = None
    personal_key: Path | None = None
    access: Path | None = None
    proxy: Proxy | None = None

    def files(self, product: str) -> Path:
        """Return the folder in which a product's source function may keep the files that its rows name."""
        return self.home / "data" / product

    @property
    def access_folder(self) -> Path:
        """The folder with a file of names for each product."""
        return self.access or self.home / "access"

    def serving(self, product: str) -> Path:
        """Return the folder in which a product's endpoint keeps its state and its log."""
        return self.home / "serving" / product


def load_settings(*, home: Path | None = None) -> Settings:
    """Return the settings of this process; `home` overrides `MLOPS_ASSETS_HOME` and what goes with it."""
    root = Path(os.environ.get("MLOPS_ASSETS_ROOT", PACKAGE.parent)).resolve()
    moved = home is not None
    chosen = (home or Path(os.environ.get("MLOPS_ASSETS_HOME", root / ".mlops_assets"))).resolve()
    return Settings(
        home=chosen,
        root=root,
        defs=Path(os.environ.get("MLOPS_ASSETS_DEFS", PACKAGE / "defs")).resolve(),
        dagster_home=Path(_set("DAGSTER_HOME", str(chosen / "dagster"), ignore=moved)),
        mlflow_uri=_set("MLFLOW_TRACKING_URI", f"sqlite:///{chosen / 'mlflow.db'}", ignore=moved),
        ui_url=os.environ.get("MLOPS_ASSETS_UI", "http://127.0.0.1:3000"),
        alerts=_urls(os.environ.get("MLOPS_ASSETS_ALERTS", "")),
        gpu_nodes=_labels(os.environ.get("MLOPS_ASSETS_GPU_NODES", "")),
        step_pods=os.environ.get("MLOPS_ASSETS_STEP_PODS") == "true",
        key=Path(signing).expanduser() if (signing := os.environ.get("MLOPS_ASSETS_KEY")) else None,
        personal_key=Path(secret).expanduser() if (secret := os.environ.get("MLOPS_ASSETS_PERSONAL_KEY")) else None,
        access=Path(folder).resolve() if (folder := os.environ.get("MLOPS_ASSETS_ACCESS")) else None,
        proxy=_proxy(os.environ.get("MLOPS_ASSETS_PROXY_HEADER", ""), os.environ.get("MLOPS_ASSETS_PROXIES", "")),
    )


def exports(settings: Settings) -> dict[str, str]:
    """Return the variables that make another process use `settings`; telemetry is off in all of it."""
    return {
        "DAGSTER_HOME": str(settings.dagster_home),
        "MLOPS_ASSETS_HOME": str(settings.home),
        "MLOPS_ASSETS_ROOT": str(settings.root),
        "MLOPS_ASSETS_DEFS": str(settings.defs),
        "MLFLOW_TRACKING_URI": settings.mlflow_uri,
        "MLOPS_ASSETS_UI": settings.ui_url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "DO_NOT_TRACK": "true",
        "WHYLOGS_NO_ANALYTICS": "1",
    }


def image() -> str | None:
    """Return the container image that this process runs in, or None outside of one."""
    return os.environ.get("MLOPS_ASSETS_IMAGE")


def environment(settings: Settings) -> dict[str, str]:
    """Return the whole environment of a child process that uses `settings`."""
    return {**os.environ, **exports(settings)}


def adopt(settings: Settings) -> None:
    """Make this process one that uses `settings`, for what reads the environment later (Dagster, MLflow)."""
    os.environ.update(exports(settings))


def _labels(text: str) -> dict[str, str]:
    """Return the labels in `name=value,name=value`.

    Raises:
        ValueError: If it is something else.
    """
    pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    if wrong := [name for name, sign, value in pairs if not (name and sign and value)]:
        raise ValueError(f"MLOPS_ASSETS_GPU_NODES: {wrong[0]!r} is no label; right is name=value,name=value")
    return {name: value for name, _, value in pairs}


def _proxy(header: str, networks: str) -> Proxy | None:
    """Return the proxy whose header tells who asks, or None without one.

    Raises:
        ValueError: If only one of both is set, or an address is none.
    """
    if not header and not networks:
        return None
    if not header or not networks:
        raise ValueError(
            "MLOPS_ASSETS_PROXY_HEADER and MLOPS_ASSETS_PROXIES go together: the header that names who asks, and the "
            "addresses that it is believed from, such as 10.0.0.0/8"
        )
    try:
        found = tuple(ip_network(part.strip()) for part in networks.split(",") if part.strip())
    except ValueError as problem:
        raise ValueError(f"MLOPS_ASSETS_PROXIES: {problem}; right is 10.1.2.3,10.2.0.0/16") from problem
    return Proxy(header=header.strip().lower().encode(), networks=found)


def _urls(text: str) -> tuple[str, ...]:
    """Return URLs that whitespace or a comma separates; a comma inside of one belongs to it."""
    parts = (part.strip(",") for part in re.split(r"\s+|,(?=\s*[A-Za-z][\w+-]*://)", text))
    return tuple(part for part in parts if part)


def _set(name: str, default: str, *, ignore: bool) -> str:
    """Return a variable, or `default`; a home given by hand ignores what belongs to the environment's own home."""
    return default if ignore else os.environ.get(name, default)
