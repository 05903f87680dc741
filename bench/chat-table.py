"""Medians, spread and targets of what bench/chat wrote: one row a line, as JSON.

    chat-table.py table FILE           markdown
    chat-table.py median FILE LABEL    the median rate of a label
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


def runs(lines):
    """Windows of a rate and latencies; a resume counts as one without a rate."""
    for line in lines:
        report = line["report"]
        yield from report.get("runs", [report] if "latency" in report else [])


def rate(lines):
    return statistics.median(run["rate_per_s"] for run in runs(lines))


def ms(lines, percentile):
    """Empty where a client does not say it."""
    values = [run["latency"][percentile] for run in runs(lines) if percentile in run["latency"]]
    return statistics.median(values) / 1000 if values else None


def errors(lines):
    kinds = [kind for run in runs(lines) for kind in run.get("kinds", [])]
    return sum(kind["errors"] + kind["refused"] + kind["shed"] for kind in kinds) + sum(
        run.get("errors", 0) for run in runs(lines)
    )


def behind(lines):
    return any((run.get("open") or {}).get("kept_up") is False for run in runs(lines))


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
    """What is due at a rate of its own is not compared by it."""
    scenario, who = label.split("/")
    ours = rows.get(f"{scenario}/evenkeel")
    if who == "evenkeel" or not ours or scenario == "fanout-half":
        return ""
    if scenario == "resume":
        return f"{ms(rows[label], 'p50_us') / ms(ours, 'p50_us'):.2f} × as fast"
    return f"{rate(ours) / rate(rows[label]):.2f} ×"


def print_rates(rows):
    print("| row | runs | per s, median | min – max | p50 ms | p99 ms | p99.9 ms | server cores | client cores | errors | Evenkeel is |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for label, lines in rows.items():
        found = [run["rate_per_s"] for run in runs(lines) if "rate_per_s" in run]
        if not list(runs(lines)):
            continue
        median = f"{statistics.median(found):,.0f}" + (" (fell behind)" if behind(lines) else "") if found else ""
        spread = f"{min(found):,.0f} – {max(found):,.0f}" if found else ""
        late = (ms(lines, of) for of in ("p50_us", "p99_us", "p999_us"))
        late = " | ".join("" if of is None else f"{of:.2f}" for of in late)
        server, client = cores(lines)
        print(
            f"| {label} | {len(list(runs(lines)))} | {median} | {spread} | {late} | {server} | {client} "
            f"| {errors(lines)} | {ratio(rows, label)} |"
        )
    print("\nOf fan-outs the deliveries, else the sends or pages. Cores: user + system time a second over the")
    print("whole row, warm-up and preparation with it; of redis-chat, Redis is with it.")


def print_stored(rows):
    for label, lines in rows.items():
        for report in (line["report"] for line in lines):
            if "fill_per_s" in report:
                print(f"\n{label}: {report['messages']:,} messages over {report['conversations']:,} conversations at {report['fill_per_s']:,.0f}/s.")
            if "with_bytes" in report:
                before, during = (report[of] / 2**20 for of in ("before_bytes", "with_bytes"))
                print(
                    f"\n{label}: {report['open']:,} of {report['sockets']:,} connections open after {report['held_ms'] / 1000:.0f} s;"
                    f" resident {before:,.0f} MiB before, {during:,.0f} MiB with them, {report['bytes_each']:,} bytes each;"
                    f" {report['cpu_percent']:.2f} % of a core."
                )


def targets(rows):
    """What is wanted: a name, what it is, what it should be, and whether it is reached."""
    ours = {label.split("/")[0]: lines for label, lines in rows.items() if label.endswith("/evenkeel")}
    of_rates = (
        ("sends-1", "sends-1/xadd", "one in flight: of raw XADD, one in flight", 0.8),
        ("sends-16", "sends-1/xadd", "16 in flight: of raw XADD, one in flight", 1.5),
        ("sends-16", "sends-16/xadd", "16 in flight: of raw XADD, 16 in flight", 1.5),
        ("fanout", "fanout/redis-chat", "deliveries: of redis-chat", 1.5),
    )
    for scenario, peer, name, wanted in of_rates:
        if scenario in ours and peer in rows:
            found = rate(ours[scenario]) / rate(rows[peer])
            yield name, f"{found:.2f} ×", f"≥ {wanted} ×", found >= wanted
    of_latencies = (
        ("fanout-half", "p99_us", "send to arrival at half load, p99", 20),
        ("history", "p99_us", "page of history, p99", 5),
        ("resume", "p50_us", "resume of 1,000, median", 50),
    )
    for scenario, percentile, name, wanted in of_latencies:
        if scenario in ours:
            found = ms(ours[scenario], percentile)
            yield name, f"{found:.2f} ms", f"≤ {wanted} ms", found <= wanted
    for report in (line["report"] for line in ours.get("idle", [])):
        found = report["with_bytes"] / 2**20
        reached = found <= 250 and report["open"] == report["sockets"]
        yield f"memory with {report['sockets']:,} idle connections", f"{found:,.0f} MiB", "≤ 250 MiB", reached


def print_targets(rows):
    found = list(targets(rows))
    if not found:
        return
    print("\n| target | is | wanted | |\n|---|---:|---:|---|")
    for name, found, wanted, reached in found:
        print(f"| {name} | {found} | {wanted} | {'reached' if reached else 'missed'} |")


command, path, *rest = sys.argv[1:]
read_rows = read(path)
if command == "median":
    print(rate(read_rows[rest[0]]))
else:
    print_rates(read_rows)
    print_stored(read_rows)
    print_targets(read_rows)
