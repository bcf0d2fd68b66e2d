// What is wrong on the line, in sentences, the worst first.

import {seconds} from './dom.js';

const FAULTS = {
  frozen: 'repeats the same picture',
  dark: 'gives dark pictures',
  overexposed: 'gives overexposed pictures',
  blurred: 'gives blurred pictures',
  displaced: 'has moved, or the part has',
};

export function problemsOf(status) {
  const found = [];
  if (status.state === 'stopping') found.push('The line is stopping.');
  for (const [name, camera] of Object.entries(status.cameras)) {
    if (!camera.is_up) found.push(`Camera ${name} is lost${camera.error ? `: ${camera.error}` : ''}.`);
    else if (camera.fault) found.push(`Camera ${name} ${FAULTS[camera.fault] ?? camera.fault}.`);
  }
  for (const [name, part] of Object.entries(status.parts)) {
    if (part.drift?.is_alarm) found.push(`Part ${name}: scores have drifted. See the trend.`);
  }
  const {store} = status;
  if (store.is_nearly_full) found.push('The disk is nearly full. No images are kept.');
  for (const [name, sink] of Object.entries(status.sinks)) {
    if (sink.is_up) continue;
    const waiting = `${sink.messages} messages wait, the oldest for ${seconds(sink.oldest_s)}`;
    found.push(`${name} takes no messages: ${waiting}. None is lost.`);
  }
  return found;
}
