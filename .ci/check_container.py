#!/usr/bin/env python3
"""Checks Dockerfile and docker-compose.yml without a container engine.

Dockerfile: images have a version; what is copied exists; apt-get leaves no lists and takes no recommendations; final
stages run as a user other than root, in exec form, with a health check; no secret in ARG or ENV.
Build context: .dockerignore lets in what the build adds, installs and copies.
Compose: versions; the stages named exist; a service that is waited for can be ready (health check, or a one-shot with
restart "no"); our own services run read-only and without capabilities; ports are published on loopback only.
"""

import json
import os
import re
import sys

import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import project_files  # noqa: E402

SECRET = re.compile(r"(PASSWORD|SECRET|TOKEN|API_?KEY)\w*\s*[= ]\s*\S", re.IGNORECASE)
FILES = ("Dockerfile", "docker-compose.yml", ".dockerignore", "CMakeLists.txt", "cmake/WeirInstall.cmake")
HARDENED = {"read_only": True, "cap_drop": ["ALL"]}


def instructions(text):
    """(line number, word, rest) of a Dockerfile, continued lines joined."""
    joined, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (not line.strip() and not joined):
            continue
        start = start if joined else number
        joined += line.rstrip("\\").strip() + " "
        if not line.rstrip().endswith("\\"):
            word, _, rest = joined.strip().partition(" ")
            yield start, word.upper(), rest.strip()
            joined = ""


def parse_stages(text):
    """The Dockerfile's stages: [{"name", "base", "line", "steps": [(line, word, rest)]}], and its global ARGs."""
    stages, arguments = [], {}
    for line, word, rest in instructions(text):
        if word == "FROM":
            match = re.match(r"(?:--\S+ )*(\S+)(?: AS (\S+))?$", rest, re.IGNORECASE)
            stages.append({"base": match.group(1), "name": match.group(2) or "", "line": line, "steps": []})
        elif stages:
            stages[-1]["steps"].append((line, word, rest))
        elif word == "ARG":
            name, _, value = rest.partition("=")
            arguments[name] = value
    return stages, arguments


def unpinned(image):
    tag = image.rpartition("/")[2].partition(":")[2]
    return not tag or tag == "latest"


def last(stages, stage, word):
    """The last such instruction in a stage or what it is based on."""
    names = {s["name"]: s for s in stages}
    while stage:
        for _, step, rest in reversed(stage["steps"]):
            if step == word:
                return rest
        stage = names.get(stage["base"])
    return None


def check_step(line, word, rest, exists):
    where = f"Dockerfile:{line}"
    if word == "ADD":
        yield f"{where}: ADD unpacks and downloads; say COPY"
    if word in ("ARG", "ENV") and SECRET.search(rest):
        yield f"{where}: a secret in {word} stays in the image"
    if word == "COPY" and "--from=" not in rest:
        for source in rest.split()[:-1]:
            if not exists(source):
                yield f"{where}: {source} is not in the project"
    if word == "RUN" and "apt-get install" in rest:
        if "--no-install-recommends" not in rest:
            yield f"{where}: apt-get install without --no-install-recommends"
        if "rm -rf /var/lib/apt/lists" not in rest:
            yield f"{where}: leaves apt's lists in the layer"
    if word in ("ENTRYPOINT", "CMD", "HEALTHCHECK"):
        form = rest[rest.index("CMD") + 3 :] if word == "HEALTHCHECK" and "CMD" in rest else rest
        try:
            json.loads(form)
        except ValueError:
            yield f"{where}: {word} is not in exec form: signals would go to a shell"


def check_dockerfile(text, exists):
    stages, arguments = parse_stages(text)
    findings, names = [], {stage["name"] for stage in stages}
    based_on = {stage["base"] for stage in stages}
    for stage in stages:
        image = re.sub(r"\$\{?(\w+)\}?", lambda m: arguments.get(m.group(1), ""), stage["base"])
        if stage["base"] not in names and unpinned(image):
            findings.append(f"Dockerfile:{stage['line']}: {image or stage['base']} has no version")
        for step in stage["steps"]:
            findings += check_step(*step, exists)
        copied_from = any(f"--from={stage['name']} " in rest or f"from={stage['name']}," in rest
                          for other in stages for _, _, rest in other["steps"])
        if stage["name"] in based_on or copied_from:
            continue
        user = (last(stages, stage, "USER") or "root").partition(":")[0]
        if user in ("root", "0"):
            findings.append(f"Dockerfile: stage {stage['name']} runs as root")
        if not last(stages, stage, "HEALTHCHECK"):
            findings.append(f"Dockerfile: stage {stage['name']} has no HEALTHCHECK")
    return findings


def check_service(name, service, services, stages, volumes):
    ours = "build" in service
    if ours:
        if service["build"].get("target") not in stages:
            yield f"{name}: the Dockerfile has no stage {service['build'].get('target')}"
        for key, value in HARDENED.items():
            if service.get(key) != value:
                yield f"{name}: {key} is not {value}"
        if service.get("privileged"):
            yield f"{name}: privileged"
    elif unpinned(service.get("image", "")):
        yield f"{name}: image {service.get('image')} has no version"
    elif not service.get("healthcheck"):
        yield f"{name}: no healthcheck"
    waits = service.get("depends_on", {})
    for other, how in (waits.items() if isinstance(waits, dict) else ((o, {}) for o in waits)):
        if other not in services:
            yield f"{name}: depends on {other}, which is no service"
            continue
        condition = how.get("condition")
        target = services[other]
        if condition == "service_healthy":
            if target.get("healthcheck", {}).get("disable") or not (target.get("healthcheck") or "build" in target):
                yield f"{name}: waits for {other} to be healthy, which has no healthcheck"
        elif condition == "service_completed_successfully":
            if target.get("restart") != "no":
                yield f'{name}: waits for {other} to end, which restarts; say restart: "no"'
        else:
            yield f"{name}: depends on {other} without a condition"
    for port in service.get("ports", []):
        if not str(port).startswith("127.0.0.1:"):
            yield f"{name}: port {port} is published beyond loopback"
    for mount in service.get("volumes", []):
        source = str(mount).partition(":")[0]
        if not source.startswith((".", "/")) and source not in volumes:
            yield f"{name}: volume {source} is not declared"


def check_compose(text, stages):
    document = yaml.safe_load(text)
    services = document.get("services", {})
    volumes = document.get("volumes") or {}
    findings = []
    for name, service in sorted(services.items()):
        findings += [f"docker-compose.yml: {f}" for f in check_service(name, service, services, stages, volumes)]
    return findings


def wanted_by_cmake(text):
    """What add_subdirectory and install(FILES|DIRECTORY …) name from the project's root."""
    for match in re.finditer(r"^\s*(?:add_subdirectory\(|install\(\s*(?:FILES|DIRECTORY)\s)([^)]*)", text, re.MULTILINE):
        for word in match.group(1).split():
            if word.isupper() and "." not in word and word != "LICENSE":
                break  # a keyword: DESTINATION, …
            if "$" not in word:
                yield word


def check_context(files):
    """The build in the image sees what .dockerignore lets in, which begins with `*`."""
    let_in = {line[1:].strip("/") for line in files[".dockerignore"].splitlines() if line.startswith("!")}
    wanted = {word: name for name in ("CMakeLists.txt", "cmake/WeirInstall.cmake") for word in wanted_by_cmake(files[name])}
    for _, word, rest in instructions(files["Dockerfile"]):
        if word == "COPY" and "--from=" not in rest:
            wanted.update({source: "Dockerfile" for source in rest.split()[:-1] if source != "."})
    return [f".dockerignore: {word} is kept out, and {name} wants it"
            for word, name in sorted(wanted.items()) if word.split("/")[0] not in let_in]


def check(files, exists):
    """Findings for {path: text} of FILES; `exists(path)` = it is in the project."""
    stages, _ = parse_stages(files["Dockerfile"])
    names = {stage["name"] for stage in stages}
    return (check_dockerfile(files["Dockerfile"], exists) + check_context(files)
            + check_compose(files["docker-compose.yml"], names))


def main():
    files = project_files.read(*FILES)
    findings = check(files, lambda path: os.path.exists(os.path.join(project_files.ROOT, path)))
    for finding in findings:
        print(finding)
    print(f"container files: {len(files)} files, {len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
