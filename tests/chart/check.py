"""Renders the chart with every values file for several versions of Kubernetes, and checks what comes out.

python tests/chart/check.py HELM KUBECTL       exits with 1 if anything is wrong, naming all of it
"""

import base64
import copy
import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import kubernetes_validate
import yaml

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.chart.breaks import BREAKS
from tests.chart.bridge import BRIDGE, check_bridge
from tests.chart.documented import check_documented
from tests.chart.fake_cluster import running_cluster
from tests.chart.policies import POLICIES

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/toolbox"
VERSIONS = ("1.29.0", "1.32.0", "1.35.0")
SETS = {
    "dev": ["values-dev.yaml"],
    "staging": ["values-staging.yaml"],
    "bridges": ["values-staging.yaml", "../../tests/chart/values-bridges.yaml"],
    "prod": ["values-prod.yaml"],
    "blue-green": ["values-prod.yaml", "values-blue-green.yaml"],
}
NONSENSE = {
    "server.replicas=many": "server.replicas",
    "service.type=Internet": "service.type",
    "service.port=99999": "service.port",
    "image.tag=latest": "image.tag",
    "image.pullPolicy=Sometimes": "image.pullPolicy",
    "config.DATABASE_URL=x": "config",
    "config.lower=x": "config",
    "canary.weight=101": "canary.weight",
    "blueGreen.active=red": "blueGreen.active",
    "backup.schedule=daily": "backup.schedule",
    "ingress.host=https://x": "ingress.host",
    "servr.replicas=2": "servr",
    "server.resources.limits.cpu=lots": "server.resources.limits.cpu",
    "autoscaling.targetCPU=0": "autoscaling.targetCPU",
    "topologySpread.whenUnsatisfiable=Maybe": "topologySpread.whenUnsatisfiable",
    "postgresql.image=postgres": "postgresql.image",
}
REFUSED = {
    "--set secrets.existing=": "secrets.existing must name a Secret",
    "--set canary.enabled=true,ingress.enabled=true,ingress.host=a.example": "canary.tag must name the image",
    "--set canary.enabled=true,canary.tag=v1": "canary.enabled needs ingress.enabled",
    "--set ingress.enabled=true": "ingress.host must be the host name",
    "--set blueGreen.enabled=true,blueGreen.green.tag=v1": "blueGreen.blue.tag must name the image",
    "--set secrets.external.enabled=true": "secrets.external.store must name",
}


def main(helm: str, kubectl: str) -> int:
    problems: list[str] = []
    objects_seen = 0
    for name, files in SETS.items():
        arguments = [part for file in files for part in ("--values", str(CHART / file))]
        problems += check_lint(helm, name, arguments)
        for version in VERSIONS:
            objects = render(helm, version, *arguments)
            objects_seen += len(objects)
            problems += [f"{name}, {version}: {problem}" for problem in check_objects(objects, version)]
    problems += check_policies(render(helm, VERSIONS[0], "--values", str(CHART / "values-prod.yaml")))
    problems += check_refusals(helm)
    problems += check_install(helm)
    problems += check_documented(helm, kubectl, VERSIONS[1], check_objects)
    bridges = ("--set", "secrets.existing=some", "--set-json", f"bridges=[{json.dumps(BRIDGE)}]")
    problems += check_bridge(render(helm, VERSIONS[0], *bridges))
    for problem in problems:
        print(problem)
    print(f"{len(SETS)} sets of values, {len(VERSIONS)} versions of Kubernetes, {objects_seen} objects, "
          f"{len(POLICIES)} policies, {len(NONSENSE) + len(REFUSED)} refusals: {len(problems)} problems")  # fmt: skip
    return bool(problems)


def check_policies(objects: list[dict[str, Any]]) -> Iterator[str]:
    """A policy that finds nothing wrong with a broken chart would be none."""
    for policy in POLICIES:
        for number, change in enumerate(BREAKS[policy], 1):
            broken = copy.deepcopy(objects)
            change(broken)
            if list(policy(objects)) or not list(policy(broken)):
                yield f"{policy.__name__} does not find break {number}"


def run(helm: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([helm, *arguments], capture_output=True, text=True, env=os.environ | environment, timeout=120)


def check_lint(helm: str, name: str, arguments: list[str]) -> list[str]:
    done = run(helm, "lint", "--strict", str(CHART), *arguments)
    return [f"{name}: {done.stdout}{done.stderr}"] if done.returncode else []


def render(helm: str, version: str, *arguments: str) -> list[dict[str, Any]]:
    done = run(helm, "template", "release", str(CHART), "--kube-version", version, *arguments)
    if done.returncode:
        raise SystemExit(done.stderr)
    return [made for made in yaml.safe_load_all(done.stdout) if made]


def check_objects(objects: list[dict[str, Any]], version: str) -> Iterator[str]:
    own = {
        path.stem: jsonschema_rs.validator_for(json.loads(path.read_text()))
        for path in (ROOT / "tests/chart/schemas").glob("*.json")
    }
    for made in objects:
        label = f"{made['kind']}/{made['metadata']['name']}"
        if made["kind"] in own:
            yield from (f"{label}: {error.message}" for error in own[made["kind"]].iter_errors(made))
            continue
        try:
            kubernetes_validate.validate(made, ".".join(version.split(".")[:2]), strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{label}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"{label}: {error}"
    for policy in POLICIES:
        yield from (f"{policy.__name__}: {broken}" for broken in policy(objects))


def check_refusals(helm: str) -> Iterator[str]:
    base = ("template", "release", str(CHART), "--kube-version", VERSIONS[1], "--set", "secrets.existing=some")
    for given, named in NONSENSE.items():
        done = run(helm, *base, "--set", given)
        if done.returncode == 0 or named not in done.stderr:
            yield f"--set {given} is not refused by name: {done.stderr[:300]}"
    for given, said in REFUSED.items():
        done = run(helm, *base, *given.split(" "))
        if done.returncode == 0 or said not in done.stderr:
            yield f"{given} is not refused with {said!r}: {done.stderr[:300]}"


def check_install(helm: str) -> Iterator[str]:
    """Install, upgrade and roll back, and look at what is in the cluster afterwards."""
    with running_cluster(VERSIONS[1]) as cluster, tempfile.TemporaryDirectory() as folder:
        environment = cluster.environment(folder)
        values = ["--values", str(CHART / "values-staging.yaml"), "--disable-openapi-validation"]
        for step in (
            ["install", "release", str(CHART), *values],
            ["upgrade", "release", str(CHART), *values, "--set", "image.tag=0.2.0,canary.enabled=false"],
            ["rollback", "release", "1"],
        ):
            done = run(helm, *step, **environment)
            if done.returncode:
                yield f"helm {step[0]}: {done.stderr}"
                return
            images = {
                made["metadata"]["name"]: made["spec"]["template"]["spec"]["containers"][0]["image"]
                for made in cluster.of_kind("Deployment")
            }
            has_canary = "release-toolbox-canary" in images
            expected = ("toolbox:0.2.0", False) if step[0] == "upgrade" else ("toolbox:0.1.0", True)
            if (images.get("release-toolbox"), has_canary) != expected:
                yield f"after helm {step[0]} the cluster holds {images}"
            if cluster.of_kind("Job"):
                yield f"after helm {step[0]} the Job of the migrations is still there"
        if revealed := [held for held in cluster.of_kind("Secret") if held.get("type") != "helm.sh/release.v1"]:
            yield f"Secrets were made: {revealed}"
        kept = cluster.of_kind("Secret")[0]["data"]["release"]
        release = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(kept))))
        if "pre-install" not in json.dumps(release["hooks"]):
            yield "the migrations were no hook"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
