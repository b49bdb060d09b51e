"""Whether an endpoint may open at a host, and who has to say who they are there."""

from datetime import UTC, datetime
from ipaddress import ip_address

from mlops_assets.serving.access.access import Access
from mlops_assets.settings import Settings


def access_at(host: str, product: str, settings: Settings) -> Access:
    """Return who may do what at a product's endpoint that listens at `host`.

    Raises:
        ValueError: If other machines could ask, and nobody would have to say who asks; or the file of names is broken.
        OSError: If that file cannot be read.
    """
    access = Access(settings.access_folder, product, loopback=is_loopback(host), proxy=settings.proxy)
    access.reload(datetime.now(UTC))
    if access.on and not access.names and settings.proxy is None:
        raise ValueError(
            f"at {host} other machines can ask, and {access.file} names nobody who may; right is to make a key first: "
            f"mlops-assets access {product} add NAME --can predict,read; or to name a proxy that knows who asks "
            "(MLOPS_ASSETS_PROXY_HEADER, MLOPS_ASSETS_PROXIES); or to serve at 127.0.0.1"
        )
    return access


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
