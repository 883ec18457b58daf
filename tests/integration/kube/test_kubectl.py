"""The everyday commands of kubectl."""

from __future__ import annotations

import subprocess

from tests.integration.kube.target import KubeTarget


def container(target: KubeTarget) -> dict[str, object]:
    found: dict[str, object] = target.get("deployment", "app")["spec"]["template"]["spec"][
        "containers"
    ][0]
    return found


def test_tables_read_as_on_any_cluster(app: KubeTarget) -> None:
    lines = app.kubectl("get", "deployment").splitlines()
    assert lines[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert lines[1].split()[:4] == ["app", "2/2", "2", "2"]
    wide = app.kubectl("get", "deployment", "-o", "wide").splitlines()
    assert wide[0].split()[5:] == ["CONTAINERS", "IMAGES", "SELECTOR"]
    assert wide[1].split()[5:] == ["main", "busybox:1.37", "app=app"]
    pods = app.kubectl("get", "pods", "--no-headers").splitlines()
    assert [line.split()[1:3] for line in pods] == [["1/1", "Running"]] * 2
    assert "service/app" in app.kubectl("get", "all")


def test_get_watch_prints_changes_as_they_come(kube_target: KubeTarget) -> None:
    watch = subprocess.Popen(
        ["kubectl", "-n", kube_target.namespace, "get", "configmap", "-w", "--field-selector",
         "metadata.name=seen", "--no-headers"],
        env=kube_target.environ(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        kube_target.kubectl("create", "configmap", "unseen", "--from-literal=a=b")
        kube_target.kubectl("create", "configmap", "seen", "--from-literal=a=b")
        assert watch.stdout is not None
        assert watch.stdout.readline().split()[:2] == ["seen", "1"]
        kube_target.kubectl("patch", "configmap/seen", "-p", '{"data":{"c":"d"}}')
        assert watch.stdout.readline().split()[:2] == ["seen", "2"]
    finally:
        watch.kill()
        watch.communicate()


def test_edit_stores_what_the_editor_leaves(app: KubeTarget) -> None:
    editor = "sed -i 's/value: red/value: green/'"
    assert "edited" in app.kubectl("edit", "deployment/app", EDITOR=editor)
    assert container(app)["env"] == [{"name": "COLOR", "value": "green"}]


def test_the_three_kinds_of_patch_do_the_same(app: KubeTarget) -> None:
    strategic = (
        '{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"busybox:1.1"}]}}}}'
    )
    app.kubectl("patch", "deployment/app", "--type=strategic", "-p", strategic)
    assert (container(app)["image"], container(app)["name"]) == ("busybox:1.1", "main")
    merge = '{"spec":{"template":{"metadata":{"labels":{"x":"y"}}}}}'
    app.kubectl("patch", "deployment/app", "--type=merge", "-p", merge)
    path = "/spec/template/spec/containers/0/image"
    operations = f'[{{"op":"replace","path":"{path}","value":"busybox:1.2"}}]'
    app.kubectl("patch", "deployment/app", "--type=json", "-p", operations)
    assert container(app)["image"] == "busybox:1.2"
    labels = app.get("deployment", "app")["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app": "app", "x": "y"}


def test_labels_and_annotations_come_and_go(app: KubeTarget) -> None:
    app.kubectl("label", "deployment/app", "tier=web")
    app.kubectl("annotate", "service/app", "note=written")
    assert app.get("service", "app")["metadata"]["annotations"]["note"] == "written"
    assert "deployment.apps/app" in app.kubectl(
        "get", "deploy", "-l", "tier in (web)", "-o", "name"
    )
    app.kubectl("label", "deployment/app", "tier-")
    assert app.kubectl("get", "deploy", "-l", "tier", "-o", "name") == ""
    assert app.get("deployment", "app")["metadata"]["generation"] == 1


def test_scale_and_rollout_status(app: KubeTarget) -> None:
    app.kubectl("scale", "deployment/app", "--replicas=4")
    app.kubectl("rollout", "status", "deployment/app", "--timeout=60s")
    assert app.get("deployment", "app")["status"]["availableReplicas"] == 4
    app.kubectl("scale", "deployment/app", "--replicas=0")
    app.kubectl("wait", "deployment/app", "--for=jsonpath={.spec.replicas}=0", "--timeout=30s")
    app.eventually(lambda: not app.exists("pods", "-l", "app=app"))


def test_rollout_undo_returns_to_the_former_template(app: KubeTarget) -> None:
    app.kubectl("set", "image", "deployment/app", "main=busybox:1.36")
    app.kubectl("rollout", "status", "deployment/app", "--timeout=60s")
    app.kubectl("rollout", "undo", "deployment/app")
    app.kubectl("rollout", "status", "deployment/app", "--timeout=60s")
    assert container(app)["image"] == "busybox:1.37"
    assert (
        app.get("deployment", "app")["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
        == "3"
    )


def test_a_broken_image_never_becomes_available(app: KubeTarget) -> None:
    app.kubectl("set", "image", "deployment/app", "main=busybox:broken")
    written = app.kubectl("rollout", "status", "deployment/app", "--timeout=2s", fails=True)
    assert "timed out" in written
    assert app.get("deployment", "app")["status"]["availableReplicas"] == 2
    app.eventually(lambda: "ImagePull" in app.kubectl("get", "pods"))
    if app.simulated:  # a real kubelet says it in its own words
        events = app.kubectl("get", "events", "--field-selector", "type=Warning")
        assert 'Failed to pull image "busybox:broken"' in events


def test_wait_for_deletion_and_for_conditions(app: KubeTarget) -> None:
    app.kubectl("wait", "--for=condition=Available", "deployment/app", "--timeout=30s")
    app.kubectl("wait", "--for=condition=Ready", "pods", "-l", "app=app", "--timeout=30s")
    app.kubectl("delete", "deployment/app", "--wait=false")
    app.kubectl("wait", "--for=delete", "pods", "-l", "app=app", "--timeout=30s")


def test_jobs_complete_and_failing_ones_fail(kube_target: KubeTarget) -> None:
    kube_target.kubectl("create", "job", "good", "--image=busybox:1.37", "--", "true")
    kube_target.kubectl("wait", "--for=condition=Complete", "job/good", "--timeout=60s")
    if kube_target.simulated:  # a real one is slow to give up
        bad = "sh", "-c", "echo no; exit 3"
        kube_target.kubectl("run", "bad", "--image=busybox:1.37", "--restart=Never", "--", *bad)
        kube_target.eventually(lambda: "Error" in kube_target.kubectl("get", "pod", "bad"))


def test_workloads_of_every_kind_become_ready(kube_target: KubeTarget) -> None:
    template = """
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: busybox:1.37, command: [sleep, "3600"]}]
"""
    stateful = (
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\n"
        "spec:\n  replicas: 2\n  serviceName: db"
    )
    daemon = "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: each}\nspec:"
    for head, name in ((stateful, "db"), (daemon, "each")):
        kube_target.kubectl("apply", "-f", "-", stdin=head + template.replace("NAME", name))
    kube_target.kubectl("rollout", "status", "statefulset/db", "--timeout=60s")
    kube_target.kubectl("rollout", "status", "daemonset/each", "--timeout=60s")
    assert kube_target.exists("pod", "db-1")
    kube_target.kubectl("set", "image", "statefulset/db", "main=busybox:1.36")
    kube_target.kubectl("rollout", "status", "statefulset/db", "--timeout=60s")
    assert kube_target.get("pod", "db-0")["spec"]["containers"][0]["image"] == "busybox:1.36"


def test_generators_of_kubectl_create_everything(kube_target: KubeTarget) -> None:
    for command in (
        "secret generic s --from-literal=a=b",
        "serviceaccount s",
        "service clusterip s --tcp=80:8080",
        "role r --verb=get --resource=pods",
        "rolebinding r --role=r --serviceaccount=default:s",
        "ingress i --rule=example.com/=s:80",
        "poddisruptionbudget p --selector=a=b --min-available=50%",
        "cronjob c --image=busybox:1.37 --schedule=@daily",
        "quota q --hard=pods=30",
        "deployment d --image=busybox:1.37 --replicas=2",
    ):
        kube_target.kubectl("create", *command.split())
    assert kube_target.get("secret", "s")["data"] == {"a": "Yg=="}
    assert kube_target.get("service", "s")["spec"]["ports"][0]["targetPort"] == 8080
    assert kube_target.get("pdb", "p")["spec"]["minAvailable"] == "50%"
    assert kube_target.get("quota", "q")["spec"]["hard"] == {"pods": "30"}
    assert kube_target.get("deployment", "d")["spec"]["strategy"]["type"] == "RollingUpdate"


def test_explain_and_api_resources_know_the_kinds(kube_target: KubeTarget) -> None:
    assert "replicas" in kube_target.kubectl("explain", "deployment.spec")
    written = kube_target.kubectl("api-resources", "--api-group=apps", "-o", "name").split()
    assert {"deployments.apps", "statefulsets.apps"} <= set(written)
