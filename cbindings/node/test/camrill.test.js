// The package against the library: what goes in comes out, errors have sentences, nothing crashes or leaks.
'use strict';

const assert = require('node:assert/strict');
const { execFileSync, spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');
const { setTimeout: sleep } = require('node:timers/promises');

const camrill = require('..');
const { users } = require('../host');
const { koffi, structs } = require('../library');
const read = require('../examples/flv');

const repository = path.resolve(__dirname, '..', '..', '..');
const clip = read(path.join(repository, 'assets', 'clip.flv'));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'camrill-'));
test.after(() => fs.rmSync(folder, { recursive: true }));

function serving(options) {
  const engine = new camrill.Engine(options);
  engine.configSet('listen', '127.0.0.1:0');
  engine.configApply();
  return engine;
}

// The engines run by themselves; this only looks.
async function until(done) {
  const end = Date.now() + 30000;
  while (!done()) {
    assert(Date.now() < end, 'it did not come');
    await sleep(5);
  }
}

const tracks = {
  app: 'live',
  name: 'camera',
  videoCodec: camrill.CODEC_H264,
  videoFormat: camrill.FORMAT_LENGTH_PREFIXED,
  videoConfig: clip.videoConfig,
  audioCodec: camrill.CODEC_AAC,
  audioConfig: clip.audioConfig,
};

// Polls between the frames: the queue holds few, and an encoder's come slowly.
function write(engine, publisher, frames = clip.frames) {
  for (const { isVideo, data, ptsUs, dtsUs } of frames) {
    engine.poll();
    assert(isVideo ? publisher.writeVideo(data, ptsUs, dtsUs) : publisher.writeAudio(data, ptsUs));
  }
}

function expect(packets) {
  assert.equal(packets.length, clip.frames.length);
  packets.forEach((packet, n) => {
    const { isVideo, ptsUs, dtsUs, data } = clip.frames[n];
    const track = isVideo ? camrill.TRACK_VIDEO : camrill.TRACK_AUDIO;
    assert.deepEqual([packet.track, packet.ptsUs, packet.dtsUs], [track, ptsUs, dtsUs]);
    assert(packet.data.equals(data), `packet ${n}`);
  });
  assert(packets[0].isKey);
}

test('structs are as the C compiler has them', () => {
  const lines = ['#include <camrill.h>', '#include <stdio.h>', 'int main(void) {'];
  const expected = [];
  for (const [name, type] of Object.entries(structs)) {
    lines.push(`printf("%zu\\n", sizeof(${name}));`);
    expected.push(`${koffi.sizeof(type)}`);
    for (const [field, { type: kind, offset }] of Object.entries(type.members)) {
      lines.push(`printf("%zu %zu\\n", offsetof(${name}, ${field}), sizeof(((${name} *)0)->${field}));`);
      expected.push(`${offset} ${kind.size}`);
    }
  }
  const program = path.join(folder, 'layout');
  const input = [...lines, '}'].join('\n');
  execFileSync('cc', [`-I${repository}/include`, '-x', 'c', '-o', program, '-'], { input });
  assert.deepEqual(execFileSync(program, { encoding: 'utf8' }).trim().split('\n'), expected);
});

test('it says what it does not find, and what is too old', () => {
  const loaded = (library) => {
    const env = { ...process.env, CAMRILL_LIBRARY: library };
    return spawnSync(process.execPath, ['-e', "require('.')"], { cwd: path.dirname(__dirname), env, encoding: 'utf8' }).stderr;
  };
  assert.match(loaded('/no/such/libcamrill.so'), /CAMRILL_LIBRARY/);
  assert.match(loaded('libc.so.6'), /is not camrill/);
  const library = path.join(folder, 'libcamrill.so');
  const build = (number) =>
    execFileSync('cc', ['-shared', '-fPIC', '-x', 'c', '-o', library, '-'], {
      input: `unsigned camrill_version(void) { return ${number}; }`,
    });
  build(0x900);
  assert.match(loaded(library), /is camrill 0\.9\.0, and this package is for/);
  build(camrill.VERSION);
  assert.match(loaded(library), /has no camrill_/);
});

test("errors have the library's sentence", async () => {
  const engine = new camrill.Engine();
  const fails = (code, text, function_) =>
    assert.throws(function_, (error) => error instanceof camrill.CamrillError && error.code === code && text.test(error.message));
  fails(camrill.ECONFIG, /queue_length/, () => engine.configSet('vhost/a/play/queue_length', 'many'));
  fails(camrill.EINVAL, /log_level/, () => new camrill.Engine({ logLevel: 99 }));
  fails(camrill.ENOENT, /./, () => engine.configGet('no/such/path'));
  fails(camrill.EINVAL, /./, () => new camrill.Forward(engine, { app: 'live', name: 'a', url: 'ftp://nowhere' }));
  engine.configLoadText('listen 127.0.0.1:0;');
  engine.configCheck();
  assert.equal(engine.configGet('listen'), '127.0.0.1:0');
  assert.match(engine.configPrint(), /127\.0\.0\.1:0/);
  const publisher = new camrill.Publisher(engine, tracks);
  fails(camrill.EBUSY, /./, () => new camrill.Publisher(engine, tracks));
  fails(camrill.EFRAME, /./, () => publisher.writeVideo(Buffer.from([1, 2, 3]), 0));
  await engine.close();
  fails(camrill.ESTATE, /closed/, () => publisher.writeVideo(clip.frames[0].data, 0));
  fails(camrill.ESTATE, /closed/, () => engine.poll());
  publisher.close();
  await engine.close();
});

test('what a callback throws comes out of the loop', async () => {
  const engine = serving({
    onEvent({ name }) {
      throw new RangeError(name);
    },
  });
  const publisher = new camrill.Publisher(engine, tracks);
  await assert.rejects(engine.run(), new RangeError('camera'));
  publisher.close();
  assert.throws(() => {
    for (;;) engine.poll();
  }, new RangeError('camera'));
  await engine.close();
});

test('a client whose admission throws is refused', async () => {
  const there = serving({
    onAdmission() {
      throw new TypeError('no');
    },
  });
  const here = new camrill.Engine();
  const refused = assert.rejects(there.run(), new TypeError('no'));
  let reason = '';
  const onState = (state) => {
    reason ||= state.reason;
  };
  const url = `rtmp://127.0.0.1:${there.port('rtmp')}/live/camera`;
  const player = new camrill.Player(here, { url, retry: { tries: 1 }, onState, onPacket() {} });
  here.run();
  await refused;
  there.run().catch(() => {});
  await until(() => reason !== '');
  player.close();
  await Promise.all([here.close(), there.close()]);
});

test('rtmpdump reads what is published', async () => {
  const events = [];
  const engine = serving({ onEvent: ({ type }) => events.push(type) });
  const running = engine.run();
  const out = path.join(folder, 'out.flv');
  const url = `rtmp://127.0.0.1:${engine.port('rtmp')}/live/camera`;
  const stdio = ['ignore', fs.openSync(out, 'w'), 'ignore'];
  const dump = spawn('stdbuf', ['-o0', 'rtmpdump', '-q', '-v', '-r', url, '-o', '-'], { stdio });
  try {
    await until(() => events.includes(camrill.EVENT_PLAY));
    assert.equal(engine.clients()[0].name, 'camera');
    const publisher = new camrill.Publisher(engine, tracks);
    write(engine, publisher);
    assert.equal(publisher.stats().written, clip.frames.length);
    let came = null;
    await until(() => {
      came = fs.existsSync(out) && fs.statSync(out).size > 13 ? read(out) : null;
      return came?.frames.length >= clip.frames.length;
    });
    assert.deepEqual(came, clip);
    const [stream] = engine.streams();
    assert.deepEqual([stream.name, stream.width, stream.height], ['camera', 640, 360]);
    assert.equal(engine.stats().players, 1);
  } finally {
    dump.kill('SIGKILL');
  }
  await until(() => events.includes(camrill.EVENT_CLOSED));
  engine.stop();
  await running;
  await engine.close();
});

test('a player gets what is published', async () => {
  const engine = serving();
  engine.run();
  const packets = [];
  const onPacket = (packet) => packets.push(packet);
  const player = new camrill.Player(engine, { app: 'live', name: 'camera', flags: camrill.PLAYER_STORED, onPacket });
  const publisher = new camrill.Publisher(engine, tracks);
  write(engine, publisher);
  await until(() => packets.length >= clip.frames.length);
  assert.deepEqual([player.video.width, player.video.height], [640, 360]);
  assert(player.video.config.equals(clip.videoConfig) && player.audio.config.equals(clip.audioConfig));
  assert.equal(player.info().packets, packets.length);
  player.pause();
  player.pause(false);
  await engine.close();
  expect(packets);
});

test('a file is iterated to its end', async () => {
  const engine = new camrill.Engine();
  engine.run();
  const packets = [];
  const url = path.join(repository, 'assets', 'clip.flv');
  const player = new camrill.Player(engine, { url, flags: camrill.PLAYER_STORED, retry: { tries: 1 } });
  for await (const packet of player) packets.push(packet);
  await engine.close();
  expect(packets);
});

test('a stream goes from engine to engine', async () => {
  const [there, here] = [serving(), serving()];
  there.run();
  here.run();
  const url = `rtmp://127.0.0.1:${there.port('rtmp')}/live/copy`;
  const states = [];
  const input = path.join(repository, 'assets', 'clip.flv');
  new camrill.Ingest(here, { app: 'live', name: 'camera', inputs: input, flags: camrill.INGEST_LOOP });
  const onState = ({ state }) => states.push(state);
  const forward = new camrill.Forward(here, { app: 'live', name: 'camera', url, onState });
  await until(() => there.streams().some((stream) => stream.videoFrames > 10));
  assert(states.includes(camrill.RELAY_RUNNING));
  assert.equal(forward.info().url, url);
  assert.equal(here.relays().length, 2);
  forward.close();
  await Promise.all([here.close(), there.close()]);
});

test('engines come and go in bounded memory', async () => {
  const few = clip.frames.slice(0, 200);
  const once = async () => {
    const engine = serving({ onEvent() {} });
    engine.run();
    let got = 0;
    new camrill.Player(engine, { app: 'live', name: 'camera', onPacket: () => got++ });
    write(engine, new camrill.Publisher(engine, { ...tracks, needKeyframe() {} }), few);
    await until(() => got >= few.length);
    await engine.close();
  };
  const resident = () => {
    global.gc();
    return process.memoryUsage().rss;
  };
  for (let n = 0; n < 30; n++) await once();
  const [before, known] = [resident(), users.size];
  for (let n = 0; n < 100; n++) await once();
  assert.equal(users.size, known);
  assert(resident() - before < 24 << 20, `${resident() - before} bytes more`);
});
