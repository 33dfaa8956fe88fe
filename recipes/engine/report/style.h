// The report's look, and the few lines of script that show values under the pointer.
#pragma once

namespace heed::recipes {

inline constexpr char kReportStyle[] = R"css(
:root { color-scheme: light dark;
  --paper: #fbfbfa; --card: #ffffff; --ink: #1d2129; --soft: #667085; --rule: #e4e7ec;
  --c0: #2f6fde; --c1: #e07b1a; --c2: #1a9c6b; --c3: #8b52d6; --c4: #d3405a; --c5: #0e93b0;
  --c6: #b0781a; --c7: #7b8494; --good: #1a9c6b; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14171c; --card: #1c2027; --ink: #e6e9ee; --soft: #98a2b3; --rule: #2d333d;
  --c0: #6ea2ff; --c1: #f5a04e; --c2: #4fcb9b; --c3: #b68cf5; --c4: #f27a90; --c5: #4cc4de;
  --c6: #dcae5f; --c7: #98a2b3; --good: #4fcb9b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 36px 24px 60px; }
h1 { font-size: 27px; line-height: 1.2; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 17px; margin: 38px 0 12px; }
.lead { color: var(--soft); margin: 6px 0 0; }
.status { display: inline-block; font-size: 12.5px; padding: 2px 10px; border-radius: 99px;
  border: 1px solid var(--rule); color: var(--soft); vertical-align: 5px; margin-left: 10px;
  letter-spacing: 0; font-weight: 400; }
.status.done { color: var(--good); border-color: currentColor; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(136px, 1fr)); gap: 12px;
  margin: 26px 0 0; }
.card, figure, .box { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
.card { padding: 12px 13px 11px; }
.card dt { color: var(--soft); font-size: 12.5px; }
.card dd { margin: 1px 0 0; font-size: 20px; font-weight: 600; letter-spacing: -0.01em;
  white-space: nowrap; font-variant-numeric: tabular-nums; }
.card p { margin: 0; color: var(--soft); font-size: 12.5px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr));
  gap: 14px; margin-top: 14px; }
figure { margin: 0; padding: 14px 14px 6px; position: relative; min-width: 0; }
figcaption { font-weight: 600; font-size: 14px; }
figcaption small { font-weight: 400; color: var(--soft); font-size: 12.5px; }
svg { display: block; width: 100%; height: auto; }
.legend { font-size: 12.5px; color: var(--soft); margin-top: 2px; }
.key { margin-right: 14px; white-space: nowrap; }
.key i { display: inline-block; width: 16px; border-top: 2.5px solid var(--stroke);
  vertical-align: 4px; margin-right: 6px; }
.key i.dashed { border-top-style: dashed; border-top-width: 2px; }
.grid { stroke: var(--rule); stroke-width: 1; }
.tick { fill: var(--soft); font-size: 13px; font-variant-numeric: tabular-nums; }
.line { fill: none; stroke: var(--stroke); stroke-width: 2; stroke-linejoin: round;
  stroke-linecap: round; }
.faint { opacity: 0.28; stroke-width: 1.2; }
.line.dashed { stroke-dasharray: 6 5; stroke-width: 1.6; stroke-linecap: butt; }
.dot { fill: var(--stroke); }
.c0 { --stroke: var(--c0); } .c1 { --stroke: var(--c1); } .c2 { --stroke: var(--c2); }
.c3 { --stroke: var(--c3); } .c4 { --stroke: var(--c4); } .c5 { --stroke: var(--c5); }
.c6 { --stroke: var(--c6); } .c7 { --stroke: var(--c7); }
.tip { position: absolute; pointer-events: none; display: none; background: var(--card);
  border: 1px solid var(--rule); border-radius: 7px; padding: 6px 10px; font-size: 12.5px;
  box-shadow: 0 4px 14px rgb(0 0 0 / 0.14); white-space: nowrap; z-index: 1;
  font-variant-numeric: tabular-nums; }
.tip i { display: inline-block; width: 9px; height: 9px; border-radius: 50%;
  background: var(--stroke); margin-right: 6px; }
.cursor { stroke: var(--soft); stroke-width: 1; opacity: 0.5; }
.box { padding: 6px 16px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: 12.5px; }
th, td { padding: 7px 14px 7px 0; border-bottom: 1px solid var(--rule); white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.best { font-weight: 600; color: var(--good); }
td .swatch { display: inline-block; width: 10px; height: 10px; border-radius: 50%;
  background: var(--stroke); margin-right: 8px; }
.compare th.test { text-align: center; color: var(--ink); font-size: 13.5px; }
.meter { height: 3px; border-radius: 2px; background: var(--rule); margin-top: 3px; }
.meter i { display: block; height: 3px; border-radius: 2px; background: var(--c0);
  margin-left: auto; }
td.best .meter i { background: var(--good); }
td code { font: 12.5px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: normal; }
.bars td { border: 0; padding-top: 5px; padding-bottom: 5px; }
.bars td:nth-child(2) { width: 100%; }
.bars td:last-child { padding-right: 0; }
.bar { height: 16px; border-radius: 4px; background: var(--stroke); min-width: 2px; }
.sample { padding: 10px 16px 12px; margin-bottom: 10px; }
.sample img { display: block; margin-top: 8px; max-width: 100%; image-rendering: pixelated; }
.words td { vertical-align: top; white-space: pre-wrap; padding: 1px 8px 1px 0; }
.words span { border-radius: 3px; }
.sample header { font-size: 12.5px; color: var(--soft); }
pre { margin: 6px 0 0; white-space: pre-wrap; overflow-wrap: anywhere;
  font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
pre b { color: var(--c0); font-weight: 600; }
details > summary { cursor: pointer; color: var(--soft); padding: 6px 0; }
details pre { padding-bottom: 12px; }
footer { color: var(--soft); font-size: 12.5px; margin-top: 40px; }
@media (max-width: 560px) { main { padding: 22px 14px 40px; } }
@media print { .charts { grid-template-columns: 1fr 1fr; } figure { break-inside: avoid; } }
)css";

inline constexpr char kReportScript[] = R"js(
for (const figure of document.querySelectorAll("figure.chart")) {
  const lines = JSON.parse(figure.dataset.lines);
  const svg = figure.querySelector("svg");
  const tip = figure.appendChild(document.createElement("div"));
  tip.className = "tip";
  const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
  cursor.setAttribute("class", "cursor");
  cursor.setAttribute("y1", 8);
  cursor.setAttribute("y2", 266);
  const nearest = (points, x) => {
    let low = 0, high = points.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (points[middle][0] < x) low = middle + 1; else high = middle;
    }
    return low > 0 && x - points[low - 1][0] < points[low][0] - x ? points[low - 1] : points[low];
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * 640;
    const curves = lines.filter((line) => !line.level);
    if (!curves.length) return;
    const anchor = curves.map((line) => nearest(line.points, x))
      .reduce((a, b) => Math.abs(a[0] - x) <= Math.abs(b[0] - x) ? a : b);
    tip.replaceChildren(
      typeof anchor[2] === "string" ? anchor[2] : "step " + anchor[2].toLocaleString("en"));
    for (const line of lines) {
      const point = line.level ? line.points[0] : nearest(line.points, anchor[0]);
      if (!line.level && Math.abs(point[0] - anchor[0]) > 12) continue;
      const row = tip.appendChild(document.createElement("div"));
      row.appendChild(document.createElement("i")).className = "c" + line.color;
      row.append(line.label + "  " + point[3].toLocaleString("en", {maximumSignificantDigits: 5}));
    }
    cursor.setAttribute("x1", anchor[0]);
    cursor.setAttribute("x2", anchor[0]);
    svg.appendChild(cursor);
    tip.style.display = "block";
    const left = anchor[0] / 640 * box.width + svg.offsetLeft;
    const right = left + tip.offsetWidth + 26 > figure.clientWidth;
    tip.style.left = (right ? left - tip.offsetWidth + 2 : left + 28) + "px";
    tip.style.top = Math.max(40, event.clientY - figure.getBoundingClientRect().top - 30) + "px";
  });
  svg.addEventListener("pointerleave", () => { tip.style.display = "none"; cursor.remove(); });
}
)js";

}  // namespace heed::recipes
