// A chart of results, from left (old) to right (new), in SVG.

import {number, s} from './dom.js';

const LEFT = 52, RIGHT = 12, TOP = 14, BOTTOM = 10;

// points: [{y: number|null, verdict, label}]; line: [number|null] of the same length, drawn in
// steps; `least` and `most` widen the range. `onPick(i)` is told which point is under the pointer.
export function drawChart(svg, {points, line, lineName, least, most, onPick}) {
  const {width, height} = svg.getBoundingClientRect();
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  svg.replaceChildren();
  if (!width || !points.length) return;
  const values = [...points.map((point) => point.y), ...line].filter(Number.isFinite);
  if (!values.length) values.push(0, 1);
  const scale = niceScale(Math.min(least ?? Infinity, ...values), Math.max(most ?? -Infinity, ...values));
  const x = (i) => LEFT + (i + 0.5) * (width - LEFT - RIGHT) / points.length;
  const y = (value) => TOP + (scale.most - value) / (scale.most - scale.least) * (height - TOP - BOTTOM);
  for (const tick of scale.ticks) {
    svg.append(
      s('line', {class: 'grid', x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick)}),
      s('text', {class: 'tick', x: LEFT - 6, y: y(tick) + 4}, number(tick)));
  }
  drawLine(svg, line, lineName, x, y, width);
  points.forEach((point, i) => svg.append(
    mark(point, x(i), point.y == null ? height - BOTTOM - 5 : y(point.y))));
  svg.onpointermove = (event) => {
    const left = event.clientX - svg.getBoundingClientRect().left;
    const i = Math.round((left - LEFT) / (width - LEFT - RIGHT) * points.length - 0.5);
    if (points[i]) onPick?.(i);
  };
}

function drawLine(svg, line, name, x, y, width) {
  const half = (x(1) - x(0)) / 2;
  let path = '';
  line.forEach((value, i) => {
    if (value == null) return;
    path += `${path ? 'L' : 'M'}${x(i) - half} ${y(value)}L${x(i) + half} ${y(value)}`;
  });
  if (!path) return;
  const last = line.findLast((value) => value != null);
  svg.append(s('path', {class: 'line', d: path}),
    s('text', {class: 'name', x: width - RIGHT, y: y(last) - 5}, `${name} ${number(last)}`));
}

function mark({verdict}, x, y) {
  if (verdict === 'anomalous') {
    return s('path', {class: 'mark anomalous', d: `M${x - 4} ${y - 4}l8 8m0-8l-8 8`});
  }
  if (verdict === 'error') {
    return s('path', {class: 'mark error', d: `M${x} ${y - 5}l5 9h-10z`});
  }
  return s('circle', {class: `mark ${verdict}`, cx: x, cy: y, r: 2.5});
}

export function niceScale(least, most) {
  if (most - least < 1e-9) [least, most] = [least - 0.5, most + 0.5];
  const rough = (most - least) / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const first = Math.floor(least / step), last = Math.ceil(most / step);
  const ticks = [];
  for (let i = first; i <= last; i++) ticks.push(+(i * step).toPrecision(12));
  return {least: first * step, most: last * step, ticks};
}
