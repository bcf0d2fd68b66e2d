// Trend: scores with the threshold, and the evidence that they have drifted.

import * as api from './api.js';
import {fill, h, number, s, time, WORDS} from './dom.js';
import {drawChart} from './chart.js';

export const title = 'Trend';

const SHOWN = 200;
const ALARM = 6; // decades of evidence; see drift.py

export function show(root, app) {
  const about = h('p', {class: 'about', role: 'status'});
  const drifted = h('p', {class: 'drifted'});
  const svg = (label) => s('svg', {class: 'chart', role: 'img', tabindex: 0, 'aria-label': label});
  const scores = svg('Scores of the last 200, with the threshold');
  const evidence = svg('Evidence of drift after each of the last 200');
  root.append(
    h('h2', {}, 'Score', h('span', {class: 'key'},
      ' ● good  ✕ anomalous  ▲ no verdict  – – threshold')),
    scores, about, h('h2', {}, 'Evidence of drift, in decades'), evidence, drifted);
  let results = [], at = null;

  function draw() {
    drawChart(scores, {
      points: results.map(({score, verdict}) => ({y: score, verdict})),
      line: results.map(({threshold}) => threshold),
      lineName: 'threshold',
      onPick: pick,
    });
    drawChart(evidence, {
      points: results.map(({drift}) => ({y: drift ?? null, verdict: drift == null ? 'none' : 'drift'})),
      line: results.map(() => ALARM),
      lineName: 'alarm',
      least: 0,
      most: ALARM + 1,
      onPick: pick,
    });
    if (at === null) summary();
    drawDrift();
  }

  function summary() {
    const count = (kind) => results.filter((result) => result.verdict === kind).length;
    about.textContent = results.length
      ? `The last ${results.length}: ${count('good')} good, ${count('anomalous')} anomalous, `
        + `${count('error')} without a verdict. Point at one, or use the arrow keys.`
      : 'No part has come yet.';
  }

  function drawDrift() {
    const drift = app.status.parts[app.part]?.drift;
    drifted.className = `drifted ${drift?.is_alarm ? 'alarm' : ''}`;
    if (!drift) drifted.textContent = 'Drift is not watched on this part.';
    else if (drift.is_alarm) {
      drifted.textContent = 'Parts no longer score as they did. Look at light, lens, camera and lot. '
        + 'Verdicts are still made with the same threshold.';
    } else {
      drifted.textContent = `Parts score as they did. Alarms so far: ${drift.alarms ?? 0}. `
        + 'A false one comes once in a million good parts or less often.';
    }
  }

  function pick(i) {
    at = i;
    const result = results[i];
    fill(about,
      `${result.seq}, ${time(result.captured_at)}: ${WORDS[result.verdict]}, score `
      + `${number(result.score)}, threshold ${number(result.threshold)}, evidence `
      + `${number(result.drift, 2)}. `,
      h('a', {href: `#live/${result.id}`}, 'Show it'));
  }

  async function read() {
    try {
      results = (await api.results(app.part, SHOWN)).reverse();
      draw();
    } catch (refused) {
      about.textContent = refused.message;
    }
  }

  let waiting = false;
  function drawSoon() {
    if (waiting) return;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      draw();
    }, 250);
  }

  const observer = new ResizeObserver(drawSoon);
  observer.observe(root);
  read();
  return {
    event(kind, record) {
      if (kind === 'gap') read();
      if (kind !== 'result' || record.part !== app.part) return;
      results = [...results, record].slice(-SHOWN);
      if (at !== null) at = at > 0 ? at - 1 : null;
      drawSoon();
    },
    status: drawDrift,
    key(event) {
      const by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
      if (!by || !results.length) return false;
      pick(Math.max(0, Math.min(results.length - 1, (at ?? results.length) + by)));
      return true;
    },
    close: () => observer.disconnect(),
  };
}
