// The oidc-provider of this process, made anew from the state after each change of it.

import { Provider } from 'oidc-provider';

import { forge } from './forge.mjs';
import * as pages from './pages.mjs';

const PROFILE = ['name', 'given_name', 'family_name', 'preferred_username', 'locale'];
const EMAIL = ['email', 'email_verified'];

function configuration(state) {
  const users = [...state.users.values()];
  const others = new Set(users.flatMap((user) => Object.keys(user.claims)));
  for (const name of [...PROFILE, ...EMAIL]) others.delete(name);
  return {
    adapter: state.memory.adapter,
    clients: [...state.clients.values()],
    jwks: { keys: state.keys },
    // A cookie knows no port: providers on one host must not take each other's.
    cookies: {
      keys: [state.secret],
      names: { session: `_session_${state.port}`, interaction: `_interaction_${state.port}`, resume: `_resume_${state.port}` },
    },
    scopes: ['openid', 'profile', 'email'],
    claims: { openid: ['sub', 'acr', 'amr', 'auth_time', ...others], profile: PROFILE, email: EMAIL },
    acrValues: [...new Set(users.flatMap((user) => user.acrs))],
    conformIdTokenClaims: state.claimsOnlyInUserinfo,
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => { ctx.body = pages.logout(form); },
        postLogoutSuccessSource: (ctx) => { ctx.body = pages.loggedOut(); },
      },
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_ctx, sub) => {
      const user = users.find((one) => one.sub === sub);
      return user && { accountId: sub, claims: () => ({ ...user.claims, sub }) };
    },
    loadExistingGrant: consented,
    renderError: (ctx, out) => { ctx.type = 'html'; ctx.body = pages.error(out); },
    fetch: loopback,
  };
}

// Nobody is asked for consent: the clients are the centre's own.
async function consented(ctx) {
  const { client, params, provider, session } = ctx.oidc;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope(params.scope);
  await grant.save();
  return grant;
}

// Back-channel logout goes to loopback, which oidc-provider forbids by itself, and nowhere else.
function loopback(url, { dispatcher, ...options }) {
  if (!['127.0.0.1', 'localhost'].includes(new URL(url).hostname)) throw new Error(`not on loopback: ${url}`);
  return fetch(url, options);
}

export function openid(issuer, state) {
  const provider = new Provider(issuer, configuration(state));
  provider.use(async (ctx, next) => {
    await next();
    if (state.lie && ctx.path === '/token' && ctx.body?.id_token) {
      ctx.body.id_token = await forge(ctx.body.id_token, state.lie, { key: state.keys[0] });
    }
  });
  return provider;
}

// Logs a person in, or shows the form again. The level of assurance is the first asked for that the person can reach.
export async function interact(provider, state, request, response, form) {
  const { params, prompt } = await provider.interactionDetails(request, response);
  const show = (message) => response.setHeader('content-type', 'text/html').end(pages.login(params.client_id, message));
  if (request.method !== 'POST') return show(`Asked for: ${prompt.name}`);
  if (form.get('action') === 'cancel') {
    const refusal = { error: 'access_denied', error_description: 'The person did not log in' };
    return provider.interactionFinished(request, response, refusal, { mergeWithLastSubmission: false });
  }
  const user = state.users.get(form.get('username'));
  if (!user) return show('No such user');
  const asked = (params.acr_values ?? '').split(' ').find((acr) => user.acrs.includes(acr));
  return provider.interactionFinished(request, response, {
    login: { accountId: user.sub, acr: asked ?? user.acrs[0], amr: ['pwd'] },
  });
}

// Ends every session of a person, as an administrator of the provider does; each client with a session is told.
export async function revoke(provider, state, sub) {
  const told = [];
  for (const { uid } of state.memory.of('Session').filter(({ accountId }) => accountId === sub)) {
    const session = await provider.Session.findByUid(uid);
    await session.destroy();
    for (const clientId of Object.keys(session.authorizations ?? {})) {
      const client = await provider.Client.find(clientId);
      if (!client?.backchannelLogoutUri) continue;
      const sid = session.sidFor(clientId);
      const problem = await client.backchannelLogout(sub, sid).then(() => null, (error) => error.message);
      told.push({ client: clientId, sid, problem });
    }
  }
  return told;
}
