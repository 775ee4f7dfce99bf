// A live-streaming engine. index.d.ts says what is here.
'use strict';

const constants = require('./constants');
const { C, CamrillError, errorOf, koffi, structs, version } = require('./library');
const { Handle, Host, bytes, callback, decoded, enter, freed, retry, shown, tracks, user, users, zero } = require('./host');

const FOREVER = 0x7fffffff;
const POLLIN = 1;
// Waits for the engine's descriptor on a thread of Node's pool: Node itself has no way to wait for a descriptor
// that is not its own.
const wait = koffi.load(null).func('poll', 'int', ['void *', 'size_t', 'int']);

const onLog = callback('camrill_engine_config_t_on_log', (pointer, level, client, line) => {
  const engine = user(pointer);
  engine._host.guarded(engine._options.onLog, level, client, line);
});
const onEvent = callback('camrill_engine_config_t_on_event', (pointer, event) => {
  const engine = user(pointer);
  engine._host.guarded(engine._options.onEvent, decoded(event, 'camrill_event_t'));
});
const onAdmission = callback('camrill_engine_config_t_on_admission', (pointer, request) => {
  const engine = user(pointer);
  const asked = decoded(request, 'camrill_admission_t');
  const verdict = engine._host.guarded(engine._options.onAdmission, asked);
  return Number.isInteger(verdict) ? verdict : constants.DENY;
});

class Engine {
  _host = new Host();
  _stopped = false;
  _run = null;

  constructor(options = {}) {
    this._options = options;
    const number = enter(this);
    const config = {
      ...zero('camrill_engine_config_t'),
      log_level: options.logLevel ?? 0,
      user: BigInt(number),
      user_free: freed,
      on_log: options.onLog ? onLog : null,
      on_event: options.onEvent ? onEvent : null,
      on_admission: options.onAdmission ? onAdmission : null,
    };
    const raw = [null];
    const answer = C.camrill_engine_new(config, raw);
    if (answer < 0) {
      users.delete(number);
      throw errorOf(null, answer);
    }
    [this._host.engine] = raw;
  }

  poll() {
    const host = this._host;
    host.polling++;
    try {
      host.ask('camrill_engine_poll', 0);
    } finally {
      host.polling--;
    }
    host.rethrow();
  }

  run() {
    this._run ??= this._running().finally(() => {
      this._run = null;
      this._stopped = false;
    });
    return this._run;
  }

  async _running() {
    const host = this._host;
    // struct pollfd: the descriptor, what is waited for, what there is.
    const descriptor = Buffer.alloc(8);
    descriptor.writeInt32LE(host.ask('camrill_engine_fd'), 0);
    descriptor.writeInt16LE(POLLIN, 4);
    while (!this._stopped && host.engine !== null) {
      this.poll();
      if (this._stopped || host.engine === null) return;
      const milliseconds = host.ask('camrill_engine_timeout_ms');
      host.waiting = true;
      try {
        await new Promise((resolve, reject) => {
          const limit = milliseconds === FOREVER ? -1 : milliseconds;
          wait.async(descriptor, 1, limit, (error) => (error ? reject(error) : resolve()));
        });
      } finally {
        host.waiting = false;
      }
    }
  }

  stop() {
    if (this._run !== null) this._stopped = true;
    this._host.wake();
  }

  async close() {
    const host = this._host;
    if (host.waiting) {
      // The descriptor must not go while a thread waits for it.
      const running = this._run;
      this.stop();
      await running.catch(() => {});
    }
    const { engine } = host;
    host.engine = null;
    if (engine === null) return;
    C.camrill_engine_free(engine);
    for (const handle of [...host.handles]) handle.close();
  }

  configLoadFile(path) {
    this._host.call('camrill_config_load_file', path);
  }

  configLoadText(content, name = 'text') {
    this._host.call('camrill_config_load_text', name, content);
  }

  configLoadEnv() {
    this._host.call('camrill_config_load_env');
  }

  configSet(path, value) {
    this._host.call('camrill_config_set', path, String(value));
  }

  configGet(path) {
    return this._text('camrill_config_get', path);
  }

  configPrint() {
    return this._text('camrill_config_print');
  }

  configCheck() {
    this._host.call('camrill_config_check');
  }

  configApply() {
    this._host.call('camrill_config_apply');
  }

  configRevert() {
    this._host.call('camrill_config_revert');
  }

  port(protocol) {
    return this._host.ask('camrill_engine_port', protocol);
  }

  authReply(ticket, verdict, why = null) {
    this._host.call('camrill_auth_reply', ticket, verdict, why);
  }

  clientKick(client) {
    this._host.call('camrill_client_kick', client);
  }

  stats() {
    return this._read('camrill_stats', 'camrill_stats_t');
  }

  streams() {
    return this._ids('camrill_streams').map((id) => this._read('camrill_stream_info', 'camrill_stream_info_t', id));
  }

  clients() {
    return this._ids('camrill_clients').map((id) => this._read('camrill_client_info', 'camrill_client_info_t', id));
  }

  relays() {
    return this._ids('camrill_relays').map((id) => this._read('camrill_relay_info', 'camrill_relay_info_t', id));
  }

  _text(name, ...arguments_) {
    const size = this._host.ask(name, ...arguments_, null, 0) + 1;
    const buffer = Buffer.alloc(size);
    this._host.ask(name, ...arguments_, buffer, size);
    return buffer.toString('utf8', 0, size - 1);
  }

  _read(name, struct, ...arguments_) {
    const info = zero(struct);
    this._host.ask(name, ...arguments_, info);
    return shown(info);
  }

  _ids(name) {
    const count = this._host.ask(name, null, 0);
    const ids = new Uint32Array(count);
    if (count === 0) return [];
    return [...ids.subarray(0, Math.min(count, this._host.ask(name, ids, count)))];
  }
}

const needKeyframe = callback('camrill_publisher_config_t_need_keyframe', (pointer) => {
  const publisher = user(pointer);
  publisher._host.guarded(publisher._needKeyframe);
});

class Publisher extends Handle {
  constructor(engine, options) {
    super(engine._host, 'camrill_publisher_free');
    this._needKeyframe = options.needKeyframe;
    this._codecs = [options.videoCodec ?? 0, options.audioCodec ?? 0];
    // Kept, and filled anew for each frame.
    this._frame = zero('camrill_frame_t');
    this._open('camrill_publisher_new', 'camrill_publisher_config_t', {
      vhost: options.vhost ?? null,
      app: options.app,
      name: options.name,
      queue_bytes: options.queueBytes ?? 0,
      tracks: tracks(options),
      need_keyframe: options.needKeyframe ? needKeyframe : null,
    });
  }

  write(codec, data, ptsUs, dtsUs = constants.TIME_NONE, flags = 0) {
    if (this._raw === null) throw new CamrillError(constants.ESTATE, 'the publisher is closed');
    const frame = this._frame;
    frame.codec = codec;
    frame.data = data;
    frame.size = data.length;
    frame.pts_us = ptsUs;
    frame.dts_us = dtsUs;
    frame.flags = flags;
    const answer = C.camrill_publisher_write(this._raw, frame);
    frame.data = null;
    if (answer < 0 && answer !== constants.EAGAIN) throw errorOf(null, answer);
    return answer >= 0;
  }

  writeVideo(data, ptsUs, dtsUs = constants.TIME_NONE, flags = 0) {
    return this.write(this._codecs[0], data, ptsUs, dtsUs, flags);
  }

  writeAudio(data, ptsUs, flags = 0) {
    return this.write(this._codecs[1], data, ptsUs, ptsUs, flags);
  }

  stats() {
    if (this._raw === null) throw new CamrillError(constants.ESTATE, 'the publisher is closed');
    const stats = zero('camrill_publisher_stats_t');
    const answer = C.camrill_publisher_stats(this._raw, stats);
    if (answer < 0) throw errorOf(null, answer);
    return shown(stats);
  }
}

const onTracks = callback('camrill_player_config_t_on_tracks', (pointer, video, audio) => {
  const player = user(pointer);
  player.video = decoded(video, 'camrill_track_info_t');
  player.audio = decoded(audio, 'camrill_track_info_t');
  if (player._options.onTracks) player._host.guarded(player._options.onTracks, player.video, player.audio);
});
const onPacket = callback('camrill_player_config_t_on_packet', (pointer, raw) => {
  const player = user(pointer);
  player._host.guarded(() => player._gives(packet(raw)));
});
const onPlayerState = callback('camrill_player_config_t_on_state', (pointer, state) => {
  const player = user(pointer);
  player._host.guarded(() => player._enters(decoded(state, 'camrill_relay_state_t')));
});

/** A copy of a packet: JavaScript doesn't say when it needs an object no more, so none of the library's is kept. */
function packet(raw) {
  const info = zero('camrill_packet_info_t');
  const answer = C.camrill_packet_info(raw, info);
  if (answer < 0) throw errorOf(null, answer);
  const pieces = koffi.decode(info.iov, structs.camrill_iov_t, Number(info.iov_count));
  return {
    track: info.track,
    codec: info.codec,
    flags: info.flags,
    ptsUs: info.pts_us,
    dtsUs: info.dts_us,
    isKey: (info.flags & constants.PACKET_KEY) !== 0,
    data: pieces.length === 1 ? bytes(pieces[0].data, pieces[0].size) : Buffer.concat(pieces.map((each) => bytes(each.data, each.size))),
  };
}

class Player extends Handle {
  video = null;
  audio = null;
  _packets = [];
  _taker = null;
  _ended = false;

  constructor(engine, options) {
    super(engine._host, 'camrill_player_free');
    this._options = options;
    this._open('camrill_player_new', 'camrill_player_config_t', {
      flags: options.flags ?? 0,
      vhost: options.vhost ?? null,
      app: options.app ?? null,
      name: options.name ?? null,
      url: options.url ?? null,
      retry: retry(options.retry),
      on_tracks: onTracks,
      on_packet: onPacket,
      on_state: onPlayerState,
    });
  }

  _gives(given) {
    if (this._options.onPacket) {
      this._options.onPacket(given);
      return;
    }
    this._packets.push(given);
    this._taker?.();
  }

  _enters(state) {
    if (state.state === constants.RELAY_ENDED) this._ends();
    this._options.onState?.(state);
  }

  _ends() {
    this._ended = true;
    this._taker?.();
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      const given = this._packets;
      this._packets = [];
      yield* given;
      if (this._packets.length > 0) continue;
      if (this._ended) return;
      await new Promise((resolve) => {
        this._taker = resolve;
      });
      this._taker = null;
    }
  }

  pause(paused = true) {
    this._call('camrill_player_pause', paused ? 1 : 0);
  }

  info() {
    const info = zero('camrill_player_info_t');
    this._call('camrill_player_info', info);
    return shown(info);
  }

  close() {
    super.close();
    this._ends();
  }
}

const onState = callback('camrill_ingest_config_t_on_state', (pointer, state) => {
  const relay = user(pointer);
  relay._host.guarded(relay._onState, decoded(state, 'camrill_relay_state_t'));
});

class Relay extends Handle {
  info() {
    const info = zero('camrill_relay_info_t');
    this._call(this._info, info);
    return shown(info);
  }
}

class Ingest extends Relay {
  constructor(engine, options) {
    super(engine._host, 'camrill_ingest_free');
    this._info = 'camrill_ingest_info';
    this._onState = options.onState;
    const inputs = [options.inputs].flat();
    this._open('camrill_ingest_new', 'camrill_ingest_config_t', {
      flags: options.flags ?? 0,
      vhost: options.vhost ?? null,
      app: options.app,
      name: options.name,
      inputs,
      input_count: inputs.length,
      linger_ms: options.lingerMs ?? 0,
      retry: retry(options.retry),
      on_state: options.onState ? onState : null,
    });
  }
}

class Forward extends Relay {
  constructor(engine, options) {
    super(engine._host, 'camrill_forward_free');
    this._info = 'camrill_forward_info';
    this._onState = options.onState;
    this._open('camrill_forward_new', 'camrill_forward_config_t', {
      vhost: options.vhost ?? null,
      app: options.app,
      name: options.name,
      url: options.url,
      retry: retry(options.retry),
      on_state: options.onState ? onState : null,
    });
  }
}

module.exports = { ...constants, CamrillError, Engine, Forward, Ingest, Player, Publisher, version };
