"""Exit with 0 if the apiserver says that it is ready. Argument: a kubeconfig."""

from __future__ import annotations

import os
import sys

from labkit.agents._apiserver import request

if __name__ == "__main__":
    argv = request(sys.argv[1], ["/readyz"], 10)
    os.execvp(argv[0], argv)  # noqa: S606 - it is curl or kubectl
