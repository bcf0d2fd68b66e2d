// The picture of a result. It is never shown under another result's verdict.

import * as api from './api.js';
import {h} from './dom.js';

export class Picture {
  constructor() {
    this.image = h('img', {alt: ''});
    this.note = h('p', {class: 'note'});
    this.element = h('figure', {class: 'picture'}, this.image, this.note);
    this.loading = false;
    this.wanted = this.drawn = null;
  }

  // `withOverlay`: where the map is above the threshold, of anomalous results alone: a good one
  // has nothing to show.
  show(result, withOverlay) {
    this.wanted = {result, withOverlay};
    this.element.classList.toggle('old', this.drawn !== result.id);
    if (!this.loading) this.load();
  }

  async load() {
    this.loading = true;
    while (this.wanted) {
      const {result, withOverlay} = this.wanted;
      this.wanted = null;
      const overlay = withOverlay && result.verdict === 'anomalous';
      const urls = [api.imageUrl(result.id)];
      if (overlay) urls.unshift(api.overlayUrl(result.id));
      const found = await firstThatLoads(urls);
      if (this.wanted && this.wanted.result.id !== result.id && !found) continue;
      this.drawn = result.id;
      this.image.hidden = !found;
      if (found) this.image.src = found;
      this.image.alt = found ? `Picture of ${result.part} number ${result.seq}` : '';
      this.note.textContent = noteOf(result, found, overlay);
      this.element.classList.toggle('old', Boolean(this.wanted));
    }
    this.loading = false;
  }
}

function noteOf(result, found, overlay) {
  if (!found) return result.verdict === 'error' ? 'There is no picture to show.' : 'No picture is kept of this one.';
  const number = `${result.part} ${result.seq ?? ''}`;
  if (!overlay) return number;
  return found.endsWith('/overlay')
    ? `${number}: colour is where it is unusual`
    : `${number}: its map cannot be drawn any more`;
}

function loads(url) {
  return new Promise((resolve) => {
    const image = new Image();
    image.onload = () => resolve(true);
    image.onerror = () => resolve(false);
    image.src = url;
  });
}

async function firstThatLoads(urls) {
  for (const url of urls) if (await loads(url)) return url;
  return null;
}
