// Runs the TypeScript sample for samples_test.go: it reads a command from each line of the
// standard input, and writes the result of each as a line of JSON.
//
//	node driver.mjs huma-token.js
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const { HumaTokenClient } = await import(pathToFileURL(process.argv[2]).href);
let client, access, renewed;
let renewals = 0;

async function token(options) {
  try {
    const token = await client.token(options);
    return { uid: token.uid, authToken: token.authToken, lifetime: token.authTokenExpiresIn };
  } catch (error) {
    const { name, action, status, code, retryAfter, detail } = error;
    return { name, action, status, code, retryAfter, detail, text: String(error) };
  }
}

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, Number(milliseconds)));

const commands = {
  new(url, timeout, retryDelay) {
    client = new HumaTokenClient({
      url,
      clientType: "android",
      accessToken(renew) {
        if (renew) {
          renewals++;
          access = renewed;
        }
        return access;
      },
      timeout: Number(timeout),
      retryDelay: Number(retryDelay),
    });
    return {};
  },
  access(first, second) {
    [access, renewed] = [first, second];
    return {};
  },
  token: () => token(),
  fresh: () => token({ fresh: true }),
  async concurrent(count) {
    const all = await Promise.all(Array.from({ length: Number(count) }, () => token()));
    return { ...all[0], different: new Set(all.map((t) => t.authToken)).size };
  },
  signout: async () => ({ deleted: await client.signOut() }),
  // Signs out during a request.
  async leave(milliseconds) {
    const result = token();
    await sleep(milliseconds);
    return { deleted: await client.signOut(), ...(await result) };
  },
  // Signs out during a request that a fresh one has replaced.
  async replace(milliseconds) {
    const result = token();
    await sleep(milliseconds);
    await token({ fresh: true });
    return { deleted: await client.signOut(), ...(await result) };
  },
  // Requests a token during a sign-out.
  async late(milliseconds) {
    const deleted = client.signOut();
    await sleep(milliseconds);
    return { ...(await token()), deleted: await deleted };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...args] = line.split(" ");
  renewals = 0;
  const result = await commands[command](...args);
  console.log(JSON.stringify({ ...result, renewals }));
}
