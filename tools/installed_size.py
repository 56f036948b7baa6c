"""How much a `pip install .` without extras takes: a fresh virtual environment, what lies in it beside pip, in MB.

    python -m tools.installed_size [MOST]

Needs a package index, as pip is configured to use one. Status 1 where it is more than MOST (60).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST = 60.0
INSTALLERS = ("pip", "setuptools", "pkg_resources", "wheel", "_distutils_hack", "distutils-precedence.pth")


def sizes(site: Path) -> dict[str, int]:
    """Octets of each top-level name of a site-packages directory, compiled files too, the installers' left out."""
    found: dict[str, int] = {}
    for entry in sorted(site.iterdir()):
        name = entry.name.partition("-")[0]
        if name in INSTALLERS or entry.name in INSTALLERS:
            continue
        files = [entry] if entry.is_file() else [path for path in entry.rglob("*") if path.is_file()]
        found[name] = found.get(name, 0) + sum(path.stat().st_size for path in files)
    return found


def measure() -> dict[str, int]:
    """Install into an environment that is thrown away, and run the command once."""
    with tempfile.TemporaryDirectory(prefix="installed-size-") as directory:
        venv.create(directory, with_pip=True)
        python = str(Path(directory, "bin", "python"))
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(ROOT)], check=True
        )
        subprocess.run([python, "-m", "ikescope", "--version"], check=True, cwd=directory)
        (site,) = Path(directory, "lib").glob("python*/site-packages")
        return sizes(site)


def main() -> int:
    """Print what each package takes, the largest first, and the sum."""
    most = float(sys.argv[1]) if len(sys.argv) > 1 else MOST
    found = measure()
    for name, octets in sorted(found.items(), key=lambda one: -one[1]):
        print(f"{octets / 1e6:8.1f} MB  {name}")
    total = sum(found.values()) / 1e6
    print(f"{total:8.1f} MB  in all; at most {most:g}")
    return 0 if total <= most else 1


if __name__ == "__main__":
    sys.exit(main())
