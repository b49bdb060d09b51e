// The page: asks for the figures every other second, while somebody looks, and shows what has changed.

const EVERY_MS = 2000;
const LONGEST_MS = 15000;
let latest = null; // the last answer of /live
let failures = 0;

const rate = new Chart(byId("rate"), "predictions a second", ["line", "alarm"], (value) => `${number(value)}/s`);
const latency = new Chart(byId("latency"), "latency", ["line", "faint"], (value) => duration(Math.round(value)), true);

async function follow() {
  if (!document.hidden) {
    try {
      latest = (await ask(`${model}/live`)).body;
      failures = 0;
      showAll(latest);
      if (!form || form.deployment !== latest.deployment) await readForm();
    } catch (problem) {
      failures += 1;
      state("bad", problem instanceof Failed ? `refused: ${problem.status}` : "does not answer");
      if (problem instanceof Failed) showNotes([problem.message]);
    }
  }
  setTimeout(follow, Math.min(EVERY_MS * 2 ** Math.min(failures, 3), LONGEST_MS));
}

function showAll(live) {
  state(live.ready ? "good" : "bad", live.ready ? "serving" : live.deployment ? "not ready" : "no champion yet");
  byId("description").textContent = live.description;
  showNotes(notesOf(live));
  showFigures(live);
  rate.update([live.recent.rate, live.recent.errors], live.recent.step_s);
  latency.update([live.recent.p50_us, live.recent.p99_us], live.recent.step_s);
  show(byId("versions"), live.segments, () => live.segments.flatMap(versionRows));
  const others = live.workers.filter((worker) => !worker.here).length;
  byId("worker").textContent = others ? `of this worker, one of ${others + 1}` : "";
  const alone = others ? " Counts are of all workers." : "";
  show(byId("deployment"), [live.deployment, alone], () => (live.deployment ? ["Deployment ", make("code", { title: live.deployment }, short(live.deployment)), `  Counts began when a segment was last routed otherwise.${alone}`] : []));
  show(byId("drift"), live.drift, () => verdictsOf(live));
  byId("seen").textContent = `as of ${new Date(live.now).toLocaleTimeString()}${live.replays ? `; predictions are stamped ${live.clock ?? "by the first one's header"}` : ""}`;
}

function notesOf(live) {
  const notes = live.workers.filter((worker) => worker.refused).map((worker) => `${worker.url} refused deployment ${short(worker.refused)}: ${worker.error}`);
  if (live.wanted && !notes.length) notes.push(`Deployment ${short(live.wanted)} is asked for, and is being loaded.`);
  if (live.log.unlogged) notes.push(`${number(live.log.unlogged)} answers left although the log took nothing.`);
  if (live.drift === null) notes.push("The store does not answer: no verdicts are shown. Predictions go on.");
  return notes;
}

function showNotes(notes) {
  show(byId("notes"), notes, () => notes.map((note) => make("p", { class: "note bad" }, note)));
}

function showFigures({ recent, log }) {
  const wrong = recent.refused + recent.failed;
  const figures = [
    ["in the last minute", number(recent.per_s), "a second", false],
    ["median", duration(recent.minute_p50_us), "", false],
    ["95 of 100 within", duration(recent.minute_p95_us), "", false],
    ["99 of 100 within", duration(recent.minute_p99_us), "", false],
    ["refused · failed", `${number(recent.refused)} · ${number(recent.failed)}`, wrong ? "in a minute" : "", recent.failed > 0],
    ["log", log.unlogged ? `${number(log.unlogged)} lost` : "whole", log.lag_s > 0 ? `sealing is ${age(log.lag_s)} behind` : "", log.unlogged > 0],
  ];
  show(byId("figures"), figures, () =>
    figures.map(([name, value, unit, alarmed]) =>
      make("div", {}, make("dt", {}, name), make("dd", { class: alarmed ? "alarmed" : null }, value, unit ? make("small", {}, ` ${unit}`) : null)),
    ),
  );
}

function age(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

function versionRows(segment) {
  const name = make("th", { scope: "row", class: segment === latest.segments.at(-1) ? "end" : null, rowspan: Math.max(segment.variants.length, 1) }, segment.segment, segment.fallback ? make("span", { class: "faint" }, " fallback") : null);
  if (!segment.variants.length) return [make("tr", {}, name, make("td", { colspan: 7, class: "faint" }, "no champion yet; its first one is served as soon as it is promoted"))];
  return segment.variants.map((variant, place) =>
    make(
      "tr",
      { "data-segment": segment.segment, "data-variant": variant.variant },
      place === 0 ? name : null,
      make("td", {}, latest.traces ? make("a", { href: `/trace/${encodeURIComponent(`${product}@${variant.version}`)}` }, `version ${variant.version}`) : `version ${variant.version}`),
      make("td", {}, make("span", { class: `tag ${variant.variant}` }, variant.variant)),
      make("td", {}, shareOf(variant)),
      ...[number(variant.requests), variant.dropped ? `${number(variant.errors)} (${number(variant.dropped)} dropped)` : number(variant.errors), duration(variant.p50_us), duration(variant.p99_us)].map((words) => make("td", { class: "n" }, words)),
    ),
  );
}

function shareOf(variant) {
  const shadow = variant.variant === "shadow";
  const bar = shadow ? draw("rect", { class: "hatch", x: 0.5, y: 0.5, width: 71, height: 7, rx: 3.5 }) : draw("rect", { width: Math.max(72 * variant.share, variant.share > 0 ? 1 : 0), height: 8 });
  return make("span", { class: "share" }, draw("svg", { viewBox: "0 0 72 8", "aria-hidden": "true" }, bar), shadow ? "copies" : percent(variant.share));
}

function verdictsOf(live) {
  if (!live.drift) return [make("p", { class: "faint" }, "Not known at the moment.")];
  const rows = live.segments.flatMap(({ segment }) => ["drift", "performance"].map((stage) => strip(segment, stage, live.drift.filter((each) => each.segment === segment && each.stage === stage))));
  const found = rows.filter((row) => row !== null);
  return found.length ? found : [make("p", { class: "faint" }, "No window has been judged yet. The first one is when it is closed and sealed.")];
}

function strip(segment, stage, judged) {
  if (!judged.length) return null;
  const last = judged.at(-1);
  const drifted = judged.findLast((each) => each.state === "drift");
  const told = drifted && drifted !== last ? [drifted, last] : [last];
  const year = judged.every((each) => each.window.startsWith(last.window.slice(0, 5))) && last.window.length > 7 ? 5 : 0;
  const what = stage === "drift" ? "inputs and scores" : "outcomes";
  const marks = judged.map((each) => {
    const kind = { ok: "", drift: "drift" }[each.state] ?? "unsure";
    return make("li", { class: kind, title: each.words, "aria-label": `${each.window}: ${each.state}` }, each.window.slice(year));
  });
  return make(
    "div",
    { class: "verdicts" },
    make("h3", {}, segment, make("span", { class: "faint" }, ` ${what}`)),
    make("ul", { class: "strip" }, ...marks),
    ...told.map((each) => make("p", { class: each.state === "drift" ? "alarmed" : "faint" }, `${each.window}: ${each.words}`)),
  );
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && latest) byId("seen").textContent = "asking again…";
});
follow();
