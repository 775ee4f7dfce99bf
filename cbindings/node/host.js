// What an engine and all that is made of it share: who is called back, and what they have thrown.
'use strict';

const { ESTATE } = require('./constants');
const { C, CamrillError, errorOf, koffi, structs } = require('./library');

// What C is given as `user` is a number of this table, until user_free takes it out. C is given the same few
// functions each time: koffi has places for a limited number.
const users = new Map();
let last = 0;

function enter(object) {
  users.set(++last, object);
  return last;
}

const user = (pointer) => users.get(Number(pointer));

function callback(type, function_) {
  return koffi.register(function_, `${type} *`);
}

const freed = callback('camrill_called', (pointer) => users.delete(Number(pointer)));

/** The C engine, while there is one. Outlives it. */
class Host {
  engine = null;
  thrown = null;
  polling = 0;
  waiting = false;
  handles = new Set();

  /** Calls a function of the engine, which must answer no error. */
  call(name, ...arguments_) {
    const answer = this.ask(name, ...arguments_);
    this.wake();
    return answer;
  }

  /** The same of one that changes nothing. */
  ask(name, ...arguments_) {
    if (this.engine === null) throw new CamrillError(ESTATE, 'the engine is closed');
    const answer = C[name](this.engine, ...arguments_);
    if (answer < 0) throw errorOf(this.engine, answer);
    return answer;
  }

  /** Has the loop ask anew how long to wait: what was just called may have changed it. */
  wake() {
    if (this.waiting && this.engine !== null) C.camrill_engine_wake(this.engine);
  }

  /** Calls back. Nothing that is thrown leaves it: C could do nothing with it. The first is kept. */
  guarded(function_, ...arguments_) {
    try {
      return function_(...arguments_);
    } catch (error) {
      this.thrown ??= { error };
      this.wake();
      return undefined;
    }
  }

  rethrow() {
    const { thrown } = this;
    this.thrown = null;
    if (thrown) throw thrown.error;
  }
}

/** Something that is made of an engine, and ends with close() or with the engine. */
class Handle {
  _raw = null;

  constructor(host, free) {
    this._host = host;
    this._free = free;
  }

  _open(create, struct, config) {
    const number = enter(this);
    const raw = [null];
    try {
      const whole = { ...zero(struct), ...config, user: BigInt(number), user_free: freed };
      this._host.call(create, whole, raw);
    } catch (error) {
      users.delete(number);
      throw error;
    }
    [this._raw] = raw;
    this._host.handles.add(this);
  }

  _call(name, ...arguments_) {
    if (this._raw === null) throw new CamrillError(ESTATE, `the ${this.constructor.name.toLowerCase()} is closed`);
    const answer = C[name](this._raw, ...arguments_);
    if (answer < 0) throw errorOf(this._host.engine, answer);
    this._host.wake();
    return answer;
  }

  close() {
    const raw = this._raw;
    this._raw = null;
    this._host.handles.delete(this);
    if (raw !== null) {
      C[this._free](raw);
      this._host.wake();
    }
  }
}

/** A struct with all zero but its size. */
function zero(name) {
  const made = {};
  for (const [field, { type }] of Object.entries(structs[name].members)) {
    if (type.primitive === 'Record') made[field] = zero(type.name);
    else if (type.primitive === 'Array') made[field] = type.hint === 'String' ? '' : new Array(type.length).fill(0);
    else made[field] = ['Pointer', 'String', 'Callback'].includes(type.primitive) ? null : 0;
  }
  if ('struct_size' in made) made.struct_size = koffi.sizeof(structs[name]);
  return made;
}

const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
const HIDDEN = new Set(['struct_size', 'reserved']);

/** A struct as this package shows it: names as JavaScript has them, and bytes as a Buffer. */
function shown(struct) {
  const made = {};
  for (const [name, value] of Object.entries(struct)) {
    const size = name === 'data' ? 'size' : `${name}_size`;
    if (size in struct) made[camel(name)] = bytes(value, struct[size]);
    else if (!HIDDEN.has(name) && !(name.endsWith('size') && (name.slice(0, -5) in struct || 'data' in struct))) {
      made[camel(name)] = value;
    }
  }
  return made;
}

/** A copy of the bytes that a pointer leads to. */
function bytes(pointer, size) {
  const count = Number(size);
  return pointer && count > 0 ? Buffer.from(new Uint8Array(koffi.view(pointer, count))) : Buffer.alloc(0);
}

/** What a callback's pointer leads to, as this package shows it; null for NULL. */
const decoded = (pointer, name) => (pointer ? shown(koffi.decode(pointer, structs[name])) : null);

/** camrill_tracks_t of a publisher's options. */
function tracks(options) {
  return {
    ...zero('camrill_tracks_t'),
    video_codec: options.videoCodec ?? 0,
    audio_codec: options.audioCodec ?? 0,
    video_format: options.videoFormat ?? 0,
    audio_rate: options.audioRate ?? 0,
    audio_channels: options.audioChannels ?? 0,
    video_config: options.videoConfig ?? null,
    video_config_size: options.videoConfig?.length ?? 0,
    audio_config: options.audioConfig ?? null,
    audio_config_size: options.audioConfig?.length ?? 0,
  };
}

/** camrill_retry_t of options. */
function retry(options = {}) {
  return {
    ...zero('camrill_retry_t'),
    first_ms: options.firstMs ?? 0,
    longest_ms: options.longestMs ?? 0,
    tries: options.tries ?? 0,
    stable_ms: options.stableMs ?? 0,
    connect_ms: options.connectMs ?? 0,
    stall_ms: options.stallMs ?? 0,
  };
}

module.exports = { Handle, Host, bytes, callback, decoded, enter, freed, retry, shown, tracks, user, users, zero };
