// What the page asks of the line. A refusal is an Error whose message is the line's own sentence.

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, {signal: AbortSignal.timeout(20000), ...options});
  } catch {
    throw new Refused(0, 'the line does not answer');
  }
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, content.error ?? `status ${answer.status}`);
  return content;
}

function send(path, content) {
  return ask(path, {method: 'POST', body: JSON.stringify(content)});
}

const part = (name) => `/v1/parts/${encodeURIComponent(name)}`;
const query = (values) => new URLSearchParams(values);

export const who = () => ask('/v1/session');
export const signIn = (token) => send('/v1/session', {token});
export const signOut = () => ask('/v1/session', {method: 'DELETE'});
export const status = () => ask('/v1/status');
export const results = async (name, limit) =>
  (await ask(`/v1/results?${query({part: name, limit})}`)).results;
export const reviewQueue = async (name) =>
  (await ask(`/v1/review?${query({part: name, limit: 30})}`)).results;
export const review = (id, label, reason) => send(`/v1/results/${id}/review`, {label, reason});
export const artifacts = async (name) => (await ask(`${part(name)}/artifact`)).artifacts;
export const promote = (name, sha256, reason) =>
  send(`${part(name)}/artifact/promote`, {sha256, reason});
export const rollBack = (name, reason) => send(`${part(name)}/artifact/rollback`, {reason});
export const audit = () => ask('/v1/audit?newest=50');
export const imageUrl = (id, width) => `/v1/results/${id}/image${width ? `?width=${width}` : ''}`;
export const overlayUrl = (id) => `/v1/results/${id}/overlay`;

// An upload tells how far it is, which fetch cannot.
export function upload(name, file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', `${part(name)}/artifact`);
    request.responseType = 'json';
    request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    request.onerror = () => reject(new Refused(0, 'the upload was cut off'));
    request.onload = () => {
      const content = request.response ?? {};
      if (request.status === 201) resolve(content);
      else reject(new Refused(request.status, content.error ?? `status ${request.status}`));
    };
    request.send(file);
  });
}

// Events until close() is called. A browser reconnects by itself, and names the last event it had.
export function listen(handlers) {
  let source, timer, closed = false;
  const open = () => {
    source = new EventSource('/v1/events');
    source.onopen = () => handlers.open();
    source.onerror = () => {
      handlers.lost();
      if (source.readyState !== EventSource.CLOSED || closed) return;
      timer = setTimeout(open, 2000); // refused: it gave up, we do not
    };
    for (const kind of ['result', 'status', 'review', 'artifact', 'alarm', 'gap']) {
      source.addEventListener(kind, (event) => handlers.event(kind, JSON.parse(event.data)));
    }
  };
  open();
  return () => {
    closed = true;
    clearTimeout(timer);
    source.close();
  };
}
