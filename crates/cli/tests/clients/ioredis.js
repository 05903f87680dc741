// ioredis against Evenkeel, as its users call it: `ioredis.js HOST PORT KEY`.

const assert = require('node:assert');
const Redis = require('ioredis');

const [host, port, key] = process.argv.slice(2);
const DAY_S = 86400;
const throttle = (client, name, burst = 1) => client.call('CL.THROTTLE', name, burst, 1, DAY_S);
const options = { host, port: Number(port), password: key, maxRetriesPerRequest: 1 };

async function main() {
  // Its own scripts of commands: it asks `INFO` first, to see whether the server is ready.
  const client = new Redis(options);
  assert.strictEqual(await client.ping(), 'PONG');
  assert.deepStrictEqual(await throttle(client, 'user'), [0, 2, 1, -1, DAY_S]);
  assert.strictEqual((await throttle(client, 'user'))[0], 0);
  assert.strictEqual((await throttle(client, 'user'))[0], 1);
  await assert.rejects(client.call('CL.THROTTLE', 'user', 1, 0, 1), /Zero rates/);
  await assert.rejects(client.get('user'), /unknown command/);

  // What is asked in one turn goes out as one pipeline.
  const at_once = await Promise.all(Array.from({ length: 500 }, () => throttle(client, 'many', 299)));
  assert.strictEqual(at_once.filter((answer) => answer[0] === 0).length, 300);

  for (const [begin, name] of [['pipeline', 'p'], ['multi', 'm']]) {
    const batch = client[begin]();
    for (let n = 0; n < 4; n += 1) throttle(batch, name, 2);
    const answers = await batch.exec();
    assert.deepStrictEqual(answers.map(([error, answer]) => [error, answer[0]]),
      [[null, 0], [null, 0], [null, 0], [null, 1]]);
  }
  await client.quit();

  const stranger = new Redis({ ...options, password: 'ek_no_no', retryStrategy: null });
  stranger.on('error', () => {});
  await assert.rejects(stranger.ping());
  stranger.disconnect();
  console.log('ok');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
