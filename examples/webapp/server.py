"""The page's own server: gives the page, and hands messages from one role to the other. Knows nothing of Freezeframe.

    python3 server.py 8080
"""
import http.server, os, queue, sys, urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
waiting = {"caller": queue.Queue(), "callee": queue.Queue()}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        if url.path == "/hear":
            try:
                return self.answer("application/json", waiting[urllib.parse.parse_qs(url.query)["as"][0]].get(timeout=20))
            except queue.Empty:
                return self.answer("application/json", b"{}")
        with open(os.path.join(HERE, "index.html"), "rb") as page:
            self.answer("text/html", page.read())

    def do_POST(self):
        to = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)["to"][0]
        waiting[to].put(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer("text/plain", b"")

    def answer(self, kind, body):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
