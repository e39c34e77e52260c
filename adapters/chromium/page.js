// One end of a call with one video, one way. `start(options)` begins; the other end's words go into `hear`; `say` is the driver's.
let pc, options, heard = [];
const codecs = {vp8: 'video/VP8', vp9: 'video/VP9', h264: 'video/H264', av1: 'video/AV1'};

// Which codec and which repair: what is left out here is not offered.
function prefer(transceiver, capabilities) {
  const wanted = codecs[options.codec].toLowerCase();
  const keep = capabilities.codecs.filter(c => {
    const kind = c.mimeType.toLowerCase();
    if (kind === wanted) return options.codec !== 'h264' || /packetization-mode=1/.test(c.sdpFmtpLine ?? '');
    if (kind === 'video/rtx') return options.nack;
    if (kind === 'video/red' || kind === 'video/ulpfec') return options.fec === 'ulpfec';
    if (kind === 'video/flexfec-03') return options.fec === 'flexfec';
    return false;
  });
  transceiver.setCodecPreferences(keep);
}

// NACK and rates have no switch but the other end's description.
function describe(sdp) {
  if (!options.nack) sdp = sdp.replace(/a=rtcp-fb:\d+ nack\r\n/g, '');
  const start = `x-google-start-bitrate=${options.target_kbps};x-google-max-bitrate=${options.target_kbps};x-google-min-bitrate=${options.min_kbps}`;
  for (const [, pt] of sdp.matchAll(new RegExp(`a=rtpmap:(\\d+) ${codecs[options.codec].slice(6)}/90000`, 'g'))) {
    const line = new RegExp(`a=fmtp:${pt} [^\\r\\n]*`);
    sdp = line.test(sdp) ? sdp.replace(line, `$&;${start}`) : sdp.replace(new RegExp(`a=rtpmap:${pt} .*\\r\\n`), `$&a=fmtp:${pt} ${start}\r\n`);
  }
  return sdp;
}

async function start(given) {
  options = given;
  pc = new RTCPeerConnection();
  pc.onicecandidate = e => e.candidate && say(JSON.stringify({candidate: e.candidate}));
  pc.onconnectionstatechange = () => console.log('connection', pc.connectionState);
  pc.ontrack = e => { document.getElementById('remote').srcObject = new MediaStream([e.track]); };
  if (!options.sends) return drain();
  const stream = await navigator.mediaDevices.getUserMedia({video: true});
  const transceiver = pc.addTransceiver(stream.getVideoTracks()[0], {direction: 'sendonly', streams: [stream], sendEncodings: [{maxBitrate: options.target_kbps * 1000, maxFramerate: options.fps}]});
  stream.getVideoTracks()[0].contentHint = options.content_hint;
  const parameters = transceiver.sender.getParameters();
  parameters.degradationPreference = options.degradation;
  await transceiver.sender.setParameters(parameters);
  prefer(transceiver, RTCRtpSender.getCapabilities('video'));
  const offer = await pc.createOffer();
  await pc.setLocalDescription(offer);
  say(JSON.stringify({sdp: pc.localDescription}));
  drain();
}

async function hear(text) {
  heard.push(JSON.parse(text));
  if (pc) await drain();
}

// One after the other; candidates wait for a description.
let draining = Promise.resolve();
function drain() {
  return (draining = draining.then(async () => {
    while (heard.length) {
      const next = pc.remoteDescription ? 0 : heard.findIndex(m => m.sdp);
      if (next < 0) return;
      const [message] = heard.splice(next, 1);
      if (message.candidate) { await pc.addIceCandidate(message.candidate); continue; }
      await pc.setRemoteDescription({type: message.sdp.type, sdp: describe(message.sdp.sdp)});
      if (message.sdp.type !== 'offer') continue;
      prefer(pc.getTransceivers()[0], RTCRtpReceiver.getCapabilities('video'));
      const answer = await pc.createAnswer();
      await pc.setLocalDescription(answer);
      say(JSON.stringify({sdp: pc.localDescription}));
    }
  }).catch(e => console.error('call: ' + e)));
}
