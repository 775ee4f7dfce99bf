// The shared library: found, looked at, and its structs and functions with their types.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { execFileSync } = require('node:child_process');
const koffi = require('koffi');
const abi = require('./abi');
const constants = require('./constants');

const NAME = `libcamrill.so.${constants.VERSION_MAJOR}`;

/** A call failed: `code` is one of the constants E…, the message what was wrong, where, and what was expected. */
class CamrillError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'CamrillError';
    this.code = code;
  }
}

// In this order; index.d.ts tells it.
function* places() {
  if (process.env.CAMRILL_LIBRARY) {
    yield process.env.CAMRILL_LIBRARY;
    return; // who names one wants no other
  }
  for (const name of fs.readdirSync(__dirname).filter((each) => each.startsWith('libcamrill.so')).sort()) {
    yield path.join(__dirname, name);
  }
  yield NAME;
  try {
    const asked = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] };
    const folder = execFileSync('pkg-config', ['--variable=libdir', 'camrill'], asked).trim();
    if (folder) yield path.join(folder, NAME);
  } catch {
    // There is no pkg-config, or it knows nothing of camrill.
  }
  const checkout = path.resolve(__dirname, '..', '..');
  if (fs.existsSync(path.join(checkout, 'include', 'camrill.h'))) {
    yield path.join(checkout, 'target', 'release', 'libcamrill.so');
  }
}

function open() {
  const tried = [];
  for (const place of places()) {
    try {
      return [koffi.load(place), place];
    } catch (error) {
      tried.push(error.message);
    }
  }
  const how = 'install it, or say where it is with CAMRILL_LIBRARY';
  throw new Error(`${NAME} was not found: ${how}. Tried: ${tried.join('; ')}`);
}

const text = (number) => `${number >> 16}.${(number >> 8) & 0xff}.${number & 0xff}`;

function symbol(library, place, name, type) {
  try {
    return library.func(name, ...type);
  } catch {
    const older = name === 'camrill_version' ? 'it is not camrill' : 'it is older than this package, or built without a feature';
    throw new Error(`${place} has no ${name}(): ${older}`);
  }
}

const [library, place] = open();
const found = symbol(library, place, 'camrill_version', abi.functions.camrill_version)();
const [major, minor] = [found >> 16, (found >> 8) & 0xff];
// While the major version is 0, a minor version may change what structs look like.
if (major !== constants.VERSION_MAJOR || minor < constants.VERSION_MINOR || (major === 0 && minor !== constants.VERSION_MINOR)) {
  throw new Error(`${place} is camrill ${text(found)}, and this package is for ${text(constants.VERSION)}`);
}

for (const [name, type] of Object.entries(abi.callbacks)) koffi.proto(name, ...type);
const structs = {};
for (const [name, fields] of Object.entries(abi.structs)) structs[name] = koffi.struct(name, fields);
const C = {};
for (const [name, type] of Object.entries(abi.functions)) C[name] = symbol(library, place, name, type);

/** What a call has answered with a negative number, on an engine or on none. */
function errorOf(engine, code) {
  const buffer = Buffer.alloc(2048);
  C.camrill_engine_last_error(engine, buffer, buffer.length);
  const sentence = buffer.toString('utf8', 0, buffer.indexOf(0)) || C.camrill_strerror(code);
  return new CamrillError(code, sentence);
}

const version = () => text(found);

module.exports = { C, CamrillError, errorOf, koffi, structs, version };
