"""Makes report.json from what the guest left in a folder, prints what failed and `N passed, N failed`.

    report.py FOLDER FAILURE

FAILURE is empty, or says why the machine itself did not do its part. Trusts nothing to be there: a
test that was listed and has no outcome has failed, and so has a guest that left no list at all.
"""

import json
import pathlib
import re
import sys

BOOTS = ("first", "second")
# What a test says past the harness stands between its name and its outcome.
OUTCOME = re.compile(r"^test (\S+) \.\.\. (?:.*\n(?!test ))*?(ok|FAILED|ignored)$", re.M)
LISTED = re.compile(r"^(\S+): test$", re.M)
# What libtest prints of a failed test, up to the next heading.
WORDS = re.compile(r"^---- (\S+) stdout ----\n(.*?)(?=^---- |^failures:$|\Z)", re.M | re.S)
# What a test says of itself (tests/support/aloud.rs); it then ends as if it had passed.
ALOUD = re.compile(r"^not tried: (\S+): (.+)$", re.M)

# The end of a log says why; all of it lies beside the report.
LONGEST = 6000


def left_out(lines):
    """Program, test and why, of each line that is no comment."""
    fields = (line.split(maxsplit=2) for line in lines.splitlines() if not line.startswith("#"))
    return [tuple(line) for line in fields if len(line) == 3]


def main(folder, failure):
    def text(name):
        path = folder / name
        return path.read_text(errors="replace") if path.is_file() else ""

    # By the guest's own script: the test and the exit status of its process.
    outcomes = {}
    words = {}
    for line in text("outcomes").splitlines():
        name, status = line.split()
        outcomes[name] = {"0": "ok", "124": "it did not end in its time", "137": "likewise"}.get(status, "FAILED")
        words[name] = text(f"tests/{name}.log").strip()
    listed = LISTED.findall(text("tests.list"))
    evidence = {}
    for line in text("evidence.jsonl").splitlines():
        entry = json.loads(line)
        evidence.setdefault(entry.pop("test"), []).append(entry)

    problems = [failure] if failure else []
    if not listed:
        problems.append("the guest did not get so far as to list its tests")
    finished = text("finished").split()
    problems += [f"the {boot} boot left no word of its end" for boot in BOOTS if boot not in finished]

    # The other programs write the words of all their tests into one log each.
    aloud = {}
    for path in (folder / "checkout").glob("*.log"):
        said, program = path.read_text(errors="replace"), f"checkout/{path.stem}"
        outcomes |= {f"{program}::{name}": word for name, word in OUTCOME.findall(said)}
        words |= {f"{program}::{name}": why.strip() for name, why in WORDS.findall(said)}
        aloud |= {f"{program}::{name}": why for name, why in ALOUD.findall(said)}

    tests = []
    for name in sorted(listed):
        program, _, test = name.partition("::")
        skipped = [why for of, part, why in left_out(text("not-tried")) if program == f"checkout/{of}" and part in test]
        passed = outcomes.get(name) == "ok"
        if skipped or (passed and name in aloud):
            tests.append({"name": name, "outcome": "not tried", "why": (skipped or [aloud[name]])[0]})
            continue
        why = None
        if not passed:
            why = f"{outcomes.get(name, 'it was never tried')}\n{words.get(name, '')[-LONGEST:]}".strip()
        entry = {"name": name, "outcome": "passed" if passed else "failed"}
        if why:
            entry["why"] = why
        entry["counters"] = evidence.get(name, [])
        tests.append(entry)
    failed = [test for test in tests if test["outcome"] == "failed"]

    facts = dict(line.split("=", 1) for line in text("facts").splitlines() if "=" in line)
    scores = json.loads(text("scores.json") or "{}")
    report = {
        "kernel": facts.get("kernel"),
        "cgroup": facts.get("cgroup"),
        "controllers": facts.get("controllers", "").split(),
        "security_modules": facts.get("security", "").split(","),
        "systemd": facts.get("systemd"),
        "units": {unit: {"security_score": score} for unit, score in scores.items()},
        "passed": sum(test["outcome"] == "passed" for test in tests),
        "failed": len(failed),
        "not_tried": sum(test["outcome"] == "not tried" for test in tests),
        "problems": problems,
        "tests": tests,
    }
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")

    for test in failed:
        print(f"FAILED {test['name']}\n{test['why']}\n")
    for problem in problems:
        print(f"FAILED {problem}")
    for test in tests:
        if test["outcome"] == "not tried":
            print(f"not tried: {test['name']}: {test['why']}")
    print(f"vm: {report['kernel']}, {report['cgroup']}, systemd {report['systemd']}; {folder}/report.json")
    # A machine that did not do its part is a failure of its own, whatever its tests said.
    if report["not_tried"]:
        print(f"{report['not_tried']} not tried, for the reasons above")
    print(f"{report['passed']} passed, {len(failed) + len(problems)} failed")
    return 1 if failed or problems or not tests else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2]))
