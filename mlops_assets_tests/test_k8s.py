"""The manifests: what a schema cannot see, and what the cluster's dagster.yaml makes of a run."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster import DagsterRun
from dagster._config import process_config
from dagster._core.instance.config import dagster_instance_config
from dagster_k8s import K8sRunLauncher
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import construct_dagster_k8s_job, get_user_defined_k8s_config
from kubernetes.client import ApiClient

from mlops_assets.cli import command_parser
from mlops_assets.definitions import build
from mlops_assets.graph import build_definitions
from mlops_assets.parts import duration_seconds
from mlops_assets.rules import Compute, Need
from mlops_assets.serving.worker.endpoint import SHADOW_S
from mlops_assets.serving.worker.listening import DRAIN_S
from mlops_assets.settings import PACKAGE, Settings, load_settings
from mlops_assets.training.resources import mlflow_resource
from mlops_assets.wiring import Platform
from mlops_assets_tests.houses import HOUSES, deployment

K8S = Path(__file__).resolve().parent.parent / "k8s"
OVERLAYS = sorted(path.parent.name for path in K8S.glob("overlays/*/kustomization.yaml"))
NO_MANIFEST = {"kustomization.yaml", "dagster.yaml", "workspace.yaml"}
GIVEN_BY_HAND = {"dagster-postgres", "mlops-access", "mlops-alerts"}  # secrets are no part of a repository
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
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"]
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


def endpoints() -> list[Object]:
    return [found for found in workloads() if name_of(found).startswith("endpoint-")]


def test_an_endpoint_says_who_may_ask_and_has_time_to_end():
    for endpoint in endpoints():
        [container] = pod(endpoint)["containers"]
        options = command_parser().parse_args(container["command"][1:])
        [access] = [each for each in container["env"] if each["name"] == "MLOPS_ASSETS_ACCESS"]

        assert access["value"] in mounts(container)
        assert pod(endpoint)["terminationGracePeriodSeconds"] > duration_seconds(options.linger) + DRAIN_S + SHADOW_S
        assert {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness")} == {"/v2/health/live"}
        assert container["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"


def test_from_outside_only_endpoints_can_be_asked():
    [policy] = [found for found in objects() if found["kind"] == "NetworkPolicy"]

    [chosen] = policy["spec"]["podSelector"]["matchExpressions"]

    assert (chosen["key"], chosen["operator"]) == ("app", "NotIn")
    assert chosen["values"] == [labels(each)["app"] for each in endpoints()]
    assert policy["spec"]["ingress"] == [{"from": [{"podSelector": {}}]}]


def test_where_the_alerts_sensor_runs_it_knows_whom_to_tell():
    [code] = [pod(found)["containers"][0] for found in workloads() if name_of(found) == "code"]

    [alerts] = [each for each in code["env"] if each["name"] == "MLOPS_ASSETS_ALERTS"]

    assert alerts["valueFrom"]["secretKeyRef"] == {"name": "mlops-alerts", "key": "urls", "optional": True}


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
def started(tmp_path: Path) -> K8sRunLauncher:
    """The launcher of the cluster's dagster.yaml; the cluster it is told of leads nowhere."""
    cluster = {"name": "none", "cluster": {"server": "http://127.0.0.1:9"}}
    context = {"name": "none", "context": {"cluster": "none", "user": "none"}}
    nowhere = {"clusters": [cluster], "users": [{"name": "none", "user": {}}], "contexts": [context]}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump({**nowhere, "current-context": "none"}))
    outside = {"load_incluster_config": False, "kubeconfig_file": str(kubeconfig)}
    return K8sRunLauncher.from_config_value(
        None, process_config(K8sRunLauncher.config_type(), {**launcher(), **outside}).value
    )


def rendered(started: K8sRunLauncher, container: K8sContainerContext) -> Object:
    """The pod of a Kubernetes job as it would be created."""
    job = construct_dagster_k8s_job(
        container.get_k8s_job_config(job_image="mlops-assets:1", run_launcher=started),
        args=["dagster", "api", "execute_run"],
        job_name="run",
        user_defined_k8s_config=container.run_k8s_config,
    )
    return ApiClient().sanitize_for_serialization(job)["spec"]["template"]["spec"]


def run_pod_of(started: K8sRunLauncher, job: str, tags: Mapping[str, str]) -> Object:
    """The pod of a run with these tags, as the launcher would start it."""
    return rendered(started, started.get_container_context_for_run(DagsterRun(job_name=job, tags=tags)))


@pytest.fixture
def run_pod(started: K8sRunLauncher) -> Object:
    return run_pod_of(started, "loans_retrain", {})


def mounts(container: Object) -> set[str]:
    return {mount["mountPath"] for mount in container["volumeMounts"]}


def test_a_run_pod_sees_what_the_code_location_sees(run_pod: Object):
    [code] = [pod(workload) for workload in workloads() if name_of(workload) == "code"]
    [theirs], [ours] = code["containers"], run_pod["containers"]

    unseen = mounts(theirs) - mounts(ours)

    assert unseen == {"/opt/dagster/dagster.yaml", "/opt/dagster/workspace.yaml"}  # a run has both in its arguments
    missing = set(references(code)) - set(references(run_pod))
    assert missing == {("ConfigMap", "dagster-instance"), ("Secret", "mlops-alerts")}  # no run tells anybody
    assert run_pod["securityContext"]["fsGroup"] == code["securityContext"]["fsGroup"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A deployment whose nodes with GPUs have a label."""
    return replace(deployment(tmp_path_factory.mktemp("k8s")), gpu_nodes={"nvidia.com/gpu.present": "true"})


@pytest.fixture(scope="module")
def houses(place: Settings) -> dg.Definitions:
    """A product whose trainings need little in Bath, and two GPUs in York."""
    york = Need(gpu=2, cpu=8, memory="64Gi")
    product = HOUSES.model_copy(update={"compute": Compute(cpu=0.5, memory="512Mi", segments={"york": york})})
    bound = dg.Definitions(resources={"platform": Platform(), "mlflow": mlflow_resource(place)})
    return dg.Definitions.merge(build_definitions(product, place), bound)


def asked(spec: Object) -> Object:
    [container] = spec["containers"]
    return container["resources"]


def tags_of(houses: dg.Definitions, job: str, partition: str) -> Mapping[str, str]:
    return houses.resolve_job_def(job).get_tags_for_partition_key(partition, selected_asset_keys=None)


def test_the_pod_of_a_training_asks_for_what_its_segment_declares(started: K8sRunLauncher, houses: dg.Definitions):
    small, large = (
        run_pod_of(started, "houses_retrain", tags_of(houses, "houses_retrain", f"{town}|2026-01-05"))
        for town in ("bath", "york")
    )

    assert asked(small) == {"requests": {"cpu": "0.5", "memory": "512Mi"}, "limits": {"memory": "512Mi"}}
    assert asked(large) == {
        "requests": {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": "2"},
        "limits": {"memory": "64Gi", "nvidia.com/gpu": "2"},
    }


def test_only_a_pod_with_gpus_goes_to_a_node_that_has_them(started: K8sRunLauncher, houses: dg.Definitions):
    small, large = (
        run_pod_of(started, "houses_retrain", tags_of(houses, "houses_retrain", f"{town}|2026-01-05"))
        for town in ("bath", "york")
    )

    assert large["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert large["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert large["securityContext"]["fsGroup"] == 10001  # what the launcher says of every pod is still there
    assert small.keys().isdisjoint({"nodeSelector", "tolerations"})


def test_the_pod_of_data_is_as_any_other(started: K8sRunLauncher, houses: dg.Definitions, run_pod: Object):
    made = run_pod_of(started, "houses_data", tags_of(houses, "houses_data", "york|2026-01-05"))

    assert asked(made) == asked(run_pod) == launcher()["run_k8s_config"]["container_config"]["resources"]


def test_a_training_that_a_person_picked_in_the_graph_has_a_pod_for_the_largest_segment(
    started: K8sRunLauncher, houses: dg.Definitions
):
    any_run = started.get_container_context_for_run(DagsterRun(job_name="__ASSET_JOB"))
    tags = houses.resolve_implicit_global_asset_job_def().get_node_named("houses__model").definition.tags

    step = rendered(started, any_run.merge(K8sContainerContext(run_k8s_config=get_user_defined_k8s_config(tags))))

    assert asked(step)["limits"] == {"memory": "64Gi", "nvidia.com/gpu": "2"}


def test_only_what_a_person_picked_runs_in_step_pods(place: Settings):
    defs = {pods: build(replace(place, defs=PACKAGE / "defs", step_pods=pods)) for pods in (True, False)}

    picked = [defs[pods].resolve_implicit_global_asset_job_def().executor_def.name for pods in (True, False)]
    jobs = [defs[True].resolve_job_def(f"loans_{name}").executor_def.name for name in ("data", "retrain", "deploy")]

    assert picked == ["k8s", "in_process"]
    assert jobs == ["in_process"] * 3


def test_the_cluster_has_step_pods_and_labels_for_gpus(monkeypatch: pytest.MonkeyPatch):
    [environment] = [found for found in objects() if found["metadata"]["name"] == "mlops-environment"]
    for name, value in environment["data"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLOPS_ASSETS_GPU_NODES", "nvidia.com/gpu.present=true, zone=a")

    settings = load_settings()

    assert settings.step_pods
    assert settings.gpu_nodes == {"nvidia.com/gpu.present": "true", "zone": "a"}
    monkeypatch.setenv("MLOPS_ASSETS_GPU_NODES", "nvidia.com/gpu.present")
    with pytest.raises(ValueError, match=r"'nvidia.com/gpu.present' is no label; right is name=value,name=value"):
        load_settings()


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


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed; it renders the overlays")
def test_with_gpus_only_what_trains_has_the_large_image_and_pods_find_the_nodes():
    done = subprocess.run(
        ["kubectl", "kustomize", str(K8S / "overlays" / "gpu")], capture_output=True, text=True, check=True
    )
    found = list(yaml.safe_load_all(done.stdout))

    ours = {name_of(each): pod(each)["containers"][0]["image"] for each in found if each["kind"] == "Deployment"}
    [environment] = [each for each in found if each["metadata"]["name"] == "mlops-environment"]

    assert ours == {"code": "mlops-assets:1-gpu", "daemon": "mlops-assets:1", "webserver": "mlops-assets:1"}
    assert environment["data"]["MLOPS_ASSETS_GPU_NODES"] == "nvidia.com/gpu.present=true"
