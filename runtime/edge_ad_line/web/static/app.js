// The page: who is signed in, which view is shown, and what happens on the line, told to the view.

import * as api from './api.js';
import {fill, h} from './dom.js';
import {askToken} from './dialogs.js';
import {problemsOf} from './problems.js';
import * as live from './live.js';
import * as review from './review.js';
import * as trend from './trend.js';
import * as parts from './parts.js';
import * as health from './health.js';

const VIEWS = {live, review, trend, parts, health};
const STATUS_MS = 3000;
const STALE_MS = 9000;

// What all views see. A view is a module with `title` and `show(root, app)`, which returns
// {event(kind, record), status(), key(event)}, each of them if it likes.
const app = {user: null, status: null, part: null, alarms: {}, go, refresh, may};

let shown = null;
let heardAt = performance.now();
const find = (id) => document.getElementById(id);

function may(role) {
  const roles = ['viewer', 'operator', 'engineer'];
  return roles.indexOf(app.user.role) >= roles.indexOf(role);
}

function nameOfView() {
  const name = location.hash.slice(1).split('/')[0];
  return name in VIEWS ? name : 'live';
}

function go(hash) {
  if (location.hash === hash) refresh();
  else location.hash = hash;
}

function refresh() {
  if (!app.status) return;
  const root = find('view');
  shown?.close?.();
  fill(root);
  root.className = nameOfView();
  shown = VIEWS[nameOfView()].show(root, app) ?? {};
  for (const tab of find('tabs').children) {
    tab.ariaCurrent = tab.hash === `#${nameOfView()}` ? 'page' : null;
  }
}

function drawHeader() {
  const {site, device, state} = app.status;
  find('place').textContent = `${site} / ${device}`;
  find('state').textContent = state;
  find('state').className = `state ${state}`;
  document.title = `${device}: ${state}`;
  const names = Object.keys(app.status.parts), select = find('part');
  if (!names.includes(app.part)) app.part = names[0];
  select.hidden = names.length < 2;
  if (names.join() !== [...select.options].map((o) => o.value).join()) {
    fill(select, ...names.map((name) => h('option', {value: name}, name)));
  }
  select.value = app.part;
}

function drawProblems() {
  const silent = performance.now() - heardAt;
  const lost = silent > STALE_MS;
  document.body.classList.toggle('lost', lost);
  const found = lost
    ? [`The line has not answered for ${Math.round(silent / 1000)} s. What you see is old.`]
    : problemsOf(app.status);
  const box = find('problems');
  box.hidden = found.length === 0;
  const text = found.length > 2 ? `${found[0]} And ${found.length - 1} more.` : found.join(' ');
  if (box.dataset.text === text) return;
  box.dataset.text = text;
  fill(box, h('span', {}, text), lost ? null : h('a', {href: '#health'}, 'Health'));
}

async function readStatus() {
  try {
    app.status = await api.status();
    heardAt = performance.now();
    drawHeader();
    shown?.status?.();
  } catch (refused) {
    if (refused.status === 401) location.reload();
  }
  if (app.status) drawProblems();
}

async function onEvent(kind, record) {
  heardAt = performance.now();
  // the view draws what the status says: with the one before, the artifact before would have no "Roll back"
  if (kind === 'alarm' || kind === 'artifact') await readStatus();
  shown?.event?.(kind, record);
}

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || find('dialog').open) return;
  if (['INPUT', 'SELECT', 'TEXTAREA'].includes(event.target.tagName)) return;
  const name = Object.keys(VIEWS)[event.key - 1];
  if (name) go(`#${name}`);
  else if (!shown?.key?.(event)) return;
  event.preventDefault();
}

async function signedIn() {
  for (;;) {
    try {
      return await api.who();
    } catch (refused) {
      if (refused.status === 401) await askToken();
      else await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
}

function drawUser() {
  const button = find('user');
  button.hidden = app.user.is_open;
  button.textContent = `${app.user.name} (${app.user.role})`;
  button.title = `${button.textContent}: sign out`;
  button.onclick = async () => {
    await api.signOut();
    location.reload();
  };
}

async function begin() {
  find('tabs').append(...Object.entries(VIEWS).map(([name, view], i) =>
    h('a', {href: `#${name}`, title: `Key ${i + 1}`}, view.title)));
  app.user = await signedIn();
  drawUser();
  while (!app.status) {
    await readStatus();
    if (!app.status) await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  find('part').onchange = (event) => {
    app.part = event.target.value;
    refresh();
  };
  addEventListener('hashchange', refresh);
  addEventListener('keydown', onKey);
  setInterval(readStatus, STATUS_MS);
  refresh();
  let before = false; // the first connection has nothing to catch up with
  api.listen({
    open: () => {
      if (before) shown?.event?.('gap', {});
      before = true;
    },
    lost: () => {},
    event: onEvent,
  });
}

begin();
