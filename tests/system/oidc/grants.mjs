// The grants of RFC 8693 and RFC 7523, which oidc-provider does not have built in. What they present is judged here, with
// its own keys, tokens and clients; its own code authenticates the client, reads the form, judges scope and resource,
// and issues the token.

import { errors } from 'oidc-provider';
import * as JWT from 'oidc-provider/lib/helpers/jwt.js';
import presence from 'oidc-provider/lib/helpers/validate_presence.js';
import instance from 'oidc-provider/lib/helpers/weak_cache.js';

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt';

const issue = (ctx) => instance(ctx.oidc.provider).grantTypeHandlers.get('client_credentials')(ctx);

// A token of ours is what its type says it is, and good (RFC 8693 section 2.1).
async function checkPresented(ctx, role) {
  const { provider, params } = ctx.oidc;
  const { [`${role}_token`]: token, [`${role}_token_type`]: type } = params;
  if (type === ACCESS_TOKEN) {
    if (!(await provider.ClientCredentials.find(token))) throw new errors.InvalidRequest(`no such ${role}_token`);
  } else if (type === JWT_TYPE) {
    try {
      await JWT.verify(token, instance(provider).keystore, { issuer: provider.issuer });
    } catch (cause) {
      throw new errors.InvalidRequest(`${role}_token: ${cause.message}`);
    }
  } else {
    throw new errors.InvalidRequest(`unknown ${role}_token_type`);
  }
}

async function exchange(ctx) {
  const { provider, params } = ctx.oidc;
  presence(ctx, 'subject_token', 'subject_token_type');
  await checkPresented(ctx, 'subject');
  if (params.actor_token !== undefined || params.actor_token_type !== undefined) {
    presence(ctx, 'actor_token', 'actor_token_type');
    await checkPresented(ctx, 'actor');
  }
  const wanted = params.requested_token_type ?? ACCESS_TOKEN;
  if (wanted !== ACCESS_TOKEN) throw new errors.InvalidRequest('unknown requested_token_type');
  for (const audience of [params.audience ?? []].flat()) {
    if (!(await provider.Client.find(audience))) throw new errors.InvalidTarget('no such audience');
  }
  await issue(ctx);
  ctx.body = { ...ctx.body, issued_token_type: wanted };
}

// Signed by a client of ours, for us, to be used once and soon (RFC 7523 section 3).
async function jwtBearer(ctx) {
  const { provider, params } = ctx.oidc;
  presence(ctx, 'assertion');
  try {
    const { payload: { iss } } = JWT.decode(params.assertion);
    const client = await provider.Client.find(iss);
    if (!client) throw new Error('unknown issuer');
    const { payload } = await JWT.verify(params.assertion, client.asymmetricKeyStore, { subject: true });
    if (!ctx.oidc.clientJwtAuthExpectedAudience().has(payload.aud)) throw new Error('not for us');
    if (payload.exp === undefined) throw new Error('lives for ever');
    if (!(await provider.ReplayDetection.unique(iss, payload.jti, payload.exp))) throw new Error('used before');
  } catch (cause) {
    throw new errors.InvalidGrant(`assertion: ${cause.message}`);
  }
  await issue(ctx);
}

export function registerGrants(provider) {
  const presented = ['subject_token', 'subject_token_type', 'actor_token', 'actor_token_type'];
  const wanted = ['requested_token_type', 'audience', 'resource', 'scope'];
  provider.registerGrantType(EXCHANGE, exchange, [...presented, ...wanted], ['audience', 'resource']);
  provider.registerGrantType(JWT_BEARER, jwtBearer, ['assertion', 'resource', 'scope'], ['resource']);
}
