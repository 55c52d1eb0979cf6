// An OpenID provider for tests: npm's oidc-provider with one client. Whoever signs in with the name
// "kim" is kim, in two groups. It prints its address, and ends with its standard input. With a certificate
// and a key it speaks TLS.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import Provider from "oidc-provider";

const [redirect, exit, cert, key] = process.argv.slice(2);
const server = cert ? createSecureServer({ cert: readFileSync(cert), key: readFileSync(key) }) : createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `${cert ? "https" : "http"}://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: "gate", client_secret: "a secret of the test's",
      redirect_uris: [redirect], post_logout_redirect_uris: [exit], response_types: ["code"], grant_types: ["authorization_code"],
    }],
    claims: { openid: ["sub"], profile: ["name", "preferred_username"], groups: ["groups"] },
    scopes: ["openid", "profile", "groups"],
    pkce: { required: () => true },
    cookies: { keys: ["a key of the test's"] },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: `${id} of the test`, preferred_username: `${id}@corp`, groups: ["administrators", "staff"] }),
    }),
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
process.stdin.on("end", () => process.exit(0)).resume();
