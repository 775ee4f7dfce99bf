// Publishes an FLV file as an encoder would its frames, in real time or as fast as it goes.
//
//     node publish.js FILE.flv [PORT] [fast]        then: ffplay rtmp://127.0.0.1:PORT/live/camera
'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const camrill = require('..');
const read = require('./flv');

async function main([path, port = '1935', fast]) {
  const clip = read(path);
  const engine = new camrill.Engine({ onLog: (level, client, line) => console.log(line) });
  engine.configSet('listen', port);
  engine.configApply();
  const running = engine.run();
  const publisher = new camrill.Publisher(engine, {
    app: 'live',
    name: 'camera',
    videoCodec: clip.videoConfig ? camrill.CODEC_H264 : camrill.CODEC_NONE,
    videoFormat: camrill.FORMAT_LENGTH_PREFIXED,
    videoConfig: clip.videoConfig,
    audioCodec: clip.audioConfig ? camrill.CODEC_AAC : camrill.CODEC_NONE,
    audioConfig: clip.audioConfig,
  });
  const begin = performance.now();
  for (const { isVideo, data, ptsUs, dtsUs } of clip.frames) {
    const wait = begin + dtsUs / 1000 - performance.now();
    if (!fast && wait > 0) await sleep(wait);
    if (isVideo) publisher.writeVideo(data, ptsUs, dtsUs);
    else publisher.writeAudio(data, ptsUs);
    engine.poll(); // so that the queue is never full, however fast this goes
  }
  console.log(publisher.stats());
  publisher.close();
  engine.stop();
  await running;
  await engine.close();
}

main(process.argv.slice(2));
