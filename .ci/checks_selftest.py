#!/usr/bin/env python3
"""The checks of this folder find what they are for, and nothing in what is right: a check that cannot fail is a defect."""

import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import check_container  # noqa: E402
import check_data  # noqa: E402
import check_docs  # noqa: E402
import check_layers  # noqa: E402
import check_tests  # noqa: E402
import mutants  # noqa: E402
import project_files  # noqa: E402


class CheckTest(unittest.TestCase):
    def assert_finds(self, findings, *words):
        for finding in findings:
            if all(word in finding for word in words):
                return
        self.fail(f"no finding has {words}: {findings}")


class LayersTest(CheckTest):
    GOOD = {
        "common/base/result.h": "#pragma once\n#include <string>\n",
        "common/http/http_message.h": '#include "common/base/result.h"\n',
        "common/http/fetcher.cc": '#include <curl/curl.h>\n#include "common/http/http_message.h"\n',
        "common/kafka/consumer.cc": "#include <librdkafka/rdkafka.h>\n",
        "common/pg/session.cc": "#include <libpq-fe.h>\n",
        "common/sources/source.h": '#include "common/http/http_message.h"\n',
        "common/sources/registry.cc": '#include "common/sources/lichess/lichess.h"\n',
        "common/sources/lichess/lichess.h": '#include "common/sources/source.h"\n',
        "common/config/config.h": '#include "common/sources/source.h"\n',
        "worker/page.h": '#include "common/config/config.h"\n#include "proto/task.pb.h"\n',
        "worker/page_test.cc": '#include "worker/page.h"\n#include "tests/support/server.h"\n',
        "worker/testing/fixture.h": '#include "tests/support/server.h"\n',
        "tests/support/server.h": "#include <boost/beast/core.hpp>\n",
        "producer/main.cc": '#include "producer/cli/sync.h"\n',
        "producer/cli/sync.h": '#include "producer/planner.h"\n',
        "producer/planner.h": "// #include <curl/curl.h> in a comment is none\n",
        "proto/task.proto": "",
    }

    def find(self, path, text):
        return check_layers.check({**self.GOOD, path: text})

    def test_good(self):
        self.assertEqual(check_layers.check(self.GOOD), [])

    def test_directions(self):
        for path, header in [
            ("common/base/clock.h", "common/http/http_message.h"),
            ("common/sources/lichess/plan.cc", "common/config/config.h"),
            ("common/sources/reader.cc", "common/pg/session.cc"),
            ("common/config/load.cc", "common/http/http_message.h"),
            ("common/ledger/tasks.cc", "worker/page.h"),
            ("common/obs/log.h", "producer/planner.h"),
            ("worker/runner.cc", "producer/planner.h"),
            ("worker/runner_test.cc", "producer/planner.h"),
            ("producer/main.cc", "worker/page.h"),
            ("worker/runner.cc", "tests/support/server.h"),
            ("worker/runner.cc", "worker/testing/fixture.h"),
        ]:
            with self.subTest(path=path, header=header):
                self.assert_finds(self.find(path, f'#include "{header}"\n'), path, "must not include", header)

    def test_libraries(self):
        for path, header in [
            ("worker/poll.cc", "librdkafka/rdkafka.h"),
            ("common/ledger/tasks.cc", "libpq-fe.h"),
            ("common/ledger/lanes.cc", "pqxx/pqxx"),
            ("common/sources/source.cc", "curl/curl.h"),
            ("producer/api.cc", "boost/beast/http.hpp"),
            ("tests/support/proxy.cc", "curl/curl.h"),
        ]:
            with self.subTest(path=path, header=header):
                self.assert_finds(self.find(path, f"#include <{header}>\n"), path, "only", "may include")

    def test_an_api_sees_no_other(self):
        self.assert_finds(self.find("common/sources/chesscom/games.cc", '#include "common/sources/lichess/lichess.h"\n'),
                          "chesscom", "its own")

    def test_includes_are_from_the_root(self):
        self.assert_finds(self.find("worker/runner.cc", '#include "page.h"\n'), "names no file")

    def test_unknown_folder(self):
        self.assert_finds(self.find("utils/strings.h", ""), "utils/strings.h", "no known folder")

    def test_circle_of_files(self):
        files = {"worker/a.h": '#include "worker/b.h"\n', "worker/b.h": '#include "worker/a.h"\n'}
        self.assert_finds(check_layers.check({**self.GOOD, **files}), "files", "circle", "worker/a.h → worker/b.h")

    def test_circle_of_folders(self):
        files = {"common/obs/log.cc": '#include "common/http/http_message.h"\n', "common/obs/log.h": "",
                 "common/http/server.cc": '#include "common/obs/log.h"\n'}
        self.assert_finds(check_layers.check({**self.GOOD, **files}), "folders", "circle", "common/http → common/obs")


class TestsTest(CheckTest):
    GOOD = {
        "CMakeLists.txt": "foreach(part base)\n  add_subdirectory(${part})\nendforeach()\n",
        "base/CMakeLists.txt": "weir_test(base_test\n  SOURCES a_test.cc b_test.cc\n  DEPS weir_base LABELS unit)\n",
        "base/a_test.cc": "TEST(A, B) {}\n",
        "base/b_test.cc": "TEST(B, B) {}\n",
    }

    def find(self, path, text):
        return check_tests.check({**self.GOOD, path: text})

    def test_good(self):
        self.assertEqual(check_tests.check(self.GOOD), [])

    def test_unregistered(self):
        self.assert_finds(self.find("base/c_test.cc", ""), "base/c_test.cc", "never runs")
        self.assert_finds(self.find("base/CMakeLists.txt", "# weir_test(x SOURCES a_test.cc LABELS unit)\n"),
                          "base/a_test.cc", "never runs")

    def test_unreached(self):
        self.assert_finds(self.find("CMakeLists.txt", "add_subdirectory(other)\n"), "base/CMakeLists.txt", "leads here")
        self.assert_finds(self.find("CMakeLists.txt", ""), "base/a_test.cc", "never runs")

    def test_twice(self):
        again = self.GOOD["base/CMakeLists.txt"] + "weir_test(again SOURCES a_test.cc LABELS unit)\n"
        self.assert_finds(self.find("base/CMakeLists.txt", again), "base/a_test.cc", "base_test", "again")

    def test_labels(self):
        for labels in ("", "LABELS", "LABELS units", "LABELS unit pg", 'LABELS "unit;pg"'):
            call = f"weir_test(base_test SOURCES a_test.cc b_test.cc {labels})\n"
            with self.subTest(labels=labels):
                self.assert_finds(self.find("base/CMakeLists.txt", call), "base_test", "labels")

    def test_disabled(self):
        self.assert_finds(self.find("base/a_test.cc", "TEST(A, DISABLED_B) {}\n"), "base/a_test.cc:1", "DISABLED_B")
        self.assert_finds(self.find("base/a_test.cc", "TEST(A, B) {\n  GTEST_SKIP();\n}\n"), "a_test.cc:2", "GTEST_SKIP")
        fixture = 'if (getenv("WEIR_REQUIRE_KAFKA")) FAIL();\nGTEST_SKIP();\n'
        self.assertEqual(self.find("base/fixture.cc", fixture), [])
        self.assert_finds(self.find("base/fixture.cc", "GTEST_SKIP();\n"), "base/fixture.cc:1", "GTEST_SKIP")
        self.assert_finds(self.find("base/a_test.cc", fixture), "base/a_test.cc:2", "GTEST_SKIP")


class DataTest(CheckTest):
    def test_good(self):
        self.assertEqual(check_data.check({"a.json": '{"a": [1]}', "b.yaml": "a: 1\n---\nb: [x]\n",
                                           "tests/fixtures/broken.json": "{"}), [])

    def test_broken(self):
        self.assert_finds(check_data.check({"a.json": '{"a": 1,}'}), "a.json")
        self.assert_finds(check_data.check({"a.json": '{"a": 1, "a": 2}'}), "a.json", "twice")
        self.assert_finds(check_data.check({"b.yaml": "a: [1\n"}), "b.yaml")
        self.assert_finds(check_data.check({"b.yaml": "a: 1\nb: 2\na: 3\n"}), "b.yaml", "twice")


class ContainerTest(CheckTest):
    DOCKERFILE = """ARG BASE=debian:12
FROM ${BASE} AS build
COPY . .
FROM ${BASE} AS weir
RUN apt-get install --no-install-recommends x \\
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt /opt
USER 10001
HEALTHCHECK --interval=5s CMD ["true"]
CMD ["weir"]
"""
    COMPOSE = """
services:
  db: {image: "postgres:17", healthcheck: {test: [x]}, volumes: ["data:/data"]}
  migrate: {build: {target: weir}, read_only: true, cap_drop: [ALL], restart: "no",
            depends_on: {db: {condition: service_healthy}}}
  worker: {build: {target: weir}, read_only: true, cap_drop: [ALL], ports: ["127.0.0.1:1:1"],
           depends_on: {migrate: {condition: service_completed_successfully}}}
volumes: {data: }
"""

    def find(self, docker=("", ""), compose=("", ""), ignore=("", "")):
        for text, (old, _) in ((self.DOCKERFILE, docker), (self.COMPOSE, compose)):
            self.assertIn(old, text)
        files = {"Dockerfile": self.DOCKERFILE.replace(*docker), "docker-compose.yml": self.COMPOSE.replace(*compose),
                 ".dockerignore": "*\n!cmake\n!docs\n!LICENSE\n".replace(*ignore),
                 "CMakeLists.txt": "if(X)\n  add_subdirectory(cmake)\nendif()\n",
                 "cmake/WeirInstall.cmake": "install(FILES LICENSE ${x}/a DESTINATION d)\n"
                                            "install(\n  DIRECTORY docs/\n  DESTINATION d PATTERN \"gone\")\n"}
        return check_container.check(files, lambda path: path in (".", "cmake", "tools"))

    def test_good(self):
        self.assertEqual(self.find(), [])

    def test_dockerfile(self):
        for old, new, words in [
            ("debian:12", "debian", ["no version"]),
            ("COPY . .", "COPY gone .", ["gone", "not in the project"]),
            ("COPY . .", "ADD . .", ["say COPY"]),
            ("COPY . .", "ENV DB_PASSWORD=x", ["secret"]),
            (" --no-install-recommends", "", ["--no-install-recommends"]),
            ("rm -rf /var/lib/apt/lists/*", "true", ["lists"]),
            ("USER 10001", "USER root", ["runs as root"]),
            ('HEALTHCHECK --interval=5s CMD ["true"]', "", ["no HEALTHCHECK"]),
            ('CMD ["weir"]', "CMD weir", ["exec form"]),
        ]:
            with self.subTest(new=new):
                self.assert_finds(self.find(docker=(old, new)), *words)

    def test_context(self):
        for kept_out in ("cmake", "docs", "LICENSE"):
            with self.subTest(kept_out=kept_out):
                self.assert_finds(self.find(ignore=(f"!{kept_out}\n", "")), kept_out, "kept out")
        self.assert_finds(self.find(docker=("COPY . .", "COPY tools .")), "tools", "kept out")

    def test_compose(self):
        for old, new, words in [
            ("postgres:17", "postgres:latest", ["no version"]),
            ("healthcheck: {test: [x]}", "restart: always", ["db", "no healthcheck"]),
            ("healthcheck: {test: [x]}", "healthcheck: {disable: true}", ["migrate", "waits for db"]),
            ('restart: "no"', "restart: always", ["worker", "waits for migrate"]),
            ("{db: {condition: service_healthy}}", "[db]", ["without a condition"]),
            ("{db: {condition: service_healthy}}", "{dbx: {condition: service_healthy}}", ["dbx"]),
            ("target: weir}, read_only: true, cap_drop: [ALL], restart", "target: weir}, restart", ["read_only"]),
            ("target: weir", "target: other", ["no stage"]),
            ("127.0.0.1:1:1", "1:1", ["loopback"]),
            ("volumes: {data: }", "", ["data", "not declared"]),
        ]:
            with self.subTest(new=new):
                self.assert_finds(self.find(compose=(old, new)), *words)


class DocsTest(CheckTest):
    THERE = {"docs/a.md", "README.md", "worker", "worker/poll_loop.h"}
    COMMANDS = {"sync", "jobs list", "sweep plan"}

    def find(self, text):
        return check_docs.check({"docs/b.md": text}, self.THERE.__contains__, self.COMMANDS)

    def test_good(self):
        self.assertEqual(self.find("[a](a.md) [a](a.md#part) [r](../README.md) [w](https://example.org/x)\n"
                                   "`worker/poll_loop` `worker/` `worker/<name>.h` `lichess/games`\n"
                                   "```\n`worker/gone` [x](gone.md)\n```\n"), [])

    def test_gone(self):
        self.assert_finds(self.find("[x](gone.md)"), "gone.md", "nowhere")
        self.assert_finds(self.find("`worker/gone.h`"), "worker/gone.h")

    def test_commands(self):
        self.assertEqual(self.find("weir shows `weir sync …`, `weir\nsync`, `weir jobs`, `weir jobs [list]`, `weir --help`\n"
                                   "```sh\nweir jobs list --open\npsql weir show\nweir-worker\n```\n"), [])
        for text, name in [("`weir jobs show`", "jobs show"), ("`weir snyc a/b`", "snyc"), ("`weir jobs\nshow`", "jobs show"),
                           ("1. x\n   ```sh\n   weir jobs lits\n   ```\n", "jobs lits"), ("```\nweir up  # x\n```\n", "up")]:
            with self.subTest(text=text):
                self.assert_finds(self.find(text), "no command weir " + name)

    def test_commands_are_those_of_the_sources(self):
        declared = check_docs.commands_of(project_files.read(*check_docs.COMMAND_SOURCES).values())
        self.assertLessEqual({"sync", "jobs list", "failures show", "completion fish", "supervise", "down"}, declared)
        self.assert_finds(check_docs.check({}, self.THERE.__contains__, set()), "found no commands")


class JunitSummaryTest(CheckTest):
    CASE = '<testcase name="{}" status="{}"/>'

    def summarize(self, statuses, *flags):
        """Exit code and last line for one report; None for statuses = a report that is not there."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "junit.xml")
            if statuses is not None:
                cases = "".join(self.CASE.format(f"t{i}", s) for i, s in enumerate(statuses))
                with open(path, "w", encoding="utf-8") as file:
                    file.write(f"<testsuite>{cases}</testsuite>")
            done = subprocess.run([sys.executable, os.path.join(HERE, "junit_summary.py"), *flags, path],
                                  stdout=subprocess.PIPE, check=False)
        return done.returncode, done.stdout.decode().splitlines()[-1]

    def test_counts(self):
        self.assertEqual(self.summarize(["run", "run"], "--strict"), (0, "2 passed, 0 failed"))
        self.assertEqual(self.summarize(["run", "fail"]), (1, "1 passed, 1 failed"))

    def test_what_did_not_run_fails_when_strict(self):
        for status in ("notrun", "disabled"):
            self.assertEqual(self.summarize(["run", status], "--strict"), (1, "1 passed, 1 failed"))
            self.assertEqual(self.summarize(["run", status]), (0, "1 passed, 0 failed"))

    def test_nothing_ran(self):
        self.assertEqual(self.summarize([]), (1, "0 passed, 0 failed"))
        self.assertEqual(self.summarize(None), (1, "0 passed, 1 failed"))

    def test_left_out(self):
        self.assertEqual(self.summarize(["run"], "--strict", "--left-out", "2"), (1, "1 passed, 2 failed"))


class MutantsTest(CheckTest):
    MUTANT = {"name": "n", "file": "a.cc", "old": "x > 1", "new": "x > 0", "test": "t", "filter": "*"}

    def problems(self, *listed):
        return mutants.problems(list(listed), {"a.cc": "if (x > 1) y(); z > 1; z > 1;"}.get)

    def test_good(self):
        self.assertEqual(self.problems(self.MUTANT), [])

    def test_what_no_longer_fits(self):
        self.assert_finds(self.problems({**self.MUTANT, "old": "q"}), "0 times")
        self.assert_finds(self.problems({**self.MUTANT, "old": "z > 1"}), "2 times")
        self.assert_finds(self.problems({**self.MUTANT, "file": "b.cc"}), "0 times in b.cc")

    def test_what_proves_nothing(self):
        self.assert_finds(self.problems({**self.MUTANT, "new": "x > 1"}), "changes nothing")
        self.assert_finds(self.problems(self.MUTANT, self.MUTANT), "twice")
        self.assert_finds(self.problems({"name": "n"}), "has the keys")


if __name__ == "__main__":
    unittest.main(verbosity=0)
