"""Medians, spread and targets of what bench/feed wrote: one row a line, as JSON.

    feed-table.py table FILE              markdown
    feed-table.py median FILE LABEL       the median rate of a label
    feed-table.py page-bytes FILE LABEL   the bytes of a page of it
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


def parts(label, report):
    """Of a report what has runs: the name of a row, and the runs."""
    if "page_bytes" in report:
        yield label, report["reads"]["runs"]
        if report["posts"]:
            yield f"{label}: posts meanwhile", report["posts"]["runs"]
    elif "beside_star" in report:
        yield f"{label}: the star's posts", report["star"]["runs"]
        for of in ("posts", "reads"):
            yield f"{label}: others' {of} alone", report["alone"][of]["runs"]
            yield f"{label}: others' {of} beside it", report["beside_star"][of]["runs"]
    elif "pace" in report:
        yield label, report["runs"]


def windows(rows):
    """The runs of each row, and the lines that they are of."""
    found = {}
    for label, lines in rows.items():
        for line in lines:
            for name, runs in parts(label, line["report"]):
                found.setdefault(name, ([], lines))[0].extend(runs)
    return found


def rate(runs):
    return statistics.median(run["rate_per_s"] for run in runs)


def ms(runs, percentile):
    return statistics.median(run["latency"][percentile] for run in runs) / 1000


def errors(runs):
    return sum(kind["errors"] + kind["refused"] + kind["shed"] for run in runs for kind in run["kinds"])


def behind(runs):
    return any((run.get("open") or {}).get("kept_up") is False for run in runs)


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


def print_rates(found):
    print("| row | runs | per s, median | min – max | p50 ms | p99 ms | p99.9 ms | server cores | client cores | errors | Evenkeel is |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for name, (runs, lines) in found.items():
        rates = [run["rate_per_s"] for run in runs]
        median = f"{rate(runs):,.0f}" + (" (fell behind)" if behind(runs) else "")
        late = " | ".join(f"{ms(runs, of):.2f}" for of in ("p50_us", "p99_us", "p999_us"))
        ours = found.get("hot/evenkeel") if name in ("hot/constant", "hot/lists") else None
        ratio = f"{rate(ours[0]) / rate(runs):.2f} ×" if ours else ""
        server, client = cores(lines)
        print(
            f"| {name} | {len(runs)} | {median} | {min(rates):,.0f} – {max(rates):,.0f} | {late} | {server} | {client} "
            f"| {errors(runs)} | {ratio} |"
        )
    print("\nCores: user + system time a second over the whole row, warm-up and preparation with it, and for the")
    print("celebrity all of its windows; of lists, Redis is with it.")


def all_seen(lines, level=None):
    seen = [seen for line in lines for seen in line["report"].get("seen", [])]
    return [of for of in seen if level in (None, of.get("consistency", "eventual"))]


def print_others(rows):
    for label, lines in rows.items():
        for report in (line["report"] for line in lines):
            for step in report.get("steps", []):
                count, took_s = step["count"], step["took_ms"] / 1000
                each = f", {count / max(took_s, 0.001):,.0f}/s" if count > 1 else ""
                print(f"\n{label}: {step['what']}{f', {count:,}' if count > 1 else ''}: {took_s:,.1f} s{each}.")
            if "pushed_us" in report:
                pushed = [us / 1000 for us in report["pushed_us"]]
                print(
                    f"\n{label}: {report['followers']:,} followers; until the last has a post {statistics.median(pushed):,.0f} ms"
                    f" ({min(pushed):,.0f} – {max(pushed):,.0f})."
                )
            for run in report["runs"] if "wanted" in report else []:
                late = ", ".join(f"{of} {run['latency'][of + '_us'] / 1000:,.0f} ms" for of in ("p50", "p99", "max"))
                why = f" ({report['connect_error']})" if report["connect_error"] else ""
                print(
                    f"\n{label}: {report['readers']:,} of {report['wanted']:,} readers{why}: loads"
                    f" {'unknown' if run['loads'] is None else run['loads']}; {run['ok']:,} got a page,"
                    f" {run['shed']:,} were turned away, {run['errors']:,} failed; {late}."
                )
        for seen in all_seen(lines):
            late = ", ".join(f"{of} {seen['seen_by_all'][of + '_us'] / 1000:,.1f} ms" for of in ("p50", "p99", "max"))
            print(
                f"\n{label}: {seen['posts']} posts, until {seen['watched']} followers in {seen['partitions']} partitions"
                f" have each at the level {seen.get('consistency', 'eventual')}: {late}; {seen['errors']} failed."
            )


def targets(rows, found):
    """What is wanted: a name, what it is, what it should be, and whether it is reached."""
    runs = lambda name: found.get(name, ([], []))[0]
    latencies = [("celebrity/evenkeel: the star's posts", "the star's posts, acknowledged, p99", 10)]
    for level, said in (("", ""), ("-session", " at the level session")):
        for following, wanted in ((200, 5), (5_000, 20)):
            name = f"timeline-{following}{level}-half/evenkeel"
            latencies.append((name, f"timelines of {following:,} followed{said}, at half load, p99", wanted))
    for name, said, wanted in latencies:
        if runs(name):
            is_ms = ms(runs(name), "p99_us")
            yield said, f"{is_ms:.2f} ms", f"≤ {wanted} ms", is_ms <= wanted
    star = "celebrity/evenkeel"
    pushed = [us for line in rows.get("celebrity/push", []) for us in line["report"]["pushed_us"]]
    for level, how in (("eventual", "from what is kept for 250 ms"), ("session", "from what is there")):
        seen = all_seen(rows.get(star, []), level)
        if not seen:
            continue
        last_ms = max(of["seen_by_all"]["max_us"] for of in seen) / 1000
        reached = last_ms <= 1_000 and not any(of["errors"] for of in seen)
        yield f"until the last of the sample has it, of any post, {how}", f"{last_ms:,.1f} ms", "≤ 1,000 ms", reached
        if pushed:
            sooner = statistics.median(pushed) / statistics.median(of["seen_by_all"]["p50_us"] for of in seen)
            said = f"the last has it sooner than by pushing, medians, {how}"
            yield said, f"{sooner:,.0f} ×", "≥ 100 ×", sooner >= 100
    for of in ("posts", "reads"):
        for percentile, said in (("p50_us", "p50"), ("p99_us", "p99")):
            alone, beside = (runs(f"{star}: others' {of} {when}") for when in ("alone", "beside it"))
            if alone and beside:
                later = ms(beside, percentile) / ms(alone, percentile) - 1
                yield f"others' {of} beside the star, {said} later by", f"{later:.0%}", "≤ 10 %", later <= 0.1
    for who, said, wanted in (("constant", "of a constant", 0.8), ("lists", "of LRANGE", 0.5)):
        if runs("hot/evenkeel") and runs(f"hot/{who}"):
            ratio = rate(runs("hot/evenkeel")) / rate(runs(f"hot/{who}"))
            yield f"hot timelines: {said}", f"{ratio:.2f} ×", f"≥ {wanted} ×", ratio >= wanted
    stamped = [run for line in rows.get("stampede/evenkeel", []) for run in line["report"]["runs"]]
    if stamped:
        # What is kept is read anew once it is this old, by one at a time, while the others still get it.
        fresh_ms = 250
        due = [1 + int(run["latency"]["max_us"] / 1000 / fresh_ms) for run in stamped]
        loads = [run["loads"] for run in stamped]
        reached = None not in loads and all(of <= wanted for of, wanted in zip(loads, due))
        is_now = ", ".join("unknown" if of is None else str(of) for of in loads)
        yield "loads of each stampede: 1, and 1 for each 250 ms that it lasts", is_now, f"≤ {', '.join(map(str, due))}", reached


def print_targets(rows, found):
    wanted = list(targets(rows, found))
    if wanted:
        print("\n| target | is | wanted | |\n|---|---:|---:|---|")
    for name, is_now, should_be, reached in wanted:
        print(f"| {name} | {is_now} | {should_be} | {'reached' if reached else 'missed'} |")


command, path, *rest = sys.argv[1:]
read_rows = read(path)
if command == "median":
    median_runs, _ = windows(read_rows).get(rest[0]) or sys.exit(f"feed-table.py: nothing was measured of {rest[0]}")
    print(rate(median_runs))
elif command == "page-bytes":
    print(round(statistics.median(line["report"]["page_bytes"] for line in read_rows[rest[0]])))
else:
    read_windows = windows(read_rows)
    print_rates(read_windows)
    print_others(read_rows)
    print_targets(read_rows, read_windows)
