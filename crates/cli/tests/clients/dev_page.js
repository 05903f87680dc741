// Drives the page at `/` of `dev` in a browser, and runs every command that it shows. Prints ok.
//
//   node dev_page.js <evenkeel> <scratch directory>
"use strict";
const assert = require("node:assert/strict");
const { execFileSync, spawn } = require("node:child_process");
const path = require("node:path");
const readline = require("node:readline");
const puppeteer = require("puppeteer-core");

const [binary, scratch] = process.argv.slice(2);
const WAIT = { timeout: 60_000 };
const PRODUCTS = ["reservations", "limits", "jobs", "chat", "feed"];
let server;
let origin;
const complaints = [];

async function start() {
  const env = { EVENKEEL_LOG__SEGMENT_BYTES: "1048576", PATH: process.env.PATH, TMPDIR: scratch };
  server = spawn(binary, ["dev", "--http", "127.0.0.1:0"], { env, stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of readline.createInterface({ input: server.stdout })) {
    const [, url] = /^Evenkeel is ready at (\S+)/.exec(line) ?? [];
    if (url) { origin = url; break; }
  }
  assert.equal(server.exitCode, null, "it is ready");
  server.stdout.resume();
}

async function ask(method, address, body) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(`${origin}/v1/${address}`, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${address}: ${answer.status}`);
  return answer.json();
}

/// Until what moves of each product, and its rates, have changed twice.
async function all_five_move(page) {
  const parts = PRODUCTS.flatMap((id) => [`#${id} ~ .live ul`, `#${id} ~ table tbody`]);
  await page.waitForFunction((parts) => {
    window.seen ??= parts.map(() => new Set());
    parts.forEach((part, at) => {
      // Of seats it is the class that changes.
      const shown = document.querySelector(part)?.innerHTML;
      if (shown) window.seen[at].add(shown);
    });
    return window.seen.every((all) => all.size > 2);
  }, WAIT, parts);
  await page.waitForFunction(() => document.querySelectorAll(".seats .confirmed").length > 2, WAIT);
  assert.equal(await page.$eval("#status", (status) => status.textContent), "Live.");
  assert.equal(await page.$eval("#demo", (text) => text.hidden), false);
}

async function it_fits_a_phone(page) {
  await page.setViewport({ width: 360, height: 700 });
  const fits = await page.evaluate(() => {
    // As on a machine that is busy.
    document.querySelectorAll("td:nth-last-child(-n+2)").forEach((cell) => (cell.textContent = "1,234 of 10,000"));
    return document.documentElement.scrollWidth <= 360;
  });
  assert.ok(fits, "nothing is wider than the screen");
}

async function who_reads_with_ears_and_keys(page) {
  const unnamed = await page.$$eval("button, summary, input", (all) => all.filter((one) => !one.textContent && !one.labels?.length).length);
  assert.equal(unnamed, 0);
  const sections = await page.$$eval("section", (all) => all.map((one) => document.getElementById(one.getAttribute("aria-labelledby"))?.textContent));
  assert.deepEqual(sections, ["Reservations", "Rate limits", "Jobs", "Chat", "Feeds", "Operating"]);
  const copied = await page.$("#limits ~ .command button");
  await copied.focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction((button) => /Copied|Selected/.test(button.textContent), WAIT, copied);
}

/// What a command's variables stand for: something new each time.
async function variables(command) {
  const [taken] = /\$[A-Z_]+/.exec(command) ?? [];
  if (!taken) return {};
  if (taken === "$HOLD") {
    const { hold } = await ask("POST", "resources/gig/holds", { holder: "u", quantity: 1, ttl_ms: 60_000 });
    if (/cancel/.test(command)) await ask("POST", `resources/gig/holds/${hold}/confirm`, {});
    return { HOLD: hold };
  }
  if (taken === "$POST") return { POST: (await ask("POST", "feeds/ada/posts", { client_id: `p-${process.hrtime.bigint()}`, body: {} })).post };
  if (taken === "$COUNTED_AT") return { COUNTED_AT: (await ask("POST", "limits/check", { checks: [{ limit: "logins", key: "ada" }] })).counted_at };
  if (taken === "$KEY_ID") return { KEY_ID: (await ask("POST", "keys", { tenant: "default", scopes: ["reservations:read"] })).id };
  if (taken === "$KID") return { KID: (await ask("POST", "token-keys", { algorithm: "HS256", label: "t" })).kid };
  if (taken === "$LEASE") {
    const checked = await ask("POST", "limits/check", { checks: [{ limit: "exports", key: "other" }] });
    return { LEASE: checked.results[0].lease };
  }
  assert.equal(taken, "$JOB", command);
  await ask("POST", "queues/mail/jobs", { jobs: [{ kind: "welcome", priority: 0 }] });
  const work = /retry/.test(command) ? "dead" : /\$LEASE/.test(command) ? "lease" : "ready";
  if (work === "ready") return { JOB: (await ask("GET", "queues/mail/jobs?state=ready&limit=1")).items[0].job };
  const { jobs: [{ job, lease }] } = await ask("POST", "queues/mail/lease", { worker: "test", max: 1 });
  if (work === "dead") await ask("POST", `queues/mail/jobs/${job}/fail`, { lease, error: "for the test", retry: false });
  return { JOB: job, LEASE: lease };
}

/// Runs a curl as it is shown, until the server says how it goes: the first line of its answer.
async function first_line(command) {
  const env = { PATH: process.env.PATH, ...await variables(command) };
  const shell = spawn("sh", ["-c", `curl() { exec env curl -sv "$@"; }\n${command}`], { env, stdio: ["ignore", "ignore", "pipe"] });
  try {
    for await (const line of readline.createInterface({ input: shell.stderr })) {
      if (line.startsWith("< HTTP/1.1 ")) return line.slice(2);
    }
    return "nothing";
  } finally {
    shell.kill();
  }
}

/// The last step: among what it runs are deletions, after which the page asks for what is not there.
async function every_command_works(page) {
  assert.deepEqual(complaints, []);
  const commands = await page.$$eval(".command pre", (all) => all.map((one) => one.textContent));
  const curls = commands.filter((command) => command.startsWith("curl "));
  const { items } = await ask("GET", "contracts");
  for (const { path, curl } of items) {
    assert.ok(curls.includes(curl.replaceAll("http://127.0.0.1:7480", origin)), `the page shows the curl of ${path}`);
  }
  // What puts something comes first, and what takes it away last, a part before the whole.
  const ORDER = [/PUT/, /^(?!.*(DELETE|drain|pause))/s, /drain|pause/, /DELETE/];
  const place = (command) => ORDER.findIndex((kind) => kind.test(command)) - command.length / 10_000;
  const failed = [];
  for (const command of curls.sort((one, other) => place(one) - place(other))) {
    const line = await first_line(command);
    // A queue with jobs in it is not deleted.
    const good = /DELETE .*\/queues\/mail$/.test(command) ? /^HTTP\/1.1 409 / : /^HTTP\/1.1 (101|20[0-4]) /;
    if (!good.test(line)) failed.push(`${command}: ${line}`);
  }
  assert.deepEqual(failed, []);
  const { breakages } = JSON.parse(execFileSync(binary, ["drill", "list", "--json"]));
  const drills = commands.filter((command) => !command.startsWith("curl ")).sort();
  assert.deepEqual(drills, breakages.map(({ name }) => `evenkeel drill sim --break ${name}`).sort());
}

async function main() {
  await start();
  // No sandbox, because containers run this as root, for whom Chromium has none. It sees this server alone.
  const args = ["--no-sandbox", "--disable-quic", "--no-proxy-server", "--disable-background-networking"];
  const browser = await puppeteer.launch({ executablePath: "/usr/bin/chromium", userDataDir: path.join(scratch, "browser"), args });
  try {
    const page = await browser.newPage();
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (said) => complaints.push(said.text()));
    page.on("request", (request) => request.url().startsWith(`${origin}/`) || complaints.push(request.url()));
    await page.goto(origin);
    for (const step of [all_five_move, it_fits_a_phone, who_reads_with_ears_and_keys, every_command_works]) {
      try {
        await step(page);
      } catch (error) {
        const text = await page.evaluate(() => document.body.innerText);
        throw new Error(`${step.name}: ${complaints}\n${text}`, { cause: error });
      }
    }
  } finally {
    await browser.close();
  }
}

// However this ends.
process.on("exit", () => server?.kill("SIGKILL"));
main().then(
  () => { console.log("ok"); process.exit(); },
  (error) => { console.error(error); process.exit(1); },
);
