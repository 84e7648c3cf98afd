#!/usr/bin/env python3
"""A scripted GDB stub, for fault tests of the finished program.

	stub.py [--fault NAME] [--at N] [--port P] [--image FILE] [--base HEX] [--once]

Prints its port, then serves one client after the other (--once: one), sanely but for the fault, from
packet N on (default 8) where the fault has a place.  Its process, 0x10, has one thread
and one piece of memory: FILE at HEX (default: 1 MB of a pattern at 0x400000).  On standard error it says
what mattered at the end of each client: "detached" or "held".

Faults:
	none		answers sanely
	silent		no answer from packet N on
	slow		one byte every 10 ms from packet N on
	close		hangs up at packet N ("close-at-N" is the same)
	not-rsp		greets like an HTTP server
	reject		E01 to everything
	corrupt		a wrong checksum at packet N
	corrupt-all	wrong checksums from packet N on
	cut		half of reply N, then hangs up
	long		reply N never ends
	lying		twice the memory asked for, from packet N on
	short		at most 100 bytes of memory a reply
	split		one byte a write
	garbage		noise before every packet
	no-features	an empty reply to qSupported, acknowledgements, one thread
	exited		the process is gone from packet N on
	nothing		nothing is attached (gdbserver --multi)
"""
import argparse
import re
import socket
import sys
import time

FAULTS = re.findall(r"^\s+([a-z-]+)(?:\t| {2,})", __doc__, re.M)  # Python 3.13 makes spaces of tabs
FEATURES = "PacketSize=47ff;QStartupWithShell+;QStartNoAckMode+;multiprocess+;fork-events+;vContSupported+"


class Gone(Exception):
    pass


class Client:
    def __init__(self, sock, args):
        self.sock, self.args = sock, args
        self.buf = b""
        self.no_ack = False
        self.n = 0
        self.held = args.fault != "nothing"

    def faulty(self, name):
        return self.args.fault == name and self.n >= self.args.at

    def byte(self):
        if not self.buf:
            self.buf = self.sock.recv(65536)
            if not self.buf:
                raise Gone
        c, self.buf = self.buf[:1], self.buf[1:]
        return c

    def packet(self):
        while self.byte() != b"$":
            pass
        data = b""
        while (c := self.byte()) != b"#":
            data += c
        self.byte()
        self.byte()
        if not self.no_ack:
            self.write(b"+")
        return data.decode("latin-1")

    def write(self, data):
        if self.faulty("slow"):
            for i in range(len(data)):
                self.sock.sendall(data[i:i + 1])
                time.sleep(0.01)
        elif self.args.fault == "split":
            for i in range(len(data)):
                self.sock.sendall(data[i:i + 1])
        else:
            self.sock.sendall(data)

    def reply(self, text):
        data = text.encode("latin-1")
        sum_ = sum(data) & 255
        if (self.args.fault == "corrupt" and self.n == self.args.at) or self.faulty("corrupt-all"):
            sum_ ^= 1
        frame = b"$%s#%02x" % (data, sum_)
        if self.args.fault == "garbage":
            frame = b"noise\r\n" + frame
        if self.faulty("cut"):
            self.write(frame[:max(1, len(frame) // 2)])
            raise Gone
        if self.faulty("long"):
            self.write(b"$")
            while True:
                self.write(b"a" * 65536)
        self.write(frame)

    def memory(self, cmd):
        addr, length = (int(x, 16) for x in cmd[1:].split(","))
        if self.faulty("exited"):
            return "E01"
        off = addr - self.args.base
        if off < 0 or off + length > len(self.args.image):
            return "E14"
        if self.args.fault == "short":
            length = min(length, 100)
        data = self.args.image[off:off + length].hex()
        return data * 2 if self.faulty("lying") else data

    def answer(self, cmd):
        f = self.args.fault
        if f == "reject":
            return "E01"
        if cmd.startswith("qSupported"):
            return "" if f == "no-features" else FEATURES
        if cmd == "QStartNoAckMode":
            return "OK"
        if cmd.startswith("Hg"):
            return "OK"
        if cmd == "!" and f != "no-features":
            return "OK"
        if cmd == "?":
            if not self.held:
                return "W00"
            return "S05" if f == "no-features" else "T05thread:p10.10;core:0;"
        if cmd == "qC":
            return "QC10"
        if cmd.startswith("vAttach;"):
            if cmd != "vAttach;10":
                return "E01"
            self.held = True
            return "T05thread:p10.10;core:0;"
        if cmd in ("D", "D;10"):
            self.held = False
            return "OK"
        if cmd == "qfThreadInfo":
            return "m10" if f == "no-features" else "mp10.10"
        if cmd == "qsThreadInfo":
            return "l"
        if cmd == "g":
            return "00" * 560
        if cmd[:1] == "m":
            return self.memory(cmd)
        if cmd == "qRcmd,65786974":
            self.reply("OK")
            raise Gone
        return ""

    def serve(self):
        if self.args.fault == "not-rsp":
            self.sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            return
        while True:
            cmd = self.packet()
            if self.faulty("close"):
                return
            if not self.faulty("silent"):
                self.reply(self.answer(cmd))
                if cmd == "QStartNoAckMode":
                    self.no_ack = True
            self.n += 1


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--fault", default="none")
    p.add_argument("--at", type=int, default=8)
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--image")
    p.add_argument("--base", type=lambda s: int(s, 16), default=0x400000)
    p.add_argument("--once", action="store_true")
    args = p.parse_args()
    if m := re.fullmatch(r"([a-z-]+)-at-(\d+)", args.fault):
        args.fault, args.at = m[1], int(m[2])
    if args.fault not in FAULTS:
        p.error("no such fault: " + args.fault)
    if args.image:
        with open(args.image, "rb") as f:
            args.image = f.read()
    else:
        args.image = bytes(i * 7 & 255 for i in range(1 << 20))
    listener = socket.create_server(("127.0.0.1", args.port))
    print(listener.getsockname()[1], flush=True)
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = Client(sock, args)
        try:
            client.serve()
        except (Gone, OSError):
            pass
        sock.close()
        print("held" if client.held else "detached", file=sys.stderr, flush=True)
        if args.once:
            return


if __name__ == "__main__":
    main()
