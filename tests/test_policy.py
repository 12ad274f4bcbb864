import errno
import hashlib
import io
import json
import os
import sys
from datetime import date
from pathlib import Path

import pytest

from audit_pipeline.errors import InputError, PolicyError
from audit_pipeline.lake.places import Access, Bucket, from_plain, to_plain
from audit_pipeline.lake.stores import open_store
from audit_pipeline.policy import add_stream, find_policy, init_project, load_policy, policy_digest, profile_passphrase
from audit_pipeline.policy.project import WORKSPACE
from audit_pipeline.sources.landing import Stream

REPOSITORY = Path(__file__).resolve().parents[1]
RUN_LOGS = "assets/run_logs/defs.yaml"

SHIPPED = (Stream("runs", "runs/{date}/**"), Stream("registers", "registers/**"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A policy folder as `init` makes it."""
    init_project(tmp_path / "policy")
    return tmp_path / "policy"


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_the_shipped_policy_has_logs_and_registers_from_2026_on(root: Path) -> None:
    policy = load_policy(root, {})

    assert policy.start == date(2026, 1, 1)
    assert policy.streams == SHIPPED
    assert policy.profile == "local"


def test_the_repository_is_its_own_first_user(root: Path) -> None:
    """What `init` writes is what the repository has at its top."""
    assert (REPOSITORY / "workspace.yaml").read_text() == WORKSPACE
    assert policy_digest(root) == policy_digest(REPOSITORY)


def test_places_lie_in_the_home(root: Path, tmp_path: Path) -> None:
    policy = load_policy(root, {"AUDIT_HOME": str(tmp_path / "elsewhere")})

    assert policy.places.landing == tmp_path / "elsewhere/landing"
    assert policy.places.marks == tmp_path / "elsewhere/keys/marks"
    assert load_policy(root, {}).places.lake == root / "audit-home/lake"


def test_the_profile_picks_the_file_of_places(root: Path) -> None:
    text = (root / "resources/local.yaml").read_text()
    (root / "resources/cluster.yaml").write_text(
        text.replace('"{home}/lake"', "/srv/lake").replace("keys/marks", "marks")
    )

    policy = load_policy(root, {"AUDIT_PROFILE": "cluster"})

    assert policy.profile == "cluster"
    assert policy.places.lake == Path("/srv/lake")


@pytest.mark.parametrize("profile", ["absent", "../resources/local"])
def test_a_profile_is_a_plain_name_of_a_file_that_exists(root: Path, profile: str) -> None:
    with pytest.raises(PolicyError):
        load_policy(root, {"AUDIT_PROFILE": profile})


def test_the_digest_is_that_of_the_evidence_format(root: Path) -> None:
    files = [path for name in ("assets", "expectations", "resources") for path in (root / name).rglob("*.*")]
    paths = sorted(path.relative_to(root).as_posix() for path in files)
    assert {RUN_LOGS, "assets/README.md", "resources/local.yaml", "expectations/annotations.json"} <= set(paths)
    lines = [f"{hashlib.sha256((root / path).read_bytes()).hexdigest()} {path}\n" for path in paths]

    assert load_policy(root, {}).digest == hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.mark.parametrize("path", [RUN_LOGS, "resources/local.yaml", "expectations/records.json"])
def test_any_changed_or_added_file_changes_the_digest(root: Path, path: str) -> None:
    before = policy_digest(root)

    with (root / path).open("a") as file:
        file.write("# more\n")

    assert policy_digest(root) != before


def test_files_outside_the_three_folders_are_no_policy(root: Path) -> None:
    before = policy_digest(root)

    (root / "notes.txt").write_text("to do")

    assert policy_digest(root) == before


def test_the_policy_is_the_nearest_folder_above(root: Path) -> None:
    inner = root / "assets/run_logs"

    assert find_policy({}, inner) == root


def test_audit_policy_wins_over_the_working_folder(root: Path, tmp_path: Path) -> None:
    init_project(tmp_path / "other")

    assert find_policy({"AUDIT_POLICY": str(tmp_path / "other")}, root) == tmp_path / "other"


def test_without_a_policy_folder_the_error_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="audit-pipeline init"):
        find_policy({}, tmp_path)
    with pytest.raises(InputError, match="audit-pipeline init"):
        find_policy({"AUDIT_POLICY": str(tmp_path)}, tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('path: "runs/{date}/**"', 'path: "../runs/{date}/**"', 9, "without '.' or '..'"),
        ('path: "runs/{date}/**"', 'path: "/runs/{date}/**"', 9, "relative to the landing zone"),
        ('path: "runs/{date}/**"', 'path: "runs//**"', 9, "relative to the landing zone"),
        ('path: "runs/{date}/**"', 'path: "{date}/{date}"', 9, "at most once"),
        ('path: "runs/{date}/**"', 'path: "runs/{hour}"', 9, "no other braces"),
        ('path: "runs/{date}/**"', 'path: "runs/[ab]*/{date}/**"', 9, "use * or ?"),
        ('path: "runs/{date}/**"', 'path: "runs/a]/**"', 9, "use * or ?"),
        ('path: "runs/{date}/**"', 'path: "runs/\\0/**"', 9, "relative to the landing zone"),
        ('path: "runs/{date}/**"', 'pth: "runs/{date}/**"', 9, "streams.0.pth: unknown key; did you mean path?"),
        ('path: "runs/{date}/**"', "format: jsonl", 8, "streams.0.path: is missing; give it"),
        ("streams:", "streems:", 7, "streems: unknown key; did you mean streams?"),
        ("attributes:", "atributes:", 5, "atributes: unknown key; did you mean attributes?"),
        ("attributes:", "more: 1\nattributes:", 5, "more: unknown key; remove it or correct its spelling"),
        ("attributes:", "attribute: {}\nattributes:", 5, "attribute: unknown key; remove it or correct its spelling"),
        (".RunLogs", ".RunLog", 3, "RunLog; did you mean audit_pipeline.components.RunLogs?"),
        ("audit_pipeline.", "audit_pipelines.", 3, "did you mean audit_pipeline.components.RunLogs?"),
        (".RunLogs", ".Ledgers", 3, "audit_pipeline.components.Ledgers; give one of "),
        ("attributes:", '"a\\nb": 1\nattributes:', 5, "a b: unknown key; remove it"),
        ("streams:", '"a\\nb": 1\n  streams:', 7, "a b: unknown key; remove it"),
        (
            "audit_pipeline.components.RunLogs",
            '"audit_pipeline.\\n"',
            3,
            "no component of type audit_pipeline.; give one",
        ),
        ("type:", "tpye:", 3, "tpye: unknown key; did you mean type?"),
        ('path: "runs/{date}/**"', 'path: "runs"\n      paths: "x"', 10, "unknown key; remove it"),
        (
            'path: "runs/{date}/**"',
            'path: "runs"\n      format: trl',
            10,
            "'trl' is not known; give one of docs/formats.md",
        ),
        ('path: "runs/{date}/**"', 'path: "runs"\n      format: trl_log_histroy', 10, "mean trl_log_history?"),
        ("- name: runs", "- name: Runs", 8, "lower-case"),
        ("- name: runs", "- name: _audit", 8, "reserved"),
        ("- name: runs", f"- name: {'a' * 64}", 8, "at most 63"),
        (
            "- name: runs",
            '- {name: runs, path: "a"}\n    - name: runs',
            9,
            "streams.1.name: the stream 'runs' is declared 2",
        ),
        ("- name: runs", "- name: runs\n      name: more", 9, "given twice"),
        ('start: "2026-01-01"', "start: yesterday", 6, "expected a date"),
        ('start: "2026-01-01"', "start: 1767225600", 6, "expected a date"),
        ("streams:", "streams: []\n---\nmore:", 7, "at least 1 item"),
        ('start: "2026-01-01"', "start: 2026-02-30", 6, "expected a date"),
        ('start: "2026-01-01"', "start: 2026-01-01T25:00:00Z", 6, "expected a date"),
        ('start: "2026-01-01"', "start: 0x_", 6, "put it in quotes"),
        ('start: "2026-01-01"', f"start: {'9' * 5000}", 6, "put it in quotes"),
        ('start: "2026-01-01"', "start: !!int none", 6, "a tag"),
        ('start: "2026-01-01"', "start: &a [*a]", 6, "an anchor"),
        ('start: "2026-01-01"', "start: *a", 6, "an alias"),
        ('start: "2026-01-01"', "? [start, {}]\n  : 2026-01-01", 6, "a key that is no plain text"),
        ('start: "2026-01-01"', "start: 2026-01-01\n  <<: {start: 2026-02-01}", 7, "unknown key"),
        ('start: "2026-01-01"', "start: " + "[" * 5000 + "]" * 5000, 6, "deep"),
        ('start: "2026-01-01"', 'start: "\\U00110000"', 6, "not YAML"),
        ('start: "2026-01-01"', "start: [2026-01-01\n  }", 7, "not YAML"),
    ],
)
def test_a_wrong_attribute_is_refused_by_file_and_line(root: Path, old: str, new: str, line: int, words: str) -> None:
    edit(root / RUN_LOGS, old, new)

    with pytest.raises(PolicyError) as refused:
        load_policy(root, {})

    assert str(refused.value).startswith(f"{root / RUN_LOGS}:{line}: ")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_component_without_attributes_is_refused_by_its_line(root: Path) -> None:
    (root / RUN_LOGS).write_text("\ntype: audit_pipeline.components.RunLogs\n")

    with pytest.raises(PolicyError, match=r"defs\.yaml:2: .* has no attributes; give it some"):
        load_policy(root, {})


def test_what_dagster_takes_beside_attributes_and_components_of_others_are_left_alone(root: Path) -> None:
    edit(root / RUN_LOGS, "attributes:", "requirements: {env: [HOME]}\nattributes:")
    (root / "assets/other").mkdir()
    (root / "assets/other/defs.yaml").write_text("type: my_package.components.RunLogs\nmore: 1\n")

    assert load_policy(root, {}).streams == SHIPPED


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("assets/privacy/defs.yaml", "  budget:", "  buget:", "9: buget: unknown key; did you mean budget?"),
        (
            "assets/privacy/defs.yaml",
            "      max_rows:",
            "      maxrows:",
            "maxrows: unknown key; did you mean max_rows?",
        ),
        ("assets/seal/defs.yaml", ".DailySeal", ".DailySael", "DailySael; did you mean .*components.DailySeal?"),
        ("resources/local.yaml", "\nlanding:", "\nlandin:", "3: landin: unknown key; did you mean landing?"),
        ("resources/local.yaml", "\nlanding:", "\n# landing:", "4: landing: is missing; give it"),
    ],
)
def test_a_misspelt_key_is_told_before_what_is_missing_for_it(
    root: Path, file: str, old: str, new: str, said: str
) -> None:
    edit(root / file, old, new)

    with pytest.raises(PolicyError, match=rf"{file}:\d*{said}" if said[0].isdigit() else rf"{file}:\d+: .*{said}"):
        load_policy(root, {})


def test_a_profile_that_is_not_there_is_told_with_those_that_are(root: Path) -> None:
    with pytest.raises(
        PolicyError, match=r"prod\.yaml: there is no such profile; AUDIT_PROFILE may be aws, azure, gcp, l"
    ):
        load_policy(root, {"AUDIT_PROFILE": "prod"})


@pytest.mark.parametrize("path", [RUN_LOGS, "resources/local.yaml", "expectations/annotations.json"])
def test_a_file_that_this_user_cannot_read_is_named_once_with_the_cure(
    root: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = io.open

    def deny(file: object, *arguments: object, **options: object) -> object:
        if file == root / path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
        return whole(file, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(io, "open", deny)  # root, as tests may run, reads everything

    with pytest.raises(PolicyError) as refused:
        load_policy(root, {})

    said = "cannot be read: Permission denied; give this user read access"
    assert str(refused.value) == f"{root / path}: {said}"


def test_a_file_that_is_not_utf8_is_refused_by_its_line(root: Path) -> None:
    (root / RUN_LOGS).write_bytes(b"type: x\n# \xff\n")

    with pytest.raises(PolicyError, match=r"defs\.yaml:2: not UTF-8; save the file as UTF-8"):
        load_policy(root, {})


def test_a_date_needs_no_quotes(root: Path) -> None:
    edit(root / RUN_LOGS, '"2026-01-01"', "2026-01-01")

    assert load_policy(root, {}).start == date(2026, 1, 1)


def test_a_file_that_is_not_yaml_is_refused(root: Path) -> None:
    (root / RUN_LOGS).write_text("type: [")

    with pytest.raises(PolicyError, match=r"defs\.yaml:1: not YAML"):
        load_policy(root, {})


@pytest.mark.parametrize("content", [b"type: \x00\n", b"type: \xff\n", b"%YAML 9.9\n---\ntype: x\n"])
def test_bytes_that_no_yaml_has_are_refused_in_one_line(root: Path, content: bytes) -> None:
    (root / RUN_LOGS).write_bytes(content)

    with pytest.raises(PolicyError, match=r"^[^\n]*defs\.yaml:[^\n]*$"):
        load_policy(root, {})


def test_a_second_run_logs_component_is_refused(root: Path) -> None:
    """Its assets would have the names of the first one's."""
    (root / "assets/more").mkdir()
    (root / "assets/more/defs.yaml").write_text((root / RUN_LOGS).read_text())

    with pytest.raises(PolicyError, match="a second component"):
        load_policy(root, {})


def test_a_policy_without_streams_is_refused(root: Path) -> None:
    (root / RUN_LOGS).unlink()

    with pytest.raises(PolicyError, match="no component of type"):
        load_policy(root, {})


def test_a_component_of_another_package_is_no_misspelt_run_logs(root: Path) -> None:
    edit(root / RUN_LOGS, "audit_pipeline.", "my_package.")

    with pytest.raises(PolicyError, match=rf"{root}/assets: no component of type audit_pipeline.components.RunLogs; "):
        load_policy(root, {})


def test_run_logs_and_seal_start_on_the_same_day(root: Path) -> None:
    edit(root / "assets/seal/defs.yaml", "2026-01-01", "2026-02-01")

    with pytest.raises(PolicyError, match="the same start"):
        load_policy(root, {})


@pytest.mark.parametrize(
    ("inner", "outer"), [("keys", "lake"), ("marks", "evidence"), ("landing", "lake"), ("# released", "lake")]
)
def test_places_do_not_lie_in_each_other(root: Path, inner: str, outer: str) -> None:
    """A key or mark inside the lake could be changed by whoever can write the lake."""
    name = inner.removeprefix("# ")
    edit(root / "resources/local.yaml", f"\n{inner}: ", f'\n{name}: "{{home}}/{outer}/{name}"\n# was: ')

    with pytest.raises(PolicyError, match=rf"local\.yaml:\d+: {name} lies inside {outer}"):
        load_policy(root, {})


def test_a_place_that_is_missing_or_unknown_is_refused(root: Path) -> None:
    edit(root / "resources/local.yaml", "\nmarks: ", "\nmark: ")

    with pytest.raises(PolicyError, match=r"local\.yaml"):
        load_policy(root, {})


@pytest.mark.parametrize("profile", ["local", "aws", "gcp", "azure"])
def test_released_tables_may_lie_in_a_place_of_their_own(root: Path, profile: str) -> None:
    edit(root / f"resources/{profile}.yaml", "# released: ", "released: ")

    places = load_policy(root, {"AUDIT_PROFILE": profile}).places

    assert places.released is not None
    assert places.area("released") == places.released
    assert places.area("audit") == places.lake / "audit"
    assert from_plain(json.loads(json.dumps(to_plain(places)))) == places


@pytest.mark.parametrize("profile", ["aws", "gcp", "azure"])
def test_the_shipped_profiles_name_a_place_in_a_bucket_for_all_but_what_stays_on_the_machine(
    root: Path, profile: str
) -> None:
    places = load_policy(root, {"AUDIT_PROFILE": profile}).places

    kept_here = {name for name in places.__dataclass_fields__ if isinstance(getattr(places, name), Path)}
    assert kept_here == {"keys", "dagster", "cache"}
    assert from_plain(json.loads(json.dumps(to_plain(places)))) == places


def test_of_several_stores_that_fit_the_longest_says_how_a_place_is_reached(root: Path) -> None:
    file = root / "resources/local.yaml"
    edit(file, '"{home}/lake"', "s3://b/lake")
    edit(file, '"{home}/log"', "s3://b/log")
    stores = '  - uri: "s3://b"\n    region: "r1"\n  - uri: "s3://b/log"\n    region: "r2"\n    locked: true\n'
    file.write_text(f"{file.read_text()}stores:\n{stores}")

    places = load_policy(root, {}).places

    assert places.lake == Bucket("s3://b/lake", Access(region="r1"))
    assert places.log == Bucket("s3://b/log", Access(region="r2", is_locked=True))


@pytest.mark.parametrize(
    ("place", "written", "why"),
    [
        ("lake", "s3://", "expected s3://BUCKET"),
        ("lake", "ftp://host/x", "expected s3://BUCKET"),
        ("lake", "abfss://container/x", "expected s3://BUCKET"),
        ("keys", "s3://bucket/keys", "must be a folder of this machine"),
        ("marks", "s3://lakes-bucket/marks", "give marks a bucket of their own"),
        ("evidence", "s3://lakes-bucket/lake/evidence", "evidence lies inside lake"),
    ],
)
def test_a_place_that_no_store_can_be_is_refused_with_its_line(root: Path, place: str, written: str, why: str) -> None:
    file = root / "resources/local.yaml"
    if place != "lake":
        edit(file, '"{home}/lake"', '"s3://lakes-bucket/lake"')
    edit(file, f"\n{place}: ", f'\n{place}: "{written}"\n# was: ')

    with pytest.raises(PolicyError, match=rf"local\.yaml:\d+: .*{why}"):
        load_policy(root, {})


def test_an_endpoint_without_tls_is_on_this_machine(root: Path) -> None:
    file = root / "resources/local.yaml"
    file.write_text(f'{file.read_text()}stores:\n  - uri: "s3://b"\n    endpoint: "http://minio.example.com"\n')

    with pytest.raises(PolicyError, match="expected https://"):
        load_policy(root, {})


@pytest.mark.parametrize(("uri", "extra"), [("s3://b/x", "aws"), ("gs://b/x", "gcp"), ("abfss://b@a.host/x", "azure")])
def test_a_bucket_whose_libraries_are_not_installed_names_the_extra(
    uri: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "audit_pipeline.lake.buckets", raising=False)

    with pytest.raises(InputError, match=rf"needs the extra `{extra}`"):
        open_store(Bucket(uri))


def test_a_stream_is_added_and_the_comments_stay(root: Path) -> None:
    before = (root / RUN_LOGS).read_text()

    add_stream(root, "votes", "votes/{date}/*.csv")

    after = (root / RUN_LOGS).read_text()
    assert load_policy(root, {}).streams == (*SHIPPED, Stream("votes", "votes/{date}/*.csv"))
    assert after.startswith(before)


@pytest.mark.parametrize("end", ["", "\n", "\n# the end\n", "\n\n---\ntype: other.Component\nattributes: {}\n"])
def test_a_stream_is_added_after_the_last_one_whatever_follows(root: Path, end: str) -> None:
    file = root / RUN_LOGS
    file.write_text(file.read_text().rstrip("\n") + end)

    add_stream(root, "first", "*/{date}: #1")
    add_stream(root, "second", "c")

    assert [stream.name for stream in load_policy(root, {}).streams] == ["runs", "registers", "first", "second"]
    assert load_policy(root, {}).streams[2].path == "*/{date}: #1"
    assert file.read_text().endswith(end)


def test_a_taken_or_wrong_name_is_refused_and_nothing_is_written(root: Path) -> None:
    before = (root / RUN_LOGS).read_text()

    with pytest.raises(InputError, match="already"):
        add_stream(root, "runs", "elsewhere/**")
    with pytest.raises(InputError, match="reserved"):
        add_stream(root, "_audit", "elsewhere/**")
    with pytest.raises(InputError, match=r"without '\.' or '\.\.'"):
        add_stream(root, "votes", "../votes")
    with pytest.raises(InputError, match=r"use \* or \?"):
        add_stream(root, "votes", "votes/[ab].csv")

    assert (root / RUN_LOGS).read_text() == before


def test_a_list_in_brackets_is_left_to_its_author(root: Path) -> None:
    (root / RUN_LOGS).write_text(
        "type: audit_pipeline.components.RunLogs\n"
        "attributes: {start: 2026-01-01, streams: [{name: runs, path: runs}]}\n"
    )
    before = (root / RUN_LOGS).read_text()

    with pytest.raises(PolicyError, match="by hand"):
        add_stream(root, "votes", "votes")

    assert (root / RUN_LOGS).read_text() == before


def test_init_never_replaces_anything(root: Path) -> None:
    with pytest.raises(InputError, match="exists already"):
        init_project(root)


def test_init_keeps_the_home_out_of_the_repository(root: Path) -> None:
    """The home holds the key."""
    assert "/audit-home/" in (root / ".gitignore").read_text().splitlines()


def add_to_profile(root: Path, text: str) -> None:
    file = root / "resources/local.yaml"
    file.write_text(file.read_text() + text)


def as_profile(root: Path, name: str) -> dict[str, str]:
    """The shipped profile under another name; the environment that picks it."""
    (root / "resources/local.yaml").rename(root / f"resources/{name}.yaml")
    return {"AUDIT_PROFILE": name}


def test_a_profile_names_keys_by_uri(root: Path) -> None:
    add_to_profile(root, 'signing_keys: ["file:{home}/keys/key.pem", "awskms:alias/audit-log"]\n')

    keys = load_policy(root, {"AUDIT_HOME": "/somewhere"}).places.signing_keys

    assert keys == ("file:/somewhere/keys/key.pem", "awskms:alias/audit-log")


@pytest.mark.parametrize("place", ["lake", "log", "landing", "evidence"])
def test_a_signing_key_does_not_lie_in_a_store(root: Path, place: str) -> None:
    add_to_profile(root, f'signing_keys: ["file:{{home}}/{place}/key.pem"]\n')

    with pytest.raises(PolicyError, match=rf"local\.yaml:\d+: a signing key lies inside {place}"):
        load_policy(root, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("signing_keys: [vault:x]\n", "signing_keys: 'vault:x': expected one of file: awskms:"),
        ("witnesses: |\n  witness w1 nonsense https://w.example\n", "witnesses: .*vkey"),
        ("witnesses: |\n  quorum w1\n", "witnesses: .*no witness or group"),
    ],
)
def test_keys_and_witnesses_that_cannot_be_are_refused_with_their_line(root: Path, text: str, said: str) -> None:
    add_to_profile(root, text)

    with pytest.raises(PolicyError, match=rf"local\.yaml:\d+: {said}"):
        load_policy(root, {})


def test_a_profile_says_who_vouches(root: Path) -> None:
    vkey = "w.example+5eda88e9+BDtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
    add_to_profile(
        root, f"witnesses: |\n  witness w {vkey} https://w.example\n  quorum none\ntimestamps: https://t.example\n"
    )

    attesters = load_policy(root, {}).attesters

    assert attesters.authority == "https://t.example"
    assert "https://w.example" in attesters.witnesses


def test_elsewhere_than_on_ones_own_machine_marks_have_a_place_of_their_own(root: Path) -> None:
    environ = as_profile(root, "team")

    with pytest.raises(PolicyError, match=r"team\.yaml:\d+: marks lies inside keys"):
        load_policy(root, environ)
    edit(root / "resources/team.yaml", "{home}/keys/marks", "{home}/marks")
    assert load_policy(root, environ).profile == "team"


def test_elsewhere_than_on_ones_own_machine_keys_have_a_passphrase() -> None:
    assert profile_passphrase({}) is None
    assert profile_passphrase({"AUDIT_PROFILE": "team", "AUDIT_KEY_PASSPHRASE": "secret"}) == b"secret"
    with pytest.raises(InputError, match="AUDIT_KEY_PASSPHRASE is not set: in the profile team"):
        profile_passphrase({"AUDIT_PROFILE": "team"})
