"""Predict what a file that was not copied leaves possible."""

from __future__ import annotations

from tempfile import TemporaryDirectory

from labkit.analysis import reach
from labkit.cluster import read_environment
from labkit.loading import load_model
from labkit.model.footholds import NETWORK
from labkit.workshop.checks import Mistake, compare, sets_of_names
from labkit.workshop.copied import copy_machines
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

FILES = (
    "/etc/kubernetes/audit-policy.yaml",
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/kubelet.yaml",
    "/etc/kubernetes/scheduler.conf",
    "/etc/systemd/system/etcd.service",
    "/etc/systemd/system/kube-apiserver.service",
)
NOTHING_FOUND = Mistake(
    "nothing-found",
    "no known path is not the same as out of reach: nobody has read the file that decides",
    {"/etc/systemd/system/etcd.service": set()},
)


def possible(forgotten: str) -> set[str]:
    """Return the goals that may be reached from the network, if a file was not copied."""
    with TemporaryDirectory() as folder:
        copy_machines(read_environment("hardened"), folder, forgotten=[forgotten])
        found = reach(load_model(folder), [NETWORK])
    return {goal.word for paths in (found.paths, found.possible) for goal in paths.get(NETWORK, {})}


def check(lab: EditedLab, answer: object) -> Outcome:
    """Compare the answer with the model of the copied files, once for each forgotten one."""
    return compare({path: possible(path) for path in FILES}, sets_of_names(answer), [NOTHING_FOUND])


EXERCISE = Exercise(
    name="own-1",
    title="What does a forgotten file leave possible?",
    notebook="12-your-own-cluster",
    kind="predict",
    mode="hardened",
    task=f"""
Somebody copies the files of the machines of `hardened`, as `copy_machines` does above, and forgets
one file on every machine. With all files, no goal is reached from the cluster network. Which goals
does the model call *possible*, because what decides is unknown? Answer for each of

{chr(10).join(f"- `{path}`" for path in FILES)}

Set `answer` to a dict: the path, and the set of the goals, out of `secrets`, `admin` and `node`. It
may be none: `set()`.
""",
    hints=(
        Hint(
            "Which listener does the file configure? What would it answer without its flags?",
            "nothing-found",
        ),
        Hint("A file of a client says whom the client calls. It opens no port."),
        Hint(
            "A path that is possible goes on: cluster-admin starts pods, and so is root on a node."
        ),
        Hint(
            "The kubelet's configuration file decides who runs commands in pods. Pods have "
            "secrets, and nobody has read which secrets hold tokens."
        ),
    ),
    check=check,
    solution="""
everything = {"admin", "node", "secrets"}
answer = {
    "/etc/kubernetes/audit-policy.yaml": set(),
    "/etc/kubernetes/kubelet.conf": set(),
    "/etc/kubernetes/kubelet.yaml": everything,
    "/etc/kubernetes/scheduler.conf": set(),
    "/etc/systemd/system/etcd.service": everything,
    "/etc/systemd/system/kube-apiserver.service": everything,
}
""",
    wrong=(
        WrongSolution(
            "what was not copied is not there",
            f"answer = {{path: set() for path in {FILES!r}}}",
            "nothing-found",
            "no known path is not the same as out of reach",
        ),
        WrongSolution(
            "every forgotten file leaves everything possible",
            f'answer = {{path: {{"admin", "node", "secrets"}} for path in {FILES!r}}}',
            "wrong-answer",
            "3 of 6 are as the model says",
        ),
    ),
    techniques=(),
)
