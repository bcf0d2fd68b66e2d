// Review: pictures that nobody has looked at, nearest to the threshold first.

import * as api from './api.js';
import {fill, h, moment, number, sign, WORDS} from './dom.js';
import {Picture} from './picture.js';

export const title = 'Review';

export function show(root, app) {
  const list = h('ol', {class: 'queue', 'aria-label': 'To be reviewed'});
  const picture = new Picture();
  const about = h('p', {class: 'about'});
  const reason = h('input', {placeholder: 'Why (optional)', maxlength: 1000, 'aria-label': 'Why'});
  const good = h('button', {class: 'label good', onclick: () => label('good')},
    sign('good'), 'It is good (G)');
  const defect = h('button', {class: 'label anomalous', onclick: () => label('defect')},
    sign('anomalous'), 'It is a defect (D)');
  const told = h('p', {class: 'told', role: 'status'});
  const panel = h('section', {class: 'panel'}, picture.element, about,
    app.may('operator')
      ? h('div', {class: 'labels'}, good, defect, reason)
      : h('p', {}, 'Your role may look. An operator may review.'),
    told);
  root.append(list, panel);
  let queue = [], at = 0;

  async function read() {
    try {
      queue = await api.reviewQueue(app.part);
    } catch (refused) {
      told.textContent = refused.message;
    }
    draw();
  }

  function draw() {
    at = Math.max(0, Math.min(at, queue.length - 1));
    fill(list, ...queue.map((result, i) => h('li', {}, h('button', {
      'aria-current': i === at ? 'true' : null,
      onclick: () => select(i),
    }, h('img', {src: api.imageUrl(result.id, 96), alt: '', loading: 'lazy'}),
    sign(result.verdict), h('span', {}, `${result.seq}`, h('br'), number(result.score))))));
    const result = queue[at];
    panel.classList.toggle('empty', !result);
    good.disabled = defect.disabled = !result;
    if (!result) {
      about.textContent = 'Nothing waits. Pictures come here as the line keeps them.';
      return;
    }
    list.children[at].scrollIntoView({block: 'nearest', inline: 'nearest'});
    fill(about, h('strong', {}, `${WORDS[result.verdict]}, number ${result.seq}`),
      ` score ${number(result.score)}, threshold ${number(result.threshold)}, `,
      moment(result.captured_at));
    picture.show(result, true);
  }

  function select(i) {
    at = i;
    draw();
  }

  async function label(kind) {
    const result = queue[at];
    if (!result || !app.may('operator')) return;
    try {
      await api.review(result.id, kind, reason.value);
      queue = queue.filter((other) => other.id !== result.id);
      told.textContent = `Number ${result.seq}: ${kind}. Its picture stays for good.`;
      reason.value = '';
      if (queue.length) draw();
      else await read();
    } catch (refused) {
      told.textContent = refused.message;
    }
  }

  read();
  return {
    key(event) {
      if (event.key === 'ArrowDown' || event.key === 'ArrowRight') select(at + 1);
      else if (event.key === 'ArrowUp' || event.key === 'ArrowLeft') select(at - 1);
      else if (event.key === 'g' || event.key === 'G') label('good');
      else if (event.key === 'd' || event.key === 'D') label('defect');
      else return false;
      return true;
    },
  };
}
