"""Opens a wait, hands out a link, awaits the outcome, and follows the feed with a kept cursor.

It needs Python 3.9 and nothing else.
"""

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

ENDPOINT = os.environ.get("FLOWCALLBACK_ENDPOINT", "http://127.0.0.1:8080")
PROJECT = os.environ.get("FLOWCALLBACK_PROJECT_ID", "project")
TOKEN = os.environ.get("FLOWCALLBACK_TOKEN")
CURSOR_FILE = os.environ.get("CURSOR_FILE", "outcomes.cursor")


def call(method, *path, body=None, **query):
    """Sends a request and returns the decoded answer. Ids in the path may have any characters."""
    url = "/".join([ENDPOINT, "v1", *(urllib.parse.quote(part, safe="") for part in path)])
    if query:
        url += "?" + urllib.parse.urlencode(query)
    request = urllib.request.Request(url, method=method)
    if TOKEN:
        request.add_header("X-Auth-Token", TOKEN)
    if body is not None:
        request.add_header("Content-Type", "application/json")
        request.data = json.dumps(body).encode()
    try:
        # The server holds a response for at most 25 seconds here.
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        raise SystemExit(f"{refused.code} {refused.read().decode()}") from None


def open_wait(run):
    """Opens a wait. A run that has lost its memory may open again: it gets the same wait."""
    return call("POST", PROJECT, "waits", body={
        "workflow_id": "order-approval",
        "run_id": run,
        "state_id": "approve",
        "title": "May order 4711 go out?",
        "input": {"order": 4711, "amount": "129.90"},
        "output_schema": {
            "type": "object",
            "required": ["carrier"],
            "properties": {"carrier": {"type": "string", "enum": ["post", "courier"]}},
        },
    })


def outcome(wait_id):
    """Blocks until the wait has left waiting."""
    while True:
        wait = call("GET", PROJECT, "waits", wait_id, wait_seconds=25)
        if wait["status"] != "waiting":
            return wait


def follow(handle):
    """Hands every outcome to handle at least once, until it returns False. The cursor is kept after that."""
    after = {}
    if os.path.exists(CURSOR_FILE):
        with open(CURSOR_FILE, encoding="utf-8") as kept:
            after = {"after": kept.read().strip()}
    more = True
    while more:
        page = call("GET", PROJECT, "outcomes", wait_seconds=25, **after)
        for wait in page["outcomes"]:
            more = handle(wait) and more
        after = {"after": page["next"]}
        with open(CURSOR_FILE + ".new", "w", encoding="utf-8") as kept:
            kept.write(page["next"])
        os.replace(CURSOR_FILE + ".new", CURSOR_FILE)


def main():
    wait = open_wait(sys.argv[1] if len(sys.argv) > 1 else "run-1")
    link = call("POST", PROJECT, "waits", wait["wait_id"], "links", body={"to": "Ines Moreau"})
    print("link:", link["url"], flush=True)

    settled = outcome(wait["wait_id"])
    print("outcome:", settled["status"], json.dumps(settled["outcome"]["output"], separators=(",", ":")), "by", settled["settled_by"])

    def show(followed):
        print("followed:", followed["run_id"], followed["status"])
        return followed["wait_id"] != wait["wait_id"]

    follow(show)


main()
