/// <reference types="node" />

/**
 * A live-streaming engine: publish from an encoder, play to frames, serve. It is the C library, by way of koffi.
 *
 * Callbacks run only inside `Engine.run()` and `poll()` (log lines inside any call) on Node's own thread, and may call
 * everything but these. What a callback throws is what `run()` rejects with, and `poll()` throws. Times are in
 * microseconds. All of it belongs to the thread that has loaded this module.
 *
 * The library is looked for, in this order: at the path in the environment's CAMRILL_LIBRARY; beside this package;
 * where the system's loader looks; where pkg-config says; in `target/release` of the checkout that this package lies in.
 *
 * How it waits: Node can't wait for a descriptor that it didn't make. While `run()` goes on, poll(2) waits for the
 * engine's descriptor on a thread of libuv's pool (one of four, unless UV_THREADPOOL_SIZE says more), and the turn itself
 * runs on Node's thread. So nothing is done while nothing happens, and each turn costs two hops between threads, some
 * 100 µs. A program that serves many players should use the C server, or a thread of its own (a Worker).
 */
export * from './constants';

/** The version of the library that is loaded, such as "0.1.0". */
export declare function version(): string;

/** A call failed: `code` is one of the constants E…, the message what was wrong, where, and what was expected. */
export declare class CamrillError extends Error {
  readonly code: number;
}

/** What happened: `type` is one of EVENT_…. */
export interface Event {
  type: number;
  client: number;
  stream: number;
  vhost: string;
  app: string;
  name: string;
  param: string;
  address: string;
  reason: string;
  path: string;
  durationUs: number;
  bytes: number;
  relay: number;
  state: number;
  nextMs: number;
  url: string;
}

/** What a client asks for: `action` is one of ACTION_…. */
export interface Admission {
  action: number;
  ticket: number;
  client: number;
  vhost: string;
  app: string;
  name: string;
  param: string;
  address: string;
  tcUrl: string;
  pageUrl: string;
}

export interface Stats {
  connections: number;
  streams: number;
  publishers: number;
  players: number;
  accepted: number;
  refused: number;
  receivedBytes: number;
  sentBytes: number;
  mediaBytes: number;
  uptimeUs: number;
}

export interface StreamInfo {
  id: number;
  published: number;
  publisher: number;
  players: number;
  videoCodec: number;
  width: number;
  height: number;
  audioCodec: number;
  sampleRate: number;
  channels: number;
  videoFrames: number;
  audioFrames: number;
  droppedFrames: number;
  receivedBytes: number;
  heldBytes: number;
  liveUs: number;
  vhost: string;
  app: string;
  name: string;
}

export interface ClientInfo {
  id: number;
  doing: number;
  stream: number;
  skips: number;
  receivedBytes: number;
  sentBytes: number;
  aliveUs: number;
  address: string;
  vhost: string;
  app: string;
  name: string;
}

/** The state that an ingest, a forward or a player has entered: `state` is one of RELAY_…. */
export interface RelayState {
  direction: number;
  relay: number;
  stream: number;
  state: number;
  nextMs: number;
  reason: string;
  url: string;
}

export interface RelayInfo extends RelayState {
  id: number;
  failures: number;
  starts: number;
  skips: number;
  bytes: number;
  runningUs: number;
  vhost: string;
  app: string;
  name: string;
}

/** How often, and for how long, an ingest, a forward or a player of a URL is tried. 0 means the default. */
export interface Retry {
  firstMs?: number;
  longestMs?: number;
  tries?: number;
  stableMs?: number;
  connectMs?: number;
  stallMs?: number;
}

export interface EngineOptions {
  /** The last level that onLog gets: LOG_ERROR to LOG_TRACE. */
  logLevel?: number;
  onLog?(level: number, client: number, line: string): void;
  onEvent?(event: Event): void;
  /** Is asked before a client connects, publishes or plays: ALLOW, DENY or PENDING. One that throws refuses. */
  onAdmission?(request: Admission): number;
}

/** An engine. Serves nothing until it is configured and `configApply()` is called. */
export declare class Engine {
  constructor(options?: EngineOptions);
  /** Runs until `stop()` or `close()`; rejects with what a callback has thrown. */
  run(): Promise<void>;
  /** Makes `run()` resolve soon. */
  stop(): void;
  /** One turn of the loop, without waiting. Not needed beside `run()`. */
  poll(): void;
  /** Frees the engine and all that was made of it, once a `run()` that goes on has returned. */
  close(): Promise<void>;
  configLoadFile(path: string): void;
  configLoadText(content: string, name?: string): void;
  configLoadEnv(): void;
  configSet(path: string, value: string | number): void;
  configGet(path: string): string;
  configPrint(): string;
  configCheck(): void;
  configApply(): void;
  configRevert(): void;
  /** The port that "rtmp", "http", "api", "rtmps", … is served at. */
  port(protocol: string): number;
  /** Answers what onAdmission left PENDING, with ALLOW or DENY. */
  authReply(ticket: number, verdict: number, why?: string | null): void;
  clientKick(client: number): void;
  stats(): Stats;
  streams(): StreamInfo[];
  clients(): ClientInfo[];
  relays(): RelayInfo[];
}

export interface PublisherOptions {
  vhost?: string;
  app: string;
  name: string;
  videoCodec?: number;
  audioCodec?: number;
  /** FORMAT_ANNEXB or FORMAT_LENGTH_PREFIXED. */
  videoFormat?: number;
  /** Parameter sets given once: an avcC or hvcC record, or Annex B. */
  videoConfig?: Uint8Array | null;
  /** The AudioSpecificConfig of raw AAC, or an OpusHead. */
  audioConfig?: Uint8Array | null;
  audioRate?: number;
  audioChannels?: number;
  queueBytes?: number;
  /** The encoder should make a keyframe. */
  needKeyframe?(): void;
}

export interface PublisherStats {
  written: number;
  dropped: number;
  queuedBytes: number;
}

/** A stream of this process's own. */
export declare class Publisher {
  constructor(engine: Engine, options: PublisherOptions);
  /** Writes one frame, which is copied; false where it was dropped since the queue is full. */
  write(codec: number, data: Uint8Array, ptsUs: number, dtsUs?: number, flags?: number): boolean;
  writeVideo(data: Uint8Array, ptsUs: number, dtsUs?: number, flags?: number): boolean;
  writeAudio(data: Uint8Array, ptsUs: number, flags?: number): boolean;
  stats(): PublisherStats;
  close(): void;
}

/** One frame of a stream; `data` is a copy. `track` is TRACK_VIDEO, TRACK_AUDIO or TRACK_DATA. */
export interface Packet {
  track: number;
  codec: number;
  flags: number;
  ptsUs: number;
  dtsUs: number;
  isKey: boolean;
  data: Buffer;
}

/** What a track is; what isn't known is 0. `config` is the codec's: avcC, AudioSpecificConfig, …. */
export interface TrackInfo {
  codec: number;
  fourcc: number;
  width: number;
  height: number;
  frameRateNum: number;
  frameRateDen: number;
  profile: number;
  level: number;
  sampleRate: number;
  channels: number;
  config: Buffer;
}

export interface PlayerOptions {
  /** A stream of the engine's. */
  vhost?: string;
  app?: string;
  name?: string;
  /** Or a URL, or a file's path. */
  url?: string;
  /** PLAYER_…. */
  flags?: number;
  retry?: Retry;
  /** Gets each packet; without it the player is iterated. */
  onPacket?(packet: Packet): void;
  onTracks?(video: TrackInfo | null, audio: TrackInfo | null): void;
  onState?(state: RelayState): void;
}

export interface PlayerInfo {
  state: number;
  stream: number;
  paused: number;
  nextMs: number;
  failures: number;
  starts: number;
  skips: number;
  packets: number;
  bytes: number;
  receivedBytes: number;
  url: string;
  reason: string;
}

/**
 * Plays a stream to packets: to `onPacket`, or as `for await (const packet of player)`, which ends when the player is
 * closed or, of a URL, has given up or is over. What nobody takes waits in memory.
 */
export declare class Player implements AsyncIterable<Packet> {
  constructor(engine: Engine, options: PlayerOptions);
  readonly video: TrackInfo | null;
  readonly audio: TrackInfo | null;
  pause(paused?: boolean): void;
  info(): PlayerInfo;
  close(): void;
  [Symbol.asyncIterator](): AsyncIterator<Packet>;
}

export interface RelayOptions {
  vhost?: string;
  app: string;
  name: string;
  retry?: Retry;
  /** Is told each state; without it onEvent of the engine is. */
  onState?(state: RelayState): void;
}

/** Pulls a stream in: of URLs, or of files. */
export declare class Ingest {
  constructor(engine: Engine, options: RelayOptions & { inputs: string | string[]; flags?: number; lingerMs?: number });
  info(): RelayInfo;
  close(): void;
}

/** Sends a stream on to another server (`rtmp://…`). */
export declare class Forward {
  constructor(engine: Engine, options: RelayOptions & { url: string });
  info(): RelayInfo;
  close(): void;
}
