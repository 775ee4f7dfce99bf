// Plays a URL or a file to frames: counts them, and writes the video to a file that ffplay takes.
//
//     node play.js rtmp://127.0.0.1/live/camera [OUT.h264]
'use strict';

const fs = require('node:fs');
const camrill = require('..');

async function main([url, path]) {
  const out = path ? fs.createWriteStream(path) : null;
  const engine = new camrill.Engine();
  const onState = ({ state, reason }) => console.log(state, reason);
  const player = new camrill.Player(engine, { url, retry: { tries: 3 }, onState });
  engine.run();
  const frames = { [camrill.TRACK_VIDEO]: 0, [camrill.TRACK_AUDIO]: 0 };
  for await (const packet of player) {
    frames[packet.track]++;
    if (packet.track === camrill.TRACK_VIDEO) out?.write(packet.data);
  }
  console.log(`${frames[camrill.TRACK_VIDEO]} pictures, ${frames[camrill.TRACK_AUDIO]} sounds`);
  out?.end();
  await engine.close();
}

main(process.argv.slice(2));
