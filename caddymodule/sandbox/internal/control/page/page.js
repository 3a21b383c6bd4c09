"use strict";

// URLs are relative to the page, so that it also works behind a proxy that serves the
// sandbox under a path.
const control = "_sandbox/";
const byId = (id) => document.getElementById(id);

async function request(method, name, body) {
	const options = { method, cache: "no-store" };
	if (body !== undefined) {
		options.body = JSON.stringify(body);
		options.headers = { "Content-Type": "application/json" };
	}
	const response = await fetch(control + name, options);
	const text = await response.text();
	if (!response.ok) {
		let message = text;
		try { message = JSON.parse(text).message; } catch { /* no JSON: not from the sandbox */ }
		throw new Error(message);
	}
	return text === "" ? null : JSON.parse(text);
}

// The data comes from clients, so it is set as text, never as HTML.
function element(name, text, className) {
	const e = document.createElement(name);
	if (text !== undefined) e.textContent = text;
	if (className) e.className = className;
	return e;
}

function fill(body, rows, columns) {
	if (rows.length === 0) {
		const cell = element("td", "none yet", "empty");
		cell.colSpan = columns;
		rows = [[cell]];
	}
	body.replaceChildren(...rows.map((cells) => {
		const row = element("tr");
		row.append(...cells);
		return row;
	}));
}

function time(text) {
	return new Date(text).toLocaleTimeString();
}

function showCalls(log) {
	const counters = [["in flight", log.inFlight], ["max. in flight", log.maxInFlight], ["connections", log.connections], ...Object.entries(log.byOp)];
	byId("counters").replaceChildren(...counters.map(([name, count]) => {
		const item = element("div");
		item.append(element("dt", name), element("dd", count));
		return item;
	}));
	fill(byId("calls"), log.calls.reverse().map((call) => [
		element("td", call.seq),
		element("td", time(call.at)),
		element("td", call.op),
		element("td", call.email),
		element("td", call.clientId),
		element("td", call.clientUserId || ""),
		element("td", call.status === 0 ? "–" : call.status, call.status >= 200 && call.status < 300 ? "" : "failed"),
		element("td", [call.fault ? "fault" : "", call.error || ""].filter(Boolean).join(": ")),
	]), 8);
}

function showUsers(users) {
	fill(byId("users"), users.reverse().map((user) => [
		element("td", user.email),
		element("td", user.uid),
		element("td", time(user.createdAt)),
		element("td", user.consented ? "yes" : "no"),
	]), 4);
}

function showHuman(users) {
	fill(byId("human"), users.reverse().map((user) => [
		element("td", user.clientId),
		element("td", user.clientUserId),
		element("td", user.humanId),
		element("td", time(user.createdAt)),
		element("td", user.connected ? "connected" : "none"),
		element("td", !user.connected ? "session" : user.idAllowed ? "id" : "neither"),
	]), 6);
}

let shownFaults = "";

function showFaults(faults) {
	const text = JSON.stringify(faults);
	if (text === shownFaults) return;
	shownFaults = text;
	byId("faults").replaceChildren(...faults.map((fault) => {
		const item = element("li");
		item.append(element("code", JSON.stringify(fault)));
		return item;
	}));
}

// The result of an action is shown until this time.
let quietUntil = 0;

// The status is changed only if the text is another one, since screen readers announce
// every change.
function say(text) {
	if (byId("state").textContent !== text) byId("state").textContent = text;
}

async function refresh() {
	try {
		const [log, users, faults] = await Promise.all([request("GET", "calls?limit=100"), request("GET", "users?limit=100"), request("GET", "faults")]);
		showCalls(log);
		showUsers(users.users);
		showHuman(users.humanUsers);
		showFaults(faults);
		if (Date.now() >= quietUntil) say("Up to date.");
	} catch (error) {
		say("Cannot reach the sandbox: " + error.message);
	}
}

async function act(text, action) {
	try {
		await action();
		say(text);
		quietUntil = Date.now() + 3000;
	} catch (error) {
		say("Failed: " + error.message);
		quietUntil = Infinity; // until the next action
	}
	await refresh();
}

function readFault(form) {
	const fault = { op: form.op.value };
	if (form.times.value) fault.times = Number(form.times.value);
	if (form.delay.value) fault.delay = form.delay.value;
	switch (form.effect.value) {
	case "processed":
		fault.processed = true;
		fault.status = Number(form.status.value);
		break;
	case "status":
		fault.status = Number(form.status.value);
		break;
	case "code":
		fault.code = form.code.value;
		fault.shape = form.shape.value;
		break;
	case "before":
	case "after":
		fault.reset = form.effect.value;
		break;
	case "garbage":
		fault.garbage = true;
		break;
	}
	return fault;
}

byId("fault").addEventListener("submit", (event) => {
	event.preventDefault();
	const fault = readFault(event.target.elements);
	act("Fault added.", async () => request("PUT", "faults", [...await request("GET", "faults"), fault]));
});
byId("connect").addEventListener("submit", (event) => {
	event.preventDefault();
	const form = event.target.elements;
	const source = form.source.value;
	const user = { client_user_id: form.clientUserId.value, connected: source !== "disconnected", id_allowed: source !== "neither" };
	if (form.clientId.value) user.client_id = form.clientId.value;
	act("User changed.", () => request("POST", "connect", user));
});
byId("clear").addEventListener("click", () => act("Faults removed.", () => request("PUT", "faults", [])));
byId("reset").addEventListener("click", () => act("Sandbox reset.", () => request("POST", "reset")));

async function loop() {
	await refresh();
	// The next refresh is scheduled after this one, so that slow responses do not pile up.
	setTimeout(loop, 1000);
}
loop();
