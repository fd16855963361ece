// A certified authorization server. It reads {clients, tls: {key, cert, ca} | null} from standard input, says
// {"issuer": …} on a line of its own once it listens on loopback, and lives until standard input is closed.

import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';

import { Provider } from 'oidc-provider';

import { registerGrants } from './grants.mjs';

let input = '';
const options = await new Promise((resolve) => {
  process.stdin.on('data', (data) => {
    input += data;
    if (input.endsWith('\n')) resolve(JSON.parse(input));
  });
});
process.stdin.on('end', () => process.exit(0));

const server = options.tls
  ? createTlsServer({ ...options.tls, requestCert: true, rejectUnauthorized: false })
  : createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `${options.tls ? 'https' : 'http'}://127.0.0.1:${server.address().port}`;

const certificate = (ctx) => ctx.socket.getPeerX509Certificate?.();
const provider = new Provider(issuer, {
  clients: options.clients,
  scopes: ['ledger.read', 'ledger.write'],
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'tls_client_auth', 'none'],
  enabledJWA: {
    clientAuthSigningAlgValues: [
      'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'Ed25519', 'EdDSA',
    ],
  },
  ttl: { ClientCredentials: 600 },
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (ctx, resource) => ({
        scope: 'ledger.read ledger.write',
        audience: resource,
        accessTokenFormat: 'jwt',
        accessTokenTTL: 600,
      }),
    },
    mTLS: {
      enabled: true,
      tlsClientAuth: true,
      getCertificate: certificate,
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches: (ctx, property, expected) =>
        property === 'tls_client_auth_san_dns' && certificate(ctx).checkHost(expected) !== undefined,
    },
  },
});
registerGrants(provider);
server.on('request', provider.callback());
process.stdout.write(`${JSON.stringify({ issuer })}\n`);
