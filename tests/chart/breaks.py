"""One way to break each policy: what a policy does not find here, it would not find in the chart."""

from collections.abc import Callable
from typing import Any

from tests.chart import policies
from tests.chart.policies import Object

Break = Callable[[Object], Any]


def server(objects: list[Object]) -> Object:
    return next(
        made for made in objects if made["kind"] == "Deployment" and not made["metadata"]["name"].endswith("worker")
    )


def pod(objects: list[Object]) -> Object:
    spec: Object = server(objects)["spec"]["template"]["spec"]
    return spec


def container(objects: list[Object]) -> Object:
    first: Object = pod(objects)["containers"][0]
    return first


def of_kind(objects: list[Object], kind: str) -> Object:
    return next(made for made in objects if made["kind"] == kind)


BREAKS: dict[Callable[..., Any], list[Callable[[list[Object]], Any]]] = {
    policies.pods_keep_to_the_restricted_standard: [
        lambda objects: pod(objects)["securityContext"].pop("runAsNonRoot"),
        lambda objects: pod(objects)["securityContext"].pop("seccompProfile"),
        lambda objects: pod(objects).update(hostNetwork=True),
        lambda objects: pod(objects)["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
        lambda objects: container(objects)["securityContext"].update(readOnlyRootFilesystem=False),
        lambda objects: container(objects)["securityContext"].pop("capabilities"),
        lambda objects: container(objects)["ports"][0].update(hostPort=80),
    ],
    policies.no_pod_gets_a_token_of_the_cluster: [
        lambda objects: pod(objects).update(automountServiceAccountToken=True)
    ],
    policies.every_container_says_what_it_needs_and_at_most_takes: [
        lambda objects: container(objects)["resources"]["limits"].pop("memory")
    ],
    policies.what_is_served_is_probed: [lambda objects: container(objects).pop("readinessProbe")],
    policies.images_are_pinned: [
        lambda objects: container(objects).update(image="toolbox:latest"),
        lambda objects: container(objects).update(image="registry:5000/toolbox"),
    ],
    policies.nothing_secret_is_rendered: [
        lambda objects: objects.append({"kind": "Secret", "metadata": {"name": "x"}}),
        lambda objects: of_kind(objects, "ConfigMap")["data"].update(API_KEY="x"),
        lambda objects: of_kind(objects, "ConfigMap")["data"].update(URL="redis://me:secret@host"),
        lambda objects: container(objects)["env"].append({"name": "DB_PASSWORD", "value": "x"}),
        lambda objects: container(objects)["env"].append({"name": "DB", "value": "postgresql://me:secret@host"}),
    ],
    policies.settings_are_settings_of_toolbox: [
        lambda objects: of_kind(objects, "ConfigMap")["data"].update(LOG_LEVLE="INFO")
    ],
    policies.every_pod_is_under_a_network_policy: [
        lambda objects: of_kind(objects, "NetworkPolicy")["spec"]["podSelector"]["matchExpressions"][0].update(
            values=[]
        )
    ],
    policies.what_refers_to_pods_finds_them: [
        lambda objects: of_kind(objects, "Service")["spec"]["selector"].update({"app.kubernetes.io/component": "x"}),
        lambda objects: of_kind(objects, "Service")["spec"]["ports"][0].update(targetPort="x"),
        lambda objects: of_kind(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].update(x="y"),
        lambda objects: of_kind(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"].update(name="x"),
        lambda objects: server(objects)["spec"].update(replicas=2),
        lambda objects: of_kind(objects, "Service")["spec"]["ports"][0].update(port=81),
        lambda objects: of_kind(objects, "ServiceMonitor")["spec"]["endpoints"][0].update(port="x"),
    ],
    policies.selectors_of_two_objects_share_no_pods: [
        lambda objects: server(objects)["spec"]["selector"].update(matchLabels={"app.kubernetes.io/name": "toolbox"})
    ],
    policies.servers_are_replaced_without_an_outage: [
        lambda objects: pod(objects).update(terminationGracePeriodSeconds=20),
        lambda objects: server(objects)["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=1),
    ],
    policies.the_schema_is_migrated_once_before_servers_start: [lambda objects: pod(objects).pop("initContainers")],
    policies.objects_carry_the_recommended_labels: [
        lambda objects: of_kind(objects, "Ingress")["metadata"]["labels"].pop("app.kubernetes.io/version")
    ],
}
