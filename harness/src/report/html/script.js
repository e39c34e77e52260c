"use strict";
(() => {
  const root = document.documentElement;
  const key = "freezeframe-theme";
  try { const kept = localStorage.getItem(key); if (kept) root.dataset.theme = kept; } catch { /* file:// may forbid storage */ }
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem(key, root.dataset.theme); } catch { /* as above */ }
  });
  for (const button of document.querySelectorAll("button.copy")) {
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      try { await navigator.clipboard.writeText(code.textContent); button.textContent = "copied"; }
      catch { getSelection().selectAllChildren(code); }
      setTimeout(() => { button.textContent = "copy"; }, 1200);
    });
  }
  // One cross hair through all plots of a run; the numbers of the frame under it beside it.
  for (const timeline of document.querySelectorAll(".timeline")) {
    const { n, left, right, width, interval, heads, frames } = JSON.parse(timeline.querySelector("script").textContent);
    const tip = timeline.querySelector(".tip");
    const lines = timeline.querySelectorAll("svg .cross");
    const hide = () => { tip.style.opacity = 0; for (const l of lines) l.style.opacity = 0; };
    timeline.addEventListener("mouseleave", hide);
    timeline.addEventListener("mousemove", (event) => {
      const svg = timeline.querySelector("svg");
      const box = svg.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * width;
      const i = Math.floor((x - left) / (width - left - right) * n);
      if (i < 0 || i >= n) { hide(); return; }
      const at = left + (i + 0.5) / n * (width - left - right);
      for (const l of lines) { l.setAttribute("x1", at); l.setAttribute("x2", at); l.style.opacity = 0.55; }
      const rows = frames.map((stream, s) => {
        const f = stream[i];
        return heads[s].map((head, j) => f[j] === null || f[j] === "" ? null : `${head} ${f[j]}`).filter(Boolean).join("\n");
      });
      tip.textContent = `frame ${i} · ${(i * interval).toFixed(2)} s\n` + rows.join("\n");
      tip.style.opacity = 1;
      const px = at / width * box.width;
      tip.style.left = (px > box.width / 2 ? px - tip.offsetWidth - 14 : px + 14) + "px";
      tip.style.top = Math.max(0, event.clientY - timeline.getBoundingClientRect().top - 40) + "px";
    });
  }
  // A run named in the address is opened.
  const open = () => { const e = location.hash && document.getElementById(location.hash.slice(1)); if (e && e.tagName === "DETAILS") e.open = true; };
  addEventListener("hashchange", open); open();
})();
