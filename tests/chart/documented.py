"""Runs what the pages say about Kubernetes, word for word, with helm and kubectl, against the small API server."""

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.chart.fake_cluster import Cluster, running_cluster

ROOT = Path(__file__).parents[2]
BLOCKS = {
    "charts/toolbox/README.md": ".dev/secrets --kubernetes",
    "docs/operating.md": "mkdir -p base prod\nhelm template",
}
"""Which block of which page, by how it begins."""

Objects = list[dict[str, Any]]


def check_documented(
    helm: str, kubectl: str, version: str, check_objects: Callable[[Objects, str], Iterable[str]]
) -> Iterator[str]:
    """Each block in a cluster of its own; twice, since that is how one goes on after a change."""
    for page, start in BLOCKS.items():
        block = read_block(page, start)
        with running_cluster(version) as cluster, tempfile.TemporaryDirectory() as folder:
            Path(folder, "bin").mkdir()
            for name, program in (("helm", helm), ("kubectl", kubectl)):
                Path(folder, "bin", name).symlink_to(Path(program).absolute())
            for name in ("charts", ".dev"):
                Path(folder, name).symlink_to(ROOT / name)
            environment = os.environ | cluster.environment(folder)
            environment["PATH"] = f"{folder}/bin:{environment['PATH']}"
            for code in (block, block.replace("helm install", "helm upgrade")):
                done = subprocess.run(
                    ["sh", "-eu", "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
                )
                if done.returncode:
                    yield f"{page}: {done.stderr}"
                    return
            yield from (f"{page}: {problem}" for problem in check_objects(held(cluster), version))
            if page == "docs/operating.md":
                yield from check_patched(cluster)


def read_block(page: str, start: str) -> str:
    code = re.search(rf"^```sh\n({re.escape(start)}.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    assert code, f"{page} has no block that begins with {start!r}"
    return code[1]


def held(cluster: Cluster) -> Objects:
    """What is in a cluster, without Secrets (helm's notes, and those of development) and what the API server added."""
    kept = []
    for made in cluster.objects.values():
        if made["kind"] != "Secret":
            about = {name: value for name, value in made["metadata"].items() if name not in {"resourceVersion", "uid"}}
            kept.append({name: value for name, value in made.items() if name != "status"} | {"metadata": about})
    return kept


def check_patched(cluster: Cluster) -> Iterator[str]:
    """What the overlay of the page changes is changed, and everything is in its namespace."""
    deployments = {made["metadata"]["name"]: made["spec"] for made in cluster.of_kind("Deployment")}
    images = {
        container["image"]
        for spec in deployments.values()
        for kind in ("containers", "initContainers")
        for container in spec["template"]["spec"].get(kind, [])
    }
    if images != {"registry.example.com/toolbox:0.1.0"}:
        yield f"the overlay leaves other images: {images}"
    if deployments["toolbox-worker"]["replicas"] != 4:
        yield f"the overlay leaves {deployments['toolbox-worker']['replicas']} workers"
    if elsewhere := [path for path in cluster.objects if "/namespaces/toolbox/" not in path]:
        yield f"not in the namespace: {elsewhere}"
