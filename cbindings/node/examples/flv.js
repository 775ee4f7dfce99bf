// An FLV file of H.264 and AAC, as an encoder would give it: configurations, then frames with their times.
'use strict';

const fs = require('node:fs');

/** { videoConfig: an avcC record, audioConfig: an AudioSpecificConfig, frames: [{ isVideo, ptsUs, dtsUs, data }] } */
module.exports = function read(path) {
  const file = fs.readFileSync(path);
  if (file.toString('latin1', 0, 3) !== 'FLV') throw new Error(`${path} is no FLV file`);
  const clip = { videoConfig: null, audioConfig: null, frames: [] };
  for (let at = 13; at + 15 <= file.length; ) {
    const size = file.readUIntBE(at + 1, 3);
    const time = ((file[at + 7] << 24) | file.readUIntBE(at + 4, 3)) >>> 0;
    if (at + 15 + size > file.length) break;
    const body = file.subarray(at + 11, at + 11 + size);
    if (file[at] === 9 && (body[0] & 15) === 7) {
      if (body[1] === 0) clip.videoConfig = body.subarray(5);
      if (body[1] === 1) {
        const ptsUs = (time + body.readIntBE(2, 3)) * 1000;
        clip.frames.push({ isVideo: true, ptsUs, dtsUs: time * 1000, data: body.subarray(5) });
      }
    } else if (file[at] === 8 && body[0] >> 4 === 10) {
      if (body[1] === 0) clip.audioConfig = body.subarray(2);
      else clip.frames.push({ isVideo: false, ptsUs: time * 1000, dtsUs: time * 1000, data: body.subarray(2) });
    }
    at += 15 + size;
  }
  return clip;
};
