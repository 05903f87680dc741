#!/usr/bin/env python3
"""A consumer of one queue: each job credits an account, and must do that once.

  consumer.py --url URL --queue QUEUE --port PORT [--form safe|broken] [--pause MOMENT]

It works on one job and ends. A job may be delivered more than once: its worker died, or was so slow
that its lease ended and another one has it. So whether the effect has happened already is asked in
the database, and the whole point is when. `safe` and `broken` below differ in nothing else.

--pause stops at a moment (before_transaction or after_commit) until a line comes on stdin, so that
`run` can let the worst happen just there.
"""

import argparse
import json
import sys
import urllib.error
import urllib.request

import pg8000.native

LEASE_WAIT_MS = 20_000


def safe(db, job, moments):
    """Asks and acts in one transaction: the row of the job is the answer and the lock."""
    moments.reach("before_transaction")
    db.run("begin")
    try:
        # Whoever inserts the row has the effect to do. Another worker with the same job waits here
        # until that is committed, and then inserts nothing.
        db.run(
            "insert into credited (job, fence, amount) values (:job, :fence, :amount)"
            " on conflict (job) do nothing",
            job=job["job"], fence=job["fence"], amount=job["payload"]["amount"],
        )
        if db.row_count == 1:
            credit(db, job)
        db.run("commit")
    except Exception:
        db.run("rollback")
        raise
    moments.reach("after_commit")


def broken(db, job, moments):
    """Asks first and acts later. Between the two the answer ages, and nobody notices."""
    seen = db.run("select 1 from credited where job = :job", job=job["job"])
    moments.reach("before_transaction")
    if not seen:
        db.run("begin")
        try:
            credit(db, job)
            db.run(
                "insert into credited (job, fence, amount) values (:job, :fence, :amount)"
                " on conflict (job) do nothing",
                job=job["job"], fence=job["fence"], amount=job["payload"]["amount"],
            )
            db.run("commit")
        except Exception:
            db.run("rollback")
            raise
    moments.reach("after_commit")


def credit(db, job):
    db.run(
        "update accounts set balance = balance + :amount where account = :account",
        amount=job["payload"]["amount"], account=job["payload"]["account"],
    )


class Moments:
    """Where the consumer can be stopped from outside."""

    def __init__(self, pause):
        self.pause = pause

    def reach(self, moment):
        if moment == self.pause:
            print(f"paused {moment}", flush=True)
            sys.stdin.readline()


class Queue:
    """The server's side: jobs are leased, and completed by whoever still has the lease."""

    def __init__(self, url, queue):
        self.address = f"{url}/v1/queues/{queue}"

    def post(self, what, body):
        request = urllib.request.Request(
            f"{self.address}/{what}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=LEASE_WAIT_MS / 1000 + 10) as answer:
            return json.load(answer)

    def lease(self):
        """The next job; waits until there is one."""
        while True:
            jobs = self.post("lease", {"worker": "consumer.py", "max": 1, "wait_ms": LEASE_WAIT_MS})
            if jobs["jobs"]:
                return jobs["jobs"][0]

    def complete(self, job):
        """Says that a job is done. False if somebody else has it by now: then that one says so."""
        try:
            self.post(f"jobs/{job['job']}/complete", {"lease": job["lease"]})
            return True
        except urllib.error.HTTPError as error:
            if error.code == 409 and json.load(error)["code"] == "stale_lease":
                return False
            raise


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--url", required=True)
    arguments.add_argument("--queue", required=True)
    arguments.add_argument("--port", required=True, type=int)
    arguments.add_argument("--form", choices=["safe", "broken"], default="safe")
    arguments.add_argument("--pause", choices=["before_transaction", "after_commit"])
    chosen = arguments.parse_args()

    db = pg8000.native.Connection("shop", host="127.0.0.1", port=chosen.port, database="postgres")
    queue = Queue(chosen.url, chosen.queue)
    job = queue.lease()
    effect = safe if chosen.form == "safe" else broken
    effect(db, job, Moments(chosen.pause))
    # Only now, when the effect is committed: a job that is completed is never delivered again.
    told = "completed" if queue.complete(job) else "its lease was over"
    print(f"attempt {job['attempt']}: {told}", flush=True)
    db.close()


main()
