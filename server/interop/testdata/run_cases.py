"""Runs the conformance cases as data: run_cases.py ENDPOINT CASES STATES

CASES is what "flowcallback conformance --list --json" prints, STATES has states that wait, as JSON, one on
each line. It prints each case that fails, and at the end how many it tried. It cannot open, cancel or read states.
"""

import http.client
import json
import sys
import threading
import urllib.parse
from base64 import b64decode


def send(endpoint, case, path, header, body):
    """Sends a request and returns the status and the members of the body."""
    connection = http.client.HTTPConnection(endpoint.netloc, timeout=30)
    connection.putrequest(case["method"], endpoint.path.rstrip("/") + path, skip_accept_encoding=True)
    for name, values in header.items():
        for value in values:
            connection.putheader(name, value.encode())
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    try:
        members = json.loads(text)
    except ValueError:
        members = {}
    return response.status, members if isinstance(members, dict) else {}


def vary(ids, step):
    """Returns the ids of another state, or None if there is none."""
    ids, at, how = dict(ids), step["vary"]["id"], step["vary"]["how"]
    before = ids[at]
    start, last = before[:-1], before[-1]
    if how == "with its last letter before the next id":
        following = {"workflow_id": "run_id", "run_id": "state_id"}[at]
        ids[at], ids[following] = start, last + ids[following]
    else:
        ids[at] = {
            "in small letters": before.lower(),
            "in capitals": before.upper(),
            "with another last letter": start + ("y" if last == "x" else "x"),
            "without its last letter": start,
            "with _ for its last letter": start + "_",
            "with % for its last letter": start + "%",
            "with a space behind it": before + " ",
        }[how]
    return None if ids[at] in ("", before) else ids


def call(endpoint, case, ids, body, step):
    """Sends a callback of a step, or returns None if the step is left out."""
    path = case["path"]
    if step.get("vary", {}).get("id") == "project_id":
        path = path.replace("/v2/", "/v2/another-", 1)
    elif "vary" in step:
        ids = vary(ids, step)
        if ids is None:
            return None
    path = path.replace("{workflow_id}", urllib.parse.quote(ids["workflow_id"], safe=""))
    header = {name: [value.replace("{run_id}", ids["run_id"]).replace("{state_id}", ids["state_id"]) for value in values] for name, values in case["header"].items()}
    return send(endpoint, case, path, header, body.encode())


def settle(endpoint, case, ids):
    """Returns what is wrong with a case about a state, or None."""
    execution = None
    for step in case["steps"]:
        bodies = step.get("send", [])
        if len(bodies) > 1:
            answers = [None] * len(bodies)

            def race(i):
                answers[i] = call(endpoint, case, ids, bodies[i], step)

            threads = [threading.Thread(target=race, args=(i,)) for i in range(len(bodies))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            won = [i for i, answer in enumerate(answers) if answer[0] == step["status"]]
            if len(won) != 1 or any(answer[1].get("error_code") != step["code"] for i, answer in enumerate(answers) if i not in won):
                return answers
            if call(endpoint, case, ids, bodies[won[0]], step) != answers[won[0]]:
                return "the outcome that won is not answered as before"
        for body in bodies if len(bodies) == 1 else []:
            answer = call(endpoint, case, ids, body, step)
            if answer is None:
                continue
            status, members = answer
            if step.get("any_refusal"):
                if not 400 <= status < 500:
                    return answer
                continue
            if status != step["status"] or members.get("error_code") != step.get("code"):
                return answer
            if status == 200:
                if step.get("again") and members["execution_id"] != execution:
                    return answer
                execution = members["execution_id"]
    return None


def lacks(case):
    """Reports whether a case needs what this program has not."""
    return case.get("strict") or case.get("must_read") or case.get("state") == "expired" or any(step.get("cancel") for step in case.get("steps", []))


def main():
    endpoint = urllib.parse.urlsplit(sys.argv[1])
    with open(sys.argv[2], encoding="utf-8") as file:
        cases = [json.loads(line) for line in file]
    with open(sys.argv[3], encoding="utf-8") as file:
        states = [json.loads(line) for line in file]
    tried = failed = 0
    for case in cases:
        if lacks(case):
            continue
        problem = None
        if case.get("state"):
            for _ in range(case.get("rounds", 1)):
                problem = problem or settle(endpoint, case, states.pop(0))
        else:
            answer = send(endpoint, case, case["path"], case["header"], b64decode(case.get("body_base64", "")))
            right = 400 <= answer[0] < 500 if case.get("any_refusal") else answer[0] == case["status"] and answer[1].get("error_code") == case["code"]
            problem = None if right else answer
        tried += 1
        if problem is not None:
            failed += 1
            print(f"FAILED {case['group']}: {case['name']}: {problem}")
    print(f"{tried} tried, {failed} failed")
    sys.exit(failed > 0)


main()
