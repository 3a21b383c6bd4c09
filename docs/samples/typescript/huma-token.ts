// A client of the token endpoint of caddy-huma, for browsers, React Native and Node.js.
// It has no dependencies. docs/apps.md explains what it does.
//
//   // Create one for each user who signs in.
//   const huma = new HumaTokenClient({
//     url: "https://app.example.com/private/huma-token",
//     clientType: "web",
//     accessToken: (renew) => session.accessToken({ renew }), // leave it out with cookies
//   });
//   const token = await huma.token(); // when the app starts, and whenever the SDK asks
//   await huma.token({ fresh: true }); // when Huma has rejected the token
//   await huma.signOut(); // before the app deletes its own session

export type ClientType = "ios" | "android" | "web";

/** What an app does about an error. */
export type Action =
  | "signIn" // the session is over: sign out of Huma's SDK, and show the sign-in page; if the
  // user has just signed in, as "report"
  | "verifyEmail" // ask the user to verify the email address of the account
  | "noAccess" // tell the user that this account has no access
  | "retry" // not available at the moment: the client has retried; offer to try again later
  | "report"; // a bug or a wrong config, which neither the user nor a retry can fix

/** The error codes of the endpoint. */
export const actions = {
  identity_missing: "signIn",
  identity_invalid: "signIn",
  identity_ambiguous: "report",
  identity_untrusted: "report",
  email_unverified: "verifyEmail",
  domain_not_allowed: "noAccess",
  identity_forbidden: "noAccess",
  not_registered: "noAccess",
  refused: "noAccess",
  connect_unavailable: "noAccess",
  identity_unavailable: "retry",
  registration_limited: "retry",
  overloaded: "retry",
  upstream_unavailable: "retry",
  upstream_timeout: "retry",
  internal_error: "retry",
  upstream_config: "report",
  upstream_rejected: "report",
  upstream_bad_response: "report",
  cross_site: "report",
  client_type_required: "report",
  client_type_unknown: "report",
  body_invalid: "report",
  method_not_allowed: "report",
} as const satisfies Record<string, Action>;

export type Code = keyof typeof actions;

/** A successful response. Keep it in memory, and never log it. */
export interface HumaToken {
  uid: string;
  authToken: string;
  authTokenExpiresIn: number; // seconds; 0: unknown
  refreshToken: string;
  refreshTokenExpiresIn: number; // seconds; 0: unknown
  expiresIn: number; // the same as refreshTokenExpiresIn
}

export class HumaTokenError extends Error {
  override name = "HumaTokenError";

  constructor(
    readonly action: Action,
    /** The HTTP status; undefined if there was no response. */
    readonly status?: number,
    /** Undefined if the response has no code, or one that is not in actions. */
    readonly code?: Code,
    /** The header Retry-After in seconds. */
    readonly retryAfter?: number,
    /** For developers: what is wrong, in English. */
    readonly detail?: string,
  ) {
    super(`no Huma token: ${code ?? status ?? "no response"}`);
  }
}

export interface Options {
  url: string;
  clientType: ClientType;
  /**
   * Returns the access token for the header Authorization. renew is true if the endpoint
   * has rejected the previous one. Without accessToken, the browser sends its cookies.
   */
  accessToken?: (renew: boolean) => string | Promise<string>;
  /** Milliseconds for one request. The endpoint itself responds within 10 seconds. */
  timeout?: number;
  /** Milliseconds to wait before the first retry, if there is no Retry-After. */
  retryDelay?: number;
}

const MAX_ATTEMPTS = 3;
const MAX_WAIT = 30_000; // milliseconds; if Retry-After is longer, there is no retry

/** A request for a token with its retries, which concurrent calls share. */
interface Flight {
  fresh: boolean;
  token: Promise<HumaToken>;
}

type Method = "GET" | "DELETE";

interface Reply {
  status: number; // 0: no response, or a redirect that the browser hides
  redirected: boolean;
  retryAfter?: number | undefined; // seconds
  body?: unknown; // undefined if it is not JSON
}

/** Requests tokens for one signed-in user. Create a new client for each user who signs in. */
export class HumaTokenClient {
  private readonly signedOut = new AbortController();
  private kept: { token: HumaToken; until: number } | undefined;
  private flight: Flight | undefined;

  constructor(private readonly options: Options) {}

  /**
   * Returns the token that is kept in memory, or requests one. Concurrent calls share one
   * request. With fresh, the endpoint bypasses its cache too: set it only if Huma has
   * rejected the token. Throws a HumaTokenError, or the error of accessToken. After signOut,
   * its action is "signIn".
   */
  async token({ fresh = false } = {}): Promise<HumaToken> {
    if (this.signedOut.signal.aborted) {
      throw new HumaTokenError("signIn");
    }
    if (!fresh && this.kept && Date.now() < this.kept.until) {
      return this.kept.token;
    }
    if (!this.flight || (fresh && !this.flight.fresh)) {
      this.kept = undefined; // it has expired, or Huma has rejected it
      const flight = { fresh } as Flight;
      this.flight = flight;
      flight.token = this.fetchToken(flight).finally(() => {
        if (this.flight === flight) this.flight = undefined;
      });
    }
    return this.flight.token;
  }

  /**
   * Deletes the token here and in the endpoint's cache. Call it before the app deletes its
   * own session. It returns whether the endpoint has confirmed the deletion, and never
   * throws: the user can sign out without a connection, too. The client returns no token
   * afterwards.
   */
  async signOut(): Promise<boolean> {
    this.signedOut.abort();
    this.kept = undefined;
    try {
      const reply = await this.send("DELETE", false, new AbortController().signal);
      return reply.status === 204;
    } catch {
      return false; // there is no access token
    }
  }

  private async fetchToken(flight: Flight): Promise<HumaToken> {
    const { retryDelay = 5_000 } = this.options;
    const { signal } = this.signedOut;
    for (let attempt = 1; ; attempt++) {
      const sent = Date.now();
      const reply = await this.send("GET", flight.fresh, signal);
      if (signal.aborted) {
        throw new HumaTokenError("signIn");
      }
      if (reply.status === 200 && isToken(reply.body)) {
        if (this.flight === flight) { // else a fresh token has been requested meanwhile
          this.kept = { token: reply.body, until: sent + usableFor(reply.body) };
        }
        return reply.body;
      }
      const error = toError(reply);
      if (error.action === "signIn") {
        this.kept = undefined; // the next user must not get it
      }
      const delay = retryDelay * 2 ** (attempt - 1);
      // The response to a fresh request is repeated for 5 seconds, so do not retry earlier.
      const least = flight.fresh ? retryDelay : 0;
      const wait = Math.max(least, error.retryAfter === undefined ? delay : error.retryAfter * 1000);
      if (error.action !== "retry" || attempt >= MAX_ATTEMPTS || wait > MAX_WAIT) {
        throw error;
      }
      // Up to half as long again, so that not all apps retry at the same moment.
      await sleep(wait * (1 + Math.random() / 2), signal);
    }
  }

  /**
   * Makes one request, and repeats it with a renewed access token if that has expired. Throws
   * only if accessToken does.
   */
  private async send(method: Method, fresh: boolean, signal: AbortSignal): Promise<Reply> {
    const { accessToken } = this.options;
    if (!accessToken) {
      return this.sendOnce(method, fresh, undefined, signal);
    }
    const reply = await this.sendOnce(method, fresh, await accessToken(false), signal);
    if (signal.aborted || toError(reply).action !== "signIn") {
      return reply;
    }
    return this.sendOnce(method, fresh, await accessToken(true), signal);
  }

  private async sendOnce(
    method: Method,
    fresh: boolean,
    accessToken: string | undefined,
    signal: AbortSignal,
  ): Promise<Reply> {
    const { url, clientType, timeout = 15_000 } = this.options;
    const headers: Record<string, string> = {};
    if (accessToken !== undefined) {
      headers["Authorization"] = `Bearer ${accessToken}`;
    }
    if (fresh) {
      headers["Cache-Control"] = "no-cache"; // not {cache: "no-store"}, which always sends it
    }
    const abort = new AbortController();
    const cancel = () => abort.abort();
    const timer = setTimeout(cancel, timeout);
    signal.addEventListener("abort", cancel);
    if (signal.aborted) cancel();
    try {
      const separator = url.includes("?") ? "&" : "?";
      const response = await fetch(`${url}${separator}client_type=${clientType}`, {
        method,
        headers,
        credentials: accessToken === undefined ? "include" : "omit",
        redirect: "manual", // a login page is not a token
        signal: abort.signal,
      });
      const text = await response.text();
      return {
        status: response.status,
        redirected: response.type === "opaqueredirect",
        retryAfter: seconds(response.headers.get("Retry-After")),
        body: parse(text),
      };
    } catch {
      return { status: 0, redirected: false }; // no connection, or a timeout
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", cancel);
    }
  }
}

function toError({ status, redirected, retryAfter, body }: Reply): HumaTokenError {
  if (status === 0) {
    return new HumaTokenError(redirected ? "report" : "retry");
  }
  const { code, detail }: Record<string, unknown> = isObject(body) ? body : {};
  const known = isCode(code) ? code : undefined;
  return new HumaTokenError(
    known ? actions[known] : actionWithoutCode(status),
    status,
    known,
    retryAfter,
    typeof detail === "string" ? detail : undefined,
  );
}

/**
 * The action for a response of an authentication layer or a proxy in front, or for a code
 * that is not in actions.
 */
function actionWithoutCode(status: number): Action {
  switch (status) {
    case 401:
      return "signIn";
    case 403:
      return "noAccess";
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      return "retry";
    default:
      return "report"; // also a redirect, or a page with status 200
  }
}

/**
 * Returns for how many milliseconds the app may use a token. The endpoint replaces tokens
 * 30 seconds before they expire, or a tenth of their lifetime if that is less. A token with
 * an unknown lifetime is used until Huma rejects it.
 */
function usableFor({ authTokenExpiresIn }: HumaToken): number {
  if (authTokenExpiresIn <= 0) {
    return Infinity;
  }
  return (authTokenExpiresIn - Math.min(30, authTokenExpiresIn / 10)) * 1000;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isToken(body: unknown): body is HumaToken {
  return (
    isObject(body) &&
    typeof body["authToken"] === "string" &&
    typeof body["authTokenExpiresIn"] === "number"
  );
}

function isCode(code: unknown): code is Code {
  return typeof code === "string" && Object.hasOwn(actions, code);
}

/** Parses a Retry-After. Dates are not supported: the endpoint sends seconds. */
function seconds(header: string | null): number | undefined {
  return header !== null && /^\d+$/.test(header) ? Number(header) : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
