"""Two SCTP associations of aiortc on a virtual clock with a path that delays and drops: what do they send, and when?

Input (JSON on standard input): {"delay_ms", "start_ms", "sends": [[ms, channel, bytes], ...], "lost": [[n, ...], [n, ...]], "end_ms"};
`lost` are packets of either direction, counted from `start_ms` on. Output: one line per packet from `start_ms` on,
"microseconds direction bytes", and one per message that arrives, "microseconds message number". Nothing is patched but
the clock and the DTLS transport below SCTP.
"""

import asyncio
import collections
import json
import selectors
import sys

import aiortc.rtcsctptransport as sctp
from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters


class VirtualLoop(asyncio.SelectorEventLoop):
    """Never waits: when nothing is ready, the clock jumps to the next timer."""

    def __init__(self):
        self.now = 0.0
        real = selectors.DefaultSelector()
        select = real.select

        def jump(timeout=None):
            if timeout:
                self.now += timeout
            return select(0)

        real.select = jump
        super().__init__(real)

    def time(self):
        return self.now


class Wire:
    """What RTCDtlsTransport is to SCTP, with a path behind it."""

    def __init__(self, loop, plan, direction, log):
        self.loop, self.plan, self.log = loop, plan, log
        self.direction, self.count = direction, 0
        self.state = "connected"
        self.transport = type("Ice", (), {"role": "controlled" if direction else "controlling"})()
        self._role = "client" if direction else "server"
        self.other = self.receiver = None
        # A path keeps the order; timers of one instant do not.
        self.on_the_way = collections.deque()

    def _register_data_receiver(self, receiver):
        self.receiver = receiver

    def _unregister_data_receiver(self, receiver):
        self.receiver = None

    async def _send_data(self, data):
        lost = False
        if self.loop.time() * 1000 >= self.plan["start_ms"]:
            lost = self.count in self.plan["lost"][self.direction]
            self.count += 1
            self.log(f"{round(self.loop.time() * 1e6)} {self.direction} {len(data)}")
        if not lost:
            self.on_the_way.append(data)
            self.loop.call_later(self.plan["delay_ms"] / 1000, self.arrive)

    def arrive(self):
        data = self.on_the_way.popleft()
        if self.other.receiver is not None:
            asyncio.ensure_future(self.other.receiver._handle_data(data))


async def main(loop, plan):
    log = []
    wires = [Wire(loop, plan, d, log.append) for d in (0, 1)]
    wires[0].other, wires[1].other = wires[1], wires[0]
    ends = [sctp.RTCSctpTransport(w) for w in wires]
    caps = sctp.RTCSctpTransport.getCapabilities()

    def on_channel(channel):
        @channel.on("message")
        def on_message(message):
            number = int.from_bytes(message[:4], "little")
            log.append(f"{round(loop.time() * 1e6)} message {number}")

    ends[1].on("datachannel", on_channel)
    channels = [
        RTCDataChannel(ends[0], RTCDataChannelParameters(label=label, ordered=False, maxRetransmits=0))
        for label in ("rgb_payload", "depth_payload")
    ]
    # Created before the association: they wait for it, as an offerer's do.
    await ends[1].start(caps, 5000)
    await ends[0].start(caps, 5000)
    for number, (ms, channel, size) in enumerate(plan["sends"]):
        await asyncio.sleep(max(0, ms / 1000 - loop.time()))
        channels[channel].send(number.to_bytes(4, "little") + bytes(size - 4))
    await asyncio.sleep(max(0, plan["end_ms"] / 1000 - loop.time()))
    print("\n".join(log))


plan = json.load(sys.stdin)
plan["lost"] = [set(l) for l in plan["lost"]]
loop = VirtualLoop()
sctp.time.time = loop.time
asyncio.set_event_loop(loop)
loop.run_until_complete(main(loop, plan))
