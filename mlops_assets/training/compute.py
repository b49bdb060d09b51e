"""What a product's `compute:` says -> the pool of its training, the tags of its runs, and so the pods they run in."""

from collections.abc import Mapping

from mlops_assets.evidence.records import Json, canonical
from mlops_assets.product import ModelProduct
from mlops_assets.rules import Compute

K8S = "dagster-k8s/config"  # of a run: read by K8sRunLauncher; of a step: read by k8s_job_executor
GPU = "nvidia.com/gpu"


def gpu_pool(product: ModelProduct) -> str | None:
    """Return the pool that trainings wait for: `gpu` if one of any segment needs one, since pools are per asset."""
    return "gpu" if largest(product).gpu else None


def largest(product: ModelProduct) -> Compute:
    """Return the most that trainings ask of a machine, where it is not known whose segment one will be."""
    asked = [product.compute.of(segment) for segment in product.segments]
    most = {
        "gpu": max(each.gpu for each in asked),
        "cpu": max(each.cpu for each in asked),
        "memory": max((each.memory for each in asked), key=_bytes),
    }
    return product.compute.model_copy(update={**most, "segments": {}})


def pod_tags(compute: Compute, gpu_nodes: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a run, or of a step, that make its pod as large as a training needs."""
    return {K8S: canonical(pod_resources(compute, gpu_nodes)).decode()}


def pod_resources(compute: Compute, gpu_nodes: Mapping[str, str]) -> dict[str, Json]:
    """Return what a pod asks of Kubernetes, as dagster-k8s wants it; one with GPUs runs on nodes with these labels."""
    asked: dict[str, Json] = {"cpu": f"{compute.cpu:g}", "memory": compute.memory}
    gpus: dict[str, Json] = {GPU: str(compute.gpu)} if compute.gpu else {}
    resources: Json = {"requests": {**asked, **gpus}, "limits": {"memory": compute.memory, **gpus}}
    container: dict[str, Json] = {"container_config": {"resources": resources}}
    if not compute.gpu:
        return container
    tolerated: Json = [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]  # how such nodes are kept free
    selected: dict[str, Json] = {"node_selector": dict(gpu_nodes)} if gpu_nodes else {}
    return {**container, "pod_spec_config": {"tolerations": tolerated, **selected}}


def _bytes(memory: str) -> int:
    return int(memory[:-2]) << {"Mi": 20, "Gi": 30}[memory[-2:]]
