"use strict";
(() => {
  const root = document.documentElement;
  const key = "freezeframe-theme";
  try { const kept = localStorage.getItem(key); if (kept) root.dataset.theme = kept; } catch { /* file:// may forbid storage */ }
  document.getElementById("theme")?.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem(key, root.dataset.theme); } catch { /* as above */ }
  });

  const copying = (button) => {
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      try { await navigator.clipboard.writeText(code.textContent); button.textContent = "copied"; }
      catch { getSelection().selectAllChildren(code); }
      setTimeout(() => { button.textContent = "copy"; }, 1200);
    });
  };

  // One cross hair through all panels of a run; the numbers of the frame under it beside it. Mouse, touch or arrow keys.
  const reading = (timeline) => {
    const { n, left, right, interval, heads, frames } = JSON.parse(timeline.querySelector("script").textContent);
    const tip = timeline.querySelector(".tip");
    const cross = timeline.querySelector(".cross");
    const svg = timeline.querySelector("svg");
    let at = -1;
    const hide = () => { at = -1; tip.style.opacity = cross.style.opacity = 0; };
    const show = (frame, y) => {
      at = Math.max(0, Math.min(n - 1, frame));
      const width = svg.getBoundingClientRect().width;
      const x = (left + (at + 0.5) / n * (right - left)) * width;
      cross.style.left = x + "px";
      cross.style.opacity = 0.55;
      const rows = frames.map((stream, s) => {
        const f = stream[at] ?? [];
        return heads[s].map((head, j) => f[j] === undefined || f[j] === null || f[j] === "" ? null : `${head} ${f[j]}`).filter(Boolean).join("\n");
      });
      tip.textContent = `frame ${at} · ${(at * interval).toFixed(2)} s\n` + rows.join("\n");
      tip.style.opacity = 1;
      tip.style.left = (x > width / 2 ? x - tip.offsetWidth - 14 : x + 14) + "px";
      tip.style.top = Math.max(0, y) + "px";
    };
    timeline.addEventListener("pointerleave", hide);
    timeline.addEventListener("blur", hide);
    timeline.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      if (share < left || share > right) { hide(); return; }
      show(Math.floor((share - left) / (right - left) * n), event.clientY - box.top - 40);
    });
    timeline.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30, Home: -n, End: n }[event.key];
      if (event.key === "Escape") hide();
      if (step === undefined) return;
      event.preventDefault();
      show(at < 0 ? (step > 0 && step < n ? 0 : step < 0 ? 0 : n - 1) : at + step, 8);
    });
  };

  // Details of a run are in a script in its directory: a page opened as a file may load scripts beside it and nothing else.
  window.freezeframeDetails = (id, html) => {
    for (const run of document.querySelectorAll(`details[id="${id}"]`)) {
      const inside = run.querySelector(".inside");
      inside.innerHTML = html;
      for (const img of inside.querySelectorAll("img[data-src]")) img.src = run.dataset.base + img.dataset.src;
      inside.querySelectorAll("button.copy").forEach(copying);
      inside.querySelectorAll(".timeline").forEach(reading);
      inside.removeAttribute("aria-busy");
      run.dataset.state = "loaded";
    }
  };
  const load = (run) => {
    if (!run.open || run.dataset.state) return;
    run.dataset.state = "loading";
    const inside = run.querySelector(".inside");
    inside.setAttribute("aria-busy", "true");
    inside.textContent = "loading …";
    const script = document.createElement("script");
    script.src = run.dataset.base + "report-details.js";
    script.onerror = () => {
      run.dataset.state = "";
      inside.removeAttribute("aria-busy");
      inside.textContent = `${script.src} is not there: the page was moved without its runs, or they are of before; "freezeframe report" on the runs makes it.`;
    };
    document.head.append(script);
  };
  for (const run of document.querySelectorAll("details.run")) {
    run.addEventListener("toggle", () => load(run));
    load(run);
  }
  // A run named in the address is opened.
  const open = () => { const e = location.hash && document.getElementById(location.hash.slice(1)); if (e && e.tagName === "DETAILS") e.open = true; };
  addEventListener("hashchange", open); open();
})();
