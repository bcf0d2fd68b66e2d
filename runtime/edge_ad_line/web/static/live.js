// Live: the last verdict, large, its picture, and the last fifty.

import * as api from './api.js';
import {fill, h, number, seconds, sign, time, WORDS} from './dom.js';
import {Picture} from './picture.js';

export const title = 'Live';

const KEPT = 50;
const NO_REASON = {
  unreadable: 'the image cannot be read',
  overrun: 'more images came than could wait',
  camera: 'the camera gave no picture',
  frozen: 'the camera repeats the same picture',
  dark: 'the picture is too dark',
  overexposed: 'the picture is overexposed',
  blurred: 'the picture is blurred',
  displaced: 'the part or the camera has moved',
  network: 'the network failed',
  interrupted: 'the device stopped',
};

export function show(root, app) {
  const picture = new Picture();
  const verdict = h('div', {class: 'verdict', 'aria-live': 'polite'});
  const facts = h('dl', {class: 'facts'});
  const since = h('p', {class: 'since'});
  const back = h('button', {class: 'main', onclick: () => hold(null)}, 'Back to live');
  const overlay = h('button', {'aria-pressed': 'true', onclick: toggleOverlay}, 'Overlay (O)');
  const strip = h('ol', {class: 'strip', 'aria-label': 'The last 50, newest first'});
  const counts = h('p', {class: 'counts'});
  root.append(
    picture.element,
    h('section', {class: 'side'}, verdict, facts, since, h('div', {class: 'buttons'}, overlay, back)),
    h('div', {class: 'bottom'}, counts, strip),
  );
  let results = [], held = null, withOverlay = true, cameAt = null;

  function toggleOverlay() {
    withOverlay = !withOverlay;
    overlay.ariaPressed = String(withOverlay);
    draw();
  }

  function hold(result) {
    held = result;
    draw();
  }

  function draw() {
    const result = held ?? results[0];
    back.hidden = !held;
    root.classList.toggle('held', Boolean(held));
    drawStrip();
    if (!result) {
      verdict.className = 'verdict none';
      fill(verdict, h('strong', {}, 'Waiting'), h('span', {}, 'No part has come yet.'));
      return;
    }
    verdict.className = `verdict ${result.verdict}`;
    fill(verdict, sign(result.verdict), h('strong', {}, WORDS[result.verdict]),
      result.reason ? h('span', {}, NO_REASON[result.reason] ?? result.reason) : null);
    fill(facts, ...factsOf(result).flatMap(([name, value]) =>
      [h('dt', {}, name), h('dd', {}, value)]));
    picture.show(result, withOverlay);
  }

  function drawStrip() {
    const shownId = (held ?? results[0])?.id;
    fill(strip, ...results.map((result) => h('li', {}, h('button', {
      class: `tile ${result.verdict}`,
      'aria-current': result.id === shownId ? 'true' : null,
      'aria-label': `${WORDS[result.verdict]}, number ${result.seq}, ${time(result.captured_at)}`,
      title: `${result.seq}: ${WORDS[result.verdict]}, ${number(result.score)}`,
      onclick: () => hold(result),
    }, sign(result.verdict)))));
    const count = (kind) => results.filter((result) => result.verdict === kind).length;
    counts.textContent = `Last ${results.length}: ${count('good')} good, `
      + `${count('anomalous')} anomalous, ${count('error')} without a verdict`;
  }

  function step(by) {
    const at = held ? results.findIndex((result) => result.id === held.id) : 0;
    const next = results[Math.max(0, at + by)];
    hold(next === results[0] && by < 0 ? null : next ?? held);
  }

  async function read() {
    try {
      results = await api.results(app.part, KEPT);
      const [, id] = location.hash.split('/');
      if (id) held = results.find((result) => result.id === id) ?? held;
      draw();
    } catch (refused) {
      since.textContent = refused.message;
    }
  }

  const clock = setInterval(() => {
    if (held) since.textContent = 'Held. The line goes on.';
    else if (cameAt !== null) {
      since.textContent = `${seconds((performance.now() - cameAt) / 1000)} ago`;
    } else since.textContent = '';
  }, 500);

  read();
  return {
    event(kind, record) {
      if (kind === 'gap') read();
      if (kind !== 'result' || record.part !== app.part) return;
      cameAt = performance.now();
      results = [record, ...results].slice(0, KEPT);
      if (held) drawStrip();
      else draw();
    },
    key(event) {
      if (event.key === 'o' || event.key === 'O') toggleOverlay();
      else if (event.key === 'Escape') hold(null);
      else if (event.key === 'ArrowRight') step(1);
      else if (event.key === 'ArrowLeft') step(-1);
      else return false;
      return true;
    },
    close: () => clearInterval(clock),
  };
}

function factsOf(result) {
  const facts = [
    ['Number', result.seq ?? 'not stored'],
    ['Score', result.score == null ? '–' : number(result.score)],
    ['Threshold', number(result.threshold)],
    ['Time', time(result.captured_at)],
    ['Took', result.timings_ms.total == null ? '–' : `${Math.round(result.timings_ms.total)} ms`],
  ];
  if (result.part_id) facts.unshift(['Part', result.part_id]);
  if (result.review) facts.push(['Reviewed', `${result.review.label}, ${result.review.user}`]);
  return facts;
}
