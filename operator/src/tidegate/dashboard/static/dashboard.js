// Keeps a page up to date by server-sent events. Without it pages are whole too, and load themselves anew.
"use strict";
(() => {
  const root = document.documentElement;
  const live = document.getElementById("live");
  const zone = document.getElementById("zone");
  const RECONNECT = 10000;

  // --- Times: the reader's own zone, or UTC

  const store = {
    get: (key) => { try { return localStorage.getItem(key); } catch { return null; } },
    set: (key, value) => { try { localStorage.setItem(key, value); } catch { /* a browser that keeps nothing */ } },
  };
  let utc = store.get("tidegate-zone") === "utc";
  const ago = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

  function relative(at) {
    const seconds = Math.round((at - Date.now()) / 1000);
    const [unit, size] = UNITS.find(([, each]) => Math.abs(seconds) >= each) || UNITS[3];
    return ago.format(Math.round(seconds / size), unit);
  }

  function absolute(at) {
    const options = { dateStyle: "medium", timeStyle: "medium" };
    if (!utc) return at.toLocaleString("en-GB", { ...options });
    return at.toLocaleString("en-GB", { ...options, timeZone: "UTC" }) + " UTC";
  }

  function showTimes(within) {
    for (const each of within.querySelectorAll("time[datetime]")) {
      const at = new Date(each.dateTime);
      if (Number.isNaN(at.valueOf())) continue;
      const text = each.dataset.as === "ago" ? relative(at) : absolute(at);
      if (each.textContent !== text) each.textContent = text;
      each.title = absolute(at);
    }
    reach();
  }

  // What is wider than its place is scrolled by keys too.
  function reach() {
    for (const each of document.querySelectorAll(".scroll")) {
      if (each.scrollWidth <= each.clientWidth) { each.removeAttribute("tabindex"); continue; }
      each.tabIndex = 0;
      each.setAttribute("role", "group");
      each.setAttribute("aria-label", each.querySelector("caption")?.textContent || "Table");
    }
  }

  function nameZone() {
    if (!zone) return;
    const own = Intl.DateTimeFormat().resolvedOptions().timeZone || "this device's time";
    zone.textContent = utc ? "Times in UTC" : `Times in ${own}`;
    zone.setAttribute("aria-pressed", String(utc));
    zone.hidden = false;
  }

  // --- Parts

  function put(part, mark, html) {
    const element = document.getElementById(part);
    if (!element || element.dataset.mark === mark) return element;
    const focused = element.contains(document.activeElement) ? document.activeElement.id : "";
    const open = [...element.querySelectorAll("details[open]")].map((each) => each.id);
    element.innerHTML = html;  // made by our own templates, which escape what they are given
    element.dataset.mark = mark;
    for (const id of open) { const each = document.getElementById(id); if (each) each.open = true; }
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    showTimes(element);
    return element;
  }

  function arrange(list, ids, html) {
    const parent = document.getElementById(list);
    if (!parent) return;
    const focused = parent.contains(document.activeElement) ? document.activeElement : null;
    const wanted = new Set(ids);
    for (const row of [...parent.children]) if (!wanted.has(row.id)) row.remove();
    ids.forEach((id, index) => {
      let row = document.getElementById(id);
      if (!row) { row = document.createElement("tr"); row.id = id; }
      if (parent.children[index] !== row) parent.insertBefore(row, parent.children[index] || null);
    });
    if (focused && document.activeElement !== focused) focused.focus({ preventScroll: true });
  }

  function take(event) {
    const news = JSON.parse(event.data);
    for (const [list, ids] of Object.entries(news.order)) arrange(list, ids, news.html);
    for (const [part, [mark, html]] of Object.entries(news.html)) put(part, mark, html);
  }

  // --- The stream

  let source = null, timer = 0;

  function say(state, text) {
    if (!live) return;
    live.dataset.state = state;
    if (live.textContent !== text) live.textContent = text;
  }

  function follow() {
    clearTimeout(timer);
    source?.close();
    const address = document.body.dataset.events;
    if (!address || document.hidden) return;
    source = new EventSource(address);
    source.addEventListener("open", () => say("live", "Live"));
    source.addEventListener("parts", take);
    source.addEventListener("gone", () => { source.close(); say("away", "It was deleted"); });
    source.addEventListener("error", () => {
      say("away", "Not live, trying again");
      if (source.readyState !== EventSource.CLOSED) return;  // the browser tries again by itself
      timer = setTimeout(renew, RECONNECT);
    });
  }

  // The stream was refused: signed out, no place, or the dashboard is away. The page itself says which.
  async function renew() {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.status === 401) { location.reload(); return; }
    } catch { /* it is away */ }
    follow();
  }

  // --- Filters: the list for other words, without a new page

  const filters = document.getElementById("filters");
  let typing = 0, asked = 0;

  async function filter() {
    const query = new URLSearchParams([...new FormData(filters)].filter(([, value]) => value));
    const address = `${location.pathname}?${query}`;
    const number = ++asked;
    try {
      const answer = await fetch(address);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (number !== asked || !answer.ok) return;
      for (const part of ["summary", "list"]) {
        const fresh = page.getElementById(part);
        if (fresh) document.getElementById(part)?.replaceWith(fresh);
      }
      document.body.dataset.events = page.body.dataset.events;
      history.replaceState(null, "", address);
      showTimes(document);
      const count = document.getElementById("count");
      const told = document.getElementById("told");
      if (count && told) told.textContent = count.textContent;
      follow();
    } catch { say("away", "Not live, trying again"); }
  }

  if (filters) {
    filters.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(filter, 250); });
    filters.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(typing); filter(); });
    document.getElementById("apply")?.setAttribute("hidden", "");
  }

  // --- Controls: what a confirmation's page has, in a dialog

  async function confirm(link) {
    const answer = await fetch(link.href);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const form = page.getElementById("confirm");
    if (!answer.ok || !form) { location.assign(link.href); return; }
    const dialog = document.createElement("dialog");
    dialog.setAttribute("aria-labelledby", "confirm-title");
    dialog.append(form);
    document.body.append(dialog);
    dialog.addEventListener("close", () => { dialog.remove(); document.getElementById(link.id)?.focus(); });
    dialog.querySelector("[data-cancel]")?.addEventListener("click", (event) => { event.preventDefault(); dialog.close(); });
    dialog.showModal();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-confirm]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || typeof HTMLDialogElement === "undefined") return;
    event.preventDefault();
    confirm(link).catch(() => location.assign(link.href));
  });

  // --- Begin

  root.dataset.script = "on";
  nameZone();
  showTimes(document);
  setInterval(() => showTimes(document), 5000);
  zone?.addEventListener("click", () => { utc = !utc; store.set("tidegate-zone", utc ? "utc" : "own"); nameZone(); showTimes(document); });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) { follow(); return; }
    source?.close();  // a page that nobody looks at costs nothing
    say("idle", "Not looked at");
  });
  window.addEventListener("resize", reach);
  window.addEventListener("pagehide", () => source?.close());
  window.addEventListener("pageshow", (event) => { if (event.persisted) follow(); });
  follow();
})();
