"""The endpoint of Huma's quick start in plain Python, to compare with.

It takes the user from a header, which the authentication in front sets, signs the
user in at Huma, and up if Huma does not know them, and answers with the tokens. It
keeps none. Connections are kept open on both sides, as far as the standard library
does it: anything less would be an unfair comparison.

    python3 endpoint.py 127.0.0.1:8000 Remote-Email huma-config.json
"""

import hashlib
import hmac
import http.client
import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

API = "/api/integration/v1/auth/"
TIMEOUT = 10  # seconds


class Refused(Exception):
    """Huma answers with another status than the wanted ones."""

    def __init__(self, status):
        super().__init__(f"Huma answers {status}")
        self.status = status


class Huma:
    """Huma's API. Each thread has a connection of its own."""

    def __init__(self, config):
        self.config = config
        self.url = urlsplit(config["url"])
        self.local = threading.local()

    def connection(self):
        if not hasattr(self.local, "connection"):
            secure = self.url.scheme == "https"
            kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            self.local.connection = kind(self.url.netloc, timeout=TIMEOUT)
        return self.local.connection

    def call(self, operation, members):
        body = json.dumps(members).encode()
        signature = hmac.new(self.config["secret"].encode(), body, hashlib.sha256)
        headers = {
            "Content-Type": "application/json",
            "deploymentId": self.config["deploymentId"],
            "signature": signature.hexdigest(),
        }
        connection = self.connection()
        try:
            connection.request("POST", self.url.path + API + operation, body, headers)
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            connection.close()  # the next call opens it again
            raise
        if response.status not in (200, 201):
            raise Refused(response.status)
        return json.loads(text)

    def token(self, email, client_type, address):
        user = {
            "clientId": self.config["clients"][client_type],
            "projectId": self.config["projectId"],
            "email": email,
        }
        try:
            return self.call("signin", user)
        except Refused as refused:
            if refused.status != 403:
                raise
        return self.call("signup", {**user, "ipAddress": address})


class Endpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open
    wbufsize = -1  # the answer is sent in one piece,
    disable_nagle_algorithm = True  # and at once

    def do_GET(self):
        url = urlsplit(self.path)
        email = self.headers.get(self.server.header)
        client_type = parse_qs(url.query).get("client_type", [""])[0].lower()
        if url.path != "/private/huma-token":
            self.answer(404, {"message": "not found"})
        elif not email:
            self.answer(401, {"message": "nobody is signed in"})
        elif client_type not in self.server.huma.config["clients"]:
            self.answer(400, {"message": "unknown client_type"})
        else:
            self.answer(*self.token(email, client_type))

    def token(self, email, client_type):
        try:
            token = self.server.huma.token(email, client_type, self.client_address[0])
        except (Refused, OSError, ValueError, http.client.HTTPException):
            return 502, {"message": "no token from Huma"}
        return 200, {
            "uid": token["uid"],
            "authToken": token["authToken"],
            "authTokenExpiresIn": token["authTokenExpiresIn"],
            "refreshToken": token["refreshToken"],
            "refreshTokenExpiresIn": token["expiresIn"],
        }

    def answer(self, status, members):
        body = json.dumps(members).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Logs nothing: the other side of the comparison has no access log either."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, header, config):
        host, _, port = address.rpartition(":")
        super().__init__((host, int(port)), Endpoint)
        self.header = header
        self.huma = Huma(config)


def main():
    address, header, file = sys.argv[1:]
    with open(file, encoding="utf-8") as config:
        server = Server(address, header, json.load(config))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.serve_forever()


if __name__ == "__main__":
    main()
