"""Enough of a Kubernetes API for helm and kubectl: keeps what it is given, and says that Jobs are done."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

RESOURCES = {
    "v1": {"ConfigMap": "configmaps", "Secret": "secrets", "Service": "services", "ServiceAccount": "serviceaccounts",
           "PersistentVolumeClaim": "persistentvolumeclaims", "Pod": "pods"},
    "apps/v1": {"Deployment": "deployments", "StatefulSet": "statefulsets"},
    "batch/v1": {"Job": "jobs", "CronJob": "cronjobs"},
    "networking.k8s.io/v1": {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies"},
    "policy/v1": {"PodDisruptionBudget": "poddisruptionbudgets"},
    "autoscaling/v2": {"HorizontalPodAutoscaler": "horizontalpodautoscalers"},
    "monitoring.coreos.com/v1": {"ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules"},
    "external-secrets.io/v1": {"ExternalSecret": "externalsecrets"},
}  # fmt: skip
DONE = {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}


class Cluster(ThreadingHTTPServer):
    """The API server; `objects` holds what is in it, by path."""

    def __init__(self, version: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.version = version
        self.objects: dict[str, dict[str, Any]] = {}
        self.lock = threading.Lock()

    def environment(self, folder: str) -> dict[str, str]:
        """What leads helm and kubectl here and nowhere else; the configuration lies in the folder."""
        address = f"http://127.0.0.1:{self.server_port}"
        config = Path(folder, "config")
        config.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": address}}], "users": [{"name": "fake", "user": {}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake", "namespace": "default"}}],
        }))  # fmt: skip
        config.chmod(0o600)
        return {"KUBECONFIG": str(config), "HOME": folder, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [held for held in self.objects.values() if held["kind"] == kind]


class Handler(BaseHTTPRequestHandler):
    server: Cluster
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        group = "/".join(parts[1:]) if parts[0] in {"api", "apis"} else ""
        major, minor, _ = self.server.version.split(".")
        discovery = {
            "/version": {"major": major, "minor": minor, "gitVersion": f"v{self.server.version}"},
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": list(groups())},
        }
        if url.path == "/openapi/v2":
            self.answer(200, None)  # a document of OpenAPI, in protobuf, in which nothing is said
        elif url.path in discovery:
            self.answer(200, discovery[url.path])
        elif group in RESOURCES:
            self.answer(200, {"kind": "APIResourceList", "groupVersion": group, "resources": resources(group)})
        elif url.path in self.server.objects:
            self.answer(200, self.server.objects[url.path])
        elif parts[-1] in {name for kinds in RESOURCES.values() for name in kinds.values()}:
            self.answer_list(url.path, parts, parse_qs(url.query))
        else:
            self.answer(404, failure("NotFound", 404))

    def answer_list(self, path: str, parts: list[str], query: dict[str, list[str]]) -> None:
        found = [held for place, held in self.server.objects.items() if place.rpartition("/")[0] == path]
        for wanted in query.get("labelSelector", []):
            labels = dict(term.split("=", 1) for term in wanted.split(",") if "=" in term)
            found = [held for held in found if labels.items() <= held["metadata"].get("labels", {}).items()]
        for wanted in query.get("fieldSelector", []):
            found = [held for held in found if held["metadata"]["name"] == wanted.partition("=")[2]]
        if "watch" in query:
            self.stream({"type": "MODIFIED", "object": held} for held in found)
        else:
            version = "/".join(parts[1:2] if parts[0] == "api" else parts[1:3])
            kind = next(kind for kind, plural in RESOURCES[version].items() if plural == parts[-1])
            listed = {
                "kind": f"{kind}List",
                "apiVersion": version,
                "metadata": {"resourceVersion": "1"},
                "items": found,
            }
            self.answer(200, listed)

    def do_POST(self) -> None:
        given = self.read()
        path = f"{urlsplit(self.path).path}/{given['metadata']['name']}"
        with self.server.lock:
            is_new = path not in self.server.objects
            if is_new:
                self.keep(path, given)
        self.answer(201 if is_new else 409, given if is_new else failure("AlreadyExists", 409))

    def do_PUT(self) -> None:
        given = self.read()
        self.keep(urlsplit(self.path).path, given)
        self.answer(200, given)

    def do_PATCH(self) -> None:
        path = urlsplit(self.path).path
        merged = merge(self.server.objects[path], self.read())
        self.keep(path, merged)
        self.answer(200, merged)

    def do_DELETE(self) -> None:
        self.read()
        gone = self.server.objects.pop(urlsplit(self.path).path, None)
        self.answer(200 if gone else 404, {"kind": "Status", "status": "Success"} if gone else failure("NotFound", 404))

    def keep(self, path: str, held: dict[str, Any]) -> None:
        held["metadata"] |= {"resourceVersion": str(len(self.server.objects) + 1), "uid": path}
        if held["kind"] == "Job":
            held["status"] = DONE
        self.server.objects[path] = held

    def read(self) -> Any:
        length = int(self.headers.get("Content-Length") or 0)
        return json.loads(self.rfile.read(length) or b"{}")

    def answer(self, status: int, body: Any) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def stream(self, events: Iterator[Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        for event in events:
            self.wfile.write(json.dumps(event).encode() + b"\n")
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


def failure(reason: str, code: int) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "reason": reason, "code": code}


def groups() -> Iterator[dict[str, Any]]:
    for version in RESOURCES:
        name, _, number = version.rpartition("/")
        if name:
            entry = {"groupVersion": version, "version": number}
            yield {"name": name, "versions": [entry], "preferredVersion": entry}


def resources(group: str) -> list[dict[str, Any]]:
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    return [
        {"name": plural, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": verbs}
        for kind, plural in RESOURCES[group].items()
    ]


def merge(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    merged = dict(old)
    for name, value in new.items():
        if value is None:
            merged.pop(name, None)
        elif not name.startswith("$"):
            merged[name] = merge(old.get(name), value)
    return merged


@contextmanager
def running_cluster(version: str) -> Iterator[Cluster]:
    with Cluster(version) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
