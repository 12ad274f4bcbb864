"""deploy/Dockerfile really builds, over a base made here in place of the public one; the demo runs in what it builds.

`make image-test` calls this: as root, with Debian's buildah and debootstrap, and whatever registries this machine's apt
and pip are set up for.
"""

import ast
import configparser
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BASE, IMAGE = "localhost/audit-base", "localhost/audit"
SUITE = "bookworm"  # as in the name of the Dockerfile's own base
USER = 10001


class Builder:
    """buildah with a store of its own, without the mounts and name spaces that a container host has."""

    def __init__(self, store: Path) -> None:
        self.words = ["buildah", "--root", store, "--runroot", store / "run", "--storage-driver", "vfs"]

    def __call__(self, *words: object) -> str:
        done = subprocess.run([*self.words, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(map(str, words))}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout.strip()

    def run(self, container: str, *words: object) -> str:
        return self("run", "--isolation", "chroot", container, "--", *words)


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[Builder]:
    if os.geteuid() != 0:
        pytest.skip("debootstrap and buildah's chroot need root")
    builder = Builder(tmp_path / "store")
    yield builder
    builder("rm", "--all")
    builder("rmi", "--all", "--force")


def make_base(builder: Builder) -> None:
    """Debian with Python, as the public base is, from wherever apt has it from here."""
    form = "$(CODENAME) $(COMPONENT) $(REPO_URI)"
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", form, "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = [line.split()[2] for line in listed.stdout.splitlines() if line.startswith(f"{SUITE} main ")]
    if not found:
        pytest.skip(f"apt has no {SUITE} here ({platform.freedesktop_os_release()['PRETTY_NAME']})")
    container = builder("from", "scratch")
    packages = "--include=python3-venv,ca-certificates"
    root = builder("mount", container)
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", packages, SUITE, root, found[0]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr
    builder("commit", "--rm", container, BASE)


def pip_settings(folder: Path) -> Sequence[str]:
    """Options that lend what pip is set to on this machine, and the files this names, to the build: no layer has it."""
    said = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    settings = {}
    for line in sorted(said.stdout.splitlines(), key=lambda line: line.startswith(":env:")):  # variables win
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = ast.literal_eval(value)
    file = configparser.RawConfigParser()
    file["global"] = settings
    with (folder / "pip.conf").open("w") as out:
        file.write(out)
    named = {word for value in settings.values() for word in value.split() if Path(word).is_absolute()}
    lent = [f"{word}:{word}:ro" for word in sorted(named) if Path(word).exists()]
    return [word for mount in (f"{folder}/pip.conf:/etc/pip.conf:ro", *lent) for word in ("--volume", mount)]


@pytest.mark.slow
@pytest.mark.needs("buildah", "buildah")
@pytest.mark.needs("debootstrap", "debootstrap")
def test_the_image_builds_and_runs_the_demo_as_a_user_who_can_write_to_its_volumes_alone(
    builder: Builder, tmp_path: Path
) -> None:
    make_base(builder)
    options = ["--isolation", "chroot", "--pull-never", "--build-arg", f"BASE={BASE}", *pip_settings(tmp_path)]
    builder("build", *options, "--file", ROOT / "deploy/Dockerfile", "--tag", IMAGE, ROOT)

    container = builder("from", IMAGE)
    root = Path(builder("mount", container))
    said = builder.run(container, "audit-pipeline", "demo", "--home", "/srv/audit/demo", "--records", "300")

    assert "FOUND" in said
    assert builder.run(container, "id", "-u") == str(USER)
    builder.run(container, "audit-pipeline", "init", "/srv/policy")
    builder.run(container, "dagster", "definitions", "validate", "-m", "audit_pipeline.definitions")
    builder.run(container, "python3", "-c", "import dagster_postgres, psycopg2, apprise, pysnmp")
    written = {path.relative_to(root).parts[0] for path in root.rglob("*") if path.lstat().st_uid == USER}
    assert "srv" in written
    assert written <= {"srv", "tmp"}
    lent = root / "etc/pip.conf"
    assert not lent.exists() or lent.stat().st_size == 0  # at most the place where it was mounted
