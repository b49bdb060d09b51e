"""One endpoint process: serve, follow the desired deployment, beat, drain.

It needs nothing but the product's folder and the store. When everything else is down it serves what it has loaded; when
the store is down too, it starts from the copies of what it served last.
"""

import asyncio
import socket

from mlops_assets.product import ModelProduct
from mlops_assets.serving.access.opening import access_at
from mlops_assets.serving.page.page import Tracer
from mlops_assets.serving.worker.endpoint import Endpoint, How
from mlops_assets.serving.worker.events import Kept
from mlops_assets.serving.workers import ClockKind
from mlops_assets.settings import Settings


def serve(
    product: ModelProduct,
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    clock: ClockKind = "server",
    kept: Kept = "events",
    linger_s: float = 0.0,
    tracer: Tracer | None = None,
) -> int:
    """Serve `product` until SIGTERM or SIGINT, then answer what is in flight, finish the log and return 0.

    Port 0 is any free one. Prints one line with the URL once it answers. After a signal it goes on for `linger_s`,
    but is not ready. `tracer` computes the proofs that its page shows.

    Raises:
        ValueError: If other machines could ask, and nobody would have to say who asks.
        OSError: If the port is taken.
    """
    access = access_at(host, product.name, settings)
    listening = socket.create_server((host, port), backlog=2048)
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    url = f"http://{name}:{listening.getsockname()[1]}"
    how = How(url=url, clock=clock, access=access, kept=kept, linger_s=linger_s, tracer=tracer)
    endpoint = Endpoint(product, settings, how)
    with asyncio.Runner(loop_factory=endpoint.server.config.get_loop_factory()) as runner:
        runner.run(endpoint.run(listening))
    return 0
