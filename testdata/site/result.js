import { breakable, byId, element } from "./request.js";

// Cells that count down: the time at which the lifetime ends, by cell.
const countdowns = new Map();

setInterval(() => {
	for (const [cell, end] of countdowns) {
		if (cell.isConnected) {
			cell.textContent = remaining(end);
		} else {
			countdowns.delete(cell);
		}
	}
}, 250);

// remaining returns the time until end, such as 14 min 59 s.
function remaining(end) {
	let seconds = Math.max(0, Math.ceil((end - performance.now()) / 1000));
	if (seconds === 0) return "expired";
	const parts = [];
	for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
		const n = Math.floor(seconds / size);
		seconds %= size;
		if (n > 0 || parts.length > 0) parts.push(`${n} ${unit}`);
	}
	return parts.join(" ") || "0 s";
}

// countdown returns a cell that counts down a lifetime in seconds. The service sends 0 if
// it is unknown.
function countdown(seconds) {
	const cell = element("td", seconds > 0 ? "" : "unknown");
	if (seconds > 0) {
		const end = performance.now() + seconds * 1000;
		cell.textContent = remaining(end);
		countdowns.set(cell, end);
	}
	return cell;
}

// value returns the cell of a member. Tokens are shortened, so that nobody can copy them
// from a screenshot.
function value(name, content) {
	if (/expires_?in$/i.test(name)) return countdown(content);
	const text = String(content);
	return element("td", /token$/i.test(name) ? `${text.slice(0, 4)}…${text.slice(-6)} (${text.length} characters)` : text);
}

// summary returns the result of a request in one line.
function summary(service, response, user, fresh) {
	const received = response.calls.map((call) => `${call.op} ${call.status || "without response"}`).join(", ");
	const calls = received ? `Calls at ${service.name}: ${received}.` : `No call at ${service.name}.`;
	if (!response.ok) {
		const title = response.body?.title || (response.status === 401 ? "Unauthenticated" : "Error");
		return `${response.status}: ${title}. ${calls}`;
	}
	if (received) return `${response.status}: a new token for ${user}. ${calls}`;
	if (fresh) return `${response.status}: the fresh token for ${user} of less than 5 seconds ago. ${calls}`;
	return `${response.status}: a token for ${user} from the cache. ${calls}`;
}

// problem returns the details of an error (problem+json, RFC 9457).
function problem(response) {
	const details = element("p", response.body?.detail || "basic_auth rejects the request. Select a user first.");
	if (/^https:\/\//.test(response.body?.type)) {
		const link = element("a", response.body.code);
		link.href = response.body.type;
		link.rel = "noreferrer";
		details.append(" Documentation: ", link);
	}
	return details;
}

// table returns a table with the members or headers of a response, in which lifetimes count
// down.
function table(name, kind, members) {
	const result = element("table");
	const head = element("tr");
	for (const text of [kind, "Value"]) {
		const cell = element("th", text);
		cell.scope = "col";
		head.append(cell);
	}
	const body = element("tbody");
	body.append(...members.map(([member, cell]) => {
		const row = element("tr");
		const header = breakable(element("th"), member, /(?=Expires)/);
		header.scope = "row";
		row.append(header, cell);
		return row;
	}));
	const top = element("thead");
	top.append(head);
	result.append(element("caption", name), top, body);
	return result;
}

// show shows the response to a request for a token in the element with this id.
export function show(id, service, response, { user, label, fresh }) {
	const status = byId(id).querySelector("[role=status]") ?? element("p");
	status.role = "status";
	status.className = response.ok ? "good" : "bad";
	const rest = [element("pre", response.command)];
	if (response.ok) {
		rest.push(table(label, "Member", Object.entries(response.body).map(([name, content]) => [name, value(name, content)])));
	} else {
		rest.push(problem(response));
		if (response.retryAfter > 0) rest.push(table("Response", "Header", [["Retry-After", countdown(response.retryAfter)]]));
	}
	byId(id).replaceChildren(status, ...rest);
	status.textContent = summary(service, response, user, fresh);
}

// clear removes the response.
export function clear(id) {
	byId(id).replaceChildren();
}

// fail shows that a request got no response.
export function fail(id, error) {
	const status = element("p", `No response: ${error.message}.`, "bad");
	status.role = "status";
	byId(id).replaceChildren(status);
}
