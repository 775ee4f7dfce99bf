// A server with a configuration in SRS's syntax; Ctrl-C stops it.
//
//     node serve.js FILE.conf
'use strict';

const camrill = require('..');

async function main([path]) {
  const onEvent = ({ type, app, name, address, reason }) => console.log(type, app, name, address, reason);
  const engine = new camrill.Engine({ onEvent });
  engine.configLoadFile(path);
  engine.configApply();
  console.log(`RTMP at port ${engine.port('rtmp')}`);
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => engine.stop());
  await engine.run();
  await engine.close();
}

main(process.argv.slice(2));
