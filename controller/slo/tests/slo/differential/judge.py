"""The comparison of analysis.md 2 once more, written from its formulas: what tests/slo/differential.rs compares with.

Reads one JSON document from standard input (settings and steps), writes one JSON list to standard output: per step the
logarithm of the evidence, the detectable share and the guilty tenants. Standard library only; not fast, not bounded.
"""

import json
import math
import sys

GAINS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
QUANTILE = 1.6448536269514726
INF = math.inf


def log_add(a, b):
    if a == -INF:
        return b
    if b == -INF:
        return a
    high = max(a, b)
    return high + math.log(math.exp(a - high) + math.exp(b - high))


def log_mean(logs):
    high = max(logs)
    if high == -INF:
        return -INF
    return high + math.log(math.fsum(math.exp(x - high) for x in logs) / len(logs))


class Arm:
    """Bad events, standardised exposure, raw requests."""

    def __init__(self, strata=()):
        strata = list(strata)
        self.bad = math.fsum(s[0] for s in strata)
        self.exposure = math.fsum(s[1] for s in strata)
        self.requests = math.fsum(s[2] for s in strata)


def coefficients(r0, gain, n_c, n_b):
    d0 = r0 * n_c + n_b
    dj = r0 * gain * n_c + n_b
    b = math.log(dj / d0)
    return math.log(gain) - b, b


def increments(cand, base, r0, d, phi):
    if cand.exposure <= 0 or base.exposure <= 0:
        return [0.0] * len(GAINS)
    result = []
    for gain in GAINS:
        a, b = coefficients(r0, gain, cand.exposure, base.exposure)
        heard = min(cand.bad, 3 * (r0 * cand.exposure + d * cand.requests) + 8 / a) if a > 0 else cand.bad
        result.append((heard * a - base.bad * b - d * cand.requests * (math.exp(a) - 1)) / phi)
    return result


def raw(arm):
    return Arm([(arm.bad, arm.requests, arm.requests)])


def guarded(tide, cand, base, r0, d, phi):
    """While all tenants burn, the lesser of both ways to measure exposure."""
    result = increments(cand, base, r0, d, phi)
    if tide and base.requests > 0:
        result = [min(x, y) for x, y in zip(result, increments(raw(cand), raw(base), r0, d, phi))]
    return result


class Process:
    """S_j of one comparison."""

    def __init__(self, start=0.5):
        self.logs = [math.log(start) if start > 0 else -INF] * len(GAINS)

    def restart(self, mass):
        if mass > 0:
            self.logs = [log_add(x, math.log(mass)) for x in self.logs]

    def multiply(self, incs):
        self.logs = [x + inc for x, inc in zip(self.logs, incs)]

    def log_evidence(self):
        return log_mean(self.logs)


def on_grid(weight):
    return math.exp(-math.ceil(-math.log(weight) * 1024) / 1024)


class Judge:
    def __init__(self, setting):
        self.s = setting
        self.start = None
        self.served = 0
        self.mass = 0.0
        self.tide = False
        self.pooled, self.past = Process(), Process()
        self.edges, self.edge_tides = [], []
        self.traffic_base, self.traffic_past = Process(), Process()
        self.tenants = {}
        self.waves = []
        self.given = self.joiners = 0.0
        self.free_starts = 0

    # Waves and weights

    def begin_wave(self, members):
        share = (1 - self.given) / max(self.s["waves"] - len(self.waves), 1)
        self.given += share
        self.joiners += share / 10
        self.waves.append((set(members), on_grid(share * 0.9 / max(len(members), 1))))
        self.free_starts = len(set(members))
        for tenant in self.tenants.values():
            tenant["current"] = False
        hourly = min(0.5 / self.s["hours"], 0.5 - self.mass)
        floor = math.log(hourly) if hourly > 0 else -INF
        self.sums = [[0.0, -max(x, floor), 0.0, 0.0] for x in self.pooled.logs]
        self.best = INF
        self.usual = self.requests = 0.0
        self.unit = 0.0

    def newcomer(self, name):
        members, weight = self.waves[-1]
        if name in members and self.free_starts > 0:
            self.free_starts -= 1
            start = 0.5
        elif name in members:
            start = 0.0
        else:
            weight = on_grid(min(weight, self.joiners / 2))
            self.joiners -= weight
            start = 0.5
        return {"weight": weight, "process": Process(start), "had": self.mass, "current": True}

    # One step

    def step(self, step):
        arms = {"c": [], "b": []}
        flows = {"c": [], "b": []}
        mine = []
        for name, arm, bad, total, own, usual, burned in sorted(step["samples"], key=lambda x: x[0]):
            if arm == "w" or burned:
                continue
            if total is not None and own is not None:
                arms[arm].append((bad, total * own, total))
            if total is not None and usual is not None:
                flows[arm].append((total - bad, usual, 0.0))
            if arm == "c" and own is not None:
                mine.append((name, None if total is None else (bad, total * own, total)))
        cand, others = Arm(arms["c"]), Arm(arms["b"])
        past = step["past"]
        before = Arm([(past["bad"], past["exposure"], 0.0)]) if past else None
        own_past = self.s["against"] == "History"
        base = (before or Arm()) if own_past else others
        r0, d = self.s["ratio"], self.s["absolute"]
        seen = (not own_past and others.exposure > 0) or (before is not None and before.exposure > 0)
        if self.start is None:
            if cand.exposure <= 0 or not seen:
                return
            self.start = step["start"]
        hours = (step["start"] - self.start) // 3600
        due = min((hours - self.served) * 0.5 / self.s["hours"], 0.5 - self.mass)
        self.served, self.mass = hours, self.mass + due
        if self.s["shape"] and not own_past and not self.edges:
            self.edges = [Process() for _ in step["tails"]]
            self.edge_tides = [False for _ in step["tails"]]
        everyone = [self.pooled, self.past, self.traffic_base, self.traffic_past] + self.edges
        for process in everyone:
            process.restart(due)

        now = others.bad >= 2 * others.exposure + 10
        self.tide = self.tide or now
        wave = []
        for name, stratum in mine:
            if name not in self.tenants:
                self.tenants[name] = self.newcomer(name)
            tenant = self.tenants[name]
            if stratum is None:
                continue
            if tenant["current"]:
                wave.append(stratum)
            if own_past:
                continue
            tenant["process"].restart(self.mass - tenant["had"])
            tenant["had"] = self.mass
            tenant["process"].multiply(guarded(self.tide, Arm([stratum]), others, r0, d, self.s["phi_tenant"]))

        phi = self.s["phi_past"] if own_past else self.s["phi"]
        self.pooled.multiply(guarded(self.tide, cand, base, r0, d, phi))
        self.tide = now
        self.detect(Arm(wave), base, r0, d, phi)
        if before is not None:
            self.past.multiply(increments(cand, before, r0, d, self.s["phi_past"]))
        for at, process in enumerate(self.edges):
            c, b = (Arm([side]) for side in step["tails"][at])
            now = b.bad >= 2 * b.exposure + 10
            process.multiply(guarded(self.edge_tides[at] or now, c, b, r0, d, self.s["phi_shape"]))
            self.edge_tides[at] = now
        if self.s["traffic"]:
            flow_c, flow_b = Arm(flows["c"]), Arm(flows["b"])
            keep, phi = self.s["traffic"], self.s["phi_traffic"]
            self.traffic_base.multiply(increments(flow_b, flow_c, keep, 0.0, phi))
            if past:
                flow_p = Arm([(past["good"], past["usual"], 0.0)])
                self.traffic_past.multiply(increments(flow_p, flow_c, keep, 0.0, phi))

    def shares(self):
        t = 0.1 if self.s["traffic"] else 0.0
        h = 0.5 if self.edges else 0.0
        return (1 - t) * (1 - h), (1 - t) * h, t

    def detect(self, wave, base, r0, d, phi):
        if wave.exposure <= 0 or base.exposure <= 0:
            return
        usual = wave.exposure * base.bad / base.exposure
        expected = usual + d * wave.requests / r0
        self.usual += usual
        self.requests += wave.requests
        before = self.best
        needed = math.log(7 * 2 / self.shares()[0]) - math.log(self.s["weight"] * self.s["alpha"])
        for sums, gain in zip(self.sums, GAINS):
            a, b = coefficients(r0, gain, wave.exposure, base.exposure)
            sums[0] += expected * a / phi
            sums[1] += (base.bad * b + d * wave.requests * (math.exp(a) - 1)) / phi
            sums[2] += expected * a * a / phi
            sums[3] += base.bad * b * b / phi
            g, c, v, u = sums[0], sums[1] + needed, sums[2], sums[3]
            if g <= 0:
                continue

            def short(ratio):
                return ratio * g - c - QUANTILE * math.sqrt(ratio * v + u)

            low, high = 0.0, 1.0
            while short(high) < 0 and high < 1e300:
                low, high = high, high * 2
            for _ in range(200):
                middle = (low + high) / 2
                low, high = (middle, high) if short(middle) < 0 else (low, middle)
            self.best = min(self.best, max(high, r0))
        if self.best < before:
            everything = self.usual + d / r0 * self.requests
            self.unit = everything / self.requests

    # What it says

    def evidence(self):
        rate, shape, traffic = self.shares()
        each = {name: t["weight"] * math.exp(t["process"].log_evidence()) for name, t in self.tenants.items()}
        others = sorted(each.values())[:-1] if len(each) >= 20 else each.values()
        e = rate / 2 * (math.exp(self.pooled.log_evidence()) + math.fsum(others))
        if self.edges:
            e += shape * math.fsum(math.exp(p.log_evidence()) for p in self.edges) / len(self.edges)
        if self.s["against"] == "Both":
            e = min(e, math.exp(self.past.log_evidence()))
        if traffic:
            both = (self.traffic_base, self.traffic_past)
            e += traffic * math.exp(min(p.log_evidence() for p in both))
        ranked = sorted(each, key=lambda name: (-each[name], name))
        enough = [k for k in range(1, len(ranked) + 1) if each[ranked[k - 1]] * k * self.s["alpha"] >= 1]
        guilty = ranked[: max(enough, default=0)]
        return {"ln_e": math.log(e), "best": None if self.best == INF else min(1.0, self.best * self.unit), "guilty": guilty}


def main():
    document = json.load(sys.stdin)
    judge = Judge(document["setting"])
    said = []
    for step in document["steps"]:
        if step["wave"] is not None:
            judge.begin_wave(step["wave"])
        judge.step(step)
        said.append(judge.evidence())
    json.dump(said, sys.stdout)


main()
