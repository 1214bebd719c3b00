from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import {module}
from labkit.cluster import read_environment
read_environment("insecure")
print(*sorted({{name.partition(".")[0] for name in sys.modules}} & {{{heavy}}}))
"""


def loaded(module: str, *heavy: str) -> str:
    code = CODE.format(module=module, heavy=", ".join(map(repr, heavy)))
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def test_cluster_imports_neither_docker_nor_networkx():
    assert loaded("labkit.cluster", "docker", "kubernetes", "networkx", "matplotlib") == ""


def test_model_imports_neither_docker_nor_kubernetes():
    assert loaded("labkit.model", "docker", "kubernetes", "matplotlib") == ""


def test_render_imports_matplotlib_only_to_draw():
    assert loaded("labkit.render", "docker", "kubernetes", "matplotlib") == ""
