"""The Helm chart of examples/production, rendered by Helm's own library and checked against the
schemas of Kubernetes.
"""

from typing import Any

import pytest
import yaml
from tests.conftest import ROOT

helm = pytest.importorskip("helm_python", reason="needs helm-python-sdk: the extra `dev`")
kubernetes = pytest.importorskip("kubernetes_validate", reason="needs the extra `dev`")

CHART = str(ROOT / "examples" / "production" / "helm" / "stepwell")
LEAST = {"database": {"existingSecret": "database"}, "credentials": {"existingSecret": "keys"}}
MOST = {
    "replicas": 3,
    "database": {"url": "postgresql://stepwell:word@db/stepwell"},
    "credentials": {"content": "[default]\naws_access_key_id = AKID\n"},
    "image": {"repository": "registry.example.com/stepwell", "tag": "1.2.3"},
    "imagePullSecrets": [{"name": "registry"}],
    "options": ["--policies", "/policies/policies.json"],
    "env": [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4318"}],
    "envFrom": [{"secretRef": {"name": "more"}}],
    "volumes": [{"name": "policies", "configMap": {"name": "policies"}}],
    "volumeMounts": [{"name": "policies", "mountPath": "/policies"}],
    "service": {"annotations": {"a": "b"}},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "serviceAccount": {"annotations": {"a": "b"}},
    "podAnnotations": {"a": "b"},
    "podLabels": {"team": "orders"},
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "networkPolicy": {
        "enabled": True,
        "clients": [{"namespaceSelector": {"matchLabels": {"team": "orders"}}}],
    },
    "priorityClassName": "production",
}
# each alone, with the rest by default
VARIATIONS: dict[str, dict[str, Any]] = {
    "recreated": {"updateStrategy": "Recreate"},
    "IPv6": {"ipv6": True},
    "one replica": {"replicas": 1},
    "no budget": {"podDisruptionBudget": {"enabled": False}},
    "a part may be away": {"podDisruptionBudget": {"maxUnavailable": "25%"}},
    "open network policy": {"networkPolicy": {"enabled": True}},
    "OpenShift": {
        "podSecurityContext": dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup")),
    },
    "digest": {"image": {"digest": "sha256:" + "0" * 64}},
    "load balancer": {"service": {"type": "LoadBalancer", "port": 443}},
    "no options": {"options": []},
    "no service account": {"serviceAccount": {"create": False}},
    "named service account": {"serviceAccount": {"create": False, "name": "other"}},
    "no resources": {"resources": {"requests": None, "limits": None}},
}


def rendered(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The objects by their kind (Secret/NAME for secrets)."""
    with helm.Chart.load(CHART) as chart:
        texts = chart.render(values, name="prod", namespace="orders")
    found = {}
    for name, text in texts.items():
        if name.endswith(".yaml"):
            for each in filter(None, yaml.safe_load_all(text)):
                kind = each["kind"]
                key = f"{kind}/{each['metadata']['name']}" if kind == "Secret" else kind
                assert key not in found
                found[key] = each
    return found


CASES = {"least": LEAST, "most": MOST} | {n: LEAST | v for n, v in VARIATIONS.items()}


@pytest.mark.parametrize("values", CASES.values(), ids=[*CASES])
def test_the_objects_are_valid(values: dict[str, Any]) -> None:
    assert helm.lint(CHART, values, strict=True)["errors"] == []
    objects = rendered(values)
    for each in objects.values():
        if each["kind"] != "ServiceMonitor":  # of the Prometheus Operator
            for version in ("1.25", "1.33"):
                kubernetes.validate(each, version, strict=True)
    assert {"Deployment", "Service"} <= set(objects)


def test_least_creates_no_secret_and_no_monitor() -> None:
    assert not [kind for kind in rendered(LEAST) if kind.startswith(("Secret", "ServiceMonitor"))]


def test_most_is_used() -> None:
    objects = rendered(MOST)
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "registry.example.com/stepwell:1.2.3"
    assert container["args"][-2:] == MOST["options"]
    assert objects["Deployment"]["spec"]["replicas"] == 3
    assert "--node-address=$(POD_IP):8084" in container["args"]
    assert container["env"][1]["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}
    database = {"name": "prod-stepwell-database", "key": "url"}
    assert container["env"][0]["valueFrom"]["secretKeyRef"] == database
    url = objects["Secret/prod-stepwell-database"]["stringData"]["url"]
    assert url == "postgresql://stepwell:word@db/stepwell"
    monitor = objects["ServiceMonitor"]
    labels = objects["Service"]["metadata"]["labels"]
    selector = monitor["spec"]["selector"]["matchLabels"]
    assert selector.items() <= labels.items()
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert labels[monitor["spec"]["jobLabel"]] == "stepwell"  # the job of the alert rules


def container_of(values: dict[str, Any]) -> dict[str, Any]:
    (container,) = rendered(LEAST | values)["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def test_only_nodes_reach_the_port_of_nodes() -> None:
    objects = rendered(MOST)
    clients, nodes = objects["NetworkPolicy"]["spec"]["ingress"]
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert clients["from"] == [{"namespaceSelector": {"matchLabels": {"team": "orders"}}}]
    assert nodes["ports"] == [{"port": "nodes"}]
    assert nodes["from"][0]["podSelector"]["matchLabels"].items() <= labels.items()
    clients, _ = rendered(LEAST | {"networkPolicy": {"enabled": True}})["NetworkPolicy"]["spec"][
        "ingress"
    ]
    assert "from" not in clients
    assert "NetworkPolicy" not in rendered(LEAST)


def test_variations_do_what_they_say() -> None:
    arguments = container_of({"ipv6": True})["args"]
    assert {"--host=::", "--node-address=[$(POD_IP)]:8084"} <= {*arguments}
    assert container_of(VARIATIONS["digest"])["image"].endswith("stepwell@sha256:" + "0" * 64)
    objects = rendered(LEAST | VARIATIONS["recreated"])
    assert objects["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}
    pod = rendered(LEAST | VARIATIONS["OpenShift"])["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    spread = [each["topologyKey"] for each in pod["topologySpreadConstraints"]]
    assert spread == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    # a budget that lets no pod of one replica go would stop every drain of a host
    objects = rendered(LEAST | {"replicas": 1})
    assert objects["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


def test_a_pod_that_stops_fails_no_request() -> None:
    deployment = rendered(LEAST)["Deployment"]["spec"]
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    sleep = container["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep[0] == "sleep"
    # the server stops within 2 s for the load balancer and twice its drain_seconds of 10
    assert pod["terminationGracePeriodSeconds"] >= int(sleep[1]) + 22
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"


def test_a_pod_has_no_rights() -> None:
    pod = rendered(LEAST)["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    paths = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {"/tmp", "/var/lib/stepwell"} <= paths  # all that the process writes to


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "database.existingSecret"),
        ({"database": {"existingSecret": "a"}}, "credentials.existingSecret"),
        ({**LEAST, "replicas": 0}, "replicas"),
        ({**LEAST, "replica": 2}, "replica"),
        ({**LEAST, "database": {"url": "mysql://a"}}, "url"),
        ({**LEAST, "terminationGracePeriodSeconds": 5}, "terminationGracePeriodSeconds"),
        ({**LEAST, "preStopSeconds": 20}, "terminationGracePeriodSeconds must be at least 42"),
        ({**LEAST, "updateStrategy": "OnDelete"}, "updateStrategy"),
        ({**LEAST, "image": {"repository": "a", "digest": "1.2"}}, "digest"),
        ({**LEAST, "networkPolicy": {"clients": [{}]}}, "clients"),
    ],
)
def test_wrong_values_are_refused(values: dict[str, Any], text: str) -> None:
    with helm.Chart.load(CHART) as chart, pytest.raises(Exception, match=text):
        chart.validate_schema(values)
        chart.render(values, name="prod", namespace="orders")
