// Health: cameras, sinks, the disk.

import {bytes, fill, h, seconds} from './dom.js';
import {problemsOf} from './problems.js';

export const title = 'Health';

export function show(root, app) {
  function draw() {
    const {cameras, sinks, store, version, parts} = app.status;
    const found = problemsOf(app.status);
    fill(root,
      card('Now', found.length
        ? h('ul', {class: 'found'}, found.map((text) => h('li', {}, text)))
        : h('p', {}, 'Nothing is wrong.'),
      h('p', {class: 'quiet'}, `edge_ad ${version}`)),
      card('Cameras', table(['Camera', 'Now', 'Last picture', 'Reconnected'],
        Object.entries(cameras).map(([name, camera]) => [
          name, state(camera.is_up && !camera.fault, camera.fault ?? (camera.is_up ? 'up' : 'lost')),
          camera.frame_age_s == null ? 'none yet' : `${seconds(camera.frame_age_s)} ago`, `${camera.reconnects} times`]))),
      card('Parts', table(['Part', 'Waiting', 'Camera'],
        Object.entries(parts).map(([name, part]) => [name, part.waiting, part.camera ?? '–']))),
      card('Sinks', table(['Sink', 'Now', 'Waiting', 'Oldest', 'Dropped'],
        Object.entries(sinks).map(([name, sink]) => [
          `${name} (${sink.kind})`, state(sink.is_up, sink.is_up ? 'up' : 'down'), sink.messages,
          sink.messages ? seconds(sink.oldest_s) : '–', sink.dropped]))),
      card('Disk', table(['Images', 'Kept', 'Size'],
        Object.entries(store.images).map(([kind, kept]) => [kind, kept.images, bytes(kept.bytes)])),
      h('p', {}, `${bytes(store.free_bytes)} free. Not stored: ${store.failures.result} results, `
        + `${store.failures.image} images.`)),
    );
  }
  draw();
  return {status: draw};
}

function card(title, ...content) {
  return h('section', {class: 'card'}, h('h2', {}, title), ...content);
}

function table(head, rows) {
  if (!rows.length) return h('p', {}, 'None.');
  return h('table', {}, h('thead', {}, h('tr', {}, head.map((text) => h('th', {scope: 'col'}, text)))),
    h('tbody', {}, rows.map((cells) => h('tr', {}, cells.map((cell) => h('td', {}, cell))))));
}

function state(isFine, text) {
  return h('span', {class: isFine ? 'fine' : 'bad'}, `${isFine ? '✓' : '✕'} ${text}`);
}
