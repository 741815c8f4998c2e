"""``seawall dashboard`` as a user starts it; the example of docs/dashboard.md."""

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

DOCS = Path(__file__).parents[2] / "docs" / "dashboard.md"


@contextmanager
def started(dsn, *options, **environment):
    """The command, the address that it prints, and what it printed before."""
    names = ("SEAWALL_DASHBOARD_TOKEN", "SEAWALL_DASHBOARD_VIEWER_TOKEN", "USER")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    process = subprocess.Popen(
        [sys.executable, "-m", "seawall", "dashboard", "--dsn", dsn, "--port", "0", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**kept, **environment},
    )  # fmt: skip
    with process:
        printed = ""
        for line in process.stdout:
            printed += line
            if found := re.search(r"http://\S+", line):
                break
        else:
            pytest.fail(process.stderr.read())
        try:
            yield process, found[0].rstrip("/"), printed
        finally:
            process.kill()


@contextmanager
def signed_in(address, token):
    with httpx.Client(base_url=address, trust_env=False) as client:
        answer = client.post("/sign-in", data={"token": token})
        assert answer.status_code == 303, answer.text
        yield client


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_dashboard_prints_its_token_and_ends_with_a_signal(database_dsn, number):
    """Also with a live page, which would never end by itself."""
    with started(database_dsn, USER="ann") as (process, address, printed):
        assert address.startswith("http://127.0.0.1:")
        token = re.search(r"token, for this time: (\S+)", printed)[1]
        with signed_in(address, token) as client:
            assert "ann, operator" in client.get("/").text
            with client.stream("GET", "/live") as live:
                assert live.status_code == 200
                process.send_signal(number)
                assert process.wait(20) in (0, 130, -number)
        assert "Traceback" not in process.stderr.read()


@pytest.mark.timeout(60)
def test_dashboard_users_of_the_environment_and_of_a_file(database_dsn, tmp_path):
    """Each has the role that was given; a path of a proxy's is kept to."""
    operator, viewer = "o" * 24, "v" * 24
    tokens = {"SEAWALL_DASHBOARD_TOKEN": operator, "SEAWALL_DASHBOARD_VIEWER_TOKEN": viewer}
    with started(database_dsn, **tokens) as (_, address, printed):
        assert "token" not in printed
        with signed_in(address, operator) as client:
            assert client.get("/record/edit").status_code == 400  # which record?
        with signed_in(address, viewer) as client:
            assert client.get("/record/edit").status_code == 403
    file = tmp_path / "users.toml"
    file.write_text(f'[ben]\ntoken = "{viewer}"\nrole = "viewer"\n')
    with started(database_dsn, "--tokens", str(file), "--root-path", "/etl") as (_, address, _):
        assert address.endswith("/etl")
        base = address.removesuffix("/etl")
        # As a proxy does that takes the path away.
        with signed_in(base, viewer) as client:
            assert {cookie.path for cookie in client.cookies.jar} == {"/etl"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[ann]\ntoken = "short"\nrole = "viewer"', "at least 20 characters"),
        (f'[ann]\ntoken = "{"a" * 20}"\nrole = "root"', "must be viewer or operator"),
        (f'[ann]\ntoken = "{"a" * 20}"', "must be a table with token"),
        ("ann = 1", "must be a table with token"),
        ("not toml", "users.toml"),
        (f'[ann]\ntoken = "{"a" * 20}"\nrole = "viewer"\n[ben]\ntoken = "{"a" * 20}"\nrole = "viewer"',
         "the same token"),
        (None, "No such file"),
    ],
)  # fmt: skip
def test_dashboard_users_that_cant_be_are_one_clear_line(database_dsn, tmp_path, text, said):
    file = tmp_path / "users.toml"
    if text is not None:
        file.write_text(text)
    result = subprocess.run(
        [sys.executable, "-m", "seawall", "dashboard", "--dsn", database_dsn, "--tokens", str(file)],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert result.returncode == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


async def test_docs_application_with_a_dashboard_in_it(database_dsn):
    """The code block as it stands there."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    names = {}
    exec(code.replace("postgresql://…", database_dsn), names)  # noqa: S102 - our own docs
    app = names["app"]
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://docs.test") as client,
    ):
        assert (await client.get("/seawall/")).status_code == 401
        answer = await client.get("/seawall/", headers={"x-forwarded-user": "ann"})
        assert answer.status_code == 200
        assert "ann, operator" in answer.text
        answer = await client.get("/seawall/", headers={"x-forwarded-user": "ben"})
        assert "ben, viewer" in answer.text
