import { byId, control, humanAPI, say, signedIn, token, users } from "./request.js";
import { clear, fail, show } from "./result.js";

const connect = byId("connect");

// setToken requests a token, and sets it on the button. A click on the button then opens
// Connect, which is done by the SDK.
let running = false;
async function setToken(fresh) {
	if (running) return false;
	running = true;
	forgetToken();
	const user = signedIn();
	try {
		const response = await token(humanAPI, "/private/human-api-token", user, fresh);
		if (signedIn() !== user) return false;
		if (response.ok && !response.body?.token) throw new Error(`no token (${response.status})`);
		show("human", humanAPI, response, { user, label: `Response for ${user}`, fresh });
		if (!response.ok) return false;
		connect.setAttribute("data-hapi-token", response.body.token);
		connect.disabled = false;
		return true;
	} catch (error) {
		fail("human", error);
		return false;
	} finally {
		running = false;
	}
}

function forgetToken() {
	connect.removeAttribute("data-hapi-token");
	connect.disabled = true;
	say("connect-message", "");
}

// forgetConnect removes the token of the previous user.
export function forgetConnect() {
	forgetToken();
	clear("human");
}

byId("human-get").addEventListener("click", () => setToken(false));
byId("human-fresh").addEventListener("click", () => setToken(true));
byId("human-source").addEventListener("click", async () => {
	const user = signedIn();
	try {
		if (!user) throw new Error("nobody is signed in");
		await control("POST", "connect", { client_user_id: users[user].id });
		say("connect-message", `${user} has connected a data source. A fresh token is an id token.`, "good");
	} catch (error) {
		say("connect-message", `No data source is connected: ${error.message}. Get a token first: it creates the user.`, "bad");
	}
});

// closed handles the end of Connect. A token that Connect rejects is replaced once. If it
// rejects the new one too, the token is not the cause.
let replaced = false;
async function closed(response) {
	if (!/TOKEN_(EXPIRED|INVALID)$/.test(response.status)) {
		replaced = false;
		return;
	}
	if (replaced) {
		say("connect-message", "Connect is not available: it rejects its token.", "bad");
		return;
	}
	replaced = true;
	if (await setToken(true)) connect.click();
}

if (window.HumanConnect) {
	connect.parentElement.hidden = false;
	HumanConnect.on("close", closed);
} else {
	byId("no-sdk").hidden = false;
}
