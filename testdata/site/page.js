import { byId, huma, request, say, signedIn, token } from "./request.js";
import { clear, fail, show } from "./result.js";
import { forgetConnect } from "./human-api.js";
import "./sandbox.js";

const clientType = () => document.querySelector('input[name="client-type"]:checked').value;

// getToken requests a token of Huma and shows the response. A click while a request is
// running is ignored: disabled buttons would lose the focus.
let running = false;
async function getToken(fresh) {
	if (running) return;
	running = true;
	const user = signedIn();
	const type = clientType();
	try {
		const response = await token(huma, "/private/huma-token?client_type=" + type, user, fresh);
		if (signedIn() === user) show("huma", huma, response, { user, label: `Response for ${user}, ${type}`, fresh });
	} catch (error) {
		fail("huma", error);
	} finally {
		running = false;
	}
}
byId("huma-get").addEventListener("click", () => getToken(false));
byId("huma-fresh").addEventListener("click", () => getToken(true));

// forget removes the tokens of the previous user.
function forget() {
	clear("huma");
	forgetConnect();
}
for (const radio of document.querySelectorAll('input[name="user"]')) {
	radio.addEventListener("change", () => {
		forget();
		say("user-message", "");
	});
}

// signOut evicts the tokens of the user from the caches of both endpoints.
async function signOut() {
	const user = signedIn();
	if (!user) {
		say("user-message", "Nobody is signed in.");
		return;
	}
	try {
		const results = [];
		for (const path of ["/private/huma-token", "/private/human-api-token"]) {
			const response = await request("DELETE", path, user);
			results.push(`DELETE ${path}: ${response.status}`);
			if (!response.ok) throw new Error(results.at(-1));
		}
		document.querySelector('input[name="user"][value=""]').checked = true;
		forget();
		say("user-message", `The tokens of ${user} are evicted from the cache. ${results.join(", ")}.`, "good");
	} catch (error) {
		say("user-message", `Sign-out failed: ${error.message}.`, "bad");
	}
}
byId("sign-out").addEventListener("click", signOut);
