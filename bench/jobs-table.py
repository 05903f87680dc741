"""Medians, spread and targets of what bench/jobs wrote: one row a line, as JSON.

    jobs-table.py table FILE           markdown
    jobs-table.py median FILE LABEL    the median rate of a label
"""

import json
import statistics
import sys


def read(path):
    rows = {}
    with open(path) as file:
        for line in map(json.loads, file):
            rows.setdefault(line["label"], []).append(line)
    return rows


def runs(line):
    report = line["report"]
    report = report.get("report", report)
    return report.get("runs", [report])


def rates(lines):
    return [run["rate_per_s"] for line in lines for run in runs(line)]


def median_ms(lines, percentile):
    values = [run["latency"][percentile] for line in lines for run in runs(line)]
    return statistics.median(values) / 1000


def errors(lines):
    of_kinds = sum(
        kind["errors"] + kind["shed"] + kind["refused"]
        for line in lines
        for run in runs(line)
        for kind in run.get("kinds", [])
    )
    return of_kinds + sum(run.get("errors", 0) for line in lines for run in runs(line))


def cores(lines):
    """User and system time a second of the server, and of the client, over the whole row."""
    server, client = [], []
    for line in lines:
        wall, *used = line["client_s"]
        before_user, before_system, user, system = line["server_ticks"]
        server.append(((user - before_user) / 100 / wall, (system - before_system) / 100 / wall))
        client.append([seconds / wall for seconds in used])
    middle = lambda parts: " + ".join(f"{statistics.median(part):.2f}" for part in zip(*parts))
    return middle(server), middle(client)


def ratio(rows, label):
    scenario, who = label.split("/")
    ours = rows.get(f"{scenario}/evenkeel")
    theirs = statistics.median(rates(rows[label]))
    if who.startswith("evenkeel") or not ours or not theirs:
        return ""
    return f"{statistics.median(rates(ours)) / theirs:.2f} ×"


def print_rates(rows):
    print("| row | runs | jobs/s median | min – max | p50 ms | p99 ms | server cores | client cores | errors | Evenkeel is |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for label, lines in rows.items():
        scenario, who = label.split("/")
        if scenario not in ("cycle", "ordered", "batch", "latency"):
            continue
        found = rates(lines)
        timed = scenario == "latency" or who.startswith(("evenkeel", "beanstalkd"))
        p50, p99 = (f"{median_ms(lines, of):.2f}" if timed else "" for of in ("p50_us", "p99_us"))
        server, client = cores(lines)
        compared = "" if scenario == "latency" else ratio(rows, label)
        print(
            f"| {label} | {len(found)} | {statistics.median(found):,.0f} | {min(found):,.0f} – {max(found):,.0f} "
            f"| {p50} | {p99} | {server} | {client} | {errors(lines)} | {compared} |"
        )
    print("\nCores: user + system time a second over the whole row, warm-up and start of the client with it.")


def print_backlog(rows):
    for line in rows.get("backlog/evenkeel", []):
        report = line["report"]
        print(f"\nBacklog of {report['jobs']:,} jobs, filled at {report['fill_per_s']:,.0f}/s:\n")
        print("| | enqueued/s | taken/s | resident MiB |\n|---|---:|---:|---:|")
        for stage in ("empty", "full"):
            found = report[stage]
            put, taken = (found[half]["summary"]["rate_per_s"] for half in ("enqueue", "take"))
            cells = (f"{of['median']:,.0f} ({of['min']:,.0f} – {of['max']:,.0f})" for of in (put, taken))
            resident = found["resident_bytes"] or [0, 0]
            print(f"| {stage} | {' | '.join(cells)} | {resident[0] >> 20}, then {resident[1] >> 20} |")
    for line in rows.get("restart/evenkeel", []):
        peak, loaded, _, restarted = (kib / 1024 for kib in line["resident_kib"])
        print(
            f"\nRestart after kill -9: {line['restart_ms'] / 1000:.2f} s until the queue answers"
            f" ({line['queue'].get('backlog', 0):,} jobs in its backlog); resident {loaded:,.0f} MiB before"
            f" (at most {peak:,.0f}), {restarted:,.0f} MiB after."
        )


# Batches in the client what `cycle` asks for one by one: shown, and no peer of that target.
BATCHED = "cycle/graphile-local-queue"


def targets(rows):
    """What is wanted: a name, what it is, what it should be, and whether it is reached."""
    rate = {label: statistics.median(rates(lines)) for label, lines in rows.items() if "report" in lines[0] and "rate_per_s" in runs(lines[0])[0]}
    for scenario, wanted in (("cycle", 1.5), ("batch", 4.0)):
        peers = {label: of for label, of in rate.items() if label.startswith(f"{scenario}/") and "/evenkeel" not in label and label != BATCHED}
        best = max(peers, key=peers.get, default=None)
        if best and peers[best] and f"{scenario}/evenkeel" in rate:
            found = rate[f"{scenario}/evenkeel"] / peers[best]
            yield f"{scenario}: of the best durable peer, {best.split('/')[1]}", f"{found:.2f} ×", f"≥ {wanted} ×", found >= wanted
    if "latency/evenkeel" in rows:
        found = median_ms(rows["latency/evenkeel"], "p99_us")
        yield "enqueue to start at half load, p99", f"{found:.2f} ms", "≤ 5 ms", found <= 5
    for line in rows.get("idle/evenkeel", []):
        found = line["report"]["cpu_percent"]["median"] - line["report"]["idle_cpu_percent"]
        yield f"{line['report']['polls']:,} idle polls, percent of a core", f"{found:.2f} %", "≤ 2 %", found <= 2
    if "ordered/evenkeel" in rate and "cycle/evenkeel" in rate:
        found = rate["ordered/evenkeel"] / rate["cycle/evenkeel"]
        yield "ordering keys and a limit, of the plain rate", f"{found:.2f}", "≥ 0.6", found >= 0.6
    for line in rows.get("backlog/evenkeel", []):
        for half in ("enqueue", "take"):
            found = line["report"][f"{half}_ratio"]
            yield f"{half} beside {line['report']['jobs']:,} jobs, of without", f"{found:.2f}", "≥ 0.8", found >= 0.8
    for line in rows.get("restart/evenkeel", []):
        peak, restart_s = max(line["resident_kib"]) / 1024**2, line["restart_ms"] / 1000
        yield "memory with the backlog, at most", f"{peak:.2f} GiB", "≤ 1.5 GiB", peak <= 1.5
        yield "restart with the backlog", f"{restart_s:.1f} s", "≤ 10 s", restart_s <= 10


def print_targets(rows):
    print("\n| target | is | wanted | |\n|---|---:|---:|---|")
    for name, found, wanted, reached in targets(rows):
        print(f"| {name} | {found} | {wanted} | {'reached' if reached else 'missed'} |")


command, path, *rest = sys.argv[1:]
read_rows = read(path)
if command == "median":
    print(statistics.median(rates(read_rows[rest[0]])))
else:
    print_rates(read_rows)
    print_backlog(read_rows)
    print_targets(read_rows)
