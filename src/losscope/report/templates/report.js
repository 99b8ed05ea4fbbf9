"use strict";
// Niceties only: the page says everything without this script.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const format = (v) =>
    v !== 0 && (Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3) ? v.toExponential(2) : String(Number(v.toPrecision(4)));

  // A curve's own path is its data: positions in a box of 1000 by 1000, turned back into values.
  const pointsOf = (path) => {
    const numbers = (path.getAttribute("d").replace(/h\.1/g, "").match(/-?[\d.]+/g) || []).map(Number);
    const points = [];
    for (let i = 0; i + 1 < numbers.length; i += 2) points.push([numbers[i] / 1000, 1 - numbers[i + 1] / 1000]);
    return points;
  };

  const readout = (plot) => {
    const [x0, x1] = plot.dataset.x.split(" ").map(Number);
    const [low, high, kind] = plot.dataset.y.split(" ");
    const [y0, y1] = kind === "log" ? [Math.log(low), Math.log(high)] : [Number(low), Number(high)];
    const [top, height] = plot.dataset.area.split(" ").map(Number);
    const output = plot.closest("figure").querySelector("output");
    const curves = [...plot.querySelectorAll("path.curve")].map((p) => ({ name: p.dataset.name, points: pointsOf(p) }));
    if (!output || !curves.some((c) => c.points.length)) return;
    const hair = document.createElementNS(SVG, "line");
    hair.setAttribute("class", "hair");
    hair.setAttribute("y1", top);
    hair.setAttribute("y2", top + height);
    const show = (share) => {
      const near = curves
        .filter((c) => c.points.length)
        .map((c) => [c.name, c.points.reduce((a, b) => (Math.abs(b[0] - share) < Math.abs(a[0] - share) ? b : a))]);
      const at = near[0][1][0];
      hair.setAttribute("x1", 100 * at + "%");
      hair.setAttribute("x2", 100 * at + "%");
      plot.append(hair);
      const words = near.map(([name, p]) => {
        const y = y0 + p[1] * (y1 - y0);
        return (near.length > 1 ? name + " " : "") + format(kind === "log" ? Math.exp(y) : y);
      });
      output.textContent = Math.round(x0 + at * (x1 - x0)).toLocaleString("en") + ": " + words.join(" · ");
      return at;
    };
    const hide = () => {
      hair.remove();
      output.textContent = "";
    };
    let at = 1;
    const box = plot.parentElement;
    box.addEventListener("pointermove", (event) => {
      const frame = plot.getBoundingClientRect();
      at = show(Math.min(1, Math.max(0, (event.clientX - frame.left) / frame.width)));
    });
    box.addEventListener("pointerleave", hide);
    box.tabIndex = 0;
    box.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -0.01, ArrowRight: 0.01, Home: -2, End: 2 }[event.key];
      if (move === undefined) return;
      event.preventDefault();
      const wish = Math.min(1, Math.max(0, at + move));
      show(wish);
      at = wish;
    });
    box.addEventListener("blur", hide);
  };

  document.querySelectorAll("svg.plot[data-x]").forEach(readout);

  // A link to a finding opens it, and everything that it lies in.
  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    const own = target.querySelector(":scope > details");
    if (own) own.open = true;
    for (let box = target.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();

  // Paper has no folds.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((d) => (d.open = true));
  });
  addEventListener("afterprint", () => closed.forEach((d) => (d.open = false)));

  const links = new Map([...document.querySelectorAll(".contents a")].map((a) => [a.hash.slice(1), a]));
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        links.forEach((a) => a.removeAttribute("aria-current"));
        links.get(entry.target.id)?.setAttribute("aria-current", "true");
      }
    },
    { rootMargin: "-10% 0px -80% 0px" },
  );
  links.forEach((_, id) => watcher.observe(document.getElementById(id)));
})();
