# Runs haproxy by the configuration that is named, and connects clients while the server that it leads to is marked down:
# python3 hop.py CONFIG PRIMARY. Neither database takes connections: every client is one that is connecting. Prints how many
# clients were ended, and how many were not within ten seconds.
import collections, http.server, os, socket, subprocess, sys, threading, time

config, primary = sys.argv[1], sys.argv[2]
well = True


class Patroni(http.server.BaseHTTPRequestHandler):
    def do_OPTIONS(self):
        self.send_response(200 if well else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


# A queue of one that nobody takes from: the kernel lets further clients wait.
full = socket.socket()
full.bind((primary, 5432))
full.listen(0)
waiting = []
for _ in range(4):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex((primary, 5432))
    waiting.append(s)

patroni = http.server.ThreadingHTTPServer((primary, 8008), Patroni)
threading.Thread(target=patroni.serve_forever, daemon=True).start()
os.makedirs("/run/haproxy", exist_ok=True)
haproxy = subprocess.Popen(["haproxy", "-db", "-f", config])
time.sleep(2)

ends = collections.Counter()


def client(after):
    time.sleep(after)
    s = socket.create_connection(("127.0.0.1", 5432))
    s.settimeout(10)
    s.sendall(b"\0\0\0\x08\x04\xd2\x16\x2f")  # asks for TLS, as every client does first
    try:
        s.recv(1)
        ends["ended"] += 1
    except TimeoutError:
        ends["forgotten"] += 1
    except OSError:
        ends["ended"] += 1


clients = [threading.Thread(target=client, args=(n * 0.1,)) for n in range(30)]
for c in clients:
    c.start()
time.sleep(1)
well = False
for c in clients:
    c.join()
haproxy.kill()
print("ended %d forgotten %d" % (ends["ended"], ends["forgotten"]))
