"""Has programs that nobody here wrote read what AdTally tells monitoring systems, of a VM that counts under load.

  client      prometheus_client's parsers read text 0.0.4 and OpenMetrics, and both say the same
  promtool    `promtool check metrics` has nothing to say about text 0.0.4
  prometheus  a real Prometheus scrapes once a second while a meter crashes: no counter is ever reset, and in the end
              it has what the VM has
  datadog     the client of Datadog, asked to send what AdTally has sent, sends the same bytes

Usage: judge.py DIRECTORY COMMAND_OF_THE_VM... -- JUDGE...
"""

import collections
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from datadog.dogstatsd import DogStatsd
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
SCRAPED_FOR = 12


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Vm:
    def __init__(self, command):
        self.agent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.agent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.agent.bind(("127.0.0.1", 0))
        environment = {**os.environ, "STATSD_PORT": str(self.agent.getsockname()[1])}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.port = int(self.wait_for("ready").split()[1])

    def wait_for(self, word):
        for line in self.process.stdout:
            if line.startswith(word):
                return line
        raise SystemExit(f"the VM ended before it said {word!r}")

    def tell(self, word, answer):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        self.wait_for(answer)

    def scrape(self, accept="text/plain"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/metrics", headers={"Accept": accept})
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode(), answer.headers

    def packets(self):
        self.agent.settimeout(0.1)
        packets = []
        try:
            while True:
                packets.append(self.agent.recv(65536))
        except TimeoutError:
            return packets

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(30) == 0


def samples(families):
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def counters(families):
    return {key: value for key, value in samples(families).items() if re.search(r"_(total|count|bucket)$", key[0])}


def judge_client(vm, _directory):
    text, headers = vm.scrape()
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    old = list(prometheus(text))
    text, headers = vm.scrape(OPENMETRICS)
    assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    new = list(openmetrics(text))
    assert all(family.type != "unknown" and family.documentation for family in old + new)
    assert {f.name for f in old if f.type == "counter"} == {f.name for f in new if f.type == "counter"}
    assert samples(old).keys() == samples(new).keys(), samples(old).keys() ^ samples(new).keys()
    quoted = 'a "quoted\\name"\nof two lines'
    assert any(("meter", quoted) in labels for _, labels in samples(new))
    # Between two scrapes no counter falls, whatever the format.
    before, after = counters(old), counters(new)
    fallen = {key: (before[key], after[key]) for key in before if after[key] < before[key]}
    assert not fallen, fallen
    assert sum(after.values()) > sum(before.values())
    return f"{len(old)} and {len(new)} families, {len(samples(new))} samples, as text 0.0.4 and as OpenMetrics"


def judge_promtool(vm, directory):
    text, _ = vm.scrape()
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
    assert checked.returncode == 0 and not checked.stdout and not checked.stderr, checked
    guide = pathlib.Path("guides/observability.md").read_text()
    rules = [block for block in re.findall(r"```yaml\n(.*?)```", guide, re.S) if block.startswith("groups:")]
    (directory / "rules.yml").write_text(rules[0])
    checked = subprocess.run(
        ["promtool", "check", "rules", str(directory / "rules.yml")], text=True, capture_output=True
    )
    assert checked.returncode == 0, checked
    return f"{len(text.splitlines())} lines, and {checked.stdout.strip().split('SUCCESS: ')[1]}"


def judge_prometheus(vm, directory):
    data, listen = directory / "tsdb", free_port()
    shutil.rmtree(data, ignore_errors=True)
    (directory / "prometheus.yml").write_text(
        f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{directory.resolve()}/rules.yml]
scrape_configs:
  - job_name: ads
    static_configs: [{{targets: ["127.0.0.1:{vm.port}"]}}]
"""
    )
    judge_promtool(vm, directory)
    server = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={directory}/prometheus.yml",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address=127.0.0.1:{listen}",
            "--log.level=warn",
        ],
        stderr=(directory / "prometheus.log").open("w"),
    )

    def ask(query):
        query = urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(f"http://127.0.0.1:{listen}/api/v1/query?{query}") as answer:
            told = json.load(answer)
        assert told["status"] == "success", told
        return told["data"]["result"]

    try:
        for _ in range(100):
            try:
                if ask("up == 1"):
                    break
            except (urllib.error.URLError, ConnectionError):
                pass
            time.sleep(0.1)
        begin = time.monotonic()
        while time.monotonic() - begin < SCRAPED_FOR:
            time.sleep(2)
            vm.tell("crash", "crashed")
        every = '{__name__=~"adtally_.*(_total|_count|_bucket)"}'
        # By name: `resets` of several names at once cannot tell their series apart.
        names = [row["metric"]["__name__"] for row in ask(f"group by (__name__) ({every})")]
        assert len(names) > 30, names
        resets = [row for name in names for row in ask(f"resets({name}[1m]) > 0")]
        assert not resets, resets
        [up] = ask("min_over_time(up[10s])")
        assert up["value"][1] == "1", up
        series = int(ask('count({__name__=~"adtally_.*"})')[0]["value"][1])
        grown = {row["metric"]["outcome"] for row in ask('increase(adtally_events_total{meter="Judged.Ads"}[10s]) > 0')}
        assert {"applied", "duplicate", "late"} <= grown, grown
        vm.tell("quiet", "quiet")
        time.sleep(2.5)
        text, _ = vm.scrape()
        own = {
            labels: value for (name, labels), value in samples(prometheus(text)).items() if name == "adtally_events_total"
        }
        told = {
            tuple(sorted((k, v) for k, v in row["metric"].items() if k in ("meter", "outcome"))): float(row["value"][1])
            for row in ask("adtally_events_total")
        }
        assert told == own, {key: (told.get(key), own[key]) for key in own if told.get(key) != own[key]}
        events = int(sum(own.values()))
        rules = json.load(urllib.request.urlopen(f"http://127.0.0.1:{listen}/api/v1/rules"))
        broken = [r for g in rules["data"]["groups"] for r in g["rules"] if r["health"] != "ok"]
        assert not broken, broken
        return f"{series} series, {events} events, no counter was reset over {SCRAPED_FOR // 2} crashes, all rules evaluate"
    finally:
        server.terminate()
        server.wait(10)


def judge_datadog(vm, _directory):
    vm.packets()
    time.sleep(1.2)
    packets = vm.packets()
    assert packets and max(map(len, packets)) <= 1432, [len(packet) for packet in packets]
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(1)
    client = DogStatsd(port=receiver.getsockname()[1], disable_telemetry=True, disable_buffering=True)
    kinds = collections.Counter()
    for packet in packets:
        assert packet.endswith(b"\n")
        for line in packet.decode().splitlines():
            match = re.fullmatch(r"([a-z_.]+):(-?[0-9.]+)\|([cg])(?:\|#(.*))?", line)
            assert match, line
            name, value, kind, tags = match.groups()
            value = float(value) if "." in value else int(value)
            tags = tags.split(",") if tags else None
            # The same as it was asked to be, if AdTally had asked the client.
            {"c": client.increment, "g": client.gauge}[kind](name, value, tags=tags)
            assert receiver.recv(65536).decode() == line + "\n", line
            kinds[kind] += 1
    assert kinds["c"] > 10 and kinds["g"] > 10, kinds
    assert any(b"adtally.events:" in packet and b"meter:Judged.Ads,outcome:applied,env:judge" in packet for packet in packets)
    # What the client makes of the tag that was configured.
    assert "zone:é__b".encode() in packets[0]
    client.gauge("x", 1, tags=["zone:é, b"])
    assert receiver.recv(65536).decode() == "x:1|g|#zone:é__b\n"
    return f"{kinds['c']} counters and {kinds['g']} gauges in {len(packets)} packets, the same bytes"


JUDGES = {
    "client": judge_client,
    "promtool": judge_promtool,
    "datadog": judge_datadog,
    "prometheus": judge_prometheus,
}


def main(arguments):
    split = arguments.index("--")
    directory, command, judges = pathlib.Path(arguments[0]), arguments[1:split], arguments[split + 1 :]
    directory.mkdir(parents=True, exist_ok=True)
    vm = Vm(command)
    try:
        time.sleep(2)
        for judge in judges:
            print(f"{judge}: {JUDGES[judge](vm, directory)}", flush=True)
    finally:
        vm.end()


main(sys.argv[1:])
