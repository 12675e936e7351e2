"""What every rendering of the chart must keep to: one function each, which yields what breaks it."""

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from toolbox.settings import describe_settings

Object: TypeAlias = dict[str, Any]
Found: TypeAlias = Iterator[str]

DRAIN_SECONDS = 20
"""How long a server waits for its requests, see toolbox/cli/serve.py."""


def pods_of(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    """Each object that makes pods, with the pod's template."""
    for made in objects:
        spec = made.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            yield made, template


def containers_of(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    for made, template in pods_of(objects):
        for container in [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]:
            yield made, container


def name_of(made: Object) -> str:
    return f"{made['kind']}/{made['metadata']['name']}"


def selects(selector: Object, template: Object) -> bool:
    labels = template["metadata"]["labels"]
    named = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return named and all(
        labels.get(rule["key"]) in rule["values"]
        for rule in selector.get("matchExpressions", [])
        if rule["operator"] == "In"
    )


def pods_keep_to_the_restricted_standard(objects: list[Object]) -> Found:
    for made, template in pods_of(objects):
        security, spec = template["spec"].get("securityContext", {}), template["spec"]
        if not security.get("runAsNonRoot") or security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{name_of(made)}: runAsNonRoot, seccompProfile"
        if {"hostNetwork", "hostPID", "hostIPC"} & spec.keys() or any(
            "hostPath" in volume for volume in spec.get("volumes", [])
        ):
            yield f"{name_of(made)}: it reaches into its node"
    for made, container in containers_of(objects):
        security = container.get("securityContext", {})
        if security.get("allowPrivilegeEscalation") is not False or security.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{name_of(made)}, {container['name']}: privileges"
        if security.get("readOnlyRootFilesystem") is not True:
            yield f"{name_of(made)}, {container['name']}: its file system can be written"
        if any("hostPort" in port for port in container.get("ports", [])):
            yield f"{name_of(made)}, {container['name']}: a port of the node"


def no_pod_gets_a_token_of_the_cluster(objects: list[Object]) -> Found:
    for made, template in pods_of(objects):
        if template["spec"].get("automountServiceAccountToken") is not False:
            yield name_of(made)


def every_container_says_what_it_needs_and_at_most_takes(objects: list[Object]) -> Found:
    for made, container in containers_of(objects):
        for part in ("requests", "limits"):
            if not {"cpu", "memory"} <= container.get("resources", {}).get(part, {}).keys():
                yield f"{name_of(made)}, {container['name']}: {part}"


def what_is_served_is_probed(objects: list[Object]) -> Found:
    """A worker is watched by the queue, which takes over the jobs of one that does nothing."""
    for made, template in pods_of(objects):
        component = template["metadata"]["labels"]["app.kubernetes.io/component"]
        wanted = {"livenessProbe", "readinessProbe"} | ({"startupProbe"} if component == "server" else set())
        for container in template["spec"]["containers"]:
            if (
                made["kind"] in {"Deployment", "StatefulSet"}
                and component != "worker"
                and not wanted <= container.keys()
            ):
                yield f"{name_of(made)}: {', '.join(sorted(wanted - container.keys()))}"


def images_are_pinned(objects: list[Object]) -> Found:
    for made, container in containers_of(objects):
        if not re.search(r":[^:/]*\d[^:/]*$|@sha256:", container["image"]):
            yield f"{name_of(made)}: {container['image']}"


def nothing_secret_is_rendered(objects: list[Object]) -> Found:
    for made in objects:
        if made["kind"] == "Secret":
            yield name_of(made)
        if made["kind"] == "ConfigMap":
            for key, value in made["data"].items():
                if re.search(r"SECRET|PASSWORD|TOKEN|API_KEY|DATABASE_URL", key) or re.search(
                    r"://[^/\s]*:[^/\s]*@", str(value)
                ):
                    yield f"{name_of(made)}: {key}"
    for made, container in containers_of(objects):
        for variable in container.get("env", []):
            name, value = variable["name"], variable.get("value", "")
            if re.search(r"SECRET|PASSWORD|TOKEN|API_KEY", name) and "valueFrom" not in variable:
                yield f"{name_of(made)}: {name}"
            if re.search(r"://[^/\s]*:(?!\$\()[^/\s]*@", value):
                yield f"{name_of(made)}: {name}"


def settings_are_settings_of_toolbox(objects: list[Object]) -> Found:
    known = {name for name, _, _ in describe_settings()}
    for made in objects:
        if made["kind"] == "ConfigMap" and not made["metadata"]["name"].endswith("-dashboards"):
            yield from (f"{name_of(made)}: {name}" for name in made["data"].keys() - known)


def every_pod_is_under_a_network_policy(objects: list[Object]) -> Found:
    policies = [made["spec"]["podSelector"] for made in objects if made["kind"] == "NetworkPolicy"]
    for made, template in pods_of(objects):
        if not any(selects(policy, template) for policy in policies):
            yield name_of(made)


def what_refers_to_pods_finds_them(objects: list[Object]) -> Found:
    templates = [template for _, template in pods_of(objects)]
    for made in objects:
        spec = made.get("spec", {})
        if made["kind"] == "Service":
            selector, names = {"matchLabels": spec["selector"]}, {port["targetPort"] for port in spec["ports"]}
            found = [template for template in templates if selects(selector, template)]
            ports = {port["name"] for t in found for c in t["spec"]["containers"] for port in c.get("ports", [])}
            if not found or not names <= ports:
                yield name_of(made)
        elif made["kind"] in {"Deployment", "StatefulSet"}:
            if not selects(spec["selector"], spec["template"]):
                yield name_of(made)
        elif made["kind"] == "PodDisruptionBudget":
            if not any(selects(spec["selector"], template) for template in templates):
                yield name_of(made)
        elif made["kind"] == "HorizontalPodAutoscaler":
            wanted = (spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"])
            target = [other for other in objects if (other["kind"], other["metadata"]["name"]) == wanted]
            if not target or "replicas" in target[0]["spec"]:
                yield f"{name_of(made)}: its target is missing, or sets replicas too"
        elif made["kind"] == "Ingress":
            services = {other["metadata"]["name"]: other for other in objects if other["kind"] == "Service"}
            for rule in spec["rules"]:
                for path in rule["http"]["paths"]:
                    service = path["backend"]["service"]
                    target_ports = services.get(service["name"], {}).get("spec", {}).get("ports", [])
                    if service["port"]["number"] not in [port["port"] for port in target_ports]:
                        yield f"{name_of(made)}: {service['name']}"
        elif made["kind"] == "ServiceMonitor":
            labels = spec["selector"]["matchLabels"].items()
            watched = [o for o in objects if o["kind"] == "Service" and labels <= o["metadata"]["labels"].items()]
            names = {port["name"] for service in watched for port in service["spec"]["ports"]}
            if not {endpoint["port"] for endpoint in spec["endpoints"]} <= names:
                yield name_of(made)


def selectors_of_two_objects_share_no_pods(objects: list[Object]) -> Found:
    makers = [(made, template) for made, template in pods_of(objects) if made["kind"] in {"Deployment", "StatefulSet"}]
    for made, _ in makers:
        for other, template in makers:
            if made is not other and selects(made["spec"]["selector"], template):
                yield f"{name_of(made)} selects the pods of {name_of(other)}"


def servers_are_replaced_without_an_outage(objects: list[Object]) -> Found:
    for made, template in pods_of(objects):
        if template["metadata"]["labels"]["app.kubernetes.io/component"] != "server":
            continue
        spec, container = template["spec"], template["spec"]["containers"][0]
        pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
        if spec["terminationGracePeriodSeconds"] < DRAIN_SECONDS + pause:
            yield f"{name_of(made)}: it is killed while it waits for its requests"
        if made["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] != 0:
            yield f"{name_of(made)}: a pod goes before its successor is ready"


def the_schema_is_migrated_once_before_servers_start(objects: list[Object]) -> Found:
    hooks = [
        made for made in objects if made["kind"] == "Job" and "helm.sh/hook" in made["metadata"].get("annotations", {})
    ]
    for made, template in pods_of(objects):
        if template["metadata"]["labels"]["app.kubernetes.io/component"] in {"server", "worker"}:
            first = [container["name"] for container in template["spec"].get("initContainers", [])]
            if bool(hooks) == ("migrations" in first):
                yield name_of(made)
    if hooks and not {"pre-install", "pre-upgrade"} <= set(
        hooks[0]["metadata"]["annotations"]["helm.sh/hook"].split(",")
    ):
        yield name_of(hooks[0])


def objects_carry_the_recommended_labels(objects: list[Object]) -> Found:
    wanted = {f"app.kubernetes.io/{part}" for part in ("name", "instance", "version", "component", "managed-by")}
    for made in objects:
        if not wanted <= made["metadata"].get("labels", {}).keys():
            yield name_of(made)


POLICIES = (
    pods_keep_to_the_restricted_standard,
    no_pod_gets_a_token_of_the_cluster,
    every_container_says_what_it_needs_and_at_most_takes,
    what_is_served_is_probed,
    images_are_pinned,
    nothing_secret_is_rendered,
    settings_are_settings_of_toolbox,
    every_pod_is_under_a_network_policy,
    what_refers_to_pods_finds_them,
    selectors_of_two_objects_share_no_pods,
    servers_are_replaced_without_an_outage,
    the_schema_is_migrated_once_before_servers_start,
    objects_carry_the_recommended_labels,
)
