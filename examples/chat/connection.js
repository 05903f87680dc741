// One WebSocket that comes back by itself. What is said on it, and what that means, is chat.js.

const PAUSE_MS = 500, PAUSE_MS_MAX = 30_000;
// A browser cannot send a protocol's ping; without one of ours a server that vanished would look quiet.
const HEARTBEAT_MS = 15_000;
// Close codes after which coming back the same way would end the same way.
const FINAL = {
  1002: "a frame was wrong", 1003: "a frame was wrong", 1007: "a frame was wrong", 1009: "a frame was too long",
  3500: "the server does not know who you are", 3501: "too many frames made no sense",
};

export class Connection {
  #hooks; #socket; #retry; #heartbeat; #failures = 0; #final = false;

  /// `token` gives a fresh token, or null; `opened` is given what says a frame on the new socket; `heard`
  /// takes each frame; `lost` and `changed` hear that the socket is gone, and the state in words.
  constructor(hooks) { this.#hooks = hooks; }

  /// Connects now, if it is not connected.
  connect() {
    if (this.#socket || this.#final) return;
    clearTimeout(this.#retry);
    this.#hooks.changed("connecting");
    const socket = this.#socket = new WebSocket(`${location.origin.replace("http", "ws")}/v1/realtime`);
    const say = (frame) => { if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame)); };
    let silent = false;
    this.#heartbeat = setInterval(() => {
      if (silent) return this.#lost(socket, 1006);
      silent = true;
      this.#failures = 0;  // it stands
      say({ ping: 0 });
    }, HEARTBEAT_MS);
    socket.onopen = async () => {
      try {
        const auth = await this.#hooks.token();
        if (auth) say({ auth });
        if (socket === this.#socket) await this.#hooks.opened(say);
        if (socket === this.#socket) this.#hooks.changed("connected");
      } catch {
        this.#lost(socket, 1006);  // the server went away meanwhile, or cannot answer now
      }
    };
    socket.onmessage = ({ data }) => { silent = false; if (socket === this.#socket) this.#hooks.heard(JSON.parse(data)); };
    socket.onclose = ({ code }) => this.#lost(socket, code);
  }

  /// Drops the connection and comes back after a pause.
  again() { if (this.#socket) this.#lost(this.#socket, 1006); }

  #lost(socket, code) {
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    clearInterval(this.#heartbeat);
    socket.close();
    this.#hooks.lost();
    this.#final = code in FINAL;
    if (this.#final) return this.#hooks.changed(`stopped: ${FINAL[code]} (${code})`);
    // Longer each time, and at random, so that not all come back at once.
    const pause = Math.min(PAUSE_MS * 2 ** this.#failures++, PAUSE_MS_MAX) * (0.5 + Math.random());
    this.#hooks.changed(`reconnecting, in ${Math.ceil(pause / 1_000)} s`);
    this.#retry = setTimeout(() => this.connect(), pause);
  }
}
