"use strict";

const endpoint = "/private/human-api-token";
const button = document.getElementById("connect");
const say = (text) => { document.getElementById("message").textContent = text; };

// setToken gives the button a token, on which the SDK opens Connect with it.
// A fresh one comes past the cache. The option cache of fetch would not do:
// "no-cache" sends max-age=0 instead, and "no-store" asks past the cache always.
async function setToken(fresh) {
	button.disabled = true;
	say("One moment…");
	try {
		const answer = await fetch(endpoint, {
			credentials: "same-origin",
			headers: fresh ? { "Cache-Control": "no-cache" } : {},
		});
		const body = await answer.json().catch(() => null);
		if (!answer.ok || !body?.token) {
			throw new Error(`${body?.title || "no token"} (${answer.status})`);
		}
		button.setAttribute("data-hapi-token", body.token);
	} catch (err) {
		button.removeAttribute("data-hapi-token");
		say(`Connect is not available: ${err.message}.`);
		return false;
	}
	button.disabled = false;
	say("");
	return true;
}

// When Connect is closed, it says why. A token that it rejects is replaced
// once; if it rejects the new one as well, that is not the token's fault.
let replaced = false;
async function closed(response) {
	if (!/TOKEN_(EXPIRED|INVALID)$/.test(response.status)) {
		replaced = false;
		return;
	}
	if (replaced) {
		say("Connect is not available: it rejects its token.");
		return;
	}
	replaced = true;
	if (await setToken(true)) {
		button.click();
	}
}

if (window.HumanConnect) {
	HumanConnect.on("close", closed);
	// From then on the SDK watches for tokens: its own listener came first.
	window.addEventListener("load", () => setToken(false));
} else {
	document.getElementById("no-sdk").hidden = false;
}
