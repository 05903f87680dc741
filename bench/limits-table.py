"""Medians and spread of what bench/limits wrote: who, depth, command, rate, then
latencies in ms (average, minimum, p50, p95, p99, maximum)."""

import csv
import statistics
import sys

rows = {}
with open(sys.argv[1], newline="") as file:
    for who, depth, _, rate, _, _, p50, _, p99, _ in csv.reader(file):
        rows.setdefault((int(depth), who), []).append((float(rate), float(p50), float(p99)))

print("| deep | who | requests/s (lowest – highest) | p50 ms | p99 ms |")
print("|---:|---|---:|---:|---:|")
for (depth, who), runs in rows.items():
    rates, p50s, p99s = zip(*runs)
    rate = f"{statistics.median(rates):,.0f} ({min(rates):,.0f} – {max(rates):,.0f})"
    print(f"| {depth} | {who} | {rate} | {statistics.median(p50s):.2f} | {statistics.median(p99s):.2f} |")

wanted = [
    (1, "evenkeel-synced", "redis-lua-always", 1.6),
    (16, "evenkeel-synced", "redis-lua", 2.5),
    (1, "evenkeel-buffered", "throttlecrab", 0.9),
    (16, "evenkeel-buffered", "redis-incr", 0.3),
    (1, "evenkeel-hot", "evenkeel-synced", 0.8),
    (16, "evenkeel-hot", "evenkeel-synced", 0.8),
]
print("\n| deep | ratio | is | wanted |\n|---:|---|---:|---:|")
for depth, who, peer, target in wanted:
    if (depth, who) in rows and (depth, peer) in rows:
        median = lambda name: statistics.median(rate for rate, _, _ in rows[depth, name])
        print(f"| {depth} | {who} : {peer} | {median(who) / median(peer):.2f} | {target} |")
