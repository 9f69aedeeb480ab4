// The little that pages need beside htmx. No inline script, no eval: the Content-Security-Policy forbids both.
"use strict";

const REFRESH_MS = 5000;
// A page whose figures take long to add up is asked for less often: at most a tenth of the time.
const REST = 10;
let refreshStarted = 0;
let nextRefresh = 0;

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
  if (live.matches(":hover") && document.querySelector("[data-tip]:not([hidden])")) return;
  if (live.contains(document.activeElement) || !getSelection().isCollapsed) return;
  if (performance.now() < nextRefresh) return;
  refreshStarted = performance.now();
  // Until it is answered; htmx may also drop it for another request, and then says nothing.
  nextRefresh = refreshStarted + REFRESH_MS * REST;
  document.body.dispatchEvent(new CustomEvent("costhub:refresh"));
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

document.addEventListener("click", (event) => {
  const target = event.target;
  if (target.closest("[data-theme-toggle]")) toggleTheme();
  const copy = target.closest("[data-copy]");
  if (copy) copyText(copy);
  const drawer = document.getElementById("drawer");
  if (drawer && (target.closest("[data-close-drawer]") || target === drawer)) drawer.close();
  document.querySelectorAll("details.switcher[open], details.popover[open]").forEach((details) => {
    if (!details.contains(target)) details.open = false;
  });
});

document.addEventListener("change", (event) => {
  const form = event.target.closest("[data-submit-on-change]");
  if (form) form.requestSubmit();
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

document.addEventListener("htmx:configRequest", (event) => {
  // An address holds only the filters that are set.
  const parameters = event.detail.parameters;
  for (const name of Object.keys(parameters)) if (parameters[name] === "") delete parameters[name];
});

document.addEventListener("htmx:afterRequest", (event) => {
  // The element that asked may be gone by now: then htmx tells its parent.
  if (!event.detail.requestConfig.elt.matches("[data-live]")) return;
  nextRefresh = performance.now() + (performance.now() - refreshStarted) * REST;
});

document.addEventListener("htmx:afterSwap", (event) => {
  const drawer = document.getElementById("drawer");
  if (event.detail.target.id !== "drawer-body" || drawer.open) return;
  drawer.showModal();
  drawer.scrollTop = 0;
});

document.addEventListener("visibilitychange", refresh);
setInterval(refresh, REFRESH_MS);
document.documentElement.classList.add("has-script");
