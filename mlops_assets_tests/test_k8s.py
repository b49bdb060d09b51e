"""The manifests: what a schema cannot see, and what the cluster's dagster.yaml makes of a run."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterRun
from dagster._config import process_config
from dagster._core.instance.config import dagster_instance_config
from dagster_k8s import K8sRunLauncher
from dagster_k8s.job import DagsterK8sJobConfig, construct_dagster_k8s_job, get_user_defined_k8s_config
from kubernetes.client import ApiClient

from mlops_assets.product import ModelProduct
from mlops_assets.training.assets import model_asset

K8S = Path(__file__).resolve().parent.parent / "k8s"
OVERLAYS = sorted(path.parent.name for path in K8S.glob("overlays/*/kustomization.yaml"))
NO_MANIFEST = {"kustomization.yaml", "dagster.yaml", "workspace.yaml"}
GIVEN_BY_HAND = {"dagster-postgres"}  # secrets are no part of a repository
Object = dict[str, Any]


def read(path: Path) -> list[Object]:
    return list(yaml.safe_load_all(path.read_text()))


def objects() -> list[Object]:
    return [found for path in sorted(K8S.rglob("*.yaml")) if path.name not in NO_MANIFEST for found in read(path)]


def named(kind: str) -> set[str]:
    return {found["metadata"]["name"] for found in objects() if found["kind"] == kind}


def workloads() -> list[Object]:
    return [found for found in objects() if found["kind"] in {"Deployment", "StatefulSet"}]


def pod(workload: Object) -> Object:
    return workload["spec"]["template"]["spec"]


def name_of(workload: Object) -> str:
    return workload["metadata"]["name"]


def labels(workload: Object) -> dict[str, str]:
    return workload["spec"]["template"]["metadata"]["labels"]


def launcher() -> Object:
    [instance] = read(K8S / "base" / "dagster.yaml")
    return instance["run_launcher"]["config"]


def references(spec: Object) -> Iterator[tuple[str, str]]:
    """Yield kind and name of every object that a pod needs."""
    for volume in spec.get("volumes", []):
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
    for container in spec["containers"]:
        yield from (("ConfigMap", source["configMapRef"]["name"]) for source in container.get("envFrom", []))
        for variable in container.get("env", []):
            if "valueFrom" in variable:
                yield "Secret", variable["valueFrom"]["secretKeyRef"]["name"]
    if "serviceAccountName" in spec:
        yield "ServiceAccount", spec["serviceAccountName"]


def known() -> set[tuple[str, str]]:
    [kustomization] = read(K8S / "base" / "kustomization.yaml")
    generated = {("ConfigMap", entry["name"]) for entry in kustomization["configMapGenerator"]}
    secrets = {("Secret", name) for name in GIVEN_BY_HAND}
    return {(found["kind"], found["metadata"]["name"]) for found in objects()} | generated | secrets


@pytest.mark.parametrize("folder", ["base", *(f"overlays/{name}" for name in OVERLAYS)])
def test_a_kustomization_lists_every_file_beside_it(folder: str):
    [kustomization] = read(K8S / folder / "kustomization.yaml")

    listed = {name for name in kustomization["resources"] if name.endswith(".yaml")}
    listed |= {name for entry in kustomization.get("configMapGenerator", []) for name in entry["files"]}

    assert listed == {path.name for path in (K8S / folder).glob("*.yaml")} - {"kustomization.yaml"}


@pytest.mark.parametrize("workload", workloads(), ids=name_of)
def test_a_workload_selects_its_own_pods(workload: Object):
    assert workload["spec"]["selector"]["matchLabels"] == labels(workload)


@pytest.mark.parametrize("workload", workloads(), ids=name_of)
def test_a_pod_refers_only_to_what_is_there(workload: Object):
    spec = pod(workload)
    volumes = {volume["name"] for volume in spec.get("volumes", [])}
    claimed = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
    mounted = {mount["name"] for container in spec["containers"] for mount in container["volumeMounts"]}

    assert set(references(spec)) <= known()
    assert mounted == volumes | claimed


@pytest.mark.parametrize("workload", workloads(), ids=name_of)
def test_a_pod_is_no_root_and_says_what_it_needs(workload: Object):
    spec = pod(workload)

    assert spec["securityContext"]["runAsNonRoot"] is True
    for container in spec["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        assert not container["image"].endswith(":latest")


@pytest.mark.parametrize("service", [found for found in objects() if found["kind"] == "Service"], ids=name_of)
def test_a_service_reaches_a_port_of_a_pod(service: Object):
    [target] = [workload for workload in workloads() if labels(workload) == service["spec"]["selector"]]
    ports = {port["name"] for container in pod(target)["containers"] for port in container["ports"]}

    assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_there_is_one_daemon():
    [daemon] = [workload for workload in workloads() if name_of(workload) == "daemon"]

    assert (daemon["spec"]["replicas"], daemon["spec"]["strategy"]["type"]) == (1, "Recreate")


def test_the_workspace_points_to_the_code_location():
    [workspace] = read(K8S / "base" / "workspace.yaml")
    [location] = workspace["load_from"]
    [code] = [found for found in objects() if (found["kind"], found["metadata"]["name"]) == ("Service", "code")]

    server = location["grpc_server"]

    assert (server["host"], server["port"]) == (name_of(code), code["spec"]["ports"][0]["port"])


def test_dagster_accepts_the_instance(tmp_path: Path):
    shutil.copy(K8S / "base" / "dagster.yaml", tmp_path)

    instance, _ = dagster_instance_config(str(tmp_path))
    checked = process_config(K8sRunLauncher.config_type(), launcher())

    assert instance["telemetry"] == {"enabled": False}
    assert checked.success, checked.errors


def test_the_launcher_refers_only_to_what_is_there():
    config = launcher()
    wanted = {
        ("ConfigMap", config["instance_config_map"]),
        ("Secret", config["postgres_password_secret"]),
        ("ServiceAccount", config["service_account_name"]),
        *(("ConfigMap", name) for name in config["env_config_maps"]),
        *(("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) for volume in config["volumes"]),
    }
    [kustomization] = read(K8S / "base" / "kustomization.yaml")

    assert wanted <= known()
    assert config["job_namespace"] == kustomization["namespace"]


@pytest.fixture
def run_pod(tmp_path: Path) -> Object:
    """The pod of a run as the launcher would start it; the cluster it is told of leads nowhere."""
    cluster = {"name": "none", "cluster": {"server": "http://127.0.0.1:9"}}
    context = {"name": "none", "context": {"cluster": "none", "user": "none"}}
    nowhere = {"clusters": [cluster], "users": [{"name": "none", "user": {}}], "contexts": [context]}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump({**nowhere, "current-context": "none"}))
    outside = {"load_incluster_config": False, "kubeconfig_file": str(kubeconfig)}
    started = K8sRunLauncher.from_config_value(
        None, process_config(K8sRunLauncher.config_type(), {**launcher(), **outside}).value
    )
    container = started.get_container_context_for_run(DagsterRun(job_name="loans_retrain"))
    job = construct_dagster_k8s_job(
        container.get_k8s_job_config(job_image="mlops-assets:1", run_launcher=started),
        args=["dagster", "api", "execute_run"],
        job_name="run",
        user_defined_k8s_config=container.run_k8s_config,
    )
    return ApiClient().sanitize_for_serialization(job)["spec"]["template"]["spec"]


def mounts(container: Object) -> set[str]:
    return {mount["mountPath"] for mount in container["volumeMounts"]}


def test_a_run_pod_sees_what_the_code_location_sees(run_pod: Object):
    [code] = [pod(workload) for workload in workloads() if name_of(workload) == "code"]
    [theirs], [ours] = code["containers"], run_pod["containers"]

    unseen = mounts(theirs) - mounts(ours)

    assert unseen == {"/opt/dagster/dagster.yaml", "/opt/dagster/workspace.yaml"}  # a run has both in its arguments
    assert set(references(code)) - set(references(run_pod)) == {("ConfigMap", "dagster-instance")}
    assert run_pod["securityContext"]["fsGroup"] == code["securityContext"]["fsGroup"]


def test_a_training_pod_asks_for_what_the_product_declares():
    product = ModelProduct.model_validate(
        {
            "name": "loans",
            "source": {"path": "loans.csv"},
            "label": {"column": "approved"},
            "features": ["age"],
            "compute": {"gpu": 1, "cpu": 4, "memory": "16Gi"},
        }
    )

    step = get_user_defined_k8s_config(model_asset(product).op.tags)

    job = construct_dagster_k8s_job(
        DagsterK8sJobConfig(job_image="mlops-assets:1", dagster_home="/opt/dagster"),
        args=["dagster", "api", "execute_step"],
        job_name="step",
        user_defined_k8s_config=step,
    )
    [container] = job.spec.template.spec.containers
    assert container.resources.requests == {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"}
    assert container.resources.limits == {"memory": "16Gi", "nvidia.com/gpu": "1"}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed; it renders the overlays")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_renders_and_run_pods_use_the_image_of_the_code_location(overlay: str):
    done = subprocess.run(
        ["kubectl", "kustomize", str(K8S / "overlays" / overlay)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

    rendered = yaml.safe_load_all(done.stdout)
    [code] = [found for found in rendered if (found["kind"], name_of(found)) == ("Deployment", "code")]
    [container] = pod(code)["containers"]
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}

    assert variables["DAGSTER_CURRENT_IMAGE"] == container["image"]
