"""The endpoint of Huma's quick start in plain Python, as a reference for benchmarks.

It reads the user's email address from a request header, which the authentication layer
sets, and signs the user in at Huma, or up if the user does not exist. It responds with
the tokens and does not cache them. It uses persistent connections to clients and to
Huma, since the comparison would be unfair otherwise.

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


class UnexpectedStatus(Exception):
    """Huma's response has a status other than 200 and 201."""

    def __init__(self, status):
        super().__init__(f"unexpected status {status} from Huma")
        self.status = status


class Huma:
    """A client of Huma's API with one connection per thread."""

    def __init__(self, config):
        self.config = config
        self.url = urlsplit(config["url"])
        self.local = threading.local()

    def connection(self):
        if not hasattr(self.local, "connection"):
            secure = self.url.scheme == "https"
            connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            self.local.connection = connect(self.url.netloc, timeout=TIMEOUT)
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
            connection.close()  # the next call reconnects
            raise
        if response.status not in (200, 201):
            raise UnexpectedStatus(response.status)
        return json.loads(text)

    def token(self, email, client_type, address):
        user = {
            "clientId": self.config["clients"][client_type],
            "projectId": self.config["projectId"],
            "email": email,
        }
        try:
            return self.call("signin", user)
        except UnexpectedStatus as error:
            if error.status != 403:
                raise
        return self.call("signup", {**user, "ipAddress": address})


class Endpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open
    wbufsize = -1  # send the response in one packet
    disable_nagle_algorithm = True  # and without delay

    def do_GET(self):
        url = urlsplit(self.path)
        email = self.headers.get(self.server.header)
        client_type = parse_qs(url.query).get("client_type", [""])[0].lower()
        if url.path != "/private/huma-token":
            self.respond(404, {"message": "not found"})
        elif not email:
            self.respond(401, {"message": "unauthenticated"})
        elif client_type not in self.server.huma.config["clients"]:
            self.respond(400, {"message": "unknown client_type"})
        else:
            self.respond(*self.token(email, client_type))

    def token(self, email, client_type):
        try:
            token = self.server.huma.token(email, client_type, self.client_address[0])
        except (UnexpectedStatus, OSError, ValueError, http.client.HTTPException):
            return 502, {"message": "token request to Huma failed"}
        return 200, {
            "uid": token["uid"],
            "authToken": token["authToken"],
            "authTokenExpiresIn": token["authTokenExpiresIn"],
            "refreshToken": token["refreshToken"],
            "refreshTokenExpiresIn": token["expiresIn"],
        }

    def respond(self, status, members):
        body = json.dumps(members).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Logs nothing, since the Caddy in the comparison has no access log either."""


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
