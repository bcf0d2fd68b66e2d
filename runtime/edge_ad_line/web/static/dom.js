// Elements from plain calls, and the few ways in which numbers and times are written.

const SVG = 'http://www.w3.org/2000/svg';

// An element: h('button', {class: 'x', onclick: f}, 'text', child, null)
export function h(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

export function s(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...present(children));
  return element;
}

// The children of an element are these alone. Nulls are left out.
export function fill(element, ...children) {
  element.replaceChildren(...present(children));
}

function present(children) {
  return children.flat().filter((child) => child != null);
}

// The sign of a verdict. Its shape says it without its colour.
export function sign(verdict) {
  return s('svg', {class: `sign ${verdict}`, viewBox: '0 0 24 24', 'aria-hidden': 'true'},
    s('use', {href: `#${verdict}`}));
}

export const WORDS = {good: 'Good', anomalous: 'Anomalous', error: 'No verdict'};

export function number(value, digits = 4) {
  if (value == null) return '–';
  return Math.abs(value) >= 1e5 ? value.toExponential(2) : String(+value.toPrecision(digits));
}

export function bytes(value) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  for (; value >= 1000 && unit < 4; unit++) value /= 1000;
  return `${+value.toPrecision(3)} ${units[unit]}`;
}

// Times are of this panel's clock and zone, year first, as in Sweden.
export function time(iso) {
  return iso ? new Date(iso).toLocaleTimeString('sv') : '–';
}

export function moment(iso) {
  return iso ? new Date(iso).toLocaleString('sv') : '–';
}

export function seconds(value) {
  if (value == null) return '–';
  if (value < 100) return `${+value.toFixed(value < 10 ? 1 : 0)} s`;
  return value < 6000 ? `${Math.round(value / 60)} min` : `${Math.round(value / 3600)} h`;
}
