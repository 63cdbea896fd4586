"""Runs the conformance cases as data: run_cases.py ENDPOINT PROJECT CASES STATES

CASES is what "flowcallback conformance --list --json" prints, STATES has states that wait, as JSON, one on
each line. It prints each case that fails, and at the end how many it tried. It cannot open, cancel or read states.
"""

import http.client
import json
import sys
import threading
import time
import urllib.parse
from base64 import b64decode

BUSY = (429, 502, 503, 504)
LONGEST = {"project_id": 64, "workflow_id": 512}  # of the contract


def send_once(endpoint, case, path, header, body):
    """Sends a request and returns the status and the members of the body. The status is negative if there is no request id."""
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
    status = response.status if response.getheader("X-Request-Id") else -response.status
    return status, members if isinstance(members, dict) else {}


def send(endpoint, case, path, header, body):
    """Sends a request, several times if the server is busy."""
    for pause in (0.1, 0.2, 0.4, 0.8, 1.6):
        answer = send_once(endpoint, case, path, header, body)
        if answer[0] not in BUSY:
            break
        time.sleep(pause)
    return answer


def vary(ids, step):
    """Returns other ids, or None if there are none."""
    ids, at, how = dict(ids), step["vary"]["id"], step["vary"]["how"]
    before = ids[at]
    start, last = before[:-1], before[-1]
    if how == "with its last letter before the next id":
        following = {"workflow_id": "run_id", "run_id": "state_id"}[at]
        ids[at], ids[following] = start, last + ids[following]
    else:
        ids[at] = {
            "in small letters": before.encode().lower().decode(),  # of ASCII
            "in capitals": before.encode().upper().decode(),
            "with another last letter": start + ("y" if last == "x" else "x"),
            "without its last letter": start,
            "with _ for its last letter": start + "_",
            "with % for its last letter": start + "%",
            "with a space behind it": before + " ",
        }[how]
    is_too_long = len(ids[at]) > LONGEST.get(at, len(ids[at]))
    is_trimmed = any(ids[name] != ids[name].strip() for name in ("run_id", "state_id"))
    return None if is_too_long or is_trimmed or ids[at] in ("", ".", "..", before) else ids


class Program:
    """The server, the states that are left, and what is known of both."""

    def __init__(self, endpoint, project, states):
        self.endpoint = urllib.parse.urlsplit(endpoint)
        self.states = [dict(state, project_id=project) for state in states]
        self.known = list(self.states)
        self.holds = False

    def call(self, case, ids, body, step):
        """Sends a callback of a step, or returns None if the step is left out."""
        if "vary" in step:
            ids = vary(ids, step)
            if ids is None or ids in self.known:
                return None
        path = case["path"]
        for name in ("project_id", "workflow_id"):
            path = path.replace("{" + name + "}", urllib.parse.quote(ids[name], safe=""))
        header = {}
        for name, values in case["header"].items():
            header[name] = [value.replace("{run_id}", ids["run_id"]).replace("{state_id}", ids["state_id"]) for value in values]
        return send(self.endpoint, case, path, header, body.encode())

    def at_once(self, case, ids, step):
        """Sends two callbacks at once, and returns what is wrong with their answers, or None."""
        answers = [None, None]

        def race(i):
            answers[i] = self.call(case, ids, step["send"][i], step)

        threads = [threading.Thread(target=race, args=(i,)) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        won = 0 if answers[0][0] == step["status"] else 1
        lost = answers[1 - won]
        if "code" in step:
            right = lost[0] == 400 and lost[1].get("error_code") == step["code"]
        else:
            right = lost == answers[won]
        if not right or answers[won][0] != step["status"] or self.call(case, ids, step["send"][won], step) != answers[won]:
            return answers
        return None

    def settle(self, case, ids):
        """Returns what is wrong with a case about a state, or None."""
        execution = None
        for step in case["steps"]:
            if len(step.get("send", [])) > 1:
                problem = self.at_once(case, ids, step)
                if problem is not None:
                    return problem
            elif "send" in step:
                answer = self.call(case, ids, step["send"][0], step)
                if answer is None or "vary" in step and answer[0] == 200:
                    continue
                status, members = answer
                if status == 413:
                    return None
                if step.get("any_refusal"):
                    right = 400 <= status < 500
                else:
                    right = status == step["status"] and members.get("error_code") == step.get("code")
                found = members.get("execution_id")
                if not right or status == 200 and not found or step.get("again") and found != execution:
                    return answer
                execution = found or execution
        return None

    def one_request(self, case):
        """Returns what is wrong with a case of one request, or None."""
        status, members = send(self.endpoint, case, case["path"], case["header"], b64decode(case.get("body_base64", "")))
        code = members.get("error_code")
        if case.get("about") == "project" and (status in (401, 403, 429) or status == 404 and code != "FGS.5002"):
            return None
        if case.get("any_refusal"):
            right = (400 <= abs(status) < 500 or abs(status) == 501) and code != case["not_code"]
        elif case["status"] == 404 and self.holds:
            right = status == 200
        else:
            right = status == case["status"] and code == case["code"]
        return None if right else (status, members)

    def rounds(self, case):
        """Returns what is wrong with a case about a state, which it tries with several."""
        problem = None
        for _ in range(case.get("rounds", 1)):
            if self.states:
                problem = problem or self.settle(case, self.states.pop(0))
        return problem

    def lacks(self, case):
        """Reports whether a case needs what this program has not."""
        cancels = any(step.get("cancel") for step in case.get("steps", []))
        return case.get("strict") or case.get("must_read") or cancels or case.get("state") == "expired" or case.get("state") and not self.states


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def main(endpoint, project, cases, states):
    program = Program(endpoint, project, lines(states))
    cases = lines(cases)
    unknown = {"project_id": project, "workflow_id": "unknown", "run_id": "unknown", "state_id": "unknown"}
    callback = next(case for case in cases if case.get("state"))
    program.holds = program.call(callback, unknown, '{"result":"success","output":{}}', {})[0] == 200
    tried = failed = 0
    for case in cases:
        if program.lacks(case):
            continue
        problem = program.rounds(case) if case.get("state") else program.one_request(case)
        tried += 1
        if problem is not None:
            failed += 1
            print(f"FAILED {case['group']}: {case['name']}: {problem}")
    print(f"{tried} tried, {failed} failed")
    return failed > 0


if len(sys.argv) != 5:
    sys.exit(__doc__)
sys.exit(main(*sys.argv[1:]))
