import { breakable, byId, control, element, huma, request, say, users } from "./request.js";

// The faults of an outage. Other faults, for example of the sandbox's own page, are kept.
const outageFaults = huma.operations.map((op) => ({ op, status: 503 }));
const isOutage = (fault) => outageFaults.some(({ op, status }) => fault.op === op && fault.status === status);

// setOutage starts or ends the outage.
let changes = 0;
async function setOutage(on) {
	changes++;
	try {
		const others = (await control("GET", "faults")).filter((fault) => !isOutage(fault));
		await control("PUT", "faults", on ? [...outageFaults, ...others] : others);
		changes++;
		showOutage(on);
		say("outage-message", !on && shown === "open" ? "Huma is up. The circuit breaker closes with the next successful call: get a fresh token." : "");
	} catch (error) {
		say("outage-message", `Cannot change the faults: ${error.message}.`, "bad");
	}
}
const inOutage = () => byId("outage").getAttribute("aria-checked") === "true";
const showOutage = (on) => byId("outage").setAttribute("aria-checked", String(on));
byId("outage").addEventListener("click", () => setOutage(!inOutage()));

// breaker returns the state of the circuit breaker of huma_token: open or closed.
async function breaker() {
	const response = await fetch("/metrics", { credentials: "omit" });
	const found = /^caddy_huma_breaker_open\{provider="huma"\} (\d)$/m.exec(await response.text());
	if (!found) throw new Error(`/metrics has no circuit breaker (${response.status})`);
	return found[1] === "1" ? "open" : "closed";
}

let shown = "";
function showBreaker(state) {
	if (shown === "open" && state === "closed") say("outage-message", "");
	shown = state;
	const meaning = { open: "no calls to Huma, except one trial every 5 seconds", closed: "calls are sent to Huma" }[state];
	say("breaker", meaning ? `${state} (${meaning})` : state, state === "open" ? "bad" : "good");
	return state;
}

// sendRequests requests a token for each user in turn until the breaker is open. Before
// that, it evicts their tokens, because a token from the cache needs no call. Fresh tokens
// would not do: a second request for one within 5 seconds gets the first response.
let sending = false;
async function sendRequests() {
	if (sending) return;
	if (!inOutage()) {
		say("outage-message", "Huma is up, so the circuit breaker stays closed. Turn the switch on first.");
		return;
	}
	sending = true;
	say("outage-message", "Sending requests…");
	const path = "/private/huma-token?client_type=web";
	const names = Object.keys(users);
	const statuses = {};
	try {
		for (const name of names) await request("DELETE", path, name);
		let state = "closed";
		for (let n = 0; n < 40 && state !== "open" && inOutage(); n++) {
			const { status } = await request("GET", path, names[n % names.length]);
			statuses[status] = (statuses[status] ?? 0) + 1;
			state = showBreaker(await breaker());
		}
		const sent = Object.entries(statuses).map(([status, n]) => `${n} × ${status}`).join(", ");
		say("outage-message", `Responses: ${sent}. The circuit breaker is ${state}.`);
	} catch (error) {
		say("outage-message", `Cannot send requests: ${error.message}.`, "bad");
	} finally {
		sending = false;
	}
}
byId("outage-requests").addEventListener("click", sendRequests);

// showCalls shows the newest calls at the sandbox.
let newest = -1;
function showCalls(calls) {
	const text = JSON.stringify(calls);
	if (text === newest) return;
	newest = text;
	const rows = calls.reverse().map((call) => {
		const row = element("tr");
		row.append(
			element("td", call.seq), element("td", call.op, "name"), breakable(element("td"), call.email || call.clientUserId, /(?<=@)/),
			element("td", (call.status || "–") + (call.fault ? ", fault" : ""), call.status >= 200 && call.status < 300 ? "" : "bad"),
		);
		return row;
	});
	if (rows.length === 0) {
		const cell = element("td", "none");
		cell.colSpan = 4;
		rows.push(element("tr"));
		rows[0].append(cell);
	}
	byId("calls").replaceChildren(...rows);
}

// refresh shows the state of the sandbox and of the breaker once per second. The next one
// is scheduled after this one, so that slow responses do not pile up.
async function refresh() {
	const before = changes;
	try {
		const [log, faults, state] = await Promise.all([control("GET", "calls?limit=20"), control("GET", "faults"), breaker()]);
		showCalls(log.calls);
		if (before === changes) showOutage(faults.some(isOutage));
		showBreaker(state);
		say("calls-message", "");
	} catch (error) {
		say("calls-message", `Cannot read the state of the sandbox: ${error.message}.`, "bad");
	}
	setTimeout(refresh, 1000);
}
refresh();
