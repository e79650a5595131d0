/** A process that downloads a URL into a cache, and says how it goes: `node download.mjs URL FOLDER [SHA256]`. */
import { createModelCache, downloadModel } from '../../src/index.node.js';

const [, , reference = '', folder = '', sha256] = process.argv;
const said = new Set<string>();
const say = (text: string): void => {
  if (!said.has(text)) process.stdout.write(`${text}\n`);
  said.add(text);
};
const model = await downloadModel(reference, {
  cache: createModelCache({ folder }),
  ...(sha256 === undefined ? {} : { sha256 }),
  onProgress: ({ phase, done, total }) => {
    if (phase === 'wait') say('wait');
    else if (done * 2 >= total) say('half');
  },
});
say(model.state);
