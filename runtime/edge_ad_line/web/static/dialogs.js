// The questions that the page asks: for a token, and for a reason.

import * as api from './api.js';
import {fill, h} from './dom.js';

const dialog = document.getElementById('dialog');

function ask(title, fields, submit, accept) {
  return new Promise((resolve) => {
    const refusal = h('p', {class: 'refusal', role: 'alert'});
    const button = h('button', {class: 'main'}, submit);
    const form = h('form', {method: 'dialog'}, h('h2', {}, title), fields, refusal,
      h('div', {class: 'buttons'},
        h('button', {type: 'button', onclick: () => dialog.close()}, 'Cancel'), button));
    form.onsubmit = async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        const given = await accept(new FormData(form));
        dialog.onclose = null;
        dialog.close();
        resolve(given);
      } catch (refused) {
        refusal.textContent = refused.message;
      }
      button.disabled = false;
    };
    dialog.onclose = () => resolve(null);
    fill(dialog, form);
    dialog.showModal();
  });
}

export function askToken() {
  const input = h('input', {
    name: 'token', type: 'password', required: true, autocomplete: 'current-password',
  });
  const fields = h('label', {}, 'Token of this panel, or your own', input);
  return ask('Sign in', fields, 'Sign in', (data) => api.signIn(data.get('token')));
}

// Asks why, does it, and gives what it gave; or null if the person thought better of it.
export function askReason(title, text, submit, act) {
  const input = h('input', {name: 'reason', required: true, maxlength: 1000});
  const fields = [h('p', {}, text), h('label', {}, 'Why? It is kept in the audit trail.', input)];
  return ask(title, fields, submit, (data) => act(data.get('reason')));
}
