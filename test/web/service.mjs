// A service as the page sees it: the files of priv/web, and answers of the API that a test may change, which begin as
// those in test/fixtures/web. It can die and come back on the same port, and keeps what it was asked.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const root = new URL("../../", import.meta.url);
const read = (path) => readFileSync(new URL(path, root));
export const fixture = (name) => JSON.parse(read(`test/fixtures/web/${name}.json`));

const FILES = {
  "/": ["index.html", "text/html; charset=utf-8"],
  "/app.js": ["app.js", "text/javascript; charset=utf-8"],
  "/app.css": ["app.css", "text/css; charset=utf-8"],
  "/uPlot.iife.min.js": ["uPlot.iife.min.js", "text/javascript; charset=utf-8"],
  "/uPlot.min.css": ["uPlot.min.css", "text/css; charset=utf-8"],
  "/favicon.svg": ["favicon.svg", "image/svg+xml"],
};

const HEADERS = {
  "content-security-policy": "default-src 'self'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
};

export class Service {
  constructor() {
    this.reset();
  }

  /** As in the fixtures, and asked for nothing yet. */
  reset() {
    this.asked = [];
    this.answers = Object.fromEntries(
      ["overview", "campaigns", "campaign", "attribution", "health"].map((name) => [name, fixture(name)]),
    );
    this.answers.series = (query) => seriesOf(query.getAll("of"), Number(query.get("step") || 1));
  }

  async start(port = 0) {
    this.sockets = new Set();
    this.server = createServer((request, response) => this.answer(request, response));
    this.server.on("connection", (socket) => this.sockets.add(socket));
    await new Promise((resolve) => this.server.listen(port, "127.0.0.1", resolve));
    this.port = this.server.address().port;
    this.url = `http://127.0.0.1:${this.port}/`;
  }

  /** As if the VM had been killed: connections end at once. */
  async die() {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  answer(request, response) {
    const url = new URL(request.url, this.url);
    this.asked.push(url.pathname + url.search);
    const [file, type] = FILES[url.pathname] || [];
    if (file) return send(response, 200, type, read(`priv/web/${file}`));
    const name = url.pathname.replace("/api/", "");
    const known = this.answers[name];
    if (!known) return send(response, 404, "application/json", JSON.stringify(fixture("error")));
    const answer = typeof known === "function" ? known(url.searchParams) : known;
    return send(response, answer.error ? answer.status || 404 : 200, "application/json", JSON.stringify(answer));
  }
}

function send(response, status, type, body) {
  response.writeHead(status, { ...HEADERS, "content-type": type });
  response.end(body);
}

const UNITS = { lag_ms: "ms", memory_bytes: "bytes", open_windows: "count" };

/** Points that are the same at the same second, so that pictures do not differ. */
function seriesOf(names, step) {
  const at = 1780272065000;
  const length = step === 1 ? 120 : 1440;
  const begin = at / 1000 - (length - 1) * step;
  const level = { applied: 800, duplicate: 40, late: 12, refused: 4, lag_ms: 305_000, memory_bytes: 32_000_000 };
  return {
    at,
    step,
    begin,
    series: names.map((of) => {
      const what = of.split(":").pop();
      const base = level[what] ?? 0;
      const points = Array.from({ length }, (_, index) => base * (1 + 0.1 * Math.sin(index / 9 + base)));
      return { of, unit: UNITS[what] || "per_second", points };
    }),
  };
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const service = new Service();
  await service.start(Number(process.argv[2] || 4041));
  console.log(service.url);
}
