// The little that pages need beside htmx. No inline script, no eval: the Content-Security-Policy forbids both.
"use strict";

const REFRESH_MS = 5000;
// A page whose figures take long to add up is asked for less often: at most a tenth of the time.
const REST = 10;
let refreshStarted = 0;
let nextRefresh = 0;
// While the server tells what moves, nothing else is asked for, but once in a while all the same.
const QUIET_MS = 60000;
let listening = null;
let hasMoved = true;

function toggleTheme() {
  const root = document.documentElement;
  const systemIsDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : systemIsDark;
  root.dataset.theme = isDark ? "light" : "dark";
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `costhub_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax${secure}`;
}

async function copyText(button) {
  const source = document.getElementById(button.dataset.copy);
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    // Without a secure context there is no clipboard: select the text, so that Ctrl-C copies it.
    getSelection().selectAllChildren(source);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = label; }, 1600);
}

// A page refreshes only while somebody can see it and nobody is using what would be replaced.
function refresh() {
  const live = document.querySelector("[data-live]");
  const drawer = document.getElementById("drawer");
  if (!live || document.visibilityState !== "visible" || (drawer && drawer.open)) return;
  const area = live.closest("#live") || live;
  if (area.matches(":hover") && document.querySelector("[data-tip]:not([hidden])")) return;
  if (area.contains(document.activeElement) || !getSelection().isCollapsed) return;
  if (performance.now() < nextRefresh) return;
  if (listening && listening.readyState === 1 && !hasMoved && performance.now() < refreshStarted + QUIET_MS) return;
  hasMoved = false;
  refreshStarted = performance.now();
  // Until it is answered; htmx may also drop it for another request, and then says nothing.
  nextRefresh = refreshStarted + REFRESH_MS * REST;
  document.body.dispatchEvent(new CustomEvent("costhub:refresh"));
}

// Server-sent events say that the ledger moved; the page then asks for itself. Nobody listens for a page that is hidden.
function listen() {
  const live = document.querySelector("[data-live]");
  const isWanted = live && live.dataset.live && document.visibilityState === "visible";
  if (listening && (!isWanted || listening.readyState === 2)) { listening.close(); listening = null; }
  if (listening || !isWanted) return;
  listening = new EventSource(live.dataset.live);
  listening.addEventListener("moved", () => { hasMoved = true; refresh(); });
  listening.addEventListener("ended", () => { listening.close(); hasMoved = true; refresh(); });
}

function showTip(chart, index) {
  const tips = chart.querySelectorAll("[data-tip]");
  const bars = chart.querySelectorAll("[data-bar]");
  tips.forEach((tip, place) => { tip.hidden = place !== index; });
  bars.forEach((bar, place) => bar.classList.toggle("is-read", place === index));
  chart.dataset.index = index;
  const tip = tips[index];
  if (!tip) return;
  const plot = chart.querySelector(".plot").getBoundingClientRect();
  const area = chart.getBoundingClientRect();
  const middle = plot.left - area.left + plot.width * parseFloat(tip.dataset.middle) / 100;
  const left = middle < area.width / 2 ? middle + 14 : middle - 14 - tip.offsetWidth;
  tip.style.left = `${Math.max(0, Math.min(left, area.width - tip.offsetWidth))}px`;
}

// The command palette: pages and things by name. Its list is the server's; here is only which one is chosen. The focus
// stays in the search, which tells readers of the screen what is chosen.
let foundFor = null;
let goesWhenFound = false;

function openPalette() {
  const palette = document.getElementById("palette");
  if (!palette || palette.open) return;
  const search = palette.querySelector("input");
  search.value = "";
  goesWhenFound = false;
  palette.showModal();
  search.focus();
  search.dispatchEvent(new CustomEvent("costhub:find"));
}

function chooseFound(step) {
  const search = document.querySelector("#palette input");
  const items = [...document.querySelectorAll("#palette-found [role=option]")];
  search.setAttribute("aria-expanded", String(items.length > 0));
  search.removeAttribute("aria-activedescendant");
  if (!items.length) return;
  const now = items.findIndex((item) => item.getAttribute("aria-selected") === "true");
  const next = (now + step + items.length) % items.length;
  items.forEach((item, place) => { item.setAttribute("aria-selected", String(place === next)); });
  search.setAttribute("aria-activedescendant", items[next].id);
  items[next].scrollIntoView({ block: "nearest" });
}

// Whoever is quicker than the answer goes to what it finds, not to what was found before.
function goToFound() {
  const search = document.querySelector("#palette input");
  goesWhenFound = foundFor !== search.value;
  const link = document.querySelector("#palette-found [aria-selected=true]");
  if (!goesWhenFound && link) location.assign(link.href);
}

function readFound(text) {
  foundFor = text;
  chooseFound(1);
  const number = document.querySelectorAll("#palette-found [role=option]").length;
  document.getElementById("palette-said").textContent = number ? `${number} found` : "Nothing of this name.";
  if (goesWhenFound) goToFound();
}

let lastKey = "";
function isTyping(target) {
  return target.matches("input, select, textarea, [contenteditable]");
}

function isFindKey(event) {
  return (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k";
}

// g and a letter goes to a page, / to a list's search, ? and Ctrl-K to the palette.
function readShortcut(event) {
  if (isFindKey(event)) {
    event.preventDefault();
    openPalette();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const before = lastKey;
  lastKey = event.key;
  if (event.key === "?") openPalette();
  if (event.key === "/") {
    const search = document.querySelector("[data-list-search], .toolbar [type=search]");
    if (search) { event.preventDefault(); search.focus(); }
  }
  if (before === "g") {
    const link = document.querySelector(`nav a[data-shortcut="${CSS.escape(event.key)}"]`);
    if (link) location.assign(link.href);
  }
}

document.addEventListener("keydown", (event) => {
  const palette = event.target.closest && event.target.closest("#palette");
  if (!palette) { readShortcut(event); return; }
  if (isFindKey(event)) {
    event.preventDefault();
    palette.close();
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    chooseFound(event.key === "ArrowDown" ? 1 : -1);
  } else if (event.key === "Enter" && event.target.matches("input")) {
    event.preventDefault();
    goToFound();
  }
});

// A form is sent once, however often its button is pressed; the server knows a second time too. A page that comes back
// by the back button can send again.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-once]")) return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "1";
});
window.addEventListener("pageshow", () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => { delete form.dataset.sent; });
});

document.addEventListener("click", (event) => {
  const target = event.target;
  if (target.closest("[data-open-palette]")) openPalette();
  const palette = document.getElementById("palette");
  if (palette && target === palette) palette.close();
  const toggle = target.closest("[data-nav-toggle]");
  if (toggle) {
    const isOpen = document.getElementById("pages").classList.toggle("is-open");
    toggle.setAttribute("aria-expanded", String(isOpen));
  }
  if (target.closest("[data-theme-toggle]")) toggleTheme();
  const copy = target.closest("[data-copy]");
  if (copy) copyText(copy);
  const bar = target.closest("[data-bar][data-link]");
  if (bar) location.assign(bar.dataset.link);
  const drawer = document.getElementById("drawer");
  if (drawer && (target.closest("[data-close-drawer]") || target === drawer)) drawer.close();
  document.querySelectorAll("details.switcher[open], details.popover[open]").forEach((details) => {
    if (!details.contains(target)) details.open = false;
  });
});

// Days are typed for a custom range only. Before the form hears of the change, and is sent.
document.addEventListener(
  "change",
  (event) => {
    if (!event.target.matches("[data-range]")) return;
    event.target.form.querySelectorAll(".range-days input").forEach((input) => {
      input.disabled = event.target.value !== "custom";
    });
  },
  true,
);

document.addEventListener("change", (event) => {
  const form = event.target.closest("[data-submit-on-change]");
  if (form) form.requestSubmit();
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    document.querySelectorAll("details.switcher[open], details.popover[open]").forEach((details) => {
      details.open = false;
      details.querySelector("summary").focus();
    });
  }
  const chart = event.target.closest && event.target.closest("[data-chart]");
  if (!chart) return;
  const last = chart.querySelectorAll("[data-tip]").length - 1;
  const index = Number(chart.dataset.index ?? -1);
  if (event.key === "Enter" && index >= 0) {
    const bar = chart.querySelectorAll("[data-bar]")[index];
    if (bar.dataset.link) location.assign(bar.dataset.link);
    return;
  }
  const next = { ArrowLeft: index < 0 ? last : Math.max(0, index - 1), ArrowRight: Math.min(last, index + 1), Home: 0, End: last, Escape: -1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  showTip(chart, next);
});

document.addEventListener("pointerover", (event) => {
  const bar = event.target.closest("[data-bar]");
  if (!bar) return;
  const chart = bar.closest("[data-chart]");
  showTip(chart, [...chart.querySelectorAll("[data-bar]")].indexOf(bar));
});

document.addEventListener("pointerout", (event) => {
  const chart = event.target.closest("[data-chart]");
  if (chart && !chart.contains(event.relatedTarget)) showTip(chart, -1);
});

document.addEventListener("focusout", (event) => {
  if (event.target.matches("[data-chart]")) showTip(event.target, -1);
});

// A slider says its value, and where it stands on the chart beside it.
document.addEventListener("input", (event) => {
  const slider = event.target;
  if (!slider.matches("[type=range]")) return;
  slider.nextElementSibling.value = slider.value;
  const chart = document.getElementById(slider.dataset.reads);
  if (chart) showTip(chart, slider.value - slider.min);
});

// What somebody is using is not replaced by a page's asking for itself.
document.addEventListener("htmx:beforeSwap", (event) => {
  const cause = event.detail.requestConfig.triggeringEvent;
  if (cause && cause.type === "costhub:refresh" && event.detail.target.contains(document.activeElement)) event.detail.shouldSwap = false;
});

document.addEventListener("htmx:configRequest", (event) => {
  // An address holds only the filters that are set.
  const parameters = event.detail.parameters;
  for (const name of Object.keys(parameters)) if (parameters[name] === "") delete parameters[name];
  // A page that asks for itself keeps nobody signed in.
  const cause = event.detail.triggeringEvent;
  if (cause && cause.type === "costhub:refresh") event.detail.headers["X-CostHub-Refresh"] = "1";
});

document.addEventListener("htmx:afterRequest", (event) => {
  // The element that asked may be gone by now: then htmx tells its parent.
  if (!event.detail.requestConfig.elt.matches("[data-live]")) return;
  nextRefresh = performance.now() + (performance.now() - refreshStarted) * REST;
});

document.addEventListener("htmx:afterSwap", (event) => {
  listen();
  if (event.detail.target.id === "palette-found") readFound(event.detail.requestConfig.parameters.q ?? "");
  const drawer = document.getElementById("drawer");
  if (event.detail.target.id !== "drawer-body" || drawer.open) return;
  drawer.showModal();
  drawer.scrollTop = 0;
});

// The page that is open is seen in a menu that is longer than its window. Not by scrollIntoView, from which the Tab key
// would go on.
const openPage = document.querySelector("#pages [aria-current]");
if (openPage) {
  const menu = openPage.parentElement;
  const hidden = openPage.getBoundingClientRect().bottom - menu.getBoundingClientRect().bottom + 28;
  if (hidden > 0) menu.scrollTop += hidden;
}

document.addEventListener("visibilitychange", () => { listen(); refresh(); });
setInterval(refresh, REFRESH_MS);
listen();
