// ID tokens that no honest provider issues, put into the answer of an otherwise honest code flow.

import { SignJWT, UnsecuredJWT, decodeJwt, decodeProtectedHeader, exportSPKI, generateKeyPair, importJWK } from 'jose';

const SIGNERS = {
  // The claims are wrong, the signature is right.
  own: async (claims, header, { key }) => sign(claims, header, await importJWK(key, 'RS256')),
  // Another's key under the key id of the provider.
  stranger: async (claims, header) => sign(claims, header, (await generateKeyPair('RS256')).privateKey),
  // The public key, known to all, taken for a shared secret.
  hs256: async (claims, header, { key }) => {
    const { kty, n, e } = key;
    const spki = await exportSPKI(await importJWK({ kty, n, e }, 'RS256', { extractable: true }));
    return sign(claims, { ...header, alg: 'HS256' }, new TextEncoder().encode(spki));
  },
  none: async (claims) => new UnsecuredJWT(claims).encode(),
};

const sign = (claims, header, key) => new SignJWT(claims).setProtectedHeader(header).sign(key);

// `lie` is {signer, claims}: a claim given as null is left out. `keys` are {key: the private JWK in use}.
export async function forge(token, lie, keys) {
  const claims = { ...decodeJwt(token), ...lie.claims };
  for (const name of Object.keys(claims)) if (claims[name] === null) delete claims[name];
  return SIGNERS[lie.signer](claims, decodeProtectedHeader(token), keys);
}

export const signers = Object.keys(SIGNERS);
