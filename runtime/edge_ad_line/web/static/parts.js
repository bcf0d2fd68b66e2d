// Parts: the artifact that judges each, others that could, and who changed it.

import * as api from './api.js';
import {fill, h, moment, number} from './dom.js';
import {askReason} from './dialogs.js';

export const title = 'Parts';

const STATES = {
  live: 'judges now', previous: 'judged before', staged: 'verified, waits', refused: 'refused',
};

export function show(root, app) {
  const told = h('p', {class: 'told', role: 'status'});
  const card = h('section', {class: 'card'});
  const trail = h('section', {class: 'card trail'});
  root.append(card, trail, told);

  let drawn = 0;

  async function draw() {
    const name = app.part, part = app.status.parts[name], mine = ++drawn;
    let found = [];
    try {
      found = await api.artifacts(name);
    } catch (refused) {
      told.textContent = refused.message;
    }
    if (mine !== drawn) return; // a later one has asked since: what this one was told is old
    const facts = [
      ['Judges now', short(part.artifact)], ['Verified', moment(part.verified_at)],
      ['Threshold', number(part.threshold)], ['Camera', part.camera ?? 'none, images come over HTTP'],
    ];
    fill(card,
      h('h2', {}, `Part ${name}`),
      h('dl', {class: 'facts'}, facts.flatMap(([key, value]) => [h('dt', {}, key), h('dd', {}, value)])),
      h('table', {}, h('thead', {}, h('tr', {}, ...['Artifact', 'State', 'Since', 'By', ''].map(
        (text) => h('th', {scope: 'col'}, text)))),
      h('tbody', {}, found.map((artifact) => row(name, artifact)))),
      app.may('engineer') ? uploading(name) : h('p', {}, 'An engineer may change the artifact.'));
    if (app.may('engineer')) drawTrail();
  }

  function row(name, artifact) {
    const promote = () => change(`Let ${short(artifact.sha256)} judge ${name}?`,
      'It judges from the next image on. The one before can be rolled back to.', 'Promote',
      (reason) => api.promote(name, artifact.sha256, reason));
    const roll = () => change(`Roll ${name} back?`,
      'The artifact before judges again, from the next image on.', 'Roll back',
      (reason) => api.rollBack(name, reason));
    const can = app.may('engineer') && ['staged', 'previous'].includes(artifact.state);
    const isBefore = app.status.parts[name].before?.[0] === artifact.sha256;
    return h('tr', {class: artifact.state},
      h('td', {}, h('code', {title: artifact.sha256}, short(artifact.sha256))),
      h('td', {}, STATES[artifact.state] ?? artifact.state, artifact.note ? `: ${artifact.note}` : null),
      h('td', {}, moment(artifact.t)), h('td', {}, artifact.user),
      h('td', {}, !can ? null : isBefore && artifact.state === 'previous'
        ? h('button', {onclick: roll}, 'Roll back')
        : h('button', {onclick: promote}, 'Promote')));
  }

  async function change(question, text, submit, act) {
    const done = await askReason(question, text, submit, act);
    if (done) told.textContent = 'Done.';
  }

  function uploading(name) {
    const progress = h('progress', {max: 1, value: 0, hidden: true});
    const input = h('input', {type: 'file', id: 'archive', onchange: async () => {
      const [file] = input.files;
      if (!file) return;
      progress.hidden = false;
      told.textContent = `${file.name} is sent.`;
      try {
        const staged = await api.upload(name, file, (share) => {
          progress.value = share;
          if (share === 1) {
            progress.removeAttribute('value');
            told.textContent = 'It is verified on this device. The line goes on meanwhile.';
          }
        });
        told.textContent = `${short(staged.sha256)} is verified. Promote it to let it judge.`;
      } catch (refused) {
        told.textContent = `Refused: ${refused.message}`;
      }
      draw();
    }});
    return h('p', {class: 'upload'}, h('label', {for: 'archive'}, 'Upload a packed artifact '), input, progress);
  }

  async function drawTrail() {
    const {rows, is_whole: isWhole} = await api.audit().catch(() => ({rows: [], is_whole: null}));
    fill(trail, h('h2', {}, 'Who changed what'),
      isWhole === false ? h('p', {class: 'refusal'}, 'A row of the audit trail was altered.') : null,
      h('ol', {}, rows.map((one) => h('li', {},
        h('time', {}, moment(one.t)), ` ${one.user}: ${one.action} ${shortened(one.object)}`,
        one.reason ? h('q', {}, one.reason) : null))));
  }

  draw();
  return {
    event(kind) {
      if (kind === 'artifact') draw();
    },
  };
}

const short = (sha256) => sha256?.slice(0, 12) ?? '–';
const shortened = (text) => (text.length > 24 ? `${text.slice(0, 24)}…` : text);
