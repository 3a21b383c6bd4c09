export const byId = (id) => document.getElementById(id);

// The users of Caddyfile.example. A page in production has no passwords: the browser sends
// the cookie of the sign-in.
export const users = {
	alice: { password: "wonderland", email: "alice@example.com", id: "user-1001" },
	bob: { password: "builder", email: "bob@example.com", id: "user-1002" },
	carol: { password: "gardener", email: "carol@example.com", id: "user-1003" },
};

// signedIn returns the name of the user, or "" if nobody is signed in.
export const signedIn = () => document.querySelector('input[name="user"]:checked').value;

// say sets the text of a status element. Screen readers announce each change.
export function say(id, text, className = "") {
	const e = byId(id);
	if (e.textContent !== text) e.textContent = text;
	e.className = className;
}

// element returns an element with a text, and never interprets the text as HTML.
export function element(name, text = "", className = "") {
	const e = document.createElement(name);
	e.textContent = text;
	if (className) e.className = className;
	return e;
}

// breakable adds a text to an element, with a possible line break at each match of a pattern.
export function breakable(e, text, pattern) {
	text.split(pattern).forEach((part, i) => e.append(...(i > 0 ? [element("wbr"), part] : [part])));
	return e;
}

// request calls an endpoint as a user ("": unauthenticated). The response's body is null if
// it is not JSON.
//
// A fresh token bypasses the cache of Caddy. For that, use the header, and not the option
// cache of fetch: "no-cache" sends max-age=0 instead, and "no-store" bypasses the cache
// with each request. With the credentials "omit", the browser does not open its own dialog
// if the response is 401.
export async function request(method, path, user, fresh = false) {
	const headers = {};
	if (user) headers.Authorization = "Basic " + btoa(`${user}:${users[user].password}`);
	if (fresh) headers["Cache-Control"] = "no-cache";
	const response = await fetch(path, { method, headers, credentials: "omit" });
	return {
		status: response.status,
		ok: response.ok,
		body: await response.json().catch(() => null),
		retryAfter: Number(response.headers.get("Retry-After")),
		command: command(method, path, user, fresh),
	};
}

// command returns the same request as a command.
function command(method, path, user, fresh) {
	const parts = ["curl"];
	if (method !== "GET") parts.push("-X", method);
	if (user) parts.push("-u", `${user}:${users[user].password}`);
	if (fresh) parts.push("-H", "'Cache-Control: no-cache'");
	parts.push(`'${location.origin}${path}'`);
	return parts.join(" ");
}

// control calls the control API of the sandbox.
export async function control(method, name, body) {
	const options = { method, credentials: "omit" };
	if (body !== undefined) {
		options.body = JSON.stringify(body);
		options.headers = { "Content-Type": "application/json" };
	}
	const response = await fetch("/_sandbox/" + name, options);
	const content = await response.json().catch(() => null);
	if (!response.ok) throw new Error(content?.message || `status ${response.status}`);
	return content;
}

// token requests a token, and adds to the response the calls that the sandbox has received
// for it. Without calls, the token is from the cache.
export async function token(service, path, user, fresh) {
	const before = (await control("GET", "calls?limit=1")).calls.at(-1)?.seq ?? 0;
	const response = await request("GET", path, user, fresh);
	const { calls } = await control("GET", "calls?limit=100");
	response.calls = calls.filter((call) => call.seq > before && service.operations.includes(call.op) && isOf(call, users[user]));
	return response;
}

// isOf reports whether a call is about a user. Calls for id tokens have no email address.
function isOf(call, user) {
	return user !== undefined && (call.email === user.email || call.clientUserId === user.id);
}

// The two services, with their operations in the log of the sandbox.
export const huma = { name: "Huma", operations: ["signin", "signup", "consent"] };
export const humanAPI = { name: "Human API", operations: ["session", "id"] };
