// A VM with a real service of service.exs: started, told what to do, and killed.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const root = new URL("../../", import.meta.url);

export class VM {
  /** Starts one in this state, with a directory that is removed in the end. */
  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), "ad_tally_page_"));
    this.port = 0;
  }

  async start(state) {
    const arguments_ = [
      "run",
      "--no-compile",
      "test/web/service.exs",
      state,
      String(this.port),
      join(this.dir, "state"),
    ];
    const env = { ...process.env, MIX_ENV: "test" };
    this.process = spawn("mix", arguments_, { cwd: root, env, stdio: ["pipe", "pipe", "inherit"] });
    this.ended = once(this.process, "exit");
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
    this.url = await this.said("ready");
    this.port = Number(new URL(this.url).port);
  }

  /** What follows a word at the begin of a line, which is waited for. Other lines are passed on. */
  async said(word) {
    for (;;) {
      const { value, done } = await this.lines.next();
      if (done) throw new Error(`the service has ended before it said ${word}`);
      if (value === word || value.startsWith(`${word} `)) return value.slice(word.length + 1);
      console.log(value);
    }
  }

  tell(command) {
    this.process.stdin.write(`${command}\n`);
    return this.said("done");
  }

  async kill() {
    this.process.kill("SIGKILL");
    await this.ended;
  }

  async stop() {
    this.process.stdin.end();
    await this.ended;
    rmSync(this.dir, { recursive: true, force: true });
  }
}
