// Runs in every page before its own scripts: getUserMedia gives the harness's camera, and the received video lies unscaled at the top left
// of the window, where the harness looks. The app's own code is untouched.
(() => {
  if (window.__freezeframe) return;
  const settings = /*SETTINGS*/{};
  const state = (window.__freezeframe = {calls: [], pictures: 0});
  const now = () => performance.now();

  // One track for however many callers, each a clone: the pictures come once.
  let camera;
  const open = () => {
    const track = new MediaStreamTrackGenerator({kind: 'video'});
    const out = track.writable.getWriter();
    (async () => {
      const reader = (await fetch(settings.camera)).body.getReader();
      const size = (settings.width * settings.height * 3) / 2;
      let picture = new Uint8Array(size), have = 0;
      for (;;) {
        const {value, done} = await reader.read();
        if (done) return;
        for (let at = 0; at < value.length; ) {
          const n = Math.min(size - have, value.length - at);
          picture.set(value.subarray(at, at + n), have);
          have += n;
          at += n;
          if (have < size) continue;
          have = 0;
          state.pictures++;
          const init = {format: 'I420', codedWidth: settings.width, codedHeight: settings.height, timestamp: Math.round(now() * 1000)};
          out.write(new VideoFrame(picture, init)).catch(() => {});
        }
      }
    })().catch(e => console.error('freezeframe: the camera broke off: ' + e));
    const native = track.getSettings.bind(track);
    track.getSettings = () => ({...native(), width: settings.width, height: settings.height});
    return track;
  };
  const media = navigator.mediaDevices;
  if (media && settings.sends) {
    const real = media.getUserMedia.bind(media);
    media.getUserMedia = async constraints => {
      const stream = constraints?.audio ? await real({audio: constraints.audio}) : new MediaStream();
      if (constraints?.video) stream.addTrack((camera ??= open()));
      return stream;
    };
  }

  const Connection = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Connection {
    constructor(...a) {
      super(...a);
      state.calls.push(this);
    }
    // The harness reads what the packets are in the descriptions; nobody else does.
    async setLocalDescription(...a) {
      await super.setLocalDescription(...a);
      window.__freezeframe_sdp?.(JSON.stringify({sdp: this.localDescription}));
    }
  };
  state.stats = async () => {
    const kinds = ['inbound-rtp', 'outbound-rtp', 'remote-inbound-rtp', 'candidate-pair', 'codec'];
    const all = [];
    for (const call of state.calls) for (const [, s] of await call.getStats()) if (kinds.includes(s.type)) all.push(s);
    return all;
  };

  if (!settings.sends) {
    // The largest video that plays a received stream.
    setInterval(() => {
      const playing = [...document.querySelectorAll('video')].filter(v => v.srcObject && v.videoWidth);
      playing.sort((a, b) => b.videoWidth * b.videoHeight - a.videoWidth * a.videoHeight);
      for (const video of playing.slice(0, 1)) {
        if (video.dataset.freezeframe) continue;
        video.dataset.freezeframe = 1;
        const style = {position: 'fixed', left: '0', top: '0', right: 'auto', bottom: 'auto', margin: '0', padding: '0', border: '0',
          width: settings.width + 'px', height: settings.height + 'px', 'min-width': '0', 'min-height': '0', 'max-width': 'none',
          'max-height': 'none', 'object-fit': 'fill', transform: 'none', filter: 'none', opacity: '1', 'z-index': '2147483647',
          'border-radius': '0', visibility: 'visible', display: 'block'};
        for (const [name, value] of Object.entries(style)) video.style.setProperty(name, value, 'important');
        // A parent with a transform would be what `fixed` is relative to.
        for (let p = video.parentElement; p; p = p.parentElement) {
          for (const name of ['transform', 'filter', 'perspective', 'will-change', 'contain'])
            p.style.setProperty(name, 'none', 'important');
          p.style.setProperty('opacity', '1', 'important');
        }
        video.removeAttribute('controls');
      }
    }, 100);
  }
})();
