// An OpenID provider for tests: `node provider.mjs HOST PORT`, port 0 for any free one. A line of JSON on standard
// input is an order, a line on standard output its answer, the first one tells the issuer. It ends with its input.

import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose';

import { signers } from './forge.mjs';
import { Memory } from './memory.mjs';
import { interact, openid, revoke } from './openid.mjs';

const [host, port] = process.argv.slice(2);
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
console.info = console.error; // oidc-provider's notices are not answers

const state = {
  clients: new Map(), users: new Map(), keys: [await newKey()], memory: new Memory(),
  secret: randomBytes(16).toString('hex'), claimsOnlyInUserinfo: false, lie: null, port: Number(port),
};
let issuer;
let provider;
let answering = { wait: Promise.resolve(), go: () => {} };

const clock = Date.now;
let shiftMs = 0;
Date.now = () => clock() + shiftMs; // oidc-provider reads no other clock

async function newKey() {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const key = { ...await exportJWK(privateKey), alg: 'RS256', use: 'sig' };
  return { ...key, kid: await calculateJwkThumbprint(key) };
}

// The browser's clock is not shifted with ours: its cookies carry no date, but that of their removal.
function dateless(response) {
  const set = response.setHeader.bind(response);
  const strip = (line) => line.replace(/; expires=(?!Thu, 01 Jan 1970)[^;]*/i, '');
  response.setHeader = (name, value) => set(name, /^set-cookie$/i.test(name) ? [value].flat().map(strip) : value);
}

async function handle(request, response) {
  await answering.wait;
  dateless(response);
  if (!request.url.startsWith('/interaction/')) return provider.callback()(request, response);
  let body = '';
  for await (const part of request) body += part;
  return interact(provider, state, request, response, new URLSearchParams(body));
}

const server = createServer((request, response) => handle(request, response).catch((error) => {
  console.error(error);
  response.writeHead(400, { 'content-type': 'text/plain' }).end(`${error.name}: ${error.message}`);
}));

const listen = () => new Promise((done, fail) => {
  server.once('error', fail).listen(state.port, '127.0.0.1', () => {
    server.off('error', fail);
    done();
  });
});

const remake = () => { provider = openid(issuer, state); };

const ORDERS = {
  client: async ({ metadata }) => {
    state.clients.set(metadata.client_id, metadata);
    try {
      await openid(issuer, state).Client.find(metadata.client_id); // which checks it
    } catch (error) {
      state.clients.delete(metadata.client_id);
      throw error;
    }
  },
  user: ({ username, sub, claims, acrs }) => { state.users.set(username, { sub, claims, acrs }); },
  forget_user: ({ username }) => { state.users.delete(username); },
  // With `keep`, tokens that the old keys signed can still be checked.
  rotate: async ({ keep }) => {
    state.keys = [await newKey(), ...(keep ? state.keys : [])];
    return state.keys[0].kid;
  },
  drop_old_keys: () => { state.keys.splice(1); },
  key: () => state.keys[0],
  shift: ({ ms }) => { shiftMs = ms; },
  userinfo_only: ({ on }) => { state.claimsOnlyInUserinfo = on; },
  lie: ({ lie }) => {
    if (lie && !signers.includes(lie.signer)) throw new Error(`a signer is one of ${signers}`);
    state.lie = lie;
  },
  revoke: ({ sub }) => revoke(provider, state, sub),
  hang: () => {
    let go;
    answering = { wait: new Promise((release) => { go = release; }), go };
  },
  answer: () => { answering.go(); },
  away: () => new Promise((done) => {
    server.close(done);
    server.closeAllConnections();
  }),
  back: listen,
  // As new, but for the keys.
  reset: async () => {
    answering.go();
    if (!server.listening) await listen();
    shiftMs = 0;
    Object.assign(state, { lie: null, claimsOnlyInUserinfo: false });
    for (const known of [state.clients, state.users, state.memory]) known.clear();
  },
};

await listen();
state.port = server.address().port;
issuer = `http://${host}:${state.port}`;
remake();
say({ ok: issuer });

for await (const line of createInterface({ input: process.stdin })) {
  const { order, ...rest } = JSON.parse(line);
  try {
    const answer = await ORDERS[order](rest);
    remake();
    say({ ok: answer ?? null });
  } catch (error) {
    say({ error: `${order}: ${error.message} ${error.error_description ?? ''}`.trim() });
  }
}
process.exit();
