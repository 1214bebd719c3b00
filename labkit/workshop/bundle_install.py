"""Install labkit from the folder that this file is in. Needs Python and Docker, and no network.

``python3 install.py`` makes a Python environment in the folder ``venv``, installs the packages
from ``wheels``, and loads the images into Docker. Run it again after a failure.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

#: Seconds for a step, and between two signs of life; the longest takes one to two minutes.
STEP_S, SIGN_S = 1800, 15


def unsuitable(about: Mapping[str, Sequence[str]], python: str, platform: str) -> str:
    """Return why the packages are not for this Python, or "" if they are.

    Examples
    --------
    >>> unsuitable({"pythons": ["3.12"], "platform": "linux-x86_64"}, "3.13", "linux-x86_64")
    'the packages here are for Python 3.12, and this is Python 3.13: python3.12 install.py'
    """
    if python not in about["pythons"]:
        wanted = " or ".join(about["pythons"])
        which = f"python{about['pythons'][0]} install.py"
        return f"the packages here are for Python {wanted}, and this is Python {python}: {which}"
    if platform != about["platform"]:
        return (
            f"the packages here are for {about['platform']}, and this is {platform}: "
            "ask for a bundle that was made on such a machine"
        )
    return ""


def run(title: str, argv: Sequence[str | Path], advice: str) -> None:
    """Run a step; end with what it said and with advice if it fails."""
    print(f" … {title}", flush=True)
    began = time.monotonic()
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        said = None
        while said is None:
            try:
                said, _ = process.communicate(timeout=SIGN_S)
            except subprocess.TimeoutExpired:
                seconds = time.monotonic() - began
                print(f"   {title}: {seconds:.0f} s", flush=True)
                if seconds > STEP_S:
                    process.kill()
                    sys.exit(f"error: {title}: no end after {STEP_S} s\n{advice}")
    if process.returncode:
        last = said.strip().splitlines()[-8:]
        sys.exit("\n".join([f"error: {title} failed", *(f"  | {it}" for it in last), advice]))
    print(f" ✓ {title} ({time.monotonic() - began:.0f} s)", flush=True)


def main(here: Path, arguments: Sequence[str] = ()) -> None:
    """Install everything, and say what to run next."""
    if arguments:
        sys.exit(f"{__doc__}\nIt takes no arguments, and installs in {here}.")
    about = json.loads((here / "bundle.json").read_text())
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if reason := unsuitable(about, python, sysconfig.get_platform()):
        sys.exit(f"error: {reason}")
    wheels, environment = here / "wheels", here / "venv"
    # with pip's own wheel, because some systems have no ensurepip
    venv.create(environment, with_pip=False, clear=True)
    [pip] = wheels.glob("pip-*.whl")
    [labkit] = wheels.glob("labkit-*.whl")
    python_there = environment / "bin" / "python"
    again = f"  next: {Path(sys.executable).name} {here / 'install.py'}"
    options = ("--no-index", f"--find-links={wheels}", f"{labkit}[notebooks]")
    print("This takes two or three minutes, and more on a busy laptop.")
    run("install the packages", (python_there, pip / "pip", "install", *options), again)
    program = environment / "bin" / "labkit"
    for name, tag in about["images"].items():
        load = (program, "image", "load", here / f"{name}.tar.gz")
        run(f"load the image {tag}", load, "  next: start Docker, then run this again")
    print("labkit is installed. Next:")
    print("  export LABKIT_NAME=NAME   # if your trainer gave you one")
    print(f"  {program} up\n  {program} verify")
    print(f"  {environment / 'bin' / 'jupyter'} lab {here / 'notebooks'}")
    print("The notebooks there are yours to write in. The first code cell of each names its labs;")
    print("where they are not up, it prints the command that brings them up.")
    print(f"When you are done, this removes your labs:\n  {program} down")


if __name__ == "__main__":
    main(Path(__file__).resolve().parent, sys.argv[1:])
