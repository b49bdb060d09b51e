// What both pages share: elements made of text and never of markup, numbers for people, and requests with a key.

const product = document.body.dataset.product;
const model = `/v2/models/${encodeURIComponent(product)}`;
const KEY = "mlops_assets.key";

function byId(id) {
  return document.getElementById(id);
}

// Attributes are set as such, so no value of a product can become markup or code.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  return fill(element, attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Replaces what is shown only where it has changed: what has the focus, or is being read aloud, stays as it is.
const shown = new WeakMap();
function show(element, state, children) {
  const key = JSON.stringify(state);
  if (shown.get(element) === key) return;
  shown.set(element, key);
  element.replaceChildren(...children());
}

function number(value) {
  if (value === null || value === undefined) return "–";
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 1000) return value.toLocaleString("en", { maximumFractionDigits: 0 });
  if (size !== 0 && size < 0.001) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

function duration(us) {
  if (us === null || us === undefined) return "–";
  if (us < 1000) return `${us} µs`;
  if (us < 1e6) return `${Number((us / 1000).toPrecision(3))} ms`;
  return `${Number((us / 1e6).toPrecision(3))} s`;
}

function percent(share) {
  return `${Number((100 * share).toPrecision(3))}%`;
}

function short(id) {
  return id ? `${id.slice(0, 12)}${id.length > 12 ? "…" : ""}` : "none";
}

class Failed extends Error {
  constructor(status, body) {
    super(body.error ?? `status ${status}`);
    this.status = status;
    this.problems = body.problems ?? [];
  }
}

// Returns what a path answers, as JSON. Where a key is needed it is asked for, once, by whoever comes first.
async function ask(path, options = {}) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    const headers = { accept: "application/json", ...options.headers, ...(key ? { "x-api-key": key } : {}) };
    const response = await fetch(path, { ...options, headers, cache: "no-store", signal: AbortSignal.timeout(60000) });
    const body = await response.json().catch(() => ({}));
    if (response.ok) return { body, headers: response.headers };
    if (response.status !== 401 && !(response.status === 403 && !options.method)) throw new Failed(response.status, body);
    if (sessionStorage.getItem(KEY) === key) await letIn(key ? body.error : null);
  }
}

// A link cannot carry a key: where there is one, what a link of the footer leads to is fetched with it and saved.
for (const link of document.querySelectorAll("a[data-keyed]")) {
  link.addEventListener("click", (event) => {
    if (!sessionStorage.getItem(KEY)) return;
    event.preventDefault();
    save(link.getAttribute("href"), link.dataset.keyed).catch((problem) => state("bad", problem.message));
  });
}

async function save(path, name) {
  const response = await fetch(path, { headers: { "x-api-key": sessionStorage.getItem(KEY) }, cache: "no-store" });
  if (!response.ok) throw new Failed(response.status, await response.json().catch(() => ({})));
  const url = URL.createObjectURL(await response.blob());
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

let entering = null;
function letIn(words) {
  entering ??= new Promise((entered) => {
    const door = byId("door");
    byId("door-words").textContent = words ?? `This endpoint asks for an access key. Whoever runs it makes one: mlops-assets access ${product} add NAME --can read,predict`;
    byId("door-key").value = "";
    byId("door-form").onsubmit = (event) => {
      event.preventDefault();
      const key = byId("door-key").value.trim();
      if (!key) return;
      sessionStorage.setItem(KEY, key);
      door.close();
      entering = null;
      entered();
    };
    door.oncancel = (event) => event.preventDefault();
    door.showModal();
  });
  return entering;
}

function state(kind, words) {
  const element = byId("state");
  if (element.textContent !== words) element.textContent = words;
  element.dataset.state = kind;
}
