// An OpenID provider for tests: npm's oidc-provider with one client. Whoever signs in with the name
// "kim" is kim, in two groups. It prints its address, and ends with its standard input.
import { createServer } from "node:http";
import Provider from "oidc-provider";

const [redirect, exit] = process.argv.slice(2);
const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
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
