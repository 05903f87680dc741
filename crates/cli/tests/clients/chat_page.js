// Drives the page of examples/chat in a browser: two users, a server that is killed and comes back. Prints ok.
//
//   node chat_page.js <evenkeel> <scratch directory>
"use strict";
const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const path = require("node:path");
const readline = require("node:readline");
const puppeteer = require("puppeteer-core");

const [binary, scratch] = process.argv.slice(2);
const WAIT = { polling: "mutation", timeout: 60_000 };
// What a browser says of a server that is not there.
const GONE = /^WebSocket connection to .* failed|^Failed to load resource: net::ERR_/;
let server;
let origin;
const complaints = [];

/// Starts a server over a directory, at the address of the one before if there was one.
async function start(directory) {
  const data = path.join(scratch, directory);
  const http = origin ? new URL(origin).host : "127.0.0.1:0";
  const env = { EVENKEEL_LOG__SEGMENT_BYTES: "1048576" };
  server = spawn(binary, ["dev", "--no-traffic", "--data", data, "--http", http], { env, stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of readline.createInterface({ input: server.stdout })) {
    const [, url] = /^Evenkeel is ready at (\S+)/.exec(line) ?? [];
    if (url) { origin = url; break; }
  }
  assert.equal(server.exitCode, null, "it is ready");
  server.stdout.resume();
}

async function kill() {
  const ended = once(server, "exit");
  server.kill("SIGKILL");
  await ended;
}

async function ask(method, address, body) {
  const headers = { "Content-Type": "application/json", "Evenkeel-Consistency": "linearizable" };
  const answer = await fetch(`${origin}/v1/${address}`, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${address}: ${answer.status}`);
  return answer.json();
}

async function unread(user, conversation) {
  const { items } = await ask("GET", `users/${user}/inbox`);
  return items.find((item) => item.conversation === conversation).unread;
}

/// A tab of a user's.
class Tab {
  static async open(browser, user) {
    const tab = new Tab();
    tab.page = await browser.newPage();
    await tab.page.emulateFocusedPage(true);  // both are on the screen
    tab.page.on("pageerror", (error) => complaints.push(`${user}: ${error}`));
    tab.page.on("console", (said) => {
      if (said.type() === "error" && !GONE.test(said.text())) complaints.push(`${user}: ${said.text()}`);
    });
    await tab.page.evaluateOnNewDocument(() => {
      const { send } = WebSocket.prototype;
      WebSocket.prototype.send = function say(frame) { if (!window.mute) send.call(this, frame); };
      const { set } = Object.getOwnPropertyDescriptor(WebSocket.prototype, "onmessage");
      const heard = ({ data }) => ({ data: window.removed ? data.replace('"asked"', '"removed"') : data });
      const onmessage = { set(hear) { window.socket = this; set.call(this, (event) => window.deaf || hear(heard(event))); } };
      Object.defineProperty(WebSocket.prototype, "onmessage", onmessage);
      const { fetch } = window;
      window.fetch = (path, ...more) => fetch(window.few && path.endsWith("/inbox") ? `${path}?limit=1` : path, ...more);
    });
    await tab.page.goto(`${origin}/examples/chat/?as=${user}#general`);
    await tab.status("connected");
    return tab;
  }
  until(holds, ...args) { return this.page.waitForFunction(holds, WAIT, ...args); }
  status(start) { return this.until((start) => document.querySelector("#status").textContent.startsWith(start), start); }
  says(id, text) { return this.until((id, text) => document.querySelector(id).textContent === text, id, text); }
  /// Until a line with this text looks like this.
  line(text, state) {
    return this.until((text, state) => [...document.querySelectorAll("#messages li")].some((line) =>
      line.querySelector("p").textContent === text && line.textContent.includes(state)), text, state);
  }
  lines() { return this.page.$$eval("#messages li p", (texts) => texts.map((text) => text.textContent)); }
  count(count) {
    return this.until((count) => document.querySelectorAll("#messages li[data-seq]:not([data-seq=''])").length === count, count);
  }
  /// Until the inbox has this many unread in a conversation.
  unread(conversation, count) {
    return this.until((conversation, count) => [...document.querySelectorAll("#inbox a")].some((line) => {
      const [name, unread] = line.children;
      return name.textContent === conversation && (unread.hidden ? 0 : Number(unread.textContent)) === count;
    }), conversation, count);
  }
  go(conversation) { return this.page.click(`#inbox a[href="#${conversation}"]`); }
  async type(text) { await this.page.type("#text", text); }
  async send(text) {
    await this.type(text);
    await this.page.keyboard.press("Enter");
  }
  see(visible) {
    return this.page.evaluate((state) => {
      Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
      document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
    }, visible ? "visible" : "hidden");
  }
}

async function they_talk(ada, bob) {
  for (const tab of [ada, bob]) await tab.says("#here", "here: ada, bob");
  await ada.type("is anyb");
  await bob.says("#typing", "ada is typing…");
  await ada.send("ody there?");
  await bob.line("is anybody there?", "ada");
  await bob.says("#typing", "");
  await ada.line("is anybody there?", "sent");
  for (let i = 0; i < 5; i += 1) await (i % 2 ? bob : ada).send(`<b>one</b> & ${i}`);
  for (const tab of [ada, bob]) await tab.count(7);
  assert.deepEqual(await ada.lines(), await bob.lines());
  assert.ok((await bob.lines()).includes("<b>one</b> & 4"), "text is shown as text");
}

async function unread_is_exact(ada, bob) {
  await bob.unread("general", 0);
  await bob.go("weekend");
  await bob.says("#name", "weekend");
  for (let i = 1; i <= 3; i += 1) {
    await ada.send(`unread ${i}`);
    await bob.unread("general", i);
    assert.equal(await unread("bob", "general"), i);
  }
  await bob.go("general");
  await bob.unread("general", 0);
  assert.equal(await unread("bob", "general"), 0);
  await bob.see(false);
  await ada.send("while you look away");
  await bob.line("while you look away", "ada");
  await bob.unread("general", 1);
  assert.match(await bob.page.title(), /^\(1\) /);
  assert.equal(await unread("bob", "general"), 1);
  await bob.see(true);
  await bob.unread("general", 0);
}

async function changes_are_seen(ada, bob) {
  const { items } = await ask("GET", "conversations/general/messages?limit=2");
  await ask("PATCH", `conversations/general/messages/${items[0].seq}`, { by: "ada", body: { text: "said better" } });
  await ask("DELETE", `conversations/general/messages/${items[1].seq}?by=ada`);
  for (const tab of [ada, bob]) {
    await tab.line("said better", "edited");
    await tab.line("deleted", "ada");
  }
}

async function what_is_refused_says_why(ada) {
  await ask("PUT", "conversations/general/members/ada", { role: "reader" });
  await ada.send("as a reader");
  await ada.line("as a reader", "Send again");
  await ask("PUT", "conversations/general/members/ada", { role: "writer" });
  await ada.page.click(".failed button");
  await ada.line("as a reader", "sent");
}

/// Bob hears that he was removed, and when he looks he is in again. (In `dev` nobody is removed: each speaks as
/// a back end does.)
async function who_is_let_in_again_follows_again(ada, bob) {
  await bob.page.evaluate(() => {
    window.removed = true;
    window.socket.send(JSON.stringify({ unsubscribe: "conversation:general" }));
  });
  await ada.send("welcome back");
  await bob.line("welcome back", "ada");
  for (const tab of [ada, bob]) await tab.says("#here", "here: ada, bob");
  await bob.page.evaluate(() => { window.removed = false; });
}

/// Of an inbox whose first page has one conversation, only that is followed.
async function what_leaves_the_inbox_and_returns_is_followed_anew(ada, bob) {
  const looks = async (few) => {
    await bob.page.evaluate((few) => { window.few = few; }, few);
    await bob.see(true);
  };
  await ada.go("weekend");
  await ada.says("#here", "here: ada, bob");
  await looks(true);
  await ada.says("#here", "here: ada");
  await ada.send("over here");
  await ada.line("over here", "sent");
  await looks(true);
  await bob.says("#name", "weekend");
  await bob.line("over here", "ada");
  for (const tab of [ada, bob]) await tab.says("#here", "here: ada, bob");
  await ada.go("general");
  await ada.says("#here", "here: ada");
  await looks(false);
  await ada.says("#here", "here: ada, bob");
  await bob.go("general");
  await bob.says("#here", "here: ada, bob");
  assert.deepEqual(await bob.lines(), await ada.lines());
}

/// Of two messages the server has only the first, and the tab has heard of neither when it is loaded anew.
async function a_reload_loses_and_repeats_nothing(ada, bob) {
  const before = await bob.lines();
  await ada.page.evaluate(() => { window.deaf = true; });
  await ada.send("it is there");
  await bob.line("it is there", "ada");
  await ada.page.evaluate(() => { window.mute = true; });
  await ada.send("it is not");
  for (const text of ["it is there", "it is not"]) await ada.line(text, "sending");
  await ada.page.reload();
  for (const text of ["it is there", "it is not"]) await ada.line(text, "sent");
  await ada.send("and then");
  for (const tab of [ada, bob]) {
    await tab.line("and then", "ada");
    assert.deepEqual(await tab.lines(), [...before, "it is there", "it is not", "and then"]);
  }
}

async function a_crash_loses_nothing(ada, bob) {
  const before = await ada.lines();
  const typed = [];
  const say = async (tab, text) => { typed.push(text); await tab.send(text); };
  const both = async (from, to) => {
    for (let i = from; i < to; i += 1) await Promise.all([say(ada, `ada's ${i}`), say(bob, `bob's ${i}`)]);
  };
  await both(0, 5);
  // Not before there is something to lose, and while more is typed.
  await Promise.all([both(5, 10), ada.line("bob's 2", "bob").then(kill)]);
  await Promise.all([ada.status("reconnecting"), bob.status("reconnecting")]);
  await both(10, 13);
  await ada.line("ada's 12", "sending");
  await start("data");
  for (const tab of [ada, bob]) {
    await tab.status("connected");
    await tab.count(before.length + typed.length);
  }
  const seen = await ada.lines();
  assert.deepEqual(await bob.lines(), seen);
  assert.deepEqual(seen.slice(0, before.length), before);
  assert.deepEqual(seen.slice(before.length).sort(), typed.sort());
  const { items } = await ask("GET", "conversations/general/messages?limit=100");
  assert.deepEqual(items.reverse().map(({ body }) => body?.text ?? "deleted"), seen);
  for (const [tab, user] of [[ada, "ada"], [bob, "bob"]]) {
    const own = seen.filter((text) => text.startsWith(`${user}'s `));
    assert.deepEqual(own, typed.filter((text) => text.startsWith(`${user}'s `)).sort((a, b) => a.split(" ")[1] - b.split(" ")[1]));
    await tab.says("#here", "here: ada, bob");
    await tab.unread("general", 0);
  }
}

async function who_leaves_is_gone(ada, bob) {
  await bob.page.close();
  await ada.says("#here", "here: ada");
}

async function another_life_is_read_anew(ada) {
  await kill();
  await start("other");
  await ada.count(1);
  assert.deepEqual(await ada.lines(), ["Hello, Bob."]);
  await ada.send("Hello again.");
  await ada.line("Hello again.", "sent");
}

async function main() {
  await start("data");
  // No sandbox, because containers run this as root, for whom Chromium has none. It sees this server alone.
  const args = ["--no-sandbox", "--disable-quic", "--no-proxy-server", "--disable-background-networking"];
  const browser = await puppeteer.launch({ executablePath: "/usr/bin/chromium", userDataDir: path.join(scratch, "browser"), args });
  try {
    const ada = await Tab.open(browser, "ada");
    const bob = await Tab.open(browser, "bob");
    const steps = [they_talk, unread_is_exact, changes_are_seen, what_is_refused_says_why, who_is_let_in_again_follows_again, what_leaves_the_inbox_and_returns_is_followed_anew, a_reload_loses_and_repeats_nothing, a_crash_loses_nothing, who_leaves_is_gone, another_life_is_read_anew];
    for (const step of steps) {
      try {
        await step(ada, bob);
      } catch (error) {
        const text = (tab) => (tab.page.isClosed() ? "closed" : tab.page.evaluate(() => document.body.innerText));
        throw new Error(`${step.name}: ${complaints}\n${await text(ada)}\n---\n${await text(bob)}`, { cause: error });
      }
    }
    assert.deepEqual(complaints, []);
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
