// The pages that a person sees at the provider. They load nothing from anywhere.

const escapes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escape = (text) => String(text).replace(/[&<>"']/g, (sign) => escapes[sign]);

const page = (title, body) => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escape(title)}</title><link rel="icon" href="data:,"></head>
<body><h1>${escape(title)}</h1>${body}</body></html>`;

export const login = (client, message = '') => page('Test provider: log in', `
<p id="message">${escape(message)}</p>
<form method="post">
<label>Username for ${escape(client)} <input name="username" autofocus autocomplete="off"></label>
<button name="action" value="login">Log in</button>
<button name="action" value="cancel">Cancel</button>
</form>`);

// `form` is oidc-provider's own, with its token against forgery; the button belongs to it.
export const logout = (form) => page('Test provider: log out', `
${form}<button form="op.logoutForm" name="logout" value="yes">Log out</button>`);

export const loggedOut = () => page('Test provider: logged out', '<p>The session at the provider has ended.</p>');

export const error = (out) => page('Test provider: error', `
<p id="error">${escape(out.error)}</p><p>${escape(out.error_description ?? '')}</p>`);
