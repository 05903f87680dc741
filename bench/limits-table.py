"""Medians and spread of what bench/limits wrote. The first file: who, depth, command, rate, then
latencies in ms (average, minimum, p50, p95, p99, maximum). The second: who, rate, p50, p99."""

import csv
import statistics
import sys


def read(path, columns):
    rows = {}
    with open(path, newline="") as file:
        for row in csv.reader(file):
            who, rate, p50, p99 = columns(row)
            rows.setdefault(who, []).append((float(rate), float(p50), float(p99)))
    return rows


def median(runs):
    return statistics.median(rate for rate, _, _ in runs)


def cells(runs):
    rates, p50s, p99s = zip(*runs)
    rate = f"{median(runs):,.0f} ({min(rates):,.0f} – {max(rates):,.0f})"
    return f"{rate} | {statistics.median(p50s):.2f} | {statistics.median(p99s):.2f}"


rows = read(sys.argv[1], lambda row: ((int(row[1]), row[0]), row[3], row[6], row[8]))
print("| deep | who | requests/s (lowest – highest) | p50 ms | p99 ms |")
print("|---:|---|---:|---:|---:|")
for (depth, who), runs in rows.items():
    print(f"| {depth} | {who} | {cells(runs)} |")

edges = read(sys.argv[2], lambda row: row)
if edges:
    print("\n| edge | checks/s (lowest – highest) | p50 ms | p99 ms |\n|---|---:|---:|---:|")
for who, runs in edges.items():
    print(f"| {who} | {cells(runs)} |")

wanted = [
    (1, "evenkeel-synced", "redis-lua-always", 1.6),
    (16, "evenkeel-synced", "redis-lua", 2.5),
    (1, "evenkeel-buffered", "throttlecrab", 0.9),
    (16, "evenkeel-buffered", "redis-incr", 0.3),
    (1, "evenkeel-hot", "evenkeel-synced", 0.8),
    (16, "evenkeel-hot", "evenkeel-synced", 0.8),
    # At most 1.5 times the time.
    (16, "keys-10000000", "keys-10000", 0.67),
]
print("\n| deep | ratio | is | wanted |\n|---:|---|---:|---:|")
for depth, who, peer, target in wanted:
    if (depth, who) in rows and (depth, peer) in rows:
        ratio = median(rows[depth, who]) / median(rows[depth, peer])
        print(f"| {depth} | {who} : {peer} | {ratio:.2f} | {target} |")
