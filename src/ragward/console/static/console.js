// Keys for lists of things to decide on. Everything works without this file.
"use strict";
(() => {
  const here = document.querySelector("nav a[aria-current]");
  if (here) here.scrollIntoView({ block: "nearest", inline: "center" });

  const table = document.querySelector("table[data-list]");
  const rows = table ? [...table.tBodies[0].rows] : [];
  const boxes = rows.map((row) => row.querySelector("input[type=checkbox]"));
  const all = document.querySelector("[data-all]");
  const count = document.querySelector("[data-count]");
  let at = -1;

  const tell = () => {
    const chosen = boxes.filter((box) => box && box.checked).length;
    if (count) count.textContent = chosen === 1 ? "1 chosen" : `${chosen} chosen`;
    if (all) {
      all.checked = chosen > 0 && chosen === boxes.length;
      all.indeterminate = chosen > 0 && chosen < boxes.length;
    }
  };
  const go = (to) => {
    if (!rows.length) return;
    if (at >= 0) rows[at].classList.remove("here");
    at = Math.max(0, Math.min(rows.length - 1, to));
    rows[at].classList.add("here");
    (boxes[at] || rows[at].querySelector("a")).focus();
  };
  const press = (key) => {
    const target = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (!target) return false;
    if (target.matches("input[type=radio]")) target.checked = true;
    target.focus();
    return true;
  };
  if (all) {
    all.hidden = false;
    all.addEventListener("change", () => { boxes.forEach((box) => { box.checked = all.checked; }); tell(); });
  }
  boxes.forEach((box) => box && box.addEventListener("change", tell));
  rows.forEach((row, index) => row.addEventListener("focusin", () => {
    if (at >= 0) rows[at].classList.remove("here");
    at = index;
    row.classList.add("here");
  }));
  tell();

  const renew = async () => {
    const live = document.querySelector("[data-live]");
    if (!live) return;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = page.querySelector("section[aria-label=Progress]");
      if (!answer.ok || !next) return;
      live.replaceWith(document.adoptNode(next));
    } catch { /* asked again */ }
    setTimeout(renew, 1000);
  };
  setTimeout(renew, 1000);

  document.addEventListener("keydown", (event) => {
    const field = event.target.closest("input:not([type=checkbox]):not([type=radio]), textarea, select");
    if (field && event.key === "Escape") { field.blur(); return; }
    if (field || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      j: () => go(at + 1),
      k: () => go(at - 1),
      x: () => { if (at >= 0 && boxes[at]) { boxes[at].checked = !boxes[at].checked; tell(); } },
      o: () => { const link = at >= 0 && rows[at].querySelector("a"); if (link) link.click(); },
    }[event.key];
    if (act && rows.length) { act(); event.preventDefault(); } else if (press(event.key)) event.preventDefault();
  });
})();
