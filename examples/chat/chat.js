// Two users chat. The inbox and history are asked for over HTTP; what happens from then on comes on one
// WebSocket (connection.js), which resumes each conversation where it was left.

import { Connection } from "./connection.js";

const me = new URLSearchParams(location.search).get("as") ?? "ada";

// `evenkeel dev` asks nobody who they are: there is no token, and this page speaks as a back end does, which
// says for whom. Elsewhere, fetch one here from your own back end; then the server knows who speaks.
const token = async () => null;
const by = (field) => ({ [field]: me });  // with tokens: () => ({})

const conversations = new Map();  // name → what is known of it, the last active first
const unsent = new Map(JSON.parse(sessionStorage.getItem(`unsent ${me}`) ?? "[]"));  // client_id → message
const quiet = () => {};
let say = quiet;  // says a frame, while there is a connection

const hash = (c) => `#${encodeURIComponent(c.name)}`;
const open = () => { const all = [...conversations.values()]; return all.find((c) => hash(c) === location.hash) ?? all[0]; };
const path = (c) => `/v1/conversations/${encodeURIComponent(c.name)}`;
// Of a message that is further back than what was read, no more may be known than that it was edited.
const known = (c) => [...c.messages.values()].filter(({ sender }) => sender).sort((a, b) => a.seq - b.seq);
const topic = (c) => `conversation:${c.name}`;

async function get(path, headers = {}) {
  const bearer = await token();
  if (bearer) headers.Authorization = `Bearer ${bearer}`;
  const answer = await fetch(path, { headers, signal: AbortSignal.timeout(15_000) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

// ---- What is there -----------------------------------------------------------------------------------

/// Reads the inbox, once more if it was asked for meanwhile, and follows what is not followed yet. Unread
/// counts are the server's, who counts exactly: `linearizable` has in it everything that we have heard of.
let reading, wanted = false;
function refresh() {
  wanted = true;
  return reading ??= (async () => {
    try {
      for (; wanted; render()) {
        wanted = false;
        const { items } = await get(`/v1/users/${encodeURIComponent(me)}/inbox`, { "Evenkeel-Consistency": "linearizable" });
        const before = new Map(conversations);
        conversations.clear();
        for (const { conversation: name, unread, read_seq } of items) {
          const c = before.get(name) ?? { name, messages: new Map(), here: new Set(), typing: new Map(), asked: 0 };
          conversations.set(name, Object.assign(c, { unread, read: read_seq }));
          before.delete(name);
        }
        before.forEach(leave);
        for (const c of conversations.values()) await follow(c);
      }
    } finally { reading = undefined; }
  })();
}
function refreshed() { refresh().catch(() => setTimeout(() => say === quiet || refreshed(), 2_000)); }

/// Follows a conversation after what was dealt with of it; at first, or after a reset, after its history.
async function follow(c) {
  if (c.via === say) return;
  if (!c.position) {
    c.messages.clear();
    const { position } = await get(path(c));
    await past(c);
    c.position = position;
  }
  c.via = say;
  say({ subscribe: topic(c), since: c.position, presence: true, ...by("user") });
}

/// Follows a conversation no more that is not in the inbox's first page. If it returns, it is read anew.
function leave(c) { if (c.via === say) say({ unsubscribe: topic(c) }); }

async function past(c, before = "") {
  const { items, cursor } = await get(`${path(c)}/messages?limit=50${before}`);
  // What an event has told about a message is at least as new.
  for (const item of items) c.messages.set(item.seq, { ...item, ...c.messages.get(item.seq) });
  c.more = cursor !== null;
}

// ---- What happens ------------------------------------------------------------------------------------

function opened(speak) {
  say = speak;
  for (const c of conversations.values()) c.asked = 0;
  // First, so that what is written from now on comes after it. The server knows what it has by client_id.
  for (const message of unsent.values()) if (!message.refused) send(message);
  return refresh();
}

function lost() {
  say = quiet;
  for (const c of conversations.values()) { c.here.clear(); c.typing.clear(); }
  render();
}

function heard(frame) {
  const of = frame.entity ?? frame.presence ?? frame.typing ?? frame.reset ?? frame.unsubscribed;
  const c = conversations.get(of?.slice("conversation:".length));
  if (frame.type && c) happened(c, frame);
  else if (frame.presence && c) c.here[frame.online ? "add" : "delete"](frame.user);
  else if (frame.typing && c) typing(c, frame);
  else if (frame.reset && c) c.position = undefined;  // it is closed next; then history is read again
  else if (unsent.has(frame.ack)) sent(frame);
  else if (frame.code) failed(frame);
  else if (frame.unsubscribed && frame.reason !== "asked") ended(c, frame.reason);
  else return;
  render();
}

function happened(c, { type, at, data, position }) {
  const put = (seq, known) => c.messages.set(seq, { ...c.messages.get(seq), ...known });
  if (type === "chat.message") {
    put(data.seq, { ...data, at, body: data.deleted ? null : data.body });
    if (data.sender === me) forget(data.client_id);
  }
  if (type === "chat.edited" && !data.deleted) put(data.message, { body: data.body, edited_at: at });
  if (type === "chat.deleted") put(data.message, { body: null });
  c.position = position;
  refreshed();
}

/// A conversation is followed no more though we did not ask for that.
function ended(c, reason) {
  if (c) { c.via = undefined; c.here.clear(); c.typing.clear(); }
  if (["removed", "forbidden"].includes(reason)) refreshed();
  else connection.again();  // something went wrong
}

function typing(c, { user, expires_in_ms }) {
  const until = performance.now() + expires_in_ms;
  c.typing.set(user, until);
  setTimeout(() => { if (c.typing.get(user) === until) { c.typing.delete(user); render(); } }, expires_in_ms);
}

function sent({ ack, seq, at }) {
  const { conversation, body } = unsent.get(ack);
  const c = conversations.get(conversation);
  c?.messages.set(seq, { seq, at, sender: me, client_id: ack, body, ...c.messages.get(seq) });
  forget(ack);
}

function failed({ error, code, detail, retryable, side_effects }) {
  const message = unsent.get(error);
  if (retryable || side_effects === "unknown") connection.again();  // all that is not answered, once more
  else if (message) { message.refused = `${code}: ${detail}`; remember(); }
  else refreshed();
}

// ---- What we say -------------------------------------------------------------------------------------

function remember() { sessionStorage.setItem(`unsent ${me}`, JSON.stringify([...unsent])); }
function forget(client_id) { if (unsent.delete(client_id)) remember(); }

/// Says a message; said again under its `client_id` it stays the one that it is.
function send({ conversation, client_id, body }) {
  say({ send: { conversation, client_id, body, ...by("sender") }, id: client_id });
}

let told;  // when it was last told that we type
function tellTyping(c, stopped) {
  if (stopped ? told === undefined : performance.now() < told + 2_000) return;
  told = stopped ? undefined : performance.now();
  if (c.via === say) say({ typing: { conversation: c.name, stopped } });
}

/// Moves our marker to the newest message of others, once it was on the screen.
function markRead() {
  const c = open();
  if (!c || c.via !== say || document.visibilityState !== "visible" || !atEnd) return;
  const seq = known(c).findLast(({ sender }) => sender !== me)?.seq ?? 0;
  if (seq <= Math.max(c.read, c.asked)) return;
  c.asked = seq;
  say({ read: { conversation: c.name, seq, ...by("user") } });
}

// ---- What is seen ------------------------------------------------------------------------------------

function $(id) { return document.getElementById(id); }
function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/// Puts these lines there. What is there already stays the same element: only what is new is read aloud, and
/// the keyboard stays where it is.
function arrange(list, lines) {
  lines.forEach((line, at) => { if (list.children[at] !== line) list.insertBefore(line, list.children[at] ?? null); });
  while (list.children.length > lines.length) list.lastChild.remove();
}

const shown = new Map();  // the lines of the messages of `drawn`, by seq; of those that have none yet by client_id
let drawn;
let atEnd = true;  // whether the newest message is on the screen, and stays there when others come
function toEnd() { if (atEnd) $("log").scrollTop = $("log").scrollHeight; }
function render() {
  const c = open();
  const unread = [...conversations.values()].reduce((sum, { unread }) => sum + unread, 0);
  document.title = `${unread ? `(${unread}) ` : ""}${c?.name ?? "Chat"} · ${me}`;
  arrange($("inbox"), [...conversations.values()].map(inboxLine));
  $("name").textContent = c?.name ?? "No conversation";
  $("text").disabled = $("send").disabled = !c;
  if (!c) return;
  if (location.hash !== hash(c)) history.replaceState(null, "", hash(c));
  tell("here", c.here.size ? `here: ${[...c.here].sort().join(", ")}` : "");
  const typing = [...c.typing.keys()].filter((user) => user !== me).sort();
  tell("typing", typing.length ? `${typing.join(", ")} ${typing.length > 1 ? "are" : "is"} typing…` : "");
  $("earlier").hidden = !c.more;
  if (drawn !== c) { shown.clear(); drawn = c; atEnd = true; }
  const ours = [...unsent.values()].filter(({ conversation }) => conversation === c.name);
  arrange($("messages"), [...known(c), ...ours].map(messageLine));
  toEnd();
  markRead();
}

function tell(id, text) { if ($(id).textContent !== text) $(id).textContent = text; }

function inboxLine(c) {
  c.line ??= element("a", { href: hash(c) }, element("span", {}, c.name), element("span", { className: "unread" }));
  c.line.ariaCurrent = c === open() ? "true" : null;
  c.line.lastChild.hidden = !c.unread;
  c.line.lastChild.textContent = c.unread;
  c.line.ariaLabel = c.unread ? `${c.name}, ${c.unread} unread` : c.name;
  return c.line;
}

function messageLine(message) {
  const { seq, at, sender = me, client_id, body, edited_at, refused } = message;
  const state = refused ?? (seq ? (sender === me ? "sent" : "") : "sending");
  const looks = JSON.stringify([seq, body, edited_at, state]);
  // One of ours stays the same line when it is sent.
  const unsentKey = sender === me ? client_id : undefined;
  const line = shown.get(seq) ?? shown.get(unsentKey) ?? element("li");
  shown.delete(unsentKey);
  shown.set(seq ?? unsentKey, line);
  if (line.dataset.looks === looks) return line;
  Object.assign(line.dataset, { looks, seq: seq ?? "", client: client_id });
  line.className = `${sender === me ? "own" : ""} ${refused ? "failed" : ""}`;
  const text = element("p", { className: body === null ? "deleted" : "" }, body === null ? "deleted" : `${body.text ?? JSON.stringify(body)}`);
  const about = [element("strong", {}, sender)];
  if (at) about.push(element("time", { dateTime: at }, new Date(at).toLocaleTimeString([], { timeStyle: "short" })));
  if (edited_at && body !== null) about.push(element("span", { className: "state" }, "edited"));
  if (state) about.push(element("span", { className: "state" }, state));
  if (refused) {
    about.push(element("button", { type: "button", onclick: () => { delete message.refused; remember(); send(message); render(); } }, "Send again"));
    about.push(element("button", { type: "button", onclick: () => { forget(client_id); render(); } }, "Discard"));
  }
  line.replaceChildren(...about, text);
  return line;
}

// ---- The page ----------------------------------------------------------------------------------------

const connection = new Connection({
  token, opened, heard, lost,
  changed(state) { $("status").dataset.state = state; $("status").textContent = state; },
});

for (const user of new Set([me, "ada", "bob"])) {
  const link = { href: `?as=${encodeURIComponent(user)}${location.hash}`, target: "_blank", rel: "noopener" };
  $("users").append(user === me ? element("span", {}, "you are ", element("strong", {}, me)) : element("a", link, `open as ${user} in another tab`));
}
$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const c = open(), text = $("text").value.trim();
  if (!c || !text) return;
  const message = { conversation: c.name, client_id: crypto.randomUUID(), body: { text } };
  unsent.set(message.client_id, message);
  remember();
  send(message);
  $("text").value = "";
  tellTyping(c, true);
  atEnd = true;
  render();
});
$("text").addEventListener("input", () => { if (open()) tellTyping(open(), !$("text").value); });
$("earlier").addEventListener("click", async () => {
  const c = open();
  await past(c, `&before=${Math.min(...known(c).map(({ seq }) => seq))}`).catch(quiet);
  render();
});
$("log").addEventListener("scroll", ({ target: { scrollHeight, scrollTop, clientHeight } }) => {
  atEnd = scrollHeight - scrollTop - clientHeight < 8;
  markRead();
});
new ResizeObserver(toEnd).observe($("log"));
addEventListener("hashchange", render);
addEventListener("online", () => connection.connect());
addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "visible") return;
  markRead();
  connection.connect();
  refreshed();
});
connection.connect();
